package dispatch

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/sink/internal/metrics"
	"waypost/sink/internal/store"
)

// logged is usual with a log of attempts.
func logged() configs.Dispatch {
	s := usual()
	s.AttemptsDays, s.AttemptsBytes = 7, 1<<20
	return s
}

func (h *harness) find(q AttemptQuery) []Attempt {
	h.t.Helper()
	if q.Limit == 0 {
		q.Limit = 1000
	}
	found, _, err := h.Attempts(h.t.Context(), q)
	if err != nil {
		h.t.Fatal(err)
	}
	return found
}

// Each finished attempt stands in the log, with its answer, and how the endpoint does with it; both outlive a restart.
func TestAttemptsAreLogged(t *testing.T) {
	rc := receive(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n < 3 {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = w.Write([]byte(strings.Repeat("no upstream ", 100)))
		}
	})
	files := fresh()
	h := start(t, files, logged(), endpointTo("a", rc.URL, "standard"))
	begin := time.Now().Add(-time.Millisecond)
	ids := h.add(1)
	h.settle()
	h.stop()

	h = start(t, files, logged(), endpointTo("a", rc.URL, "standard"))
	defer h.stop()
	found := h.find(AttemptQuery{})
	answer := strings.Repeat("no upstream ", 100)[:255]
	want := []Attempt{
		{Tenant: 1, Endpoint: "a", WebhookID: ids[0], Type: event.Clicked, Message: "123", Number: 3, Outcome: "delivered", Status: 200},
		{Tenant: 1, Endpoint: "a", WebhookID: ids[0], Type: event.Clicked, Message: "123", Number: 2, Outcome: "retry", Status: 502, Answer: answer},
		{Tenant: 1, Endpoint: "a", WebhookID: ids[0], Type: event.Clicked, Message: "123", Number: 1, Outcome: "retry", Status: 502, Answer: answer},
	}
	if diff := cmp.Diff(want, found, cmpopts.IgnoreUnexported(Attempt{}), cmpopts.IgnoreFields(Attempt{}, "At", "TookMS", "NextMS")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, a := range found {
		if a.At.Before(begin) || a.At.After(time.Now()) || a.TookMS <= 0 || (a.NextMS > 0) != (a.Outcome == "retry") {
			t.Errorf("%+v", a)
		}
	}
	health := h.endpoints.Load().All[0].pulse.now()
	if health.FailingSince != 0 || health.LastSuccess != uint64(found[0].At.UnixMicro()) || health.LastFailure != uint64(found[1].At.UnixMicro()) || health.Status != 502 {
		t.Errorf("%+v", health)
	}
	for name, q := range map[string]AttemptQuery{
		"one":   {Endpoint: "a", Outcome: "delivered"},
		"two":   {Statuses: [2]int{500, 599}},
		"three": {WebhookID: found[0].id, Message: "123", Tenant: 1},
		"":      {Endpoint: "b"},
	} {
		if got, want := len(h.find(q)), map[string]int{"one": 1, "two": 2, "three": 3}[name]; got != want {
			t.Errorf("%+v: %d attempts, want %d", q, got, want)
		}
	}
}

