package live

import (
	"encoding/json"
	"fmt"
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
	"waypost/edge/journal"
	"waypost/sink/internal/metrics"
)

func machine(e *event.Event)   { e.Labels = event.Machine }
func opened(e *event.Event)    { e.Type, e.Destination = event.Opened, nil }
func oneMail(e *event.Event)   { e.Message = []byte("one") }
func other(e *event.Event)     { e.Tenant, e.TenantName = 2, "other" }
func anyCounts(e *event.Event) { e.UniqueAny = true }
func ago(d time.Duration) func(*event.Event) {
	return func(e *event.Event) { e.Time = e.Time.Add(-d) }
}

// Events come in the journal's order, each once, when they are decided and not before, and say of what they were the first.
func TestEventsComeInOrder(t *testing.T) {
	d := newDesk(t, 1)
	c := d.get("", "")
	for name, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"} {
		if got := c.header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	d.add(0, 1, 1, oneMail, machine)
	d.decide()
	c.want("1:any", true)
	d.add(0, 2, 3, oneMail)
	d.add(0, 5, 1)
	d.add(0, 6, 1, oneMail, opened)
	d.decide()
	c.want("2:person 3 4 5:any,person 6:any,person", true)

	d.add(0, 7, 1) // not decided: the hub is asked, and has nothing to say
	d.hub.Wake()
	quick := d.get("?last=1", "")
	quick.want("6")
	d.decide()
	c.want("7")
	quick.want("7")
	d.await("nine events counted", func() bool { return testutil.ToFloat64(d.options.Metrics.LiveEvents) == 9 })
}

func TestFilters(t *testing.T) {
	d := newDesk(t, 1)
	d.add(0, 1, 1, oneMail, machine)
	d.add(0, 2, 1, oneMail)
	d.add(0, 3, 1, oneMail)
	d.add(0, 4, 1, oneMail, opened)
	d.add(0, 5, 1, other, machine, anyCounts)
	d.add(0, 6, 1, other, anyCounts)
	d.add(0, 7, 1, func(e *event.Event) {
		e.Type, e.Message = event.Bounced, []byte("2b16f3a0-49b5-523b-b87f-bbaadc2cd350")
	})
	d.add(0, 8, 1, ago(time.Hour))
	d.decide()
	for query, want := range map[string]string{
		"":                                 "1 2 3 4 5 6 7 8",
		"type=email.opened&type=bounced":   "4 7",
		"type=opened,clicked&tenant=other": "5 6",
		"tenant=1":                         "1 2 3 4 7 8",
		"tenant=2":                         "5 6",
		"message=one":                      "1 2 3 4",
		"message=one&type=opened":          "4",
		"message=2B16F3A0-49B5-523B-B87F-BBAADC2CD350": "7",
		"first=any":                       "1 4 5 6 8",
		"first=person":                    "2 4 6 8",
		"first=unique":                    "2 4 5 6 8",
		"first=unique&tenant=other":       "5 6",
		"last=2":                          "7 8",
		"last=3&tenant=demo&type=clicked": "2 3 8",
		"last=1000":                       "1 2 3 4 5 6 7 8",
		"since=10m&tenant=demo":           "1 2 3 4 7",
	} {
		if !strings.Contains(query, "since") && !strings.Contains(query, "last") {
			query += "&since=oldest"
		}
		c := d.get("?"+query, "")
		c.want(want)
		c.close()
	}
	c := d.get("?since=oldest", "", "Tenant", "other")
	c.want("5 6")
	d.add(0, 9, 1)
	d.add(0, 10, 1, other)
	d.decide()
	c.want("10") // and not 9, which came before
}

// Other documents of a mail's id: Postmark's, where the sender's is none of its form.
func TestMessageByPostmarksID(t *testing.T) {
	d := newDesk(t, 1)
	d.add(0, 1, 1, func(e *event.Event) { e.Message = []byte("123") })
	d.add(0, 2, 1)
	d.decide()
	d.get("?since=oldest&message=2b16f3a0-49b5-523b-b87f-bbaadc2cd350", "").want("1") // as sink/README.md shows it of 1/123
}

func TestRefusals(t *testing.T) {
	d := newDesk(t, 1)
	for _, c := range []struct {
		method, query, last, tenant string
		status                      int
		want                        string
	}{
		{"GET", "?type=click,opened&first=yes&last=0&since=yesterday&tenant=x&foo=1&message=a&message=b", "x", "", 400,
			"Last-Event-ID: must be the id of an event of such a stream, whole; first = \"yes\": must be any, person or unique; foo: no such parameter; there are type, tenant, message, first, since, last, last_event_id; " +
				"last = \"0\": must be a whole number from 1 to 1000; message: must be there once; since = \"yesterday\": must be a time such as 2026-11-28T05:21:29Z, how long ago, such as 90m, or oldest; " +
				"type = \"click\": must be of sent, delivered, opened, clicked, deferred, bounced, failed, complained"},
		{"GET", "?a=%zz", "", "", 400, "the query of the URL is not readable"},
		{"GET", "?tenant=nobody", "", "", 404, "tenant = \"nobody\": must be the name or number of a tenant in tenants.yaml"},
		{"GET", "?tenant=other", "", "demo", 403, "tenant = \"other\": the token is of another tenant"},
		{"GET", "?tenant=nobody", "", "demo", 403, "tenant = \"nobody\": the token is of another tenant"},
		{"POST", "", "", "", 405, "method POST is not known here; allowed is GET"},
	} {
		r := request(t.Context(), t, d.server.URL+Path+c.query, c.last)
		r.Method = c.method
		if c.tenant != "" {
			r.Header.Set("Tenant", c.tenant)
		}
		response, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct{ Error string }
		err = json.NewDecoder(response.Body).Decode(&answer)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != c.status || answer.Error != c.want {
			t.Errorf("%s %s: %d, %v\ngot  %s\nwant %s", c.method, c.query, response.StatusCode, err, answer.Error, c.want)
		}
	}
}

