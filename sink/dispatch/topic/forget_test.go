package topic

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"waypost/configs"
	"waypost/configs/outbound"
	"waypost/edge/event"
	"waypost/edge/ship"
	"waypost/sink/dispatch"
	"waypost/sink/dispatch/attempt"
	"waypost/sink/internal/forget"
	"waypost/sink/internal/kafkalog"
	"waypost/sink/internal/person"
	"waypost/sink/internal/store"
)

func demoTenant() *configs.Tenant { return &configs.Tenant{Number: 1, Name: "demo"} }

func clickOf(recipient string, at time.Time) event.Event {
	e := clicked()
	e.Prospect, e.Recipient, e.Time = nil, []byte(recipient), at
	return e
}

func (c *Courier) forgetNow(t *testing.T, recipient string) *forget.Answer {
	t.Helper()
	answer, err := c.Forget(t.Context(), forget.Request{Tenant: demoTenant(), Recipient: recipient})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// What one sink is told to forget, all do, also those that come later; what the person does afterwards is sent.
func TestForgottenIsShared(t *testing.T) {
	f := &fakeKafka{topics: map[string][]kafkalog.Message{}}
	one, two := sharing(t, f), sharing(t, f)
	before := time.Now().Add(-time.Minute)
	mine, others := clickOf("gone@example.com", before), clickOf("stays@example.com", before)
	if one.forgotten.was(&mine, before) {
		t.Error("forgotten before it is said")
	}
	answer := one.forgetNow(t, "Gone@Example.com")
	if text := fmt.Sprintf("%+v", answer); strings.Contains(strings.ToLower(text), "gone@") || answer.Removed != nil || !strings.Contains(text, "{Where:waypost.unique What:first clicks") {
		t.Errorf("answer %s", text)
	}
	two.forgetNow(t, "second@example.com")
	late := sharing(t, f)
	if !late.states.known(t.Context()) {
		t.Fatal("not known")
	}
	second, after := clickOf("second@example.com", before), clickOf("gone@example.com", time.Now().Add(time.Second))
	for i, c := range []*Courier{one, two, late} {
		until(t, "it is known", func() bool { return c.forgotten.was(&mine, before) && c.forgotten.was(&second, before) })
		if c.forgotten.was(&others, before) || c.forgotten.was(&after, after.Time) {
			t.Errorf("sink %d drops what is to be sent", i)
		}
		if len(c.forgotten.groups) != 1 {
			t.Errorf("sink %d hashes with %d secrets, want 1", i, len(c.forgotten.groups))
		}
	}
	for _, m := range f.records(one.states.topic) {
		if bytes.Contains(bytes.ToLower(append(m.Key, m.Value...)), []byte("@")) {
			t.Errorf("an address stands in %s %s", m.Key, m.Value)
		}
	}
	one.states.leave(time.Now())
	n := len(f.records(one.states.topic))
	one.states.leave(time.Now().Add(10 * 365 * 24 * time.Hour))
	if left := len(f.records(one.states.topic)) - n; left != 4 {
		t.Errorf("%d records leave, want two of each", left)
	}
	until(t, "nobody is known", func() bool { return !two.forgotten.was(&mine, before) && !late.forgotten.was(&second, before) })
	if _, err := one.Forget(t.Context(), forget.Request{Tenant: demoTenant(), Recipient: "gone"}); !errors.Is(err, person.ErrRecipient) {
		t.Error(err)
	}
}

// What waits in a retry topic, in a lane, or among the dead is not sent once its person is forgotten.
func TestForgottenDeliveriesAreDropped(t *testing.T) {
	var requests atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	defer receiver.Close()
	f := &fakeKafka{topics: map[string][]kafkalog.Message{}}
	c := sharing(t, f)
	defer c.sender.Close()
	c.sender.Close()
	c.sender = attempt.NewSender(configs.Dispatch{Timeout: quickly, Allow: outbound.ThisMachine()}, c.o.Metrics, c.o.Logger, nil, time.Now)
	err := c.Put(dispatch.Added{Tenant: demoTenant(), Endpoint: configs.Endpoint{ID: "here", URL: receiver.URL, Format: "postmark"}}, func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	p := newPartition(c, nil, 0)
	before := time.Now().Add(-time.Minute)
	tracker := newTracker("retry", standing{source: -1})
	job := func(recipient string, offset int64) *job {
		e := clickOf(recipient, before)
		return &job{owner: p, record: tracker.begin(offset, -1, 1), delivery: delivery{
			tenant: 1, endpoint: "here", id: e.ID, created: before, due: time.Now(), key: event.AppendKey(nil, &e), document: event.AppendDocument(nil, &e),
		}}
	}
	inLane := job("gone@example.com", 0) // admitted before
	c.forgetNow(t, "gone@example.com")
	if o := c.attempt(c.lane(1, "here"), inLane); !o.Cut {
		t.Errorf("attempted: %+v", o)
	}
	p.resume(job("gone@example.com", 1))
	for range 2 {
		if out := <-p.outputs; len(out.records) != 0 {
			t.Errorf("it leaves %v", out.records)
		} else {
			out.record.ended()
		}
	}
	if position := tracker.place().position; position != 2 {
		t.Errorf("the position is %d, want 2", position)
	}
	p.resume(job("stays@example.com", 2))
	if out := <-p.outputs; len(out.records) != 1 || out.records[0].topic != c.o.Kafka.Topics.Deliveries {
		t.Errorf("%+v", out.records)
	}
	c.workers.Wait()
	if n := requests.Load(); n != 1 {
		t.Errorf("%d requests, want that of the other", n)
	}

	for _, recipient := range []string{"gone@example.com", "stays@example.com"} {
		d := job(recipient, 3).delivery
		_, _ = fakeProducer{f, c.o.Kafka.Topics.Dead}.Produce(t.Context(), 0, []ship.Record{d.deadRecord(503, "given_up")})
	}
	c.o.Kafka.Partitions = 1
	n := 0
	if err := c.Replay(t.Context(), dispatch.ReplayQuery{Dead: true, List: true}, func(*dispatch.Replayed) { n++ }); err != nil || n != 1 {
		t.Errorf("%d dead letters are sent again, %v, want that of the other", n, err)
	}
}

func FuzzParseForgotten(f *testing.F) {
	r := forgottenRecord(person.Hash{1}, [store.SecretBytes]byte{2}, gone{tenant: 3, until: time.Unix(4, 0).UTC(), leaves: time.Unix(5, 0).UTC()})
	f.Add(r.Key, r.Value)
	f.Add(r.Key, []byte(nil))
	f.Add([]byte("1/crm/failing"), []byte("{}"))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		m := kafkalog.Message{Key: key, Value: value}
		hash, secret, g, err := parseForgotten(&m)
		if err != nil {
			return
		}
		again := forgottenRecord(hash, secret, g)
		if !bytes.Equal(again.Key, key) {
			t.Errorf("key %q comes back as %q", key, again.Key)
		}
		if len(value) == 0 {
			return
		}
		other, key2, g2, err := parseForgotten(&kafkalog.Message{Key: again.Key, Value: again.Value})
		if err != nil || other != hash || key2 != secret || g2.tenant != g.tenant || !g2.until.Equal(g.until) || !g2.leaves.Equal(g.leaves) {
			t.Errorf("%v: %+v comes back as %+v", err, g, g2)
		}
	})
}
