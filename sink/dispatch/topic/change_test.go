package topic

import (
	"errors"
	"testing"
	"time"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/sink/dispatch"
	"waypost/sink/dispatch/gate"
	"waypost/sink/internal/metrics"
)

var demo = &configs.Tenant{Number: 1, Name: "demo", Stream: "outbound"}

func added(url string, types ...event.Type) dispatch.Added {
	return dispatch.Added{Tenant: demo, Endpoint: configs.Endpoint{ID: "api:1", URL: url, Format: "postmark"}, Types: types, Stream: "outbound"}
}

func good() error { return nil }

// An endpoint that is put is there for the next record, changed in its place, and gone when it is removed; with an error of commit nothing has changed.
func TestPutAndRemove(t *testing.T) {
	c := testCourier(4)
	broken := errors.New("disk")
	if err := c.Put(added("https://a.example.com/", event.Clicked), func() error { return broken }); err != broken || c.Target(1, "api:1") != nil {
		t.Fatalf("%v, and the endpoint is there", err)
	}
	if err := c.Put(dispatch.Added{Tenant: demo, Endpoint: configs.Endpoint{ID: "x", Format: "no such"}}, good); err == nil {
		t.Error("a format that is not known passes")
	}
	if err := c.Put(added("https://a.example.com/", event.Clicked), good); err != nil {
		t.Fatal(err)
	}
	l := c.lane(1, "api:1")
	if l == nil || c.lane(2, "api:1") != nil || l.gate.Limits().Concurrency != 1 {
		t.Fatalf("%+v", l)
	}
	if err := c.Put(added("https://b.example.com/"), good); err != nil {
		t.Fatal(err)
	}
	if c.lane(1, "api:1") != l || c.Target(1, "api:1").Config.URL != "https://b.example.com/" || len(c.lanes.Load().All) != 1 {
		t.Error("a change made another lane, or did not come in force")
	}
	if err := c.Remove(1, "api:1", func() error { return broken }); err != broken || c.lane(1, "api:1") == nil {
		t.Errorf("%v, and the endpoint is gone", err)
	}
	for range 2 {
		if err := c.Remove(1, "api:1", good); err != nil || c.lane(1, "api:1") != nil {
			t.Errorf("%v, or still there", err)
		}
	}
}

// Of a webhook's types and stream only.
func TestTakes(t *testing.T) {
	e := clicked()
	for _, test := range []struct {
		stream string
		a      dispatch.Added
		want   bool
	}{
		{"", added("https://a.example.com/", event.Clicked), true},
		{"", added("https://a.example.com/", event.Opened, event.Clicked), true},
		{"", added("https://a.example.com/", event.Opened), false},
		{"other", added("https://a.example.com/", event.Clicked), false},
		{"outbound", added("https://a.example.com/", event.Clicked), true},
		{"other", dispatch.Added{Tenant: demo, Endpoint: configs.Endpoint{ID: "crm", Format: "postmark"}}, true},
	} {
		k, err := newTaker(test.a)
		if err != nil {
			t.Fatal(err)
		}
		e.Stream = []byte(test.stream)
		if got := k.takes(&e, metrics.Discard()); got != test.want {
			t.Errorf("stream %q, %+v: %v", test.stream, test.a, got)
		}
	}
	none := added("https://a.example.com/")
	none.Types = []event.Type{}
	if k, _ := newTaker(none); k.takes(&e, metrics.Discard()) {
		t.Error("a webhook that wants nothing is told")
	}
}

// What waits in the lane of an endpoint that is removed is put off, and nothing comes in any more; after an hour it is given up.
func TestRemovedLane(t *testing.T) {
	c := testCourier(4)
	p := newPartition(c, nil, 1)
	record := newTracker("unique", standing{source: -1}).begin(0, 0, 1000)
	if err := c.Put(added("https://a.example.com/"), good); err != nil {
		t.Fatal(err)
	}
	l := c.lane(1, "api:1")
	l.mu.Lock()
	for range l.gate.Limits().Concurrency { // all passes are out: what is queued stays
		l.gate.Begin(time.Now())
	}
	l.mu.Unlock()
	waiting := &job{owner: p, record: record, delivery: delivery{tenant: 1, endpoint: "api:1", created: time.Now()}}
	if !l.admit(waiting, time.Now()) {
		t.Fatal("no room")
	}
	if err := c.Remove(1, "api:1", good); err != nil {
		t.Fatal(err)
	}
	if out := <-p.outputs; out.record != record || out.records[0].topic != c.retry[0].topic {
		t.Errorf("%+v", out)
	}
	c.workers.Wait()
	if l.admit(waiting, time.Now()) || c.inMemory.Load() != 0 {
		t.Errorf("admitted after the end, or %d in memory", c.inMemory.Load())
	}
	if pass, _ := l.gate.Look(time.Now()); pass != gate.None {
		t.Error("the test's passes are not out")
	}
	p.resume(waiting)
	if out := <-p.outputs; out.records[0].topic == c.o.Kafka.Topics.Dead {
		t.Error("given up at once: another sink may have made it just now")
	}
	waiting.created, waiting.due = time.Now().Add(-removedFor-time.Minute), time.Time{}
	p.resume(waiting)
	if out := <-p.outputs; out.records[0].topic != c.o.Kafka.Topics.Dead {
		t.Errorf("still waits, in %s", out.records[0].topic)
	}
	waiting.endpoint = "crm" // may come back to the settings
	p.resume(waiting)
	if out := <-p.outputs; out.records[0].topic == c.o.Kafka.Topics.Dead {
		t.Error("an endpoint of the settings is waited for 7 days")
	}
}

// Nothing is read before all endpoints are known.
func TestKnown(t *testing.T) {
	c := testCourier(1)
	if !c.known(t.Context()) {
		t.Error("without others")
	}
	known := make(chan struct{})
	c.o.Known = known
	done := make(chan bool)
	go func() { done <- c.known(t.Context()) }()
	select {
	case <-done:
		t.Error("goes on before the endpoints are known")
	case <-time.After(10 * time.Millisecond):
	}
	close(known)
	if !<-done {
		t.Error("does not go on")
	}
}
