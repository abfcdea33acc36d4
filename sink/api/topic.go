package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"waypost/configs"
	"waypost/configs/broker"
	"waypost/configs/throttle"
	"waypost/edge/ship"
	"waypost/sink/internal/kafkalog"
	"waypost/sink/internal/metrics"
)

// TopicOptions of a Topic.
type TopicOptions struct {
	Kafka   configs.Kafka
	Tenants *configs.Tenants
	Metrics *metrics.Set
	Logger  *slog.Logger
	Trouble func(what, reason string) // told what keeps the webhooks from being known; reason "": it is over
}

// Topic keeps webhooks in the endpoints' topic, which every sink of a cluster reads from its beginning and follows: one partition, so all of them see the same changes in the same order. Of two changes
// of one webhook at the same time the later one in the log stays, whole.
//
// A change is written, and is in the book and in force, at this sink, when this sink has read it back. The others have it a moment later; a sink that cannot read the topic goes on with the webhooks that it knows, and says so.
//
// A number is taken by a record of its own, whose offset makes it: so two sinks never give the same one, and none is given twice. Rejected: the next number that this sink does not know of (two sinks would give it at once, and
// compaction forgets which came first), numbers at random (they collide, if rarely, and a removed one's deliveries could find another webhook).
type Topic struct {
	o        TopicOptions
	name     string
	book     *Book
	log      kafkalog.Log
	producer interface {
		Produce(ctx context.Context, partition int, records []ship.Record) (next int64, err error)
	}
	closers []func()
	warned  throttle.Every
	known   chan struct{} // closed when the book holds what the topic held at the start

	mu      sync.Mutex
	above   uint32 // see numberValue
	read    int64  // all records before it are in force; -1: the topic is being read from its beginning
	grown   chan struct{}
	waiting map[string]chan int64 // for the offset of a write, by its name
	fault   string                // why the topic cannot be read now
}

const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second

	// staleAfter is how long a sink may be cut off before it reads the topic anew: what was removed meanwhile may not be told any more in a topic that is checked to tell it for 7 days.
	staleAfter = 24 * time.Hour

	readTrouble = "webhooks of the API"
)

// NewTopic prepares the way to the brokers; nothing is dialled before Run.
func NewTopic(o TopicOptions) (*Topic, error) {
	cluster, err := broker.New(o.Kafka)
	if err != nil {
		return nil, err
	}
	t := newTopic(o, kafkalog.New(cluster, o.Kafka.ClientID))
	producer, err := ship.NewProducer(ship.ProducerOptions{
		Connection: ship.Connection{Client: cluster.Client, Topic: t.name}, Compression: ship.Compression(o.Kafka.Compression), BatchBytes: int(o.Kafka.BatchBytes),
		OnRetry: func(_ int, reason string, err error) {
			o.Metrics.ProduceRetries.WithLabelValues(reason).Inc()
			t.warn("produce failed: trying again", err)
		},
	})
	if err != nil {
		cluster.Close()
		return nil, err
	}
	t.producer, t.closers = producer, []func(){producer.Close, cluster.Close}
	return t, nil
}

func newTopic(o TopicOptions, log kafkalog.Log) *Topic {
	t := &Topic{
		o: o, name: o.Kafka.Topics.Endpoints, book: newBook(), log: log, known: make(chan struct{}), read: -1, grown: make(chan struct{}), waiting: map[string]chan int64{},
	}
	t.book.keeper = t
	return t
}

// Book is what the topic holds.
func (t *Topic) Book() *Book { return t.book }

// Known is closed when the book holds what the topic held at the start, and the dispatcher has been told.
func (t *Topic) Known() <-chan struct{} { return t.known }

// Close gives the connections back. Run must have ended.
func (t *Topic) Close() {
	for _, closer := range t.closers {
		closer()
	}
}

func (t *Topic) warn(text string, err error, args ...any) {
	if held, ok := t.warned.Allow(time.Now()); ok {
		t.o.Logger.Warn(text, append([]any{"topic", t.name, "error", err, "held_back", held}, args...)...)
	}
}

// Run reads the topic and tells the dispatcher what it says, until ctx ends.
func (t *Topic) Run(ctx context.Context, d Dispatcher) {
	t.o.Trouble(readTrouble, readTrouble+": "+t.name+" is not read yet")
	defer t.o.Metrics.LagRecords.DeleteLabelValues(t.label())
	pause := firstPause
	for ctx.Err() == nil {
		at, err := t.load(ctx, d)
		if err == nil {
			pause = firstPause
			at, err = t.follow(ctx, d, at)
		}
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, kafka.OffsetOutOfRange):
			t.o.Metrics.KafkaAlarms.WithLabelValues("log_end").Inc()
			t.o.Logger.Error("the topic of the API's webhooks was made anew, or lost its end: it is read from its beginning", "topic", t.name, "position", at)
		case err != nil:
			t.failed(err)
		}
		kafkalog.Wait(ctx, pause)
		if err != nil {
			pause = min(2*pause, lastPause)
		}
	}
}

// failed notes that the topic cannot be read.
func (t *Topic) failed(err error) {
	reason := fmt.Sprintf("%s cannot be read: %s", t.name, broker.Explain(err))
	t.mu.Lock()
	t.fault = reason
	t.mu.Unlock()
	t.o.Trouble(readTrouble, readTrouble+": "+reason)
	t.warn("the webhooks of the API cannot be read: trying again", err)
}

func (t *Topic) readable() {
	t.mu.Lock()
	was := t.fault
	t.fault = ""
	t.mu.Unlock()
	if was != "" {
		t.o.Trouble(readTrouble, "")
	}
}

