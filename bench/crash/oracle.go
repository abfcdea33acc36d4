package crash

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// maxFaults bounds the faults that are listed one by one.
const maxFaults = 20

// findings are what the check found.
type findings struct {
	faults []string // at most maxFaults
	count  int

	answered, unanswered, unansweredInLog, logged, keys, uniques, deliveries int

	again []int // by life of the sink, where it was counted: how many of its deliveries came again
}

func (f *findings) fault(format string, args ...any) {
	if f.count++; f.count <= maxFaults {
		f.faults = append(f.faults, fmt.Sprintf(format, args...))
	}
}

// check holds the evidence against the rules in the package comment.
func (e *evidence) check() *findings {
	f := &findings{}
	for _, c := range e.complaints {
		f.fault("%s", c)
	}
	e.checkLog(f)
	want := e.firsts()
	f.keys = len(want)
	e.checkDecisions(f, want)
	uniques := e.uniques(f, want)
	e.checkDeliveries(f, uniques)
	if e.keeps {
		e.checkKept(f, uniques)
	}
	e.checkAgain(f)
	return f
}

// checkLog: answered means once, unanswered at most once, and every record says what was sent.
func (e *evidence) checkLog(f *findings) {
	times := make([]int, len(e.clicks))
	ids := map[string]bool{}
	for _, log := range e.logs {
		last := map[string]string{}
		for i := range log {
			r := &log[i]
			f.logged++
			if r.number < 0 || r.number >= len(e.clicks) {
				f.fault("%s: click %d was never sent", r.ID, r.number)
				continue
			}
			times[r.number]++
			if ids[r.ID] {
				f.fault("%s: two records have this id", r.ID)
			}
			ids[r.ID] = true
			if r.Sequence <= last[r.Run] {
				f.fault("%s: comes after sequence %s of its run", r.ID, last[r.Run])
			}
			last[r.Run] = r.Sequence
			e.checkRecord(f, r)
		}
	}
	for number, c := range e.clicks {
		e.checkClick(f, number, c, times[number])
	}
	if f.unansweredInLog < e.unheard {
		f.fault("%d unanswered clicks stand in the log, and edges died %d times between journal and answer", f.unansweredInLog, e.unheard)
	}
}

func (e *evidence) checkClick(f *findings, number int, c *click, times int) {
	if c.wrong != "" {
		f.fault("click %d was answered wrongly: %s", number, c.wrong)
	}
	switch {
	case c.answered:
		f.answered++
		if times != 1 {
			f.fault("click %d was answered and stands %d times in the log", number, times)
		}
	case times > 1:
		f.fault("click %d was not answered and stands %d times in the log", number, times)
	default:
		f.unanswered++
		f.unansweredInLog += times
	}
}

// checkRecord holds a record against the book.
func (e *evidence) checkRecord(f *findings, r *record) {
	c := e.clicks[r.number]
	l := c.mail.links[c.link]
	labels := map[kind][]string{head: {"head"}, prefetch: {"prefetch"}}[c.kind]
	for _, field := range []struct {
		name      string
		got, want any
	}{
		{"id", r.ID, r.Run + "-" + r.Sequence},
		{"type", r.Type, "email.clicked"},
		{"message", r.Data.Message, c.mail.mailing},
		{"prospect", r.Data.Prospect, c.mail.prospect},
		{"recipient", r.Data.Recipient, c.mail.email},
		{"destination", r.Data.Link.Destination, l.Destination},
		{"original", r.Data.Link.Original, l.Original},
		{"minted", r.Data.Link.Minted.Sub(c.mail.minted).Abs() < 2*time.Minute, true},
		{"method", r.Data.Method, c.kind.method()},
		{"labels", fmt.Sprint(r.Data.Labels), fmt.Sprint(labels)},
	} {
		if field.got != field.want {
			f.fault("%s: click %d: %s is %v, not %v", r.ID, r.number, field.name, field.got, field.want)
		}
	}
	if inForce := e.retention[c.edge][c.life : c.lastLife+1]; !slices.Contains(inForce, r.Data.RetentionDays) {
		f.fault("%s: click %d: retention is %v, not %v", r.ID, r.number, r.Data.RetentionDays, inForce)
	}
}

// first holds, for one unique key, the ids that may be the first of any client and the first of a person: one of each journal, because the
// sink may merge the journals in any order.
type first struct {
	any, person []string
}

// firsts goes through the logs and applies the rule: the first click of a recipient on a link of a message that is within the retention of its
// day of sending. Heads and prefetches are no clicks.
func (e *evidence) firsts() map[key]*first {
	all := map[key]*first{}
	for _, log := range e.logs {
		here := map[key]bool{}
		for i := range log {
			r := &log[i]
			if r.number < 0 || r.number >= len(e.clicks) {
				continue
			}
			c := e.clicks[r.number]
			retention := time.Duration(r.Data.RetentionDays) * 24 * time.Hour
			k := c.mail.key(c.link)
			if c.kind != get || here[k] || r.Time.Sub(c.mail.minted) > retention {
				continue
			}
			here[k] = true
			if all[k] == nil {
				all[k] = &first{}
			}
			all[k].any = append(all[k].any, r.ID)
			all[k].person = append(all[k].person, r.ID)
		}
	}
	return all
}

