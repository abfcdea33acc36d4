package topic

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/segmentio/kafka-go"

	"waypost/configs"
	"waypost/edge/ship"
	"waypost/sink/dispatch"
	"waypost/sink/dispatch/attempt"
	"waypost/sink/dispatch/operator"
	"waypost/sink/internal/kafkalog"
)

// quickly is long enough for anything on a busy machine and ends a test that hangs.
const quickly = 2 * time.Minute

// fakeKafka is topics of one partition, in memory.
type fakeKafka struct {
	mu     sync.Mutex
	topics map[string][]kafkalog.Message
}

func (f *fakeKafka) Fetch(_ context.Context, topic string, _ int, offset int64) (kafkalog.Fetched, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.topics[topic]
	if offset > int64(len(all)) {
		return kafkalog.Fetched{}, kafka.OffsetOutOfRange
	}
	return kafkalog.Fetched{Messages: all[offset:], Next: int64(len(all)), End: int64(len(all))}, nil
}

func (f *fakeKafka) Span(_ context.Context, topic string, _ int) (kafkalog.Span, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return kafkalog.Span{End: int64(len(f.topics[topic]))}, nil
}

func (f *fakeKafka) Partitions(context.Context, string) (int, error) { return 1, nil }

func (f *fakeKafka) Since(context.Context, string, int, time.Time) ([]int64, error) {
	return []int64{0}, nil
}

func (f *fakeKafka) records(topic string) []kafkalog.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]kafkalog.Message(nil), f.topics[topic]...)
}

// fakeProducer writes one of them.
type fakeProducer struct {
	*fakeKafka
	topic string
}

func (p fakeProducer) Produce(_ context.Context, _ int, records []ship.Record) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range records {
		m := kafkalog.Message{Offset: int64(len(p.topics[p.topic])), Key: r.Key, Value: r.Value, At: time.Now()}
		for _, h := range r.Headers {
			m.Headers = append(m.Headers, kafkalog.Header{Key: []byte(h.Key), Value: h.Value})
		}
		p.topics[p.topic] = append(p.topics[p.topic], m)
	}
	return int64(len(p.topics[p.topic])), nil
}

// sharing is a courier of a cluster, with an endpoint and an operator's receiver, that reads states.
func sharing(t *testing.T, f *fakeKafka) *Courier {
	t.Helper()
	c := testCourier(10)
	c.o.Logger, c.o.Trouble, c.log = slog.New(slog.DiscardHandler), func(string, string) {}, f
	c.producers = map[string]producer{}
	for _, topic := range []string{c.o.Kafka.Topics.States, c.retry[0].topic} {
		c.producers[topic] = fakeProducer{f, topic}
	}
	tenant, e, _ := operator.Endpoint(configs.Operator{URL: "https://ops.example.com/", Secrets: []configs.Secret{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}})
	for _, a := range []dispatch.Added{
		{Tenant: tenant, Endpoint: e},
		{Tenant: &configs.Tenant{Number: 1, Name: "demo"}, Endpoint: configs.Endpoint{ID: "crm", URL: "https://crm.example.com/", Format: "postmark"}},
	} {
		if err := c.Put(a, func() error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	c.states.start()
	t.Cleanup(c.states.close)
	return c
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(quickly); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", quickly, what)
		}
	}
}

func (c *Courier) crm() *lane { return c.lane(1, "crm") }

// see takes ends of attempts into account, as attempt does.
func (c *Courier) see(n int, o attempt.Outcome, after time.Duration) {
	for range n {
		now := time.Now()
		if of, why := c.crm().condition.saw(&o, after, now); of != "" {
			c.states.ask(c.crm(), of, why, now)
		}
	}
}

// What one sink is told to do, all do, also those that come later; the operator is told of each change once.
func TestStatesAreShared(t *testing.T) {
	f := &fakeKafka{topics: map[string][]kafkalog.Message{}}
	one, two := sharing(t, f), sharing(t, f)
	if changed, err := one.Disable(t.Context(), 1, "crm", "moves"); !changed || err != nil {
		t.Fatal(changed, err)
	}
	until(t, "the other sink knows it", func() bool { return two.Disabled(1, "crm") != nil })
	if changed, err := two.Disable(t.Context(), 1, "crm", "again"); changed || err != nil {
		t.Error(changed, err)
	}
	late := sharing(t, f)
	if !late.states.known(t.Context()) {
		t.Fatal("not known")
	}
	for _, c := range []*Courier{one, two, late} {
		if cause := c.Disabled(1, "crm"); cause == nil || cause.Why != operator.Asked || cause.Reason != "moves" {
			t.Errorf("%+v", cause)
		}
		if c.crm().admit(&job{owner: newPartition(c, nil, 0)}, time.Now()) {
			t.Error("a disabled endpoint takes a delivery")
		}
		until(t, "it is counted", func() bool { return testutil.ToFloat64(c.o.Metrics.EndpointsDisabled) == 1 })
	}
	if changed, err := late.Enable(t.Context(), 1, "crm"); !changed || err != nil {
		t.Error(changed, err)
	}
	until(t, "all know it", func() bool { return one.Disabled(1, "crm") == nil && two.Disabled(1, "crm") == nil })
	told := f.records(one.retry[0].topic)
	if len(told) != 2 {
		t.Fatalf("the operator is told %d times, want twice", len(told))
	}
	for i, want := range []string{"endpoint.disabled", "endpoint.enabled"} {
		d, err := readDelivery(&told[i])
		of, change, _, parsed := operator.Parse(d.document)
		if err != nil || parsed != nil || d.tenant != operator.Tenant || d.endpoint != operator.ID || string(of) != want || change.Endpoint != "crm" || change.Reason != "moves" {
			t.Errorf("%v %v: %s", err, parsed, told[i].Value)
		}
	}
	if _, err := one.Disable(t.Context(), 1, "other", ""); err != operator.ErrNoEndpoint {
		t.Error(err)
	}
	if _, err := one.Disable(t.Context(), operator.Tenant, operator.ID, ""); err != operator.ErrNoEndpoint {
		t.Error(err)
	}
}

