package crash

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"waypost/bench/traffic"
)

// world makes evidence of a run in which all went well; tests then spoil it.
type world struct {
	evidence
	next int // sequence
	now  time.Time
}

func newWorld(edges int) *world {
	w := &world{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	w.logs = make([][]record, edges)
	for range edges {
		w.retention = append(w.retention, []int{45})
	}
	w.paths, w.keeps = []string{"/standard", "/postmark"}, true
	return w
}

// click enters a click and its record in the log of its edge; it gives the record's id.
func (w *world) click(m *mail, link int, k kind, edge int) string {
	life := len(w.retention[edge]) - 1
	c := &click{mail: m, link: link, kind: k, edge: edge, life: life, lastLife: life, answered: true}
	w.clicks = append(w.clicks, c)
	w.now = w.now.Add(time.Second)
	w.next += 80
	l := m.links[link]
	r := record{Type: "email.clicked", Run: fmt.Sprintf("%016x", edge+1), Sequence: fmt.Sprintf("%016d", w.next), Time: w.now}
	r.ID = r.Run + "-" + r.Sequence
	r.Data.Message, r.Data.Prospect, r.Data.Recipient = m.mailing, m.prospect, m.email
	r.Data.Link.Destination, r.Data.Link.Original, r.Data.Link.Minted = l.Destination, l.Original, m.minted
	r.Data.Method, r.Data.RetentionDays = k.method(), w.retention[edge][c.life]
	r.Data.Labels = map[kind][]string{head: {"head"}, prefetch: {"prefetch"}}[k]
	r.number = len(w.clicks) - 1
	r.Data.UserAgent = agent(r.number)
	w.logs[edge] = append(w.logs[edge], r)
	return r.ID
}

// first enters the decision and the deliveries of a unique click.
func (w *world) first(id string) {
	w.decisions = append(w.decisions, decision{id, id})
	for _, log := range w.logs {
		for _, r := range log {
			if r.ID == id {
				w.deliver("/standard", id, fmt.Sprintf(`{"data":{"user_agent":%q}}`, r.Data.UserAgent))
				w.deliver("/postmark", id, fmt.Sprintf(`{"UserAgent":%q}`, r.Data.UserAgent))
				w.kept = append(w.kept, r)
			}
		}
	}
}

func (w *world) deliver(path, id, body string) {
	w.deliveries = append(w.deliveries, delivery{path: path, id: id, body: []byte(body), accepted: 1, bodies: 1})
}

func (w *world) mail(mailing, prospect string, age time.Duration) *mail {
	return &mail{
		mailing: mailing, prospect: prospect, email: "A@b.example", minted: w.now.Add(-age),
		links: []mailLink{
			{Link: traffic.Link{Original: "https://o.example/1", Destination: "https://d.example/1"}},
			{Link: traffic.Link{Original: "https://o.example/2", Destination: "https://o.example/2"}},
		},
	}
}

// good is a world with repeats, kinds, two recipients, an old mail, and a click that was not answered.
func good() *world {
	w := newWorld(1)
	a, b, old := w.mail("1", "7", 0), w.mail("1", "", 0), w.mail("2", "7", 46*24*time.Hour)
	w.click(a, 0, head, 0)
	w.click(a, 0, prefetch, 0)
	w.first(w.click(a, 0, get, 0))
	w.click(a, 0, get, 0)
	w.first(w.click(a, 1, get, 0))
	w.first(w.click(b, 0, get, 0))
	w.click(old, 0, get, 0)
	w.click(a, 0, get, 0)
	w.clicks[len(w.clicks)-1].answered = false // and is in the log all the same
	w.clicks = append(w.clicks, &click{mail: a})
	return w
}

func TestOracleAgrees(t *testing.T) {
	w := good()
	f := w.check()
	if f.count != 0 {
		t.Errorf("faults: %s", strings.Join(f.faults, "\n"))
	}
	got := fmt.Sprint(f.answered, f.unanswered, f.unansweredInLog, f.logged, f.keys, f.uniques, f.deliveries)
	if want := "7 2 1 8 3 3 6"; got != want {
		t.Errorf("counted %s, want %s", got, want)
	}
}

func TestOracleFinds(t *testing.T) {
	drop := func(s []record, i int) []record { return slices.Delete(slices.Clone(s), i, i+1) }
	for _, c := range []struct {
		name  string
		spoil func(w *world)
		want  string
	}{
		{"answered, lost", func(w *world) { w.logs[0] = drop(w.logs[0], 3) }, "click 3 was answered and stands 0 times"},
		{"answered, doubled", func(w *world) {
			r := w.logs[0][7]
			r.Sequence = "0000000000009999"
			r.ID, r.number = r.Run+"-"+r.Sequence, 0
			w.logs[0] = append(w.logs[0], r)
		}, "click 0 was answered and stands 2 times"},
		{"unanswered, doubled", func(w *world) {
			r := w.logs[0][7]
			r.Sequence = "0000000000009999"
			r.ID = r.Run + "-" + r.Sequence
			w.logs[0] = append(w.logs[0], r)
		}, "click 7 was not answered and stands 2 times"},
		{"unknown click", func(w *world) { w.logs[0][0].number = 99 }, "click 99 was never sent"},
		{"one id twice", func(w *world) { w.logs[0][1].ID = w.logs[0][0].ID }, "two records have this id"},
		{"order", func(w *world) { l := w.logs[0]; l[0], l[1] = l[1], l[0] }, "comes after sequence"},
		{"wrong answer", func(w *world) { w.clicks[0].wrong = "status 500" }, "click 0 was answered wrongly: status 500"},
		{"destination", func(w *world) { w.logs[0][0].Data.Link.Destination = "x" }, "destination is x"},
		{"original", func(w *world) { w.logs[0][0].Data.Link.Original = "x" }, "original is x"},
		{"message", func(w *world) { w.logs[0][0].Data.Message = "x" }, "message is x"},
		{"prospect", func(w *world) { w.logs[0][0].Data.Prospect = "x" }, "prospect is x"},
		{"label missing", func(w *world) { w.logs[0][0].Data.Labels = nil }, "labels is []"},
		{"label of a person", func(w *world) { w.logs[0][2].Data.Labels = []string{"head"} }, "labels is [head]"},
		{"retention", func(w *world) { w.logs[0][0].Data.RetentionDays = 7 }, "retention is 7"},
		{"not kept", func(w *world) { w.kept = w.kept[1:] }, "is a unique click and kept 0 times"},
		{"kept twice", func(w *world) { w.kept = append(w.kept, w.kept[0]) }, "is a unique click and kept 2 times"},
		{"a repeat kept", func(w *world) { w.kept = append(w.kept, w.logs[0][3]) }, "is kept, of click 3"},
		{"kept as another", func(w *world) { w.kept[0].number = 1 }, "is kept, of click 1"},
		{"no decision", func(w *world) { w.decisions = w.decisions[1:] }, "the sink holds 0 decisions"},
		{"another first", func(w *world) { w.decisions[0] = decision{w.logs[0][3].ID, w.logs[0][3].ID} }, "the sink holds 0 decisions"},
		{"another person", func(w *world) { w.decisions[0].person = w.logs[0][3].ID }, "first person"},
		{"no person", func(w *world) { w.decisions[0].person = "" }, "first person"},
		{"head was first", func(w *world) { w.first(w.logs[0][0].ID) }, "1 decisions that the log does not give"},
		{"old mail was first", func(w *world) { w.first(w.logs[0][6].ID) }, "1 decisions that the log does not give"},
		{"repeat delivered", func(w *world) { w.deliver("/standard", w.logs[0][3].ID, "{}") }, "is no unique click"},
		{"not delivered", func(w *world) { w.deliveries = w.deliveries[1:] }, "/standard: 2 of 3 unique clicks arrived"},
		{"refused only", func(w *world) { w.deliveries[0].accepted = 0 }, "/standard: 2 of 3 unique clicks arrived"},
		{"two bodies", func(w *world) { w.deliveries[0].bodies = 2 }, "2 different bodies"},
		{"another click's body", func(w *world) { w.deliveries[0].body = w.deliveries[2].body }, "tells of click 4"},
		{"no JSON", func(w *world) { w.deliveries[0].body = []byte("x") }, "invalid character"},
		{"died unheard, and nothing stands in the log", func(w *world) { w.unheard = 9 }, "edges died 9 times between journal and answer"},
		{"twice in one life", func(w *world) { w.mostAgain, w.lives = 10, []life{{accepted: 5, twice: 1}} }, "life 0 of the sink delivered 1 of its 5 deliveries twice"},
		{"too many again", func(w *world) {
			w.mostAgain, w.lives = 10, []life{{accepted: 5, again: 1}, {accepted: 50, again: 11}, {}}
		}, "of 50 deliveries of the sink's life 1 came 11 again, at most 10 may"},
		{"too many again, of two sinks", func(w *world) { w.mostAgain, w.again = 10, []int{1, 25, 5} }, "after 3 kills of a sink 31 deliveries came again, at most 30 may"},
		{"complaint", func(w *world) { w.complaints = []string{"something"} }, "something"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := good()
			c.spoil(w)
			f := w.check()
			if !strings.Contains(strings.Join(f.faults, "\n"), c.want) {
				t.Errorf("faults %q, want one with %q", f.faults, c.want)
			}
		})
	}
}

