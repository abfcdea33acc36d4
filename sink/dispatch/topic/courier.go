package topic

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"waypost/configs"
	"waypost/configs/broker"
	"waypost/configs/fault"
	"waypost/configs/throttle"
	"waypost/edge/event"
	"waypost/edge/ship"
	"waypost/sink/dispatch"
	"waypost/sink/dispatch/attempt"
	"waypost/sink/dispatch/operator"
	"waypost/sink/enrich"
	"waypost/sink/internal/kafkalog"
	"waypost/sink/internal/metrics"
)

// Options of a Courier.
type Options struct {
	Kafka    configs.Kafka
	Group    string // in which positions are kept
	Tenants  *configs.Tenants
	Settings configs.Dispatch
	Who      *enrich.Enricher // for documents; nil: nobody is known
	Metrics  *metrics.Set
	Logger   *slog.Logger
	Trouble  func(what, reason string) // told what keeps webhooks from being sent; reason "": it is over
	// Known is closed when all endpoints that others than Tenants name have been Put: nothing is sent before, so that none of them misses anything. Nil: there are none.
	Known <-chan struct{}
}

// Courier sends the webhooks of the partitions that this sink owns.
type Courier struct {
	o         Options
	cluster   *broker.Cluster
	log       kafkalog.Timed
	producers map[string]producer // by topic
	closers   []func()
	sender    *attempt.Sender
	lanes     atomic.Pointer[lanes]
	window    int
	unique    string
	retry     []rung // shortest first
	states    *states
	forgotten *forgotten

	workers  sync.WaitGroup
	inMemory atomic.Int64 // deliveries in lanes
	bytes    atomic.Int64 // of their documents
	warned   throttle.Every

	changing sync.Mutex // of lanes

	mu     sync.Mutex
	active map[*partition]bool
}

// producer writes one topic.
type producer interface {
	Produce(ctx context.Context, partition int, records []ship.Record) (next int64, err error)
}

// rung is one retry topic.
type rung struct {
	topic string
	delay time.Duration
}

// New prepares the endpoints and the way to the brokers; nothing is dialled yet.
func New(o Options) (*Courier, error) {
	c := &Courier{
		o: o, producers: map[string]producer{}, unique: o.Kafka.Topics.Unique,
		window: max(o.Settings.Window, 1), active: map[*partition]bool{}, forgotten: newForgotten(),
	}
	c.sender = attempt.NewSender(o.Settings, o.Metrics, o.Logger, o.Who, time.Now)
	c.states = newStates(c)
	var all []*lane
	if tenant, e, ok := operator.Endpoint(o.Settings.Operator); ok {
		t, err := newTaker(dispatch.Added{Tenant: tenant, Endpoint: e, Types: []event.Type{}}) // what mails do is not for it
		if err != nil {
			return nil, fmt.Errorf("dispatch.operator: %w", err)
		}
		all = append(all, c.newLane(t))
	}
	for _, tenant := range o.Tenants.List {
		for _, e := range tenant.Endpoints {
			t, err := newTaker(dispatch.Added{Tenant: tenant, Endpoint: e})
			if err != nil {
				return nil, fmt.Errorf("tenant %s, endpoint %s: %w", tenant.Name, e.ID, err)
			}
			all = append(all, c.newLane(t))
		}
	}
	c.lanes.Store(attempt.NewSet(all))
	c.retry = ladder(o.Kafka)
	var err error
	if c.cluster, err = broker.New(o.Kafka); err != nil {
		return nil, err
	}
	c.closers = append(c.closers, c.cluster.Close)
	c.log = kafkalog.New(c.cluster, o.Kafka.ClientID)
	topics := []string{o.Kafka.Topics.Deliveries, o.Kafka.Topics.Dead, o.Kafka.Topics.States}
	for _, r := range c.retry {
		topics = append(topics, r.topic)
	}
	for _, topic := range topics {
		p, err := ship.NewProducer(ship.ProducerOptions{
			Connection:  ship.Connection{Client: c.cluster.Client, Topic: topic},
			Compression: ship.Compression(o.Kafka.Compression), BatchBytes: int(o.Kafka.BatchBytes),
			OnRetry: func(partition int, reason string, err error) { c.produceRetry(topic, partition, reason, err) },
		})
		if err != nil {
			c.Close()
			return nil, err
		}
		c.producers[topic] = p
		c.closers = append(c.closers, p.Close)
	}
	return c, nil
}

func (c *Courier) produceRetry(topic string, partition int, reason string, err error) {
	c.o.Metrics.ProduceRetries.WithLabelValues(reason).Inc()
	c.warn("produce failed: trying again", "topic", topic, "partition", partition, "error", err)
}

func (c *Courier) warn(text string, args ...any) {
	if held, ok := c.warned.Allow(time.Now()); ok {
		c.o.Logger.Warn(text, append(args, "held_back", held)...)
	}
}

// Close gives up what the Courier holds. Every generation must have ended.
func (c *Courier) Close() {
	c.workers.Wait()
	c.states.close()
	c.sender.Close()
	for _, closer := range c.closers {
		closer()
	}
}

