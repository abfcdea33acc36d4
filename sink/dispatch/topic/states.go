package topic

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/edge/ship"
	"waypost/sink/dispatch/operator"
	"waypost/sink/internal/kafkalog"
)

// states keeps the topic of states and the lanes' conditions together. The topic is compacted and has two keys for each endpoint: under one the event that disabled or
// enabled it last, under the other the one that said that it fails or works. All of it stands in one partition, so that there is one order.
//
// A change is true when it is read, by the sink that wrote it too. So all sinks take the same for true, one after the other, within the time of a fetch. Two of them may decide the
// same within that time, and tell the operator twice.
//
// Rejected: each sink for itself (a restart forgets since when an endpoint fails, and what an operator wanted holds on one sink only); positions' metadata (a sink without the partition cannot write it).
type states struct {
	c       *Courier
	topic   string
	wishes  chan wish
	loaded  chan struct{} // closed when what stood in the topic at the start is read
	begin   sync.Once
	work    sync.WaitGroup
	context context.Context
	end     context.CancelFunc

	mu  sync.Mutex
	all map[string]*condition // by key; also of endpoints that this sink does not know, yet or any more
}

// wish is an event to be written.
type wish struct {
	lane   *lane
	of     event.Type
	change operator.Change
}

// statePartition holds all of the topic.
const statePartition = 0

const statesTrouble = "webhooks: endpoints"

func newStates(c *Courier) *states {
	s := &states{c: c, topic: c.o.Kafka.Topics.States, wishes: make(chan wish, 1000), loaded: make(chan struct{}), all: map[string]*condition{}}
	s.context, s.end = context.WithCancel(context.Background())
	return s
}

// of is the condition of an endpoint.
func (s *states) of(key string) *condition {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.all[key]
	if c == nil {
		c = &condition{}
		s.all[key] = c
	}
	return c
}

// start begins to read and write, once.
func (s *states) start() {
	s.begin.Do(func() {
		s.work.Go(s.reading)
		s.work.Go(s.writing)
	})
}

func (s *states) close() {
	s.end()
	s.work.Wait()
}

// known waits until what stood in the topic is read; false: ctx is over.
func (s *states) known(ctx context.Context) bool {
	select {
	case <-s.loaded:
		return true
	case <-ctx.Done():
		return false
	}
}

// ask hands an event to the writer. Where it has too much to do, the next attempt's end asks again.
func (s *states) ask(l *lane, of event.Type, why string, now time.Time) {
	change := l.condition.change(l.taker.Load().Target)
	if of == operator.Disabled {
		now = now.UTC().Truncate(time.Microsecond)
		change.Why, change.DisabledAt = why, &now
	}
	select {
	case s.wishes <- wish{l, of, change}:
	default:
		l.condition.forget()
	}
}

func (s *states) writing() {
	leave := time.NewTicker(leaveEvery)
	defer leave.Stop()
	for {
		select {
		case now := <-leave.C:
			s.leave(now)
		case w := <-s.wishes:
			s.write(w)
		case <-s.context.Done():
			return
		}
	}
}

// write tells the operator first: of what stands in the topic he was told.
func (s *states) write(w wish) {
	key := w.change.Key()
	id, document := operator.Event(w.of, &w.change, time.Now())
	if to := s.c.lane(operator.Tenant, operator.ID); to != nil && (w.of == operator.Disabled || w.of == operator.Enabled) {
		now := time.Now()
		d := delivery{tenant: operator.Tenant, endpoint: operator.ID, id: id, created: now, due: now, key: []byte(key), document: document}
		n := int(event.PartitionHash(d.key) % uint32(s.c.o.Kafka.Partitions))
		if !s.produce(s.c.retry[0].topic, n, d.retryRecord()) {
			w.lane.condition.forget()
			return
		}
	}
	if w.of == operator.Fails || w.of == operator.Works {
		key += "/failing"
	}
	if !s.produce(s.topic, statePartition, ship.Record{Key: []byte(key), Value: document, Headers: []ship.Header{{Key: contentTypeHeader, Value: []byte(contentType)}}}) {
		w.lane.condition.forget()
	}
}

func (s *states) produce(topic string, partition int, r ship.Record) bool {
	_, err := s.c.producers[topic].Produce(s.context, partition, []ship.Record{r})
	if errors.Is(err, ship.ErrRefused) {
		s.c.o.Metrics.KafkaAlarms.WithLabelValues("refused").Inc()
		s.c.o.Logger.Error("a change of an endpoint is not told", "topic", topic, "reason", err)
	}
	return err == nil
}

// reading reads the topic on and on.
func (s *states) reading() {
	pause, at, end := firstPause, int64(-1), int64(-1)
	for s.context.Err() == nil {
		f, err := s.fetch(&at, &end)
		if err != nil {
			if s.context.Err() == nil {
				s.c.o.Trouble(statesTrouble, fmt.Sprintf("%s cannot be read: %v", s.topic, err))
				s.c.warn("states of endpoints cannot be read: trying again", "topic", s.topic, "error", err)
			}
			kafkalog.Wait(s.context, pause)
			pause = min(2*pause, lastPause)
			continue
		}
		if pause != firstPause {
			pause = firstPause
			s.c.o.Trouble(statesTrouble, "")
		}
		for i := range f.Messages {
			s.read(&f.Messages[i])
		}
		if at = max(at, f.Next); at >= end && !s.isLoaded() {
			close(s.loaded)
		}
		if len(f.Messages) == 0 {
			kafkalog.Wait(s.context, idleStates)
		}
	}
}