// Page by page a query finds what it finds at once.
func TestAttemptsInPages(t *testing.T) {
	rc := receive(t, nil)
	h := start(t, fresh(), logged(), endpointTo("a", rc.URL, "standard"), endpointTo("b", rc.URL, "standard"))
	defer h.stop()
	h.add(25)
	h.settle()
	all := h.find(AttemptQuery{Endpoint: "a"})
	if len(all) != 25 {
		t.Fatalf("%d attempts", len(all))
	}
	q := AttemptQuery{Endpoint: "a", Limit: 4}
	var paged []Attempt
	for pages := 0; pages < 100; pages++ {
		found, next, err := h.Attempts(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		paged = append(paged, found...)
		if q.After = next; next == nil {
			break
		}
	}
	if diff := cmp.Diff(all, paged, cmp.AllowUnexported(Attempt{})); diff != "" {
		t.Errorf("-at once +in pages:\n%s", diff)
	}
	middle := all[12].At
	later, earlier := h.find(AttemptQuery{Endpoint: "a", From: uint64(middle.UnixMicro())}), h.find(AttemptQuery{Endpoint: "a", To: uint64(middle.UnixMicro())})
	if len(later)+len(earlier) != 25 || len(later) < 13 {
		t.Errorf("%d from %s on, %d before", len(later), middle, len(earlier))
	}
}

// Without days or bytes none is kept, also of what an earlier run kept.
func TestNoAttemptsAreKept(t *testing.T) {
	rc := receive(t, nil)
	files := fresh()
	h := start(t, files, logged(), endpointTo("a", rc.URL, "standard"))
	h.add(3)
	h.settle()
	if n := len(h.find(AttemptQuery{})); n != 3 {
		t.Errorf("%d attempts", n)
	}
	h.stop()
	none := logged()
	none.AttemptsDays = 0
	h = start(t, files, none, endpointTo("a", rc.URL, "standard"))
	defer h.stop()
	h.add(1)
	h.settle()
	until(t, "the log is empty", func() bool { return len(h.find(AttemptQuery{})) == 0 })
}

// The oldest leave: those past their days, and those that the bytes have no room for.
func TestRetention(t *testing.T) {
	s := memStore(t, vfs.NewMem())
	defer s.Close()
	now := time.UnixMicro(10 * 24 * 3600 * 1e6)
	at := func(n int) time.Time { return time.UnixMicro(int64(n) * 3600 * 1e6).UTC() } // each an hour
	settings := logged()
	settings.AttemptsBytes = 1 << 40
	set := metrics.Discard()
	r := newRetention(s, settings, set, func() time.Time { return now })
	b := s.NewBatch()
	for n := range 10 * 24 {
		a := Attempt{At: at(n), Tenant: 1, Endpoint: "a", Number: 1, Outcome: "delivered"}
		if err := r.add(b, &a); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	each := r.bytes.Load() / (10 * 24)
	kept := func() (n int) {
		view, err := r.view()
		if err != nil {
			t.Fatal(err)
		}
		defer view.Close()
		for ok := view.First(); ok; ok = view.Next() {
			n++
		}
		return n
	}
	for _, c := range []struct {
		advance time.Duration
		limit   int64
		want    int
	}{
		{0, 1 << 40, 7 * 24},
		{24 * time.Hour, 1 << 40, 6 * 24},
		{0, 100 * each, 100},
		{-48 * time.Hour, 100 * each, 100}, // the clock is put back
		{0, 10*each + 1, 10},
		{0, 0, 0},
	} {
		now = now.Add(c.advance)
		r.limit = c.limit
		if err := r.prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := kept(); got != c.want || r.bytes.Load() != int64(got)*each {
			t.Errorf("%+v: %d kept, %d bytes", c, got, r.bytes.Load())
		}
	}
	view, err := r.view()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.count(t.Context(), view); err != nil || r.bytes.Load() != 0 {
		t.Errorf("counted %d, %v", r.bytes.Load(), err)
	}
}

func FuzzParseAttempt(f *testing.F) {
	a := Attempt{At: time.UnixMicro(5), Tenant: 1, Endpoint: "a", Number: 2, Outcome: "retry", Status: 500, TookMS: 1.5, NextMS: 5000, Type: event.Clicked, Message: "m", Answer: "no"}
	f.Add(a.appendKey(nil), a.AppendTo(nil))
	f.Add(a.appendKey(nil), a.AppendTo(nil)[:attemptHeader])
	f.Add(a.appendKey(nil), append(a.AppendTo(nil), 0))
	f.Add([]byte("a"), []byte{1})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		a, err := ParseAttempt(key, value)
		if err != nil {
			if err != store.ErrKey && err != ErrDelivery {
				t.Errorf("%v: not an error of ours", err)
			}
			return
		}
		if again := a.AppendTo(nil); !bytes.Equal(again, value) {
			t.Errorf("%x comes back as %x", value, again)
		}
	})
}

func FuzzParseHealth(f *testing.F) {
	h := Health{LastSuccess: 1, LastFailure: 2, FailingSince: 2, Failures: 3, Reason: "dns"}
	f.Add(h.AppendTo(nil))
	f.Add(h.AppendTo(nil)[:healthTimes+healthTail])
	f.Add(oldHealth())
	f.Fuzz(func(t *testing.T, value []byte) {
		h, err := ParseHealth(value)
		if err == nil && value[0] == healthVersion && !bytes.Equal(h.AppendTo(nil), value) {
			t.Errorf("%x comes back as %x", value, h.AppendTo(nil))
		}
	})
}

// oldHealth is a value of version 1.
func oldHealth() []byte {
	return append([]byte{1}, "\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x07\x01\xf7\x03dns"...)
}

// What an older sink wrote is read: its failures count from now on.
func TestOldHealth(t *testing.T) {
	h, err := ParseHealth(oldHealth())
	if want := (Health{LastSuccess: 5, LastFailure: 6, FailingSince: 7, Status: 503, Reason: "dns"}); h != want || err != nil {
		t.Errorf("%+v, %v", h, err)
	}
}
