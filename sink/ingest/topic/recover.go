package topic

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"waypost/sink/ingest"
	"waypost/sink/internal/kafkalog"
	"waypost/sink/internal/store"
)

// Why a store is made anew from unique; the label of the metric.
const (
	storeMissing = "missing" // it is new here: the partition was another's, or the directory is gone
	storeAhead   = "ahead"   // it knows more than unique: that topic lost records, or was made anew
	storeBehind  = "behind"  // unique begins behind its place: it was away for longer than unique keeps records
)

// recover brings the store to unique's end, and gives the place from which to decide.
func (w *worker) recover(ctx context.Context) (store.TopicPosition, error) {
	var place store.TopicPosition
	unique, err := w.o.log.Span(ctx, w.o.Unique, w.partition)
	if err != nil {
		return place, err
	}
	place, known, err := w.place()
	if err != nil {
		return place, err
	}
	if known && int(place.Partitions) != w.o.count {
		w.o.Metrics.KafkaAlarms.WithLabelValues("partitions").Inc()
		return place, &stopped{fmt.Sprintf("%s: the topics had %d partitions and have %d: recipients would change partition; make new topics", w.name, place.Partitions, w.o.count)}
	}
	rebuild := ""
	switch {
	case !known:
		rebuild = storeMissing
	case int64(place.Unique) > unique.End:
		rebuild = storeAhead
	case int64(place.Unique) < unique.First:
		rebuild = storeBehind
	}
	fresh := rebuild != "" && unique.First == unique.End && rebuild != storeAhead
	if rebuild != "" {
		if place, err = w.beginAnew(rebuild, fresh, unique); err != nil {
			return place, err
		}
	}
	w.decider = ingest.NewDecider(w.store, time.Now)
	if place, err = w.restore(ctx, place, unique, rebuild); err != nil {
		return place, err
	}
	return w.checkEvents(ctx, place, !known)
}

func (w *worker) place() (place store.TopicPosition, known bool, err error) {
	value, closer, err := w.store.Get(w.key)
	if errors.Is(err, pebble.ErrNotFound) {
		return place, false, nil
	}
	if err != nil {
		return place, false, storeFault(err)
	}
	defer closer.Close()
	if _, _, place, err = store.ParseTopicPosition(w.key, value); err != nil {
		return place, false, storeFault(err)
	}
	return place, true, nil
}

// beginAnew makes the store empty. Only a store that was there and is of no use is an alarm.
func (w *worker) beginAnew(reason string, fresh bool, unique kafkalog.Span) (store.TopicPosition, error) {
	if !fresh {
		w.o.Metrics.Rebuilds.WithLabelValues(reason).Inc()
	}
	if reason != storeMissing {
		w.o.Metrics.KafkaAlarms.WithLabelValues("store_" + reason).Inc()
		w.o.Logger.Error("store discarded: it is made anew from the topic of unique clicks", "partition", w.name, "reason", reason,
			"unique_begins", unique.First, "unique_ends", unique.End)
	}
	// Also where there is none: what a store of other topics holds is of no use here.
	if err := w.discard(); err != nil {
		return store.TopicPosition{}, err
	}
	return store.TopicPosition{Unique: uint64(unique.First), Partitions: uint32(w.o.count)}, nil
}

// restore applies unique from the store's place to the end that it had when the generation began. What comes later is a repetition, see the package.
func (w *worker) restore(ctx context.Context, place store.TopicPosition, unique kafkalog.Span, rebuild string) (store.TopicPosition, error) {
	begun, applied, told := time.Now(), 0, []ingest.Told(nil)
	for at := int64(place.Unique); at < unique.End; {
		f, err := w.o.log.Fetch(ctx, w.o.Unique, w.partition, at)
		if err != nil {
			return place, err
		}
		told = told[:0]
		for i := range f.Messages {
			if IsSeed(&f.Messages[i]) {
				if err := w.sow(&f.Messages[i]); err != nil {
					return place, err
				}
				continue
			}
			t, source, ok := readUnique(&f.Messages[i])
			if !ok {
				w.alarm("unreadable", "a record of the topic of unique clicks is not of a sink: passed over", f.Messages[i].Offset)
				continue
			}
			if source < int64(place.Source) {
				continue // the readers' rule
			}
			place.Source = uint64(source) + 1
			told = append(told, t)
		}
		at = f.Next
		place.Unique = uint64(at)
		if err := w.apply(told, place); err != nil {
			return place, err
		}
		applied += len(told)
		w.o.trouble.set(w.name, fmt.Sprintf("partition %s: recovering, %d of %d records of %s to go", w.name, max(unique.End-at, 0), unique.End-unique.First, w.o.Unique))
		if err := ctx.Err(); err != nil {
			return place, err
		}
	}
	w.o.Metrics.Restored.Add(float64(applied))
	if seconds := time.Since(begun).Seconds(); applied > 0 {
		w.o.Logger.Info("recovered from the topic of unique clicks", "partition", w.name, "rebuild", rebuild, "records", applied,
			"seconds", seconds, "records_per_second", int(float64(applied)/max(seconds, 1e-6)))
	}
	return place, nil
}

func (w *worker) apply(told []ingest.Told, place store.TopicPosition) error {
	b := w.store.NewBatch()
	defer b.Close()
	odd, err := w.decider.Restore(b, told)
	if err != nil {
		return storeFault(err)
	}
	if odd > 0 {
		w.o.Metrics.KafkaAlarms.WithLabelValues("disagree").Add(float64(odd))
		w.o.Logger.Error("unique clicks that we would not have decided so: kept as they stand", "partition", w.name, "records", odd)
	}
	if err := b.Set(w.key, place.AppendTo(nil), nil); err != nil {
		return storeFault(err)
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return storeFault(err)
	}
	return nil
}

func (w *worker) alarm(name, text string, offset int64) {
	w.o.Metrics.KafkaAlarms.WithLabelValues(name).Inc()
	if held, ok := w.o.alarms.Allow(time.Now()); ok {
		w.o.Logger.Error(text, "partition", w.name, "offset", offset, "held_back", held)
	}
}

// checkEvents holds the place against the events' topic. Who has decided nothing yet begins where that begins.
func (w *worker) checkEvents(ctx context.Context, place store.TopicPosition, anew bool) (store.TopicPosition, error) {
	events, err := w.o.log.Span(ctx, w.o.Events, w.partition)
	if err != nil {
		return place, err
	}
	if anew && place.Source == 0 {
		place.Source = uint64(events.First)
	}
	return place, w.checkSpan(events, int64(place.Source))
}
