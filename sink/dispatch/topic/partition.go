package topic

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"

	"waypost/configs/fault"
	"waypost/edge/event"
	"waypost/sink/dispatch"
	"waypost/sink/ingest/topic"
	"waypost/sink/internal/kafkalog"
)

const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second

	// What is due within leastWait is not put off any more: half of the shortest wait, so that an attempt is never further than that from its time.
	leastWait = time.Second / 2

	// orphanFor is how long a delivery waits for an endpoint that the settings do not name, or that is disabled. removedFor: for a webhook that was removed through the API; its number is not given again, and
	// a sink that has only just not heard of it has by then.
	orphanFor  = 7 * 24 * time.Hour
	removedFor = time.Hour
)

// partition is one partition of unique and of the retry topics, during one generation.
type partition struct {
	c    *Courier
	g    *generation
	n    int
	name string // for people

	outputs  chan output   // short: what stands in it has ended, and a crash repeats it
	unmarked atomic.Int64  // deliveries that have ended since positions were committed, or a few more
	ended    chan struct{} // closed when run is over

	// The contexts of attempts and of what is written of them: they outlive the generation.
	sending, keeping context.Context
	cut, abandon     context.CancelFunc

	mu       sync.Mutex
	over     bool // no attempt begins any more
	attempts sync.WaitGroup
	trackers []*tracker // none before the positions are known
	source   int64      // highest source offset read; only unique's reader
}

func newPartition(c *Courier, g *generation, n int) *partition {
	p := &partition{c: c, g: g, n: n, name: fmt.Sprintf("webhooks of partition %d", n), outputs: make(chan output, 100), ended: make(chan struct{})}
	p.keeping, p.abandon = context.WithCancel(context.Background())
	p.sending, p.cut = context.WithCancel(p.keeping)
	return p
}

// begin accounts for an attempt; false: the partition is over.
func (p *partition) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return false
	}
	p.attempts.Add(1)
	return true
}

func (p *partition) positions() []*tracker {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trackers
}

// run works until ctx ends.
func (p *partition) run(ctx context.Context) {
	defer close(p.ended)
	defer p.abandon()
	defer p.c.o.Trouble(p.name, "")
	if !p.c.known(ctx) || !p.c.states.known(ctx) || !p.prepare(ctx) {
		return
	}
	p.c.mu.Lock()
	p.c.active[p] = true
	p.c.mu.Unlock()
	var readers, writer sync.WaitGroup
	readers.Go(func() { p.readUnique(ctx, p.trackers[0]) })
	for i, r := range p.c.retry {
		readers.Go(func() { p.readRetry(ctx, p.trackers[i+1], r.delay) })
	}
	readers.Go(func() { p.sweep(ctx) })
	writer.Go(func() { p.writing(ctx) })
	<-ctx.Done()
	p.finish(&readers, &writer)
}

// finish lets what is under way end, and be kept.
func (p *partition) finish(readers, writer *sync.WaitGroup) {
	p.c.mu.Lock()
	delete(p.c.active, p)
	p.c.mu.Unlock()
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	for _, l := range p.c.lanes.Load().All {
		l.drop(p)
	}
	defer time.AfterFunc(attemptsWithin, p.cut).Stop()
	defer time.AfterFunc(outcomesWithin, p.abandon).Stop()
	readers.Wait()
	p.attempts.Wait()
	close(p.outputs)
	writer.Wait()
	for _, t := range p.trackers {
		p.c.o.Metrics.LagRecords.DeleteLabelValues(p.label(t))
	}
}

// prepare learns the positions; false: ctx is over.
func (p *partition) prepare(ctx context.Context) bool {
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, lastPause) {
		trackers, err := p.load(ctx)
		if err == nil {
			p.c.o.Trouble(p.name, "")
			p.mu.Lock()
			p.trackers = trackers
			p.mu.Unlock()
			return true
		}
		if ctx.Err() == nil {
			p.failing(err)
		}
		kafkalog.Wait(ctx, pause)
	}
	return false
}