// Since when an endpoint fails outlives the sinks, a success at one of them ends it for all, and once it has lasted the endpoint is disabled.
func TestFailingIsShared(t *testing.T) {
	const after = time.Hour
	f := &fakeKafka{topics: map[string][]kafkalog.Message{}}
	one := sharing(t, f)
	failed, worked := attempt.Outcome{Word: attempt.Again, Status: 503}, attempt.Outcome{Word: attempt.Delivered, Status: 200}
	since := func(c *Courier) time.Time {
		l := c.crm()
		l.condition.mu.Lock()
		defer l.condition.mu.Unlock()
		return l.condition.since
	}
	one.crm().condition.first = time.Now().Add(-2 * after) // so long ago
	one.see(operator.LeastFailures-1, failed, -1)
	if !since(one).IsZero() {
		t.Error("told too early")
	}
	one.see(3, failed, -1)
	until(t, "it is told", func() bool { return !since(one).IsZero() })

	two := sharing(t, f)
	if !two.states.known(t.Context()) || !since(two).Equal(since(one)) {
		t.Errorf("since %v, want %v", since(two), since(one))
	}
	two.see(1, worked, after)
	until(t, "that it works is told", func() bool { return since(one).IsZero() && since(two).IsZero() })
	one.see(operator.LeastFailures+5, failed, after) // it counts from now on
	until(t, "it is told again", func() bool { return !since(one).IsZero() && !since(two).IsZero() })
	if one.Disabled(1, "crm") != nil {
		t.Error("disabled for failures from before a success")
	}

	one.crm().condition.mu.Lock()
	one.crm().condition.first = time.Now().Add(-2 * after)
	one.crm().condition.mu.Unlock()
	one.see(20, failed, after)
	until(t, "it is disabled", func() bool { return one.Disabled(1, "crm") != nil && two.Disabled(1, "crm") != nil })
	if cause := two.Disabled(1, "crm"); cause.Why != operator.Failing {
		t.Errorf("%+v", cause)
	}
	if n := len(f.records(one.retry[0].topic)); n != 1 {
		t.Errorf("the operator is told %d times, want once", n)
	}
	if changed, err := two.Enable(t.Context(), 1, "crm"); !changed || err != nil {
		t.Error(changed, err)
	}
	until(t, "it is enabled", func() bool { return one.Disabled(1, "crm") == nil })
	two.see(1, attempt.Outcome{Word: attempt.Stopped, Status: 410, Gone: true}, -1)
	until(t, "it is gone", func() bool { return one.Disabled(1, "crm") != nil })
	if cause := one.Disabled(1, "crm"); cause.Why != operator.Gone {
		t.Errorf("%+v", cause)
	}
}

// An endpoint that comes after its state is disabled from its first delivery on; what is no event is counted and passed over.
func TestStateBeforeItsEndpoint(t *testing.T) {
	f := &fakeKafka{topics: map[string][]kafkalog.Message{}}
	one := sharing(t, f)
	if changed, err := one.Disable(t.Context(), 1, "crm", ""); !changed || err != nil {
		t.Fatal(changed, err)
	}
	_, _ = fakeProducer{f, one.o.Kafka.Topics.States}.Produce(t.Context(), 0, []ship.Record{{Key: []byte("x"), Value: []byte("{}")}})
	two := testCourier(10)
	two.o.Logger, two.o.Trouble, two.log = slog.New(slog.DiscardHandler), func(string, string) {}, f
	two.states.start()
	t.Cleanup(two.states.close)
	if !two.states.known(t.Context()) {
		t.Fatal("not known")
	}
	added := dispatch.Added{Tenant: &configs.Tenant{Number: 1, Name: "demo"}, Endpoint: configs.Endpoint{ID: "crm", URL: "https://crm.example.com/", Format: "postmark"}}
	if err := two.Put(added, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if two.Disabled(1, "crm") == nil || testutil.ToFloat64(two.o.Metrics.EndpointsDisabled) != 1 {
		t.Error("it is not disabled")
	}
	if n := testutil.ToFloat64(two.o.Metrics.KafkaAlarms.WithLabelValues("unreadable")); n != 1 {
		t.Errorf("%v records are unreadable, want 1", n)
	}
	if len(two.Owners("crm")) != 1 || len(two.Owners(operator.ID)) != 0 {
		t.Error("Owners")
	}
}