// checkDecisions: the sink decided one pair of firsts for each key, and no other.
func (e *evidence) checkDecisions(f *findings, want map[key]*first) {
	byID := map[string]decision{}
	for _, d := range e.decisions {
		byID[d.any] = d
	}
	matched := 0
	for _, k := range slices.SortedFunc(maps.Keys(want), compareKeys) {
		var found []decision
		for _, id := range want[k].any {
			if d, ok := byID[id]; ok {
				found = append(found, d)
			}
		}
		if len(found) != 1 {
			f.fault("%v: the sink holds %d decisions %v, the log has firsts %v", k, len(found), found, want[k].any)
			continue
		}
		matched++
		if !slices.Contains(want[k].person, found[0].person) {
			f.fault("%v: the sink's first person is %q, the log's %v", k, found[0].person, want[k].person)
		}
	}
	if extra := len(e.decisions) - matched; extra > 0 {
		f.fault("the sink holds %d decisions that the log does not give", extra)
	}
}

func compareKeys(a, b key) int {
	return slices.Compare([]string{a.message, a.recipient, a.original}, []string{b.message, b.recipient, b.original})
}

// uniques gives the ids whose webhooks are due: the first person of each key, as decided where the log leaves a choice.
func (e *evidence) uniques(f *findings, want map[key]*first) map[string]bool {
	decided := map[string]bool{}
	for _, d := range e.decisions {
		decided[d.person] = true
	}
	ids := map[string]bool{}
	for _, w := range want {
		for _, id := range w.person {
			if len(w.person) == 1 || decided[id] {
				ids[id] = true
			}
		}
	}
	f.uniques = len(ids)
	return ids
}

// checkDeliveries: on each path every unique click arrived under its id, with one body, and nothing else did.
func (e *evidence) checkDeliveries(f *findings, uniques map[string]bool) {
	numbers := map[string]int{}
	for _, log := range e.logs {
		for i := range log {
			numbers[log[i].ID] = log[i].number
		}
	}
	arrived := map[string]int{}
	for _, d := range e.deliveries {
		f.deliveries++
		if !uniques[d.id] {
			f.fault("%s: %s was delivered and is no unique click", d.path, d.id)
			continue
		}
		if d.bodies != 1 {
			f.fault("%s: %s came with %d different bodies", d.path, d.id, d.bodies)
		}
		if n, err := bodyNumber(d.body); err != nil || n != numbers[d.id] {
			f.fault("%s: %s tells of click %d (%v), the log of %d", d.path, d.id, n, err, numbers[d.id])
		}
		if d.accepted > 0 {
			arrived[d.path]++
		}
	}
	for _, path := range e.paths {
		if arrived[path] != len(uniques) {
			f.fault("%s: %d of %d unique clicks arrived", path, arrived[path], len(uniques))
		}
	}
}

// checkKept: every unique click is kept once, as the log has it, and nothing else is.
func (e *evidence) checkKept(f *findings, uniques map[string]bool) {
	logged := map[string]*record{}
	for _, log := range e.logs {
		for i := range log {
			logged[log[i].ID] = &log[i]
		}
	}
	times := map[string]int{}
	for i := range e.kept {
		r := &e.kept[i]
		times[r.ID]++
		if was := logged[r.ID]; !uniques[r.ID] || was == nil || r.number != was.number || !r.Time.Equal(was.Time) {
			f.fault("%s is kept, of click %d: the log and its uniques have %v", r.ID, r.number, was)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(uniques)) {
		if times[id] != 1 {
			f.fault("%s is a unique click and kept %d times", id, times[id])
		}
	}
}

// checkAgain: within a life of the sink nothing comes twice, and what one life delivered comes again from another only as far as it was under way, or had ended since the
// last durable mark, when that life ended.
func (e *evidence) checkAgain(f *findings) {
	if e.mostAgain == 0 {
		return
	}
	f.again = e.again
	sum := 0
	for _, n := range e.again {
		sum += n
	}
	if most := len(e.again) * e.mostAgain; sum > most {
		f.fault("after %d kills of a sink %d deliveries came again, at most %d may", len(e.again), sum, most)
	}
	for i, l := range e.lives {
		if i < len(e.lives)-1 { // the last one ended in order
			f.again = append(f.again, l.again)
		}
		if l.twice > 0 {
			f.fault("life %d of the sink delivered %d of its %d deliveries twice", i, l.twice, l.accepted)
		}
		if l.again > e.mostAgain {
			f.fault("of %d deliveries of the sink's life %d came %d again, at most %d may", l.accepted, i, l.again, e.mostAgain)
		}
	}
}

// bodyNumber finds the click's number in a webhook of either format.
func bodyNumber(body []byte) (int, error) {
	var document struct {
		UserAgent string // Postmark
		Data      struct {
			UserAgent string `json:"user_agent"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return -1, err
	}
	return clickNumber(document.UserAgent + document.Data.UserAgent)
}