func (p *partition) load(ctx context.Context) ([]*tracker, error) {
	topics := []string{p.c.unique}
	for _, r := range p.c.retry {
		topics = append(topics, r.topic)
	}
	committed, err := p.c.committed(ctx, p.n, topics)
	if err != nil {
		return nil, err
	}
	var trackers []*tracker
	for _, name := range topics {
		log, err := p.c.log.Span(ctx, name, p.n)
		if err != nil {
			return nil, err
		}
		from, known := committed[name]
		if !known {
			from = standing{position: log.First, source: -1, upto: log.First}
			p.c.o.Logger.Info("no position of webhooks in the group: from the beginning", "topic", name, "partition", p.n, "group", p.c.o.Group, "records", log.End-log.First)
		}
		trackers = append(trackers, newTracker(name, from))
	}
	p.source = trackers[0].source // unique's
	return trackers, nil
}

// each reads a partition on and on. visit is false when the reader has to come back to that message later.
func (p *partition) each(ctx context.Context, t *tracker, idle time.Duration, visit func(*kafkalog.Message) bool) {
	at, pause := t.position, firstPause
	for ctx.Err() == nil {
		if t.full() {
			kafkalog.Wait(ctx, firstPause)
			continue
		}
		f, err := p.c.log.Fetch(ctx, t.topic, p.n, at)
		if errors.Is(err, kafka.OffsetOutOfRange) {
			at, err = p.outOfRange(ctx, t, at)
		}
		if err != nil {
			if ctx.Err() == nil {
				p.failing(err)
			}
			kafkalog.Wait(ctx, pause)
			pause = min(2*pause, lastPause)
			continue
		}
		if pause != firstPause {
			pause = firstPause
			p.c.o.Trouble(p.name, "")
		}
		next := max(f.Next, at)
		for i := range f.Messages {
			if ctx.Err() != nil {
				return
			}
			if !visit(&f.Messages[i]) {
				next = f.Messages[i].Offset
				break
			}
		}
		at = next
		t.reached(at, f.End)
		if len(f.Messages) == 0 {
			kafkalog.Wait(ctx, idle)
		}
	}
}

// outOfRange goes on where the partition begins. A position before it means that records were deleted unread; one behind its end, that the topic was made anew.
func (p *partition) outOfRange(ctx context.Context, t *tracker, at int64) (int64, error) {
	log, err := p.c.log.Span(ctx, t.topic, p.n)
	if err != nil || at >= log.First && at <= log.End {
		return at, err // it may also be a new leader that does not know its end yet: asked again
	}
	alarm := "log_start"
	if at > log.End {
		alarm = "log_end"
		t.restart(log.First)
		if t.topic == p.c.unique {
			p.source = -1
		}
	}
	p.c.o.Metrics.KafkaAlarms.WithLabelValues(alarm).Inc()
	p.c.o.Logger.Error("records were deleted before webhooks were made of them: going on where the partition begins", "topic", t.topic, "partition", p.n,
		"position", at, "begins", log.First, "ends", log.End)
	return log.First, nil
}

func (p *partition) failing(err error) {
	p.c.o.Trouble(p.name, fmt.Sprintf("%s: %v", p.name, err))
	p.c.warn("webhooks cannot be read: trying again", "partition", p.n, "error", err)
}

