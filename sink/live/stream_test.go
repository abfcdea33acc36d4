package live

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"waypost/edge/event"
	"waypost/edge/journal"
	"waypost/sink/internal/person"
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
		"first=any":                       "1 4 5 6 7 8",
		"first=person":                    "2 4 6 7 8",
		"first=unique":                    "2 4 5 6 7 8",
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

// What people did who were forgotten since is shown to nobody who comes afterwards.
func TestForgotten(t *testing.T) {
	d := newDesk(t, 1)
	d.add(0, 1, 1)
	d.add(0, 2, 1, func(e *event.Event) { e.Prospect = []byte("457") })
	d.decide()
	p, err := person.New(1, "", "456")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.decider.Forgetter().Begin(p, time.Now()); err != nil {
		t.Fatal(err)
	}
	d.add(0, 3, 1, func(e *event.Event) { e.Time = e.Time.Add(time.Hour) })
	d.decide()
	d.get("?since=oldest", "").want("2 3")
	d.get("?last=2", "").want("2 3")
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

// A reader that was away for longer than the time ago at which it began misses nothing of it; a time that stays the same counts as before.
func TestResumeSince(t *testing.T) {
	d := newDesk(t, 1)
	d.add(0, 1, 1, ago(2*time.Hour))
	d.add(0, 2, 1)
	d.decide()
	c := d.get("?since=1h", "")
	c.want("2")
	c.close()
	d.add(0, 3, 1, ago(90*time.Minute))
	d.add(0, 4, 1)
	d.decide()
	d.get("?since=1h", c.last).want("3 4")
	d.get("?since="+time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), c.last).want("4")
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
