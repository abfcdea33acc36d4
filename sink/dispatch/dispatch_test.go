package dispatch

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus/testutil"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/sink/dispatch/attempt"
	"waypost/sink/internal/metrics"
)

func TestDeliversOnceToEachEndpoint(t *testing.T) {
	one, two := receive(t, nil), receive(t, nil)
	postmark := endpointTo("two", two.URL, "postmark")
	postmark.User, postmark.Password = "waypost", "opensesame"
	h := start(t, fresh(), usual(), endpointTo("one", one.URL, "standard"), postmark)
	ids := h.add(20)
	h.settle()
	h.stop()
	expectOnce(t, one, ids)
	expectOnce(t, two, ids)

	webhook, err := standardwebhooks.NewWebhook(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range append(one.got(), two.got()...) {
		if err := webhook.Verify(r.body, r.header); err != nil {
			t.Errorf("%s: %v", r.id, err)
		}
		if err := webhook.Verify(append(slices.Clone(r.body), ' '), r.header); err == nil {
			t.Errorf("%s: a changed body verifies too", r.id)
		}
		if got := r.header.Get("User-Agent"); got != "Waypost-Webhook/1.0" {
			t.Errorf("user agent %q", got)
		}
	}
	e := click(1)
	if body := one.got()[0]; !slices.ContainsFunc(one.got(), func(r received) bool { return string(r.body) == string(event.AppendDocument(nil, &e)) }) {
		t.Errorf("the body is not the event: %s", body.body)
	}
	if user, password, ok := (&http.Request{Header: two.got()[0].header}).BasicAuth(); !ok || user != "waypost" || password != "opensesame" {
		t.Errorf("basic auth: %q %q %v", user, password, ok)
	}
}

func TestRetriesUnderOneID(t *testing.T) {
	rc := receive(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n < 4 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	h := start(t, fresh(), usual(), endpointTo("a", rc.URL, "standard"))
	ids := h.add(1)
	h.settle()
	if letters := h.letters(); len(letters) != 0 {
		t.Errorf("dead letters: %+v", letters)
	}
	h.stop()
	if got := rc.counts(); got[ids[0]] != 4 || len(got) != 1 {
		t.Errorf("%v, want %s four times", got, ids[0])
	}
	first, last := rc.got()[0], rc.got()[3]
	if string(first.body) != string(last.body) {
		t.Error("the body changed between attempts")
	}
}

func TestGivenUp(t *testing.T) {
	tests := map[string]struct {
		format   string
		status   int
		attempts int
	}{
		"standard: schedule ends":       {"standard", 500, 4},
		"standard: 410 stops":           {"standard", 410, 1},
		"standard: 403 does not":        {"standard", 403, 4},
		"standard: no redirect":         {"standard", 302, 4},
		"postmark: schedule ends":       {"postmark", 500, 4},
		"postmark: 403 stops":           {"postmark", 403, 1},
		"postmark: 204 is no success":   {"postmark", 204, 4},
		"postmark: 410 does not stop":   {"postmark", 410, 4},
		"standard: 429 is tried again":  {"standard", 429, 4},
		"maileroo: 410 does not stop":   {"maileroo", 410, 4},
		"nexomailer: 302 is no success": {"nexomailer", 302, 4},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			elsewhere := receive(t, nil)
			rc := receive(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", elsewhere.URL)
				w.WriteHeader(test.status)
			})
			h := start(t, fresh(), usual(), endpointTo("a", rc.URL, test.format))
			h.add(1)
			h.settle()
			letters := h.letters()
			h.stop()
			if n := len(rc.got()); n != test.attempts {
				t.Errorf("%d attempts, want %d", n, test.attempts)
			}
			if len(letters) != 1 || letters[0].Status != test.status || int(letters[0].Delivery.Attempts) != test.attempts {
				t.Errorf("dead letters %+v", letters)
			}
			if n := len(elsewhere.got()); n != 0 {
				t.Errorf("the redirect was followed %d times", n)
			}
		})
	}
}