// Whoever comes back goes on behind what came last, over new runs and new lives of the sink: nothing is missed and nothing comes twice.
func TestResume(t *testing.T) {
	d := newDesk(t, 2)
	c := d.get("", "")
	begin := c.last
	for life := range 4 {
		for n := range 2 {
			d.write(n) // a new run
			d.add(n, 100*life+10*n, 5)
		}
		d.decide()
		c.tags(7)
		last := c.last
		c.close()
		d.end()
		d.begin()
		c = d.get("", last)
		c.tags(3)
	}
	all := d.get("", begin)
	seen := map[string]int{}
	for _, tag := range strings.Fields(all.tags(40)) {
		seen[tag]++
	}
	if len(seen) != 40 {
		t.Errorf("%d events of 40: %v", len(seen), seen)
	}
	d.add(0, 999, 1)
	d.decide()
	all.want("999")
	c.want("999")
	// From each event on, the rest and nothing else.
	ids := d.get("?since=oldest", "")
	var order []string
	for range 41 {
		m := ids.next()
		order = append(order, m.tag)
		rest := d.get("?last_event_id="+m.id, "")
		left := map[string]int{}
		for _, tag := range strings.Fields(rest.tags(41 - len(order))) {
			left[tag]++
		}
		for _, tag := range order {
			if left[tag] != 0 {
				t.Errorf("after %v came %s", order, tag)
			}
		}
		if len(left) != 41-len(order) {
			t.Errorf("after %v came %v", order, left)
		}
		rest.close()
	}
}

// A journal that is new, or had nothing when the reader was here, is read from its beginning.
func TestResumeWithAnotherJournal(t *testing.T) {
	d := newDesk(t, 2)
	d.add(0, 1, 2)
	d.decide()
	c := d.get("?last=2", "")
	c.want("1 2")
	c.close()
	d.add(1, 3, 2)
	d.add(0, 5, 1)
	d.decide()
	got := strings.Fields(d.get("", c.last).tags(3))
	if len(got) != 3 || strings.Contains(strings.Join(got, " "), "gap") {
		t.Errorf("%v", got)
	}
}

// What is no longer kept is told: at once where the run has gone, and where segments have.
func TestGaps(t *testing.T) {
	d := newDesk(t, 1)
	d.add(0, 1, 1)
	d.decide()
	c := d.get("?last=1", "")
	c.want("1")
	c.close()
	slow := d.get("", c.last)
	for i := range 40 { // several times what is kept
		d.add(0, 100+100*i, 100)
		d.decide()
	}
	segments, err := journal.Segments(d.dirs[0])
	if err != nil || len(segments) == 0 || segments[0].Sequence < 1000 {
		t.Fatalf("nothing was freed: %v, %v", segments, err)
	}
	back := d.get("", c.last)
	if m := back.next(); m.kind != "gap" || !strings.Contains(m.reason, "freed before they were read") {
		t.Errorf("came %+v", m)
	}
	first := back.next()
	if first.tag == "" || first.tag == "100" {
		t.Errorf("after the gap came %+v", first)
	}
	again := d.get("", back.last) // the gap is behind it
	if m := again.next(); m.kind != "email.clicked" {
		t.Errorf("after the gap came %+v", m)
	}
	slow.close()

	gone := cursor{kind: ofJournals, journals: []journal.Position{{Run: 1, Sequence: 512}}}
	c = d.get("", string(gone.appendText(nil)))
	if m := c.next(); m.kind != "gap" || m.reason != gapGone {
		t.Errorf("came %+v", m)
	}
	if m := c.next(); m.kind != "email.clicked" {
		t.Errorf("came %+v", m)
	}
	of := cursor{kind: ofEvents, offsets: []int64{1}}
	c = d.get("", string(of.appendText(nil)))
	if m := c.next(); m.kind != "gap" || m.reason != gapKind {
		t.Errorf("came %+v", m)
	}
	d.add(0, 9999, 1)
	d.decide()
	c.want("9999")
	if got := testutil.ToFloat64(d.options.Metrics.LiveGaps); got < 3 {
		t.Errorf("%v gaps were counted", got)
	}
}

// The last events are the last of all journals by time, also over many segments.
func TestLast(t *testing.T) {
	d := newDesk(t, 2)
	for i := range 20 {
		d.add(i%2, 1000+100*i, 100, ago(time.Duration(40-i)*time.Minute), func(e *event.Event) {
			if !strings.HasSuffix(string(e.Tag), "99") {
				*e = click(0, other)
			}
		})
		d.decide()
	}
	c := d.get("?tenant=demo&last=7", "")
	want := map[string]bool{}
	for i := 13; i < 20; i++ {
		want[fmt.Sprint(1099+100*i)] = true
	}
	for range 7 {
		if m := c.next(); !want[m.tag] {
			t.Errorf("came %q", m.tag)
		} else {
			delete(want, m.tag)
		}
	}
	d.add(0, 5, 1)
	d.decide()
	c.want("5")
}

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