// As many as may come again do, after one kill and another; the life that was not killed counts for nothing.
func TestOracleCountsWhatCameAgain(t *testing.T) {
	w := good()
	w.mostAgain, w.lives = 10, []life{{accepted: 20, again: 10}, {accepted: 5}, {accepted: 30, again: 3}, {accepted: 1}}
	f := w.check()
	if f.count != 0 || fmt.Sprint(f.again) != "[10 0 3]" {
		t.Errorf("came again %v, faults %v", f.again, f.faults)
	}
}

// Two journals: whichever the sink read first decides, and one only.
func TestOracleTwoJournals(t *testing.T) {
	build := func() (w *world, one, two string) {
		w = newWorld(2)
		m := w.mail("1", "7", 0)
		one = w.click(m, 0, get, 0)
		two = w.click(m, 0, get, 1)
		w.click(m, 0, get, 1)
		return w, one, two
	}
	for i := range 2 {
		w, one, two := build()
		w.first([]string{one, two}[i])
		if f := w.check(); f.count != 0 {
			t.Errorf("journal %d decides: %v", i+1, f.faults)
		}
	}
	w, one, two := build()
	w.first(one)
	w.first(two)
	if f := w.check(); f.count == 0 {
		t.Error("both were first, and the oracle does not mind")
	}
	w, _, _ = build()
	w.first(w.logs[1][1].ID)
	if f := w.check(); f.count == 0 {
		t.Error("a repeat was first, and the oracle does not mind")
	}
}

// A retention that changes between two lives decides by the event, not by what holds later.
func TestOracleRetentionByLife(t *testing.T) {
	w := newWorld(1)
	m := w.mail("1", "7", 10*24*time.Hour)
	w.retention[0] = append(w.retention[0], 7)
	w.click(m, 0, get, 0)
	w.retention[0] = append(w.retention[0], 365)
	w.first(w.click(m, 0, get, 0))
	if f := w.check(); f.count != 0 {
		t.Errorf("faults: %v", f.faults)
	}
}

func TestFaultsAreBounded(t *testing.T) {
	var f findings
	for i := range 3 * maxFaults {
		f.fault("%d", i)
	}
	if f.count != 3*maxFaults || len(f.faults) != maxFaults {
		t.Errorf("%d faults counted, %d kept", f.count, len(f.faults))
	}
}