// The formats' own schedules are in force when the settings name none; Retry-After puts off, within a day, and hurries nothing.
func TestNextAttempt(t *testing.T) {
	tests := map[string]struct {
		format, retryAfter string
		want               time.Duration
	}{
		"standard":          {"standard", "", 5 * time.Second},
		"postmark":          {"postmark", "", time.Minute},
		"maileroo":          {"maileroo", "", 5 * time.Minute},
		"retry after":       {"standard", "3600", time.Hour},
		"retry after less":  {"postmark", "1", time.Minute},
		"retry after years": {"standard", "99999999", 24 * time.Hour},
		"retry after words": {"standard", "soon", 5 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			rc := receive(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", test.retryAfter)
				w.WriteHeader(http.StatusServiceUnavailable)
			})
			settings := usual()
			settings.Retries = nil
			before := time.Now()
			h := start(t, fresh(), settings, endpointTo("a", rc.URL, test.format))
			h.add(1)
			until(t, "the retry is stored", func() bool { d := h.dues(); return len(d) == 1 && d[0].attempts == 1 })
			due := time.UnixMicro(int64(h.dues()[0].due))
			after := time.Now()
			h.stop()
			latest := after.Add(test.want + time.Duration(attempt.JitterShare*float64(test.want)))
			if due.Before(before.Add(test.want).Truncate(time.Microsecond)) || due.After(latest) {
				t.Errorf("due %v after the start, want %v and a tenth at most", due.Sub(before), test.want)
			}
		})
	}
}

// An endpoint that is dead and one that hangs hold up no other.
func TestEndpointsDoNotHoldUpEachOther(t *testing.T) {
	release := make(chan struct{})
	slow := receive(t, func(int, http.ResponseWriter, *http.Request) { <-release })
	good := receive(t, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := "http://" + listener.Addr().String()
	_ = listener.Close()

	settings := usual()
	settings.Window, settings.Concurrency = 10, 2
	settings.Retries = []time.Duration{time.Hour}
	h := start(t, fresh(), settings, endpointTo("dead", dead, "standard"), endpointTo("slow", slow.URL, "standard"), endpointTo("good", good.URL, "standard"))
	var ids []string
	for range 20 {
		ids = append(ids, h.add(25)...)
	}
	until(t, "the good endpoint has everything", func() bool { return len(good.got()) >= len(ids) })
	expectOnce(t, good, ids)
	if n := len(slow.got()); n > settings.Concurrency {
		t.Errorf("%d attempts under way at once, want at most %d", n, settings.Concurrency)
	}
	if held := h.inMemory.Load(); held > 3*int64(settings.Window) {
		t.Errorf("%d deliveries in memory", held)
	}
	close(release)
	until(t, "the slow endpoint has everything", func() bool { return len(slow.got()) >= len(ids) })
	expectOnce(t, slow, ids)
	until(t, "every delivery of the dead endpoint waits for its second attempt", func() bool {
		waiting := 0
		for _, d := range h.dues() {
			if d.endpoint == "dead" && d.attempts == 1 {
				waiting++
			}
		}
		return waiting == len(ids)
	})
	h.stop()
}

// What does not fit into memory is read back from the store, each delivery once.
func TestWindowIsBounded(t *testing.T) {
	for _, window := range []int{1, 2, 7, 50} {
		t.Run(numbered("window=", window), func(t *testing.T) {
			rc := receive(t, nil)
			settings := usual()
			settings.Window, settings.Concurrency = window, 3
			h := start(t, fresh(), settings, endpointTo("a", rc.URL, "standard"))
			var ids []string
			for range 10 {
				ids = append(ids, h.add(20)...)
				if held := h.inMemory.Load(); held > int64(window) {
					t.Errorf("%d in memory, window %d", held, window)
				}
			}
			h.settle()
			h.stop()
			expectOnce(t, rc, ids)
		})
	}
}

// A wall clock that is put back just when deliveries are about to be read makes them later, not forgotten.
func TestClockIsPutBack(t *testing.T) {
	rc := receive(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	h := prepare(t, fresh(), Options{Settings: usual(), Metrics: metrics.Discard(), Logger: slog.New(slog.DiscardHandler)},
		&configs.Tenant{Number: 1, Name: "demo", Stream: "outbound", Endpoints: []configs.Endpoint{endpointTo("a", rc.URL, "standard")}})
	var back atomic.Int64
	h.now = func() time.Time { return time.Now().Add(-time.Duration(back.Load())) }
	h.Start()
	for range refillsAtOnce {
		h.refills <- struct{}{}
	}
	h.add(1)
	until(t, "the second attempt is due", func() bool {
		h.endpoints.Load().All[0].mu.Lock()
		defer h.endpoints.Load().All[0].mu.Unlock()
		return h.endpoints.Load().All[0].refilling
	})
	back.Store(int64(100 * time.Millisecond))
	for range refillsAtOnce {
		<-h.refills
	}
	h.settle()
	h.stop()
	if n := len(rc.got()); n != 2 {
		t.Errorf("%d attempts, want 2", n)
	}
}

// Nothing due is forgotten over restarts, in order or not, and every id stays.
func TestNothingIsForgotten(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	good := receive(t, nil)
	rc := receive(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if broken.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		good.Config.Handler.ServeHTTP(w, r) // counts those that were accepted
	})
	settings := usual()
	settings.Window = 8
	settings.Retries = slices.Repeat([]time.Duration{time.Millisecond}, 60_000)
	files := fresh()
	h := start(t, files, settings, endpointTo("a", rc.URL, "standard"))
	ids := h.add(30)
	for round := range 5 {
		seen := len(rc.got())
		until(t, "attempts are made", func() bool { return len(rc.got()) > seen+10 })
		if round%2 == 0 {
			h.stop()
		} else { // a crash: what was not synced is gone
			clone := files.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0})
			h.stop()
			files = clone
		}
		next := h.next
		h = start(t, files, settings, endpointTo("a", rc.URL, "standard"))
		h.next = next
		ids = append(ids, h.add(5)...)
	}
	broken.Store(false)
	h.settle()
	h.stop()
	expectOnce(t, good, ids)
}

