package topic

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"waypost/configs/fault"
	"waypost/edge/ship"
	"waypost/sink/ingest"
	"waypost/sink/internal/kafkalog"
	"waypost/sink/internal/store"
)

// worker is one partition during one generation.
type worker struct {
	o         *options
	partition int
	name      string // events topic / partition
	dir       string
	key       []byte // of the place in the store

	store   *store.Store
	decider *ingest.Decider // of the recovery
	source  *source
	floors  map[uint32]uint16 // moved since the last record of unique
	records []ship.Record
}

func newWorker(o *options, partition int) *worker {
	return &worker{
		o: o, partition: partition, name: fmt.Sprintf("%s/%d", o.Events, partition), dir: o.dirOf(partition), key: store.TopicKey(o.Events, o.Unique),
		floors: map[uint32]uint16{},
	}
}

// run works until ctx ends. A fault that passes is tried again from recovery on; one that does not leaves the partition alone until the next generation.
func (w *worker) run(ctx context.Context) {
	defer w.forget()
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, lastPause) {
		err := w.live(ctx)
		if ctx.Err() != nil {
			return
		}
		var stop *stopped
		switch {
		case errors.Is(err, errOvertaken):
			w.o.Logger.Info("another sink wrote firsts of this partition: recovering them", "partition", w.name)
			continue
		case errors.As(err, &stop):
			w.o.Logger.Error("partition stopped", "partition", w.name, "reason", stop.reason)
			w.o.trouble.set(w.name, "partition stopped: "+stop.reason)
			<-ctx.Done()
			return
		case errors.Is(err, errStore):
			w.o.Failed(err)
			<-ctx.Done()
			return
		}
		w.o.Metrics.SourceErrors.WithLabelValues(w.name).Inc()
		w.o.Logger.Warn("partition failed: beginning again with its recovery", "partition", w.name, "error", err)
		w.o.trouble.set(w.name, fmt.Sprintf("partition %s: %v", w.name, err))
		kafkalog.Wait(ctx, pause)
	}
}

func (w *worker) forget() {
	w.o.trouble.set(w.name, "")
	w.o.trouble.set(w.produceTrouble(), "")
	w.o.Metrics.Lag.DeleteLabelValues(w.name)
	w.o.Metrics.LagRecords.DeleteLabelValues(w.name)
}

// errStore says that a store cannot be used: the sink ends.
var errStore = errors.New("store failed")

func storeFault(err error) error { return fmt.Errorf("%w: %w", errStore, err) }

// live opens the store, recovers, and then decides until ctx ends or something fails.
func (w *worker) live(ctx context.Context) error {
	if err := w.open(); err != nil {
		return storeFault(err)
	}
	defer w.close()
	place, err := w.recover(ctx)
	if err != nil {
		return err
	}
	w.o.trouble.set(w.name, "")
	return w.decide(ctx, place)
}

func (w *worker) open() (err error) {
	w.store, err = store.Open(w.dir, store.Options{Logger: w.o.Logger, Fatal: w.o.Fatal, Cache: w.o.Cache})
	if err == nil {
		w.o.opened(w.partition, w.store)
	}
	return err
}

func (w *worker) close() {
	if w.store == nil {
		return
	}
	w.o.opened(w.partition, nil)
	if err := w.store.Close(); err != nil {
		w.o.Logger.Error("store not closed in order", "partition", w.name, "error", err)
	}
	w.store = nil
}

// discard begins with an empty store. What is there goes out of the way as a whole before it is deleted: half a store could not be opened by the life after this one.
func (w *worker) discard() error {
	w.close()
	away := w.dir + ".discarded"
	err := os.RemoveAll(away) // of a life that ended here
	if err == nil {
		err = os.Rename(w.dir, away)
	}
	if err != nil {
		return storeFault(err)
	}
	fault.Point("ingest.discard")
	if err := os.RemoveAll(away); err != nil {
		return storeFault(err)
	}
	if err := w.open(); err != nil {
		return storeFault(err)
	}
	return nil
}

// decide fetches, decides, produces and stores.
func (w *worker) decide(ctx context.Context, place store.TopicPosition) error {
	ctx, cancel := context.WithCancel(ctx)
	var fetching sync.WaitGroup
	defer fetching.Wait()
	defer cancel()
	w.source = newSource(w, place)
	clear(w.floors)
	floors, err := w.decider.Floors()
	if err != nil {
		return storeFault(err)
	}
	for _, f := range floors {
		w.floors[f.Tenant] = f.Day // the generation's first record carries all: what an earlier one moved may stand in no record
	}
	fetched := make(chan error, 1)
	fetching.Go(func() {
		fetched <- w.source.fetch(ctx)
		cancel()
	})
	ingester := ingest.New(ingest.Options{
		Store: w.store, Sources: []ingest.Source{w.source}, Outbox: noOutbox{}, BatchRecords: w.o.BatchRecords, Decisions: w.o.Decisions, Now: time.Now,
		Metrics: w.o.Metrics, Logger: w.o.Logger, NoSync: true,
		Publish: func(records []ingest.Record, decisions []ingest.Decision) error {
			return w.publish(ctx, records, decisions)
		},
	})
	err = ingester.Run(ctx)
	cancel()
	if fault := <-fetched; fault != nil {
		return fault
	}
	var refused *produceFault
	if err != nil && !errors.As(err, &refused) {
		return storeFault(err)
	}
	if errors.Is(err, ship.ErrRefused) {
		w.o.Metrics.KafkaAlarms.WithLabelValues("refused").Inc()
		return &stopped{fmt.Sprintf("%s: a first cannot be written to %s: %v", w.name, w.o.Unique, refused.cause)}
	}
	return err
}

// produceFault is what a produce ended with, so that it is not taken for the store's.
type produceFault struct{ cause error }

func (e *produceFault) Error() string { return "produce: " + e.cause.Error() }
func (e *produceFault) Unwrap() error { return e.cause }

// errOvertaken says that unique holds records that this generation did not write and has not applied.
var errOvertaken = errors.New("another sink wrote to the partition")

// publish produces a batch's firsts. After an error their outcome is unknown.
func (w *worker) publish(ctx context.Context, records []ingest.Record, decisions []ingest.Decision) error {
	w.records = firsts(w.records[:0], records, decisions, w.floors)
	defer clear(w.records)
	if err := ctx.Err(); err != nil {
		return &produceFault{err}
	}
	if len(w.records) == 0 {
		return nil
	}
	begin := time.Now()
	next, err := w.o.producer.Produce(ctx, w.partition, w.records)
	if err != nil {
		return &produceFault{err}
	}
	w.o.trouble.set(w.produceTrouble(), "")
	w.o.Metrics.ProduceSeconds.Observe(time.Since(begin).Seconds())
	w.o.Metrics.UniqueRecords.Add(float64(len(w.records)))
	switch {
	case next == ship.UnknownOffset:
		// The place stays behind: a recovery reads them again and drops them by their source offsets.
	case next != w.source.unique+int64(len(w.records)):
		// What stands in between is not in the store. With a place behind it, it never would be, and its keys would be firsts once more.
		return &produceFault{errOvertaken}
	default:
		w.source.unique = next
	}
	return nil
}

func (w *worker) produceTrouble() string { return produceTrouble(w.o.Unique, w.partition) }

func produceTrouble(topic string, partition int) string {
	return fmt.Sprintf("%s/%d", topic, partition)
}

// noOutbox sends nothing: with Kafka webhooks are not made by who decides.
type noOutbox struct{}

func (noOutbox) Due(*pebble.Batch, ingest.First) error { return nil }
func (noOutbox) Committed()                            {}