// load reads the topic from its beginning to the end that it has now, and puts that in the place of what is in force. It gives the offset at which to go on.
func (t *Topic) load(ctx context.Context, d Dispatcher) (at int64, err error) {
	t.mu.Lock()
	t.read = -1
	t.mu.Unlock()
	span, err := t.log.Span(ctx, t.name, 0)
	if err != nil {
		return 0, err
	}
	all, above := map[uint32]record{}, uint32(0)
	var read []kafkalog.Message // without keys and values
	for at = span.First; at < span.End; {
		f, err := t.log.Fetch(ctx, t.name, 0, at)
		if err != nil {
			return at, err
		}
		for i := range f.Messages {
			m := &f.Messages[i]
			r, err := t.parse(m)
			switch {
			case err != nil:
			case r.taken:
				above = max(above, r.above)
			case r.webhook == nil:
				delete(all, r.id)
			default:
				all[r.id] = r
			}
			read = append(read, kafkalog.Message{Offset: m.Offset, Headers: m.Headers})
		}
		if f.Next <= at { // compacted to its end, or nothing came in time
			if len(f.Messages) == 0 && f.End <= at {
				break
			}
			kafkalog.Wait(ctx, firstPause)
			if ctx.Err() != nil {
				return at, ctx.Err()
			}
		}
		at = max(at, f.Next)
	}
	for tenant, list := range t.book.all() {
		for i := range list {
			if r, ok := all[list[i].ID]; !ok || r.tenant != tenant {
				t.drop(d, tenant, list[i].ID)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		t.enforce(d, all[id].tenant, all[id].webhook)
	}
	t.reached(at, above)
	for i := range read {
		t.heard(&read[i])
	}
	t.readable()
	t.o.Trouble(readTrouble, "")
	select {
	case <-t.known:
	default:
		close(t.known)
		t.o.Logger.Info("webhooks of the API are known", "topic", t.name, "webhooks", len(all))
	}
	return at, nil
}

// follow applies what comes, until the topic cannot be read. Without an error it is to be read anew.
func (t *Topic) follow(ctx context.Context, d Dispatcher, at int64) (int64, error) {
	pause, last := firstPause, time.Now().Round(0)
	for ctx.Err() == nil {
		f, err := t.log.Fetch(ctx, t.name, 0, at)
		if errors.Is(err, kafka.OffsetOutOfRange) {
			span, err := t.log.Span(ctx, t.name, 0)
			if err == nil && (at < span.First || at > span.End) {
				return at, kafka.OffsetOutOfRange
			} // else it may be a new leader that does not know its end yet: asked again
		}
		if err != nil {
			if ctx.Err() == nil {
				t.failed(err)
			}
			kafkalog.Wait(ctx, pause)
			pause = min(2*pause, lastPause)
			continue
		}
		now := time.Now().Round(0) // the wall's time: a machine may have slept
		if now.Sub(last) > staleAfter {
			t.o.Logger.Warn("the webhooks of the API are read anew: this sink was cut off for long", "topic", t.name, "since", last.UTC())
			return at, nil
		}
		pause, last = firstPause, now
		t.readable()
		for i := range f.Messages {
			t.apply(d, &f.Messages[i])
		}
		at = max(at, f.Next)
		t.reached(at, 0)
		t.o.Metrics.LagRecords.WithLabelValues(t.label()).Set(float64(max(f.End-at, 0)))
	}
	return at, ctx.Err()
}

func (t *Topic) label() string { return t.name + "/0" }

// parse reads a record. What is none is counted, told and passed over.
func (t *Topic) parse(m *kafkalog.Message) (record, error) {
	r, err := readRecord(m.Key, m.Value)
	if err != nil {
		t.o.Metrics.KafkaAlarms.WithLabelValues("unreadable").Inc()
		t.warn("a record is no webhook: passed over", err, "offset", m.Offset)
	}
	return r, err
}

// apply puts one record in force, and tells whoever waits for it.
func (t *Topic) apply(d Dispatcher, m *kafkalog.Message) {
	r, err := t.parse(m)
	switch {
	case err != nil:
	case r.taken:
		t.reached(m.Offset+1, r.above)
	default:
		if owner, known := t.book.owner(r.id); known && (r.webhook == nil || owner != r.tenant) {
			t.drop(d, owner, r.id)
		}
		if r.webhook != nil {
			t.enforce(d, r.tenant, r.webhook)
		}
	}
	t.heard(m)
}

// enforce puts a webhook in force. One of a tenant that the settings do not name is kept and told nothing.
func (t *Topic) enforce(d Dispatcher, tenant uint32, w *webhook) {
	if named := t.o.Tenants.ByNumber(tenant); named == nil {
		t.o.Logger.Warn("a webhook of a tenant that the settings do not name is kept and told nothing", "tenant", tenant, "webhook", w.ID)
	} else if err := d.Put(w.added(named), kept); err != nil {
		t.o.Logger.Error("a webhook is not in force", "tenant", tenant, "webhook", w.ID, "error", err)
	}
	t.book.enter(tenant, w)
	t.o.Metrics.APIWebhooks.Set(float64(t.book.size()))
}

// drop ends a webhook.
func (t *Topic) drop(d Dispatcher, tenant, id uint32) {
	w := webhook{ID: id}
	if err := d.Remove(tenant, w.id(), kept); err != nil {
		t.o.Logger.Error("a webhook is still in force", "tenant", tenant, "webhook", id, "error", err)
	}
	t.book.strike(tenant, id)
	t.o.Metrics.APIWebhooks.Set(float64(t.book.size()))
}

// kept is the commit of what the log holds already.
func kept() error { return nil }

// reached says that all records before at are in force.
func (t *Topic) reached(at int64, above uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.above = max(t.above, above)
	if at != t.read {
		t.read = at
		close(t.grown)
		t.grown = make(chan struct{})
	}
}