// A crash after an answer and before its mark repeats the delivery under its id; a crash after the mark does not.
func TestCrashAroundTheMark(t *testing.T) {
	rc := receive(t, nil)
	settings := usual()
	settings.MarkEvery = time.Hour
	files := fresh()
	h := start(t, files, settings, endpointTo("a", rc.URL, "standard"))
	ids := h.add(3)
	until(t, "all came", func() bool { return len(rc.got()) == 3 })
	unmarked := files.CrashClone(vfs.CrashCloneCfg{})
	h.stop() // marks

	again := start(t, unmarked, usual(), endpointTo("a", rc.URL, "standard"))
	again.settle()
	again.stop()
	want := map[string]int{ids[0]: 2, ids[1]: 2, ids[2]: 2}
	if got := rc.counts(); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}

	marked := start(t, files, usual(), endpointTo("a", rc.URL, "standard"))
	if n := marked.pending.Load(); n != 0 {
		t.Errorf("%d deliveries after the marks were written", n)
	}
	marked.stop()
}

// A stop that does not wait cuts attempts off; they are as if never made.
func TestStopCutsOff(t *testing.T) {
	release := make(chan struct{})
	hanging := receive(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	files := fresh()
	h := start(t, files, usual(), endpointTo("a", hanging.URL, "standard"))
	ids := h.add(2)
	until(t, "attempts are under way", func() bool { return len(hanging.got()) == 2 })
	now, cancel := context.WithCancel(context.Background())
	cancel()
	h.Stop(now)
	if dues := h.dues(); len(dues) != 2 || dues[0].attempts != 0 {
		t.Errorf("left in the store: %s", describe(dues))
	}
	if err := h.store.Close(); err != nil {
		t.Error(err)
	}
	close(release)
	good := receive(t, nil)
	h = start(t, files, usual(), endpointTo("a", good.URL, "standard"))
	h.settle()
	h.stop()
	expectOnce(t, good, ids)
}

func TestDeadLettersAreBounded(t *testing.T) {
	rc := receive(t, status(http.StatusForbidden))
	files := fresh()
	h := start(t, files, usual(), endpointTo("a", rc.URL, "postmark"))
	h.add(25)
	h.settle()
	if n := len(h.letters()); n != 10 {
		t.Errorf("%d dead letters, want the 10 newest", n)
	}
	h.stop()
	h = start(t, files, usual(), endpointTo("a", rc.URL, "postmark"))
	h.next = 100
	h.add(3)
	h.settle()
	letters := h.letters()
	h.stop()
	if n := len(letters); n != 10 {
		t.Errorf("%d dead letters after a restart, want 10", n)
	}
}

// Deliveries of an endpoint that left the settings are kept, and sent when it is back.
func TestEndpointLeavesAndReturns(t *testing.T) {
	rc := receive(t, status(http.StatusBadGateway))
	settings := usual()
	settings.Retries = []time.Duration{time.Nanosecond, time.Hour}
	files := fresh()
	h := start(t, files, settings, endpointTo("a", rc.URL, "standard"))
	ids := h.add(2)
	until(t, "both wait", func() bool { d := h.dues(); return len(d) == 2 && d[0].attempts == 2 && d[1].attempts == 2 })
	h.stop()
	h = start(t, files, settings)
	if n := len(h.dues()); n != 2 {
		t.Errorf("%d deliveries kept, want 2", n)
	}
	h.stop()
	h = start(t, files, settings, endpointTo("a", rc.URL, "standard"))
	if n := h.pending.Load(); n != int64(len(ids)) {
		t.Errorf("%d pending, want 2", n)
	}
	h.stop()
}

func TestBrokenEndpointsAreRefused(t *testing.T) {
	for name, c := range map[string]configs.Endpoint{
		"format":      {ID: "a", URL: "http://127.0.0.1/", Format: "fax"},
		"secret":      {ID: "a", URL: "http://127.0.0.1/", Format: "standard", Secret: "plain"},
		"long id":     {ID: strings.Repeat("a", 256), URL: "http://127.0.0.1/", Format: "standard"},
		"secret text": {ID: "a", URL: "http://127.0.0.1/", Format: "standard", Secret: "whsec_???"},
	} {
		t.Run(name, func(t *testing.T) {
			s := memStore(t, fresh())
			defer s.Close()
			_, err := New(Options{Store: s, Metrics: metrics.Discard(), Tenants: &configs.Tenants{List: []*configs.Tenant{{Number: 1, Name: "demo", Endpoints: []configs.Endpoint{c}}}}})
			if err == nil || !strings.Contains(err.Error(), "demo") {
				t.Errorf("error %v", err)
			}
			if err != nil && c.Secret != "" && strings.Contains(err.Error(), string(c.Secret)) {
				t.Error("the error shows the secret")
			}
		})
	}
}

func TestReasonNamesNoAddress(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	settings := usual()
	settings.Retries = []time.Duration{time.Nanosecond}
	h := start(t, fresh(), settings, endpointTo("a", "http://"+address+"/secret-path", "standard"), endpointTo("b", "http://no.such.host.invalid/", "standard"))
	h.add(1)
	h.settle()
	letters := h.letters()
	h.stop()
	var reasons []string
	for _, l := range letters {
		reasons = append(reasons, l.Reason)
	}
	slices.Sort(reasons)
	if !slices.Equal(reasons, []string{"connection refused", "dns"}) {
		t.Errorf("reasons %q", reasons)
	}
}

// What is refused is a failed attempt with the usual schedule, readable among the dead, and counted. Nothing connects.
func TestRefusedReceiver(t *testing.T) {
	rc := receive(t, nil)
	settings := usual()
	settings.Allow = nil
	h := start(t, fresh(), settings, endpointTo("a", rc.URL, "standard"))
	h.add(1)
	h.settle()
	letters, counted := h.letters(), testutil.ToFloat64(h.metrics.Refused.WithLabelValues("loopback"))
	h.stop()
	const want = "refused: 127.0.0.1 is loopback; allowed are public addresses (dispatch.allow names no others)"
	if len(letters) != 1 || letters[0].Reason != want || int(letters[0].Delivery.Attempts) != len(settings.Retries)+1 {
		t.Errorf("dead letters %+v", letters)
	}
	if counted != float64(len(settings.Retries)+1) || len(rc.got()) != 0 {
		t.Errorf("%v refusals counted, %d requests", counted, len(rc.got()))
	}
}