// idleStates is how long nothing is asked of a topic in which nothing new stands.
const idleStates = 200 * time.Millisecond

// fetch begins at the begin of the topic, and goes on there where its place is gone: then the topic was made anew, or lost its end.
func (s *states) fetch(at, end *int64) (kafkalog.Fetched, error) {
	if *at < 0 {
		span, err := s.c.log.Span(s.context, s.topic, statePartition)
		if err != nil {
			return kafkalog.Fetched{}, err
		}
		*at, *end = span.First, span.End
	}
	f, err := s.c.log.Fetch(s.context, s.topic, statePartition, *at)
	if !errors.Is(err, kafka.OffsetOutOfRange) {
		return f, err
	}
	span, err := s.c.log.Span(s.context, s.topic, statePartition)
	if err == nil && (*at < span.First || *at > span.End) { // else it may be a new leader that does not know its end yet: asked again
		s.c.o.Metrics.KafkaAlarms.WithLabelValues("log_end").Inc()
		s.c.o.Logger.Error("the topic of states was made anew, or lost its end: it is read from its beginning", "topic", s.topic, "position", *at)
		*at = -1
	}
	return kafkalog.Fetched{}, errors.Join(kafka.OffsetOutOfRange, err)
}

func (s *states) isLoaded() bool {
	select {
	case <-s.loaded:
		return true
	default:
		return false
	}
}

func (s *states) read(m *kafkalog.Message) {
	if isForgotten(m) {
		if err := s.c.forgotten.read(m); err != nil {
			s.unreadable("a record is of no person", m)
		}
		return
	}
	of, change, at, err := operator.Parse(m.Value)
	if err != nil {
		s.unreadable("a record is no event of an endpoint", m)
		return
	}
	condition := s.of(change.Key())
	was := condition.cause()
	condition.read(of, change, at)
	is, l := condition.cause(), s.c.lane(change.Tenant, change.Endpoint)
	if l == nil {
		return // it is told when it comes
	}
	switch {
	case was == nil && is != nil:
		s.c.sender.Disabled(l.Target, is.At)
		s.c.o.Logger.Warn("endpoint disabled: it gets no attempts until it is enabled, and what it would be told is kept", "tenant", change.Tenant, "endpoint", change.Endpoint,
			"why", is.Why, "failures", change.Failures, "status", change.Status)
	case was != nil && is == nil:
		l.reset()
		s.c.sender.Enabled(l.Target)
		s.c.o.Logger.Info("endpoint enabled: what was kept follows", "tenant", change.Tenant, "endpoint", change.Endpoint)
	}
}

func (s *states) unreadable(what string, m *kafkalog.Message) {
	s.c.o.Metrics.KafkaAlarms.WithLabelValues("unreadable").Inc()
	s.c.warn(what+": passed over", "topic", s.topic, "offset", m.Offset)
}

// Disable ends attempts at an endpoint on all sinks until Enable, and tells the operator; it returns when this sink knows it. changed is false where it was disabled already. The errors are
// operator.ErrNoEndpoint, and ctx's, with which it may happen nonetheless.
func (c *Courier) Disable(ctx context.Context, tenant uint32, id, reason string) (changed bool, err error) {
	return c.turn(ctx, tenant, id, operator.Disabled, reason)
}

// Enable begins attempts at a disabled endpoint again. Errors and changed are Disable's.
func (c *Courier) Enable(ctx context.Context, tenant uint32, id string) (changed bool, err error) {
	return c.turn(ctx, tenant, id, operator.Enabled, "")
}

func (c *Courier) turn(ctx context.Context, tenant uint32, id string, to event.Type, reason string) (changed bool, err error) {
	l := c.lane(tenant, id)
	if l == nil || tenant == operator.Tenant {
		return false, operator.ErrNoEndpoint
	}
	c.states.start()
	if !c.states.known(ctx) {
		return false, ctx.Err()
	}
	done := func() bool { return (l.condition.cause() != nil) == (to == operator.Disabled) }
	if done() {
		return false, nil
	}
	change, now := l.condition.change(l.taker.Load().Target), time.Now().UTC().Truncate(time.Microsecond)
	if to == operator.Disabled {
		change.Why, change.Reason, change.DisabledAt = operator.Asked, reason, &now
	}
	select {
	case c.states.wishes <- wish{l, to, change}:
	case <-ctx.Done():
	}
	for ctx.Err() == nil && !done() {
		kafkalog.Wait(ctx, firstPause)
	}
	return ctx.Err() == nil, ctx.Err()
}

// Disabled is since when and why an endpoint is disabled; nil: it is not.
func (c *Courier) Disabled(tenant uint32, id string) *operator.Cause {
	if l := c.lane(tenant, id); l != nil {
		return l.condition.cause()
	}
	return nil
}

// Owners are the tenants that have an endpoint with this id.
func (c *Courier) Owners(id string) (all []*configs.Tenant) {
	for _, l := range c.lanes.Load().All {
		if l.Config.ID == id && l.Tenant.Number != operator.Tenant {
			all = append(all, l.Tenant)
		}
	}
	return all
}
