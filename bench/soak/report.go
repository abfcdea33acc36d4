package soak

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"waypost/bench/result"
)

// Report is a whole run, as --json writes it.
type Report struct {
	result.Head
	Setup    Setup        `json:"setup"`
	Verdict  string       `json:"verdict"` // pass, or what was wrong
	Faults   []string     `json:"faults"`  // clicks lost or doubled and the like; at most maxFaults
	Clicks   Clicks       `json:"clicks"`
	Restarts []Restart    `json:"restarts"`
	Growths  []Growth     `json:"growths"`
	Samples  []Sample     `json:"samples"`
	Disk     []DiskSample `json:"disk"`
}

// Setup is what a run was asked to do.
type Setup struct {
	Minutes      float64 `json:"minutes"`
	Rate         float64 `json:"clicks_per_second"`
	Connections  int     `json:"connections"`
	RestartEvery float64 `json:"restart_every_seconds"`
	SampleEvery  float64 `json:"sample_every_seconds"`
	SegmentBytes int64   `json:"journal_segment_bytes"`
	KeepBytes    int64   `json:"journal_keep_bytes"`
}

// Clicks is what the load came to.
type Clicks struct {
	Seconds  float64            `json:"seconds"`
	Sent     int                `json:"sent"`
	Answered int                `json:"answered"`
	Excused  int                `json:"not_answered_in_restarts"`
	Mails    int                `json:"mails_not_taken_in_restarts"`
	Shed     int                `json:"mails_shed"`
	Uniques  int                `json:"links_told_of"`
	Repeated int                `json:"webhooks_repeated"`
	Refused  int                `json:"webhooks_refused"` // by the receiver, once each
	Latency  map[string]float64 `json:"latency_us"`       // of those answered, from when they were due
}

// Restart is one restart of a program.
type Restart struct {
	Second  float64 `json:"second"`
	Program string  `json:"program"`
	Took    float64 `json:"took_seconds"`
}

// passed is the verdict on a run in which nothing grew and nothing was lost.
const passed = "pass"

// fill draws the conclusions.
func (r *Report) fill(l *ledger, of *crowd) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &r.Clicks
	c.Sent, c.Answered, c.Excused, c.Mails = l.sent, l.answered, l.excused, int(of.missed.Load())
	c.Shed = int(of.shed.Load())
	c.Uniques, c.Repeated, c.Refused = l.told, l.repeated, l.refused
	c.Latency = map[string]float64{"max": float64(of.latency.Max()) / 1e3}
	for name, at := range map[string]float64{"p50": 50, "p99": 99, "p99.9": 99.9} {
		c.Latency[name] = float64(of.latency.ValueAtPercentile(at)) / 1e3
	}
	r.Faults, r.Growths = l.faults, growths(r.Samples, r.Disk)
	r.Verdict = verdict(r.Growths, l.count)
}

func verdict(all []Growth, faults int) string {
	grew, judged := 0, 0
	for _, g := range all {
		if g.Grew {
			grew++
		}
		if g.Judged {
			judged++
		}
	}
	var wrong []string
	if grew > 0 {
		wrong = append(wrong, fmt.Sprintf("%d figures grew", grew))
	}
	if faults > 0 {
		wrong = append(wrong, fmt.Sprintf("%d faults", faults))
	}
	switch {
	case len(wrong) > 0:
		return "FAIL: " + strings.Join(wrong, ", ")
	case judged == 0:
		return "no verdict: no process lived long enough to be judged"
	}
	return passed
}

// latest is a line of progress.
func (r *Report) latest(l *ledger) string {
	l.mu.Lock()
	text := fmt.Sprintf("%4.0f s: %d clicks answered, %d links told of, %d faults;", r.Disk[len(r.Disk)-1].Second, l.answered, l.told, l.count)
	l.mu.Unlock()
	for _, program := range programNames {
		for _, s := range slices.Backward(r.Samples) {
			if s.Program == program {
				text += fmt.Sprintf(" %s %.0f MB, %d files, %d goroutines;", program, float64(s.Anonymous)/1e6, s.Descriptors, s.Goroutines)
				break
			}
		}
	}
	d := r.Disk[len(r.Disk)-1]
	return text + fmt.Sprintf(" journal %.0f MB, store %.0f MB", float64(d.Journal)/1e6, float64(d.Store)/1e6)
}

// write prints the report, the verdict last.
func (r *Report) write(w io.Writer) {
	c := r.Clicks
	fmt.Fprintln(w, r.Origin())
	fmt.Fprintf(w, "%.3g minutes at %.0f clicks a second in an open loop, %d restarts; journal of %d MiB segments, %d MiB kept\n\n", c.Seconds/60, r.Setup.Rate, len(r.Restarts),
		r.Setup.SegmentBytes>>20, r.Setup.KeepBytes>>20)
	fmt.Fprintf(w, "clicks    %d sent, %d answered, %d not while the edge was restarted; latency us p50 %.0f, p99 %.0f, p99.9 %.0f, max %.0f\n", c.Sent, c.Answered, c.Excused,
		c.Latency["p50"], c.Latency["p99"], c.Latency["p99.9"], c.Latency["max"])
	fmt.Fprintf(w, "mails     %d not taken while mint was restarted, %d shed because it was busy\n", c.Mails, c.Shed)
	fmt.Fprintf(w, "webhooks  %d links told of, %d times again under the same id; %d first attempts refused by the receiver\n\n", c.Uniques, c.Repeated, c.Refused)
	r.writeGrowths(w)
	for _, f := range r.Faults {
		fmt.Fprintf(w, "fault: %s\n", f)
	}
	for _, g := range r.Growths {
		if g.Grew {
			fmt.Fprintf(w, "grew: %s, %s: from %s to %s in %.0f s, %s allowed; %s an hour\n", g.Where, g.What, g.unit.text(g.From), g.unit.text(g.To), g.Seconds/2, g.unit.text(g.Allowed), g.unit.text(g.Slope))
		}
	}
	fmt.Fprintln(w, r.Verdict)
}

// writeGrowths prints a row for each life and one for the files: the medians of the second and the last quarter.
func (r *Report) writeGrowths(w io.Writer) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := ""
	for _, g := range r.Growths {
		if g.Samples < fewSamples {
			continue
		}
		if g.Where != row {
			if row != "" {
				fmt.Fprintln(table)
			}
			row = g.Where
			fmt.Fprintf(table, "%s\t%.0f s", g.Where, g.Seconds)
			if !g.Judged {
				fmt.Fprint(table, " (too short)")
			}
		}
		fmt.Fprintf(table, "\t%s %s to %s", g.What, g.unit.text(g.From), g.unit.text(g.To))
	}
	fmt.Fprintln(table)
	_ = table.Flush() // to a terminal
	fmt.Fprintln(w)
}

func (u unit) text(value float64) string {
	if u == megabytes {
		return fmt.Sprintf("%.1f MB", value/1e6)
	}
	return fmt.Sprintf("%.0f", value)
}

// programNames in the order of the report.
var programNames = []string{"edge", "mint", "sink"}

func programOrder(name string) int { return slices.Index(programNames, name) }

func lifeName(program string, life int) string { return fmt.Sprintf("%s, life %d", program, life) }
