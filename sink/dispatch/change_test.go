package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/sink/ingest"
	"waypost/sink/internal/metrics"
)

func committed() error { return nil }

// added is an endpoint of the harness's tenant that is not in its settings.
func added(id, url string, types ...event.Type) Added {
	return Added{Tenant: &configs.Tenant{Number: 1, Name: "demo", Stream: "outbound"}, Endpoint: configs.Endpoint{ID: id, URL: url, Format: "postmark"}, Types: types}
}

func (h *harness) put(a Added) {
	h.t.Helper()
	if err := h.Put(a, committed); err != nil {
		h.t.Fatal(err)
	}
}

// orphaned waits for the gauge.
func (h *harness) orphaned(want float64) {
	h.t.Helper()
	until(h.t, "the orphaned are counted", func() bool { return testutil.ToFloat64(h.metrics.Orphaned) == want })
}

// An endpoint that is added is told of what comes after it, one that is changed is reached where it is then, one that is removed is told nothing more.
func TestChangeWhileRunning(t *testing.T) {
	fixed, one, two := receive(t, nil), receive(t, nil), receive(t, nil)
	h := start(t, fresh(), usual(), endpointTo("fixed", fixed.URL, "standard"))
	h.add(1)
	h.put(added("api:1", one.URL))
	h.add(2)
	h.settle()
	h.put(added("api:1", two.URL))
	h.add(3)
	h.settle()
	if err := h.Remove(1, "api:1", committed); err != nil {
		t.Fatal(err)
	}
	if err := h.Remove(1, "api:1", committed); err != nil {
		t.Fatal(err)
	}
	h.add(4)
	h.settle()
	h.stop()
	if a, b, c := len(fixed.got()), len(one.got()), len(two.got()); a != 10 || b != 2 || c != 3 {
		t.Errorf("%d, %d and %d deliveries, want 10, 2 and 3", a, b, c)
	}
	if err := h.Put(added("api:2", one.URL), committed); !errors.Is(err, ErrEnded) {
		t.Errorf("Put after the end: %v", err)
	}
	if err := h.Remove(1, "fixed", committed); !errors.Is(err, ErrEnded) {
		t.Errorf("Remove after the end: %v", err)
	}
}

// What cannot be made durable has not happened.
func TestChangeNotCommitted(t *testing.T) {
	rc, elsewhere := receive(t, nil), receive(t, nil)
	h := start(t, fresh(), usual(), endpointTo("a", rc.URL, "standard"))
	full := errors.New("disk full")
	fail := func() error { return full }
	moved := added("a", elsewhere.URL)
	if err := errors.Join(h.Put(moved, fail), h.Put(added("api:1", elsewhere.URL), fail), h.Remove(1, "a", fail)); !errors.Is(err, full) {
		t.Fatal(err)
	}
	ids := h.add(1)
	h.settle()
	h.stop()
	expectOnce(t, rc, ids)
	expectOnce(t, elsewhere, nil)
}

// What is due to a removed endpoint stays in the store, counted, and takes no memory. A start counts it too, and sends it when the endpoint is back.
func TestRemovedKeepsWhatIsDue(t *testing.T) {
	hang, reached := make(chan struct{}), make(chan struct{}, 10)
	slow := receive(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		reached <- struct{}{}
		<-hang
		w.WriteHeader(http.StatusInternalServerError)
	})
	settings := usual()
	settings.Concurrency, settings.Window = 1, 3
	files := fresh()
	h := start(t, files, settings)
	h.put(added("api:1", slow.URL))
	h.add(5) // one under way, two in memory, two in the store only
	<-reached

	b := h.store.NewBatch() // decided before the removal, committed after it
	e := click(100)
	if err := h.Due(b, ingest.First{ID: e.ID, Type: e.Type, Tenant: 1, Document: event.AppendDocument(nil, &e)}); err != nil {
		t.Fatal(err)
	}
	if err := h.Remove(1, "api:1", committed); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Commit(pebble.Sync), b.Close()); err != nil {
		t.Fatal(err)
	}
	h.Committed()
	close(hang)
	h.orphaned(6)
	until(t, "nothing is in memory", func() bool { return h.inMemory.Load() == 0 && h.memory.Load() == 0 })
	if n := h.pending.Load(); n != 0 {
		t.Errorf("%d pending", n)
	}
	h.stop()

	rc := receive(t, nil)
	h = start(t, files, usual())
	h.orphaned(6)
	if n := len(h.dues()); n != 6 {
		t.Errorf("%d due in the store, want 6", n)
	}
	h.stop()
	h = start(t, files, usual(), endpointTo("api:1", rc.URL, "postmark"))
	h.settle()
	h.stop()
	if n := len(rc.got()); n != 6 {
		t.Errorf("%d deliveries after it came back, want 6", n)
	}
}