// readUnique makes deliveries of firsts.
func (p *partition) readUnique(ctx context.Context, t *tracker) {
	var decoder event.Decoder
	var e event.Event
	var to []*lane
	p.each(ctx, t, 0, func(m *kafkalog.Message) bool {
		first, ok := topic.ReadFirst(m)
		if !ok || first.Source <= p.source { // what no sink wrote is the decider's alarm; and the readers' rule
			t.begin(m.Offset, -1, 0)
			return true
		}
		p.source = first.Source
		if t.finished(m.Offset) {
			t.begin(m.Offset, first.Source, 0)
			return true
		}
		to = to[:0]
		looked := p.c.forgotten.version.Load()
		if decoder.Decode(&e, m.Value) == nil && (first.Person && !e.UniqueAny || first.Any && e.UniqueAny) && !p.c.forget(&e, m.At) {
			for _, l := range p.c.lanes.Load().Tenants[e.Tenant] {
				if l.taker.Load().takes(&e, p.c.o.Metrics) {
					to = append(to, l)
				}
			}
		}
		fault.Point("dispatch.read")
		record := t.begin(m.Offset, first.Source, len(to))
		now := time.Now()
		for _, l := range to {
			j := &job{record: record, owner: p, looked: looked, delivery: delivery{
				tenant: e.Tenant, endpoint: l.Config.ID, id: e.ID, created: m.At,
				key: append([]byte(nil), m.Key...), document: append([]byte(nil), m.Value...),
			}}
			if !l.admit(j, now) {
				p.c.hold(l, j)
			}
		}
		return true
	})
}

// readRetry brings back what has waited for delay.
func (p *partition) readRetry(ctx context.Context, t *tracker, delay time.Duration) {
	// How often a topic in which nothing stands is looked at: what comes into it is due in delay at the earliest.
	idle := min(delay/10, 5*time.Second)
	p.each(ctx, t, idle, func(m *kafkalog.Message) bool {
		if t.finished(m.Offset) {
			t.begin(m.Offset, -1, 0)
			return true
		}
		if left := time.Until(m.At.Add(delay)); left > 0 {
			kafkalog.Wait(ctx, min(left, longestHold))
			if left > idle {
				return false // the answer is let go: many of them would be held for hours
			}
		}
		d, err := readDelivery(m)
		if err != nil {
			p.c.o.Metrics.KafkaAlarms.WithLabelValues("unreadable").Inc()
			p.c.warn("a record of a retry topic is no delivery: passed over", "topic", t.topic, "partition", p.n, "offset", m.Offset)
			t.begin(m.Offset, -1, 0)
			return true
		}
		p.resume(&job{delivery: d, record: t.begin(m.Offset, -1, 1), owner: p})
		return true
	})
}

// resume sends a delivery that has waited, or lets it wait on.
func (p *partition) resume(j *job) {
	if p.c.drop(j) {
		return
	}
	now := time.Now()
	l := p.c.lane(j.tenant, j.endpoint)
	switch left := j.due.Sub(now); {
	case left > leastWait:
		p.write(output{record: j.record, records: []topicRecord{p.c.scheduled(&j.delivery, left)}})
	case l == nil && strings.HasPrefix(j.endpoint, dispatch.AddedPrefix) && now.Sub(j.created) > removedFor:
		p.bury(j, "webhook removed")
	case l == nil && now.Sub(j.created) > orphanFor:
		p.bury(j, "endpoint not in the settings")
	case l != nil && l.condition.cause() != nil && now.Sub(j.created) > orphanFor:
		p.bury(j, "endpoint disabled")
	case l == nil || !l.admit(j, now):
		p.c.hold(l, j)
	}
}

// bury gives a delivery up that was not attempted.
func (p *partition) bury(j *job, reason string) {
	p.write(output{record: j.record, records: []topicRecord{{p.c.o.Kafka.Topics.Dead, j.deadRecord(0, reason)}}})
}

// sweep takes what waits too long out of the lanes.
func (p *partition) sweep(ctx context.Context) {
	for ctx.Err() == nil {
		kafkalog.Wait(ctx, longestQueue/4)
		for _, l := range p.c.lanes.Load().All {
			for _, j := range l.stale(time.Now().Add(-longestQueue)) {
				if j.owner.begin() { // whosever it is
					p.c.hold(l, j)
					j.owner.attempts.Done()
				}
			}
		}
	}
}

func (p *partition) label(t *tracker) string { return fmt.Sprintf("%s/%d webhooks", t.topic, p.n) }

func (p *partition) measure() {
	for _, t := range p.positions() {
		p.c.o.Metrics.LagRecords.WithLabelValues(p.label(t)).Set(float64(t.behind()))
	}
}