// Generation prepares the work for the partitions that the group gave this member. Each function is to be run until its context ends.
func (c *Courier) Generation(id int32, member string, partitions []int) (runs []func(context.Context)) {
	c.states.start()
	g := &generation{c: c, id: int(id), member: member, full: make(chan chan struct{})}
	for _, n := range partitions {
		p := newPartition(c, g, n)
		g.partitions = append(g.partitions, p)
		runs = append(runs, p.run)
	}
	return append(runs, g.commit)
}

// Measure sets the gauges that cost more than a load.
func (c *Courier) Measure() {
	c.o.Metrics.InMemory.Set(float64(c.inMemory.Load()))
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.active {
		p.measure()
	}
}

// attempt sends one delivery, and hands what came of it to its partition's topics.
func (c *Courier) attempt(l *lane, j *job) attempt.Outcome {
	if c.forgotten.version.Load() != j.looked && c.drop(j) {
		return attempt.Outcome{Cut: true}
	}
	target := l.taker.Load().Target
	o := c.sender.Attempt(j.owner.sending, target, attempt.Delivery{ID: j.id, Attempts: j.attempts, Created: j.created, Document: j.document})
	if o.Cut {
		return o
	}
	l.learn(o.Took)
	now := time.Now()
	if l.Tenant.Number != operator.Tenant { // nobody would be told
		if of, why := l.condition.saw(&o, target.DisableAfter(c.o.Settings), now); of != "" {
			c.states.ask(l, of, why, now)
		}
	}
	out := output{record: j.record, records: []topicRecord{{c.o.Kafka.Topics.Deliveries, attemptRecord(target, &j.delivery, &o, now)}}}
	j.attempts++
	switch {
	case o.Word == attempt.Again:
		j.due, j.holds = now.Add(o.Wait), 0
		out.records = append(out.records, c.scheduled(&j.delivery, o.Wait))
	case o.Dead():
		out.records = append(out.records, topicRecord{c.o.Kafka.Topics.Dead, j.deadRecord(o.Status, reasonOf(&o))})
	default:
		c.o.Metrics.WebhookSeconds.Observe(now.Sub(j.created).Seconds())
	}
	fault.Point("dispatch.answered")
	j.owner.write(out)
	return o
}

// drop ends a delivery of somebody who was forgotten, with nothing left of it; false: it is of nobody.
func (c *Courier) drop(j *job) bool {
	j.looked = c.forgotten.version.Load()
	if j.tenant == operator.Tenant || !c.forgotten.document(j.document, j.created) {
		return false
	}
	c.o.Metrics.Forgotten.Inc()
	j.owner.write(output{record: j.record})
	return true
}

// reasonOf says why a delivery ended as it did, in a few words.
func reasonOf(o *attempt.Outcome) string {
	if o.Reason == "" {
		return o.Word
	}
	return o.Word + ": " + o.Reason
}

// ladder are the retry topics, shortest first.
func ladder(k configs.Kafka) (all []rung) {
	for _, delay := range broker.RetryDelays {
		all = append(all, rung{broker.RetryTopic(k, delay), delay})
	}
	return all
}

// rungFor is the longest retry topic that is not longer than wait, or the shortest.
func rungFor(ladder []rung, wait time.Duration) rung {
	to := ladder[0]
	for _, r := range ladder[1:] {
		if r.delay <= wait {
			to = r
		}
	}
	return to
}

// scheduled is the delivery's record in the retry topic for wait.
func (c *Courier) scheduled(d *delivery, wait time.Duration) topicRecord {
	return topicRecord{rungFor(c.retry, wait).topic, d.retryRecord()}
}

// Holds: a delivery that found no room, or an open breaker, comes again when the endpoint should have come to it, a second later at the earliest. Where that was wrong again and again, or there is
// no such endpoint, it waits for twice as long each time.
const (
	firstHold   = time.Second
	longestHold = 30 * time.Minute
	freeHolds   = 4 // before waits double
)

// hold puts a delivery off without an attempt. l is nil where the settings name no such endpoint; for one that is disabled it waits likewise.
func (c *Courier) hold(l *lane, j *job) {
	now := time.Now()
	wait := firstHold << min(max(j.holds-freeHolds, 0), 11)
	if l != nil && l.condition.cause() == nil {
		if at, probe := l.putOff(now); probe {
			wait = at.Sub(now)
		} else {
			wait = max(wait, at.Sub(now))
		}
	}
	wait = min(wait, longestHold)
	j.holds++
	j.due = now.Add(wait)
	c.o.Metrics.Held.Inc()
	j.owner.write(output{record: j.record, records: []topicRecord{c.scheduled(&j.delivery, wait)}})
}

// keep counts a delivery that came into memory, release one that left it.
func (c *Courier) keep(j *job) {
	c.inMemory.Add(1)
	c.bytes.Add(int64(len(j.document)))
}

func (c *Courier) release(j *job) {
	c.inMemory.Add(-1)
	c.bytes.Add(-int64(len(j.document)))
}

// lane finds an endpoint; nil: there is none.
func (c *Courier) lane(tenant uint32, endpoint string) *lane {
	return c.lanes.Load().Find(tenant, endpoint)
}
