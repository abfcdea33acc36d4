package report

import (
	"fmt"
	"slices"
	"strings"

	"waypost/bench/length"
	"waypost/bench/soak"
)

func soakSection(s *section, r *soak.Report) {
	c := r.Clicks
	s.fact("load", fmt.Sprintf("%s clicks a second in an open loop for %.3g minutes, %d restarts", whole(r.Setup.Rate), c.Seconds/60, len(r.Restarts)))
	s.fact("journal", fmt.Sprintf("segments of %d MiB, %d MiB kept", r.Setup.SegmentBytes>>20, r.Setup.KeepBytes>>20))
	s.say("%s: %s clicks answered, %s links told of.", r.Verdict, whole(float64(c.Answered)), whole(float64(c.Uniques)))
	verdict := part{Title: "what came out", Tables: []table{clicksTable(c)}}
	for _, f := range r.Faults {
		verdict.Notes = append(verdict.Notes, "fault: "+f)
	}
	for _, g := range r.Growths {
		if g.Grew {
			text := fmt.Sprintf("grew: %s, %s: from %s to %s in %s s, %s allowed", g.Where, g.What, grown(g, g.From), grown(g, g.To), whole(g.Seconds/2), grown(g, g.Allowed))
			verdict.Notes = append(verdict.Notes, text)
			s.Outcome = append(s.Outcome, text+".")
		}
	}
	memory := part{Title: "over time", Tables: []table{growthTable(r.Growths)}}
	if f, ok := memoryFigure(s.ID, r); ok {
		memory.Figures = append(memory.Figures, f)
	}
	if f, ok := diskFigure(s.ID, r); ok {
		memory.Figures = append(memory.Figures, f)
	}
	if len(r.Restarts) > 0 {
		t := table{Caption: "Restarts", Words: 1, Head: []string{"program", "at second", "took seconds"}}
		for _, restart := range r.Restarts {
			t.add(restart.Program, whole(restart.Second), fixed(restart.Took, 2))
		}
		memory.Tables = append(memory.Tables, t)
	}
	s.Parts = append(s.Parts, verdict, memory)
}

func clicksTable(c soak.Clicks) table {
	t := table{Caption: "Clicks, mails and webhooks", Words: 1, Head: []string{"what", "how many"}}
	for _, row := range []struct {
		what string
		n    int
	}{
		{"clicks sent", c.Sent},
		{"clicks answered", c.Answered},
		{"clicks not answered while the edge was restarted", c.Excused},
		{"mails not taken while mint was restarted", c.Mails},
		{"mails refused because mint was busy", c.Shed},
		{"links told of by a webhook", c.Uniques},
		{"webhooks that came again under the same id", c.Repeated},
		{"first attempts that the receiver refused", c.Refused},
	} {
		t.add(row.what, whole(float64(row.n)))
	}
	for _, p := range []string{"p50", "p99", "p99.9", "max"} {
		if us, ok := c.Latency[p]; ok {
			t.add("latency "+p+", µs", whole(us))
		}
	}
	return t
}

// growthTable has a row for each figure of each life, with the verdict on it.
func growthTable(all []soak.Growth) table {
	t := table{
		Caption: "Median of the second quarter of each life, and of its last", Words: 2,
		Head: []string{"where", "what", "seconds", "from", "to", "allowed more", "an hour", "verdict"},
	}
	for _, g := range all {
		if g.Seconds <= 0 { // too few samples even for medians
			continue
		}
		verdict := "flat"
		switch {
		case g.Grew:
			verdict = "grew"
		case !g.Judged:
			verdict = "too short"
		}
		t.add(g.Where, g.What, whole(g.Seconds), grown(g, g.From), grown(g, g.To), grown(g, g.Allowed), grown(g, g.Slope), verdict)
	}
	return t
}

// counts are what a soak counts; all else are bytes.
var counts = []string{"descriptors", "goroutines", "threads"}

func grown(g soak.Growth, value float64) string {
	if slices.Contains(counts, g.What) {
		return whole(value)
	}
	return megabytes(value) + " MB"
}

// lengthReport takes the contents by their names, whatever they are.
type lengthReport struct {
	length.Report
	Rows []struct {
		length.Row
		Contents string `json:"contents"`
	} `json:"rows"`
}

func lengthSection(s *section, r *lengthReport) {
	s.fact("list", fmt.Sprintf("%s URLs, SHA-256 %s", whole(float64(r.URLs)), r.List))
	s.fact("links", fmt.Sprintf("https://%s/TOKEN", r.Host))
	t := table{
		Caption: "Lengths in characters", Words: 2,
		Head: []string{"contents", "scheme", "token", "token to URL", "link", "p50", "p90", "max", fmt.Sprintf("over %d", r.Budget)},
	}
	add := func(contents, scheme, token, toURL string, l length.Lengths) {
		t.add(contents, scheme, token, toURL, fixed(l.Mean, 1), whole(float64(l.P50)), whole(float64(l.P90)), whole(float64(l.Max)), fixed(100*l.Over, 2)+" %")
	}
	add("the URL itself", none, none, none, r.Plain)
	for _, row := range r.Rows {
		add(row.Contents, row.Scheme, fixed(row.Token, 1), fixed(row.ToURL, 2), row.Link)
		if row.Scheme == "waypost" {
			s.say("waypost, %s: a token of %s characters, %s times the URL.", row.Contents, fixed(row.Token, 1), fixed(row.ToURL, 2))
		}
	}
	p := part{Title: "links", Tables: []table{t}}
	if f, ok := lengthFigure(s.ID, r); ok {
		p.Figures = append(p.Figures, f)
	}
	for _, l := range r.LeftOut {
		p.Notes = append(p.Notes, fmt.Sprintf("left out: %d URLs: %s", l.URLs, strings.TrimSpace(l.Reason)))
	}
	s.Parts = append(s.Parts, p)
}
