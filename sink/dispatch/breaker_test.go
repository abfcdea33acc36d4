package dispatch

import (
	"bytes"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"waypost/configs"
	"waypost/sink/internal/metrics"
)

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) with(part string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

// While its receiver fails an endpoint gets probes only, and what waits stays in the store, unattempted; once it works all of it follows.
func TestBreaker(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	rc := receive(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	settings := usual()
	settings.Concurrency, settings.BreakerFailures, settings.BreakerLongest = 1, 3, 5*time.Millisecond
	settings.Retries = slices.Repeat([]time.Duration{time.Hour}, 3)
	var log lines
	h := prepare(t, fresh(), Options{Settings: settings, Metrics: metrics.Discard(), Logger: slog.New(slog.NewTextHandler(&log, nil))},
		&configs.Tenant{Number: 1, Name: "demo", Stream: "outbound", Endpoints: []configs.Endpoint{endpointTo("a", rc.URL, "standard")}})
	h.Start()
	h.add(60)
	open := func() float64 { return testutil.ToFloat64(h.metrics.BreakersOpen) }
	until(t, "the breaker opens", func() bool { return open() == 1 })
	until(t, "probes are made", func() bool { return len(rc.got()) >= 6 })
	until(t, "one delivery at most is in memory", func() bool { return h.inMemory.Load() <= 1 })
	if n := testutil.CollectAndCount(h.metrics.EndpointFailing); n != 1 {
		t.Errorf("%d endpoints are named as failing, want 1", n)
	}
	broken.Store(false)
	until(t, "the breaker closes", func() bool { return open() == 0 })
	until(t, "what waited has come", func() bool { return len(rc.got()) >= 60 })
	until(t, "what is left was attempted once", func() bool {
		return !slices.ContainsFunc(h.dues(), func(d dueDelivery) bool { return d.attempts != 1 })
	})
	if n := testutil.CollectAndCount(h.metrics.EndpointFailing); n != 0 {
		t.Errorf("%d endpoints are named as failing, want none", n)
	}
	h.stop()
	for id, n := range rc.counts() {
		if n != 1 {
			t.Errorf("%s came %d times: what waits must not be attempted", id, n)
		}
	}
	if opened, closed := log.with("endpoint fails"), log.with("endpoint works again"); opened != 1 || closed != 1 || log.with("status=502") == 0 {
		t.Errorf("opening was told %d times, closing %d times", opened, closed)
	}
}

// What an endpoint says of itself takes the place of what the settings say for all.
func TestEndpointsOwnLimits(t *testing.T) {
	release := make(chan struct{})
	hanging := receive(t, func(int, http.ResponseWriter, *http.Request) { <-release })
	paced := receive(t, nil)
	narrow, slow := endpointTo("narrow", hanging.URL, "standard"), endpointTo("slow", paced.URL, "standard")
	narrow.Concurrency, slow.Rate = 2, 20
	h := start(t, fresh(), usual(), narrow, slow)
	begin := time.Now()
	ids := h.add(12)
	until(t, "attempts are under way", func() bool { return len(hanging.got()) == 2 })
	until(t, "all came", func() bool { return len(paced.got()) == len(ids) })
	if took, least := time.Since(begin), 500*time.Millisecond; took < least { // two at once, and ten waits of 50 ms
		t.Errorf("12 came within %v, at least %v at 20 a second", took, least)
	}
	if n := len(hanging.got()); n != 2 {
		t.Errorf("%d under way at once, want 2", n)
	}
	close(release)
	h.settle()
	h.stop()
	expectOnce(t, hanging, ids)
}