// Endpoints of New's Added are as those of Put.
func TestAddedAtStart(t *testing.T) {
	rc := receive(t, nil)
	d, err := New(Options{
		Store: memStore(t, fresh()), Tenants: &configs.Tenants{}, Added: []Added{added("api:7", rc.URL)}, Settings: usual(), Metrics: metrics.Discard(),
		Logger: slog.New(slog.DiscardHandler), Failed: func(err error) { t.Error(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	d.Start()
	h := &harness{Dispatcher: d, t: t, next: 1}
	h.add(3)
	h.settle()
	h.stop()
	if n := len(rc.got()); n != 3 {
		t.Errorf("%d deliveries, want 3", n)
	}
}

func TestTakes(t *testing.T) {
	opened := click(1)
	opened.Type = event.Opened
	broadcast := click(2)
	broadcast.Stream = []byte("broadcast")
	clicked := click(3)
	for name, c := range map[string]struct {
		types  []event.Type
		stream string
		event  event.Event
		want   bool
	}{
		"all":                 {nil, "", clicked, true},
		"its type":            {[]event.Type{event.Opened, event.Clicked}, "", clicked, true},
		"another type":        {[]event.Type{event.Opened}, "", clicked, false},
		"no type":             {[]event.Type{}, "", clicked, false},
		"opened":              {[]event.Type{event.Opened}, "", opened, true},
		"the tenant's stream": {nil, "outbound", clicked, true},
		"another stream":      {nil, "broadcast", clicked, false},
		"the event's stream":  {nil, "broadcast", broadcast, true},
		"not the event's":     {nil, "outbound", broadcast, false},
	} {
		a := added("a", "http://127.0.0.1/", c.types...)
		a.Stream = c.stream
		r, err := newTaker(a)
		if err != nil {
			t.Fatal(err)
		}
		f := ingest.First{Type: c.event.Type, Tenant: 1, Document: event.AppendDocument(nil, &c.event)}
		if got := r.takes(&f, metrics.Discard()); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// Changes beside deliveries: every event that was decided while an endpoint was there is delivered to it or kept.
func TestChangesBesideDeliveries(t *testing.T) {
	fixed, rc := receive(t, nil), receive(t, nil)
	h := start(t, fresh(), usual(), endpointTo("fixed", fixed.URL, "standard"))
	var changes sync.WaitGroup
	for i := range 4 {
		changes.Go(func() {
			for j := range 25 {
				id := numbered("api:", 100*i+j)
				if err := errors.Join(h.Put(added(id, rc.URL), committed), h.Put(added(id, rc.URL), committed), h.Remove(1, id, committed)); err != nil {
					t.Error(err)
				}
				h.Measure()
			}
		})
	}
	var ids []string
	for range 50 {
		ids = append(ids, h.add(2)...)
	}
	changes.Wait()
	h.settle()
	ctx, cancel := context.WithTimeout(context.Background(), quickly)
	defer cancel()
	h.Stop(ctx)
	expectOnce(t, fixed, ids)
	kept := len(h.dues())
	if got := testutil.ToFloat64(h.metrics.Orphaned); got != float64(kept) {
		t.Errorf("%v orphaned, %d kept", got, kept)
	}
	if n := h.inMemory.Load(); n != 0 {
		t.Errorf("%d in memory", n)
	}
	if err := h.store.Close(); err != nil {
		t.Error(err)
	}
}
