package live

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/sink/internal/metrics"
)

// A heartbeat says that the stream is alive, and where it is, though nothing came for the reader.
func TestHeartbeats(t *testing.T) {
	d := newDesk(t, 1, func(o *Options) { o.Heartbeat = 20 * time.Millisecond })
	c := d.get("?tenant=other", "")
	begin := c.last
	if m := c.next(); m.comment != "heartbeat" || m.id != "" {
		t.Errorf("came %+v", m)
	}
	d.add(0, 1, 3)
	d.decide()
	for c.last == begin {
		if m := c.next(); m.comment != "heartbeat" || m.ended {
			t.Fatalf("came %+v", m)
		}
	}
	d.add(0, 4, 1)
	d.decide()
	all := d.get("", c.last)
	for {
		if m := all.next(); m.tag == "4" {
			break
		} else if m.comment != "heartbeat" {
			t.Fatalf("came %+v", m)
		}
	}
}

// So many readers as may, and no more; a tenant's own bound leaves room for the others.
func TestReadersAreBounded(t *testing.T) {
	d := newDesk(t, 1, func(o *Options) { o.Settings.Readers = 3 })
	refused := func(want string, header ...string) {
		t.Helper()
		response, err := transport.RoundTrip(request(t.Context(), t, d.server.URL+Path, "", header...))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		if response.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(text), want) || response.Header.Get("Retry-After") != "10" {
			t.Errorf("%s: %s", response.Status, text)
		}
	}
	own := []*client{d.get("", "", "Tenant", "demo"), d.get("", "", "Tenant", "demo")}
	refused("2 of this tenant read the stream", "Tenant", "demo")
	d.get("", "", "Tenant", "other")
	refused("3 read the stream")
	own[0].close()
	d.await("a place", func() bool { return testutil.ToFloat64(d.options.Metrics.LiveReaders) == 2 })
	d.get("", "", "Tenant", "demo")
	if got := testutil.ToFloat64(d.options.Metrics.LiveRefused); got != 2 {
		t.Errorf("%v refusals were counted", got)
	}
}

func (d *desk) await(what string, is func() bool) {
	d.t.Helper()
	for end := time.Now().Add(within); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			d.t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// Who takes nothing is cut, and the others go on.
func TestSlowReadersAreCut(t *testing.T) {
	d := newDesk(t, 1, func(o *Options) { o.Settings.SlowAfter = 2 * time.Second })
	fast := d.get("", "")
	for range 3 {
		dial(t, d.server.URL)
	}
	large := func(e *event.Event) { e.UserAgent = []byte(strings.Repeat("x", 1000)) }
	const each = 500
	for i := range 4 { // 3 MB: more than the kernel keeps for anybody here
		d.add(0, i*each, each, large)
		d.decide()
		fast.tags(each)
	}
	d.await("three readers cut", func() bool { return testutil.ToFloat64(d.options.Metrics.LiveCut) == 3 })
	d.await("one reader left", func() bool { return testutil.ToFloat64(d.options.Metrics.LiveReaders) == 1 })
	d.add(0, 1_000_000, 1)
	d.decide()
	fast.want("1000000")
}

// slowly is a connection that takes a while for its first write.
type slowly struct {
	http.ResponseWriter
	wait    time.Duration
	written strings.Builder
}

func (s *slowly) Header() http.Header              { return http.Header{} }
func (s *slowly) SetReadDeadline(time.Time) error  { return nil }
func (s *slowly) SetWriteDeadline(time.Time) error { return nil }
func (s *slowly) FlushError() error                { return nil }
func (s *slowly) Write(b []byte) (int, error) {
	time.Sleep(s.wait)
	s.wait = 0
	return s.written.Write(b)
}

func (still) round() <-chan struct{}     { return nil }
func (still) take(*entry) (taken, error) { return nothing, nil }

// One that needs too long for what it takes is told why it is cut.
func TestTheLastComment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Options{Settings: configs.Live{SlowAfter: 10 * time.Second}, Metrics: metrics.Discard(), Logger: slog.New(slog.DiscardHandler)})
		w := &slowly{wait: 11 * time.Second}
		r := &reader{h: h, w: w, control: http.NewResponseController(w), source: still{}}
		r.run()
		want := "retry: 2000\nid: CURSOR\n\n: cut off: 64 KiB were not taken within 10s\n\n"
		if got := w.written.String(); got != want {
			t.Errorf("%q", got)
		}
		if got := testutil.ToFloat64(h.o.Metrics.LiveCut); got != 1 {
			t.Errorf("%v were counted", got)
		}
	})
}

// When the sink ends, streams end, and say so; who comes then is told to come back.
func TestClose(t *testing.T) {
	d := newDesk(t, 1)
	c := d.get("", "")
	stuck := dial(t, d.server.URL)
	d.await("two readers", func() bool { return testutil.ToFloat64(d.options.Metrics.LiveReaders) == 2 })
	d.hub.Close()
	if m := c.next(); m.comment != "the sink is ending: come back" {
		t.Errorf("came %+v", m)
	}
	if m := c.next(); !m.ended {
		t.Errorf("came %+v", m)
	}
	_ = stuck.Close()
	response, err := transport.RoundTrip(request(t.Context(), t, d.server.URL+Path, ""))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusServiceUnavailable {
		t.Error(response.Status)
	}
}
