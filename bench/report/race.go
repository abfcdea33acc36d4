package report

import (
	"fmt"
	"slices"
	"strings"

	"waypost/bench/load"
	"waypost/bench/result"
)

// ours are the programs whose figures a reader came for; the others are there to compare with.
var ours = []string{"edge", "mint"}

// mode is what contestants did under one load.
type mode struct {
	title   string
	offered float64 // 0: closed loop; of a mode with several rates the first
	rows    []load.Summary
}

func raceSection(s *section, r *load.Report) { addRace(s, r, modesByRate(r.Summary)) }

func addRace(s *section, r *load.Report, modes []mode) {
	addSetup(s, r)
	for _, m := range modes {
		for _, row := range m.rows {
			sayRace(s, r, m, row)
		}
	}
	s.Parts = append(s.Parts, contestants(r))
	if f, ok := rateFigure(s.ID, r); ok {
		s.Parts = append(s.Parts, part{Title: "by load", Figures: []figure{f}, Tables: []table{rateTable(r)}})
	}
	for i, m := range modes {
		s.Parts = append(s.Parts, racePart(fmt.Sprintf("%s-%d", s.ID, i+1), r, m))
	}
}

// modesByRate has one mode for each rate that was offered.
func modesByRate(all []load.Summary) (modes []mode) {
	for _, row := range all {
		at := slices.IndexFunc(modes, func(m mode) bool { return m.offered == row.Offered })
		if at < 0 {
			at = len(modes)
			modes = append(modes, mode{title: modeTitle(row.Offered), offered: row.Offered})
		}
		modes[at].rows = append(modes[at].rows, row)
	}
	return modes
}

func modeTitle(offered float64) string {
	if offered == 0 {
		return "maximum, closed loop"
	}
	return fmt.Sprintf("open loop at %s requests a second", whole(offered))
}

func addSetup(s *section, r *load.Report) {
	set := r.Setup
	s.fact("cores", fmt.Sprintf("server on core %d with GOMAXPROCS=%d, generator on core %d", set.ServerCore, set.GOMAXPROCS, set.GeneratorCore))
	kept := "kept"
	if set.NewConnections {
		kept = "at most: a new one for each request"
	}
	s.fact("requests", set.Mix)
	s.fact("rounds", fmt.Sprintf("%d, in turns, %.3g s each after %.3g s of warm-up; %d connections, %s", set.Rounds, set.Duration, set.Warmup, set.Connections, kept))
	s.fact("headers", set.Headers)
	if set.SegmentBytes > 0 {
		state := "from its beginning, fresh segments among those measured"
		if set.Steady {
			state = "in its steady state, each segment used before"
		}
		s.fact("journal", fmt.Sprintf("%s; segments of %.3g MiB", state, float64(set.SegmentBytes)/(1<<20)))
	}
}

// sayRace tells what one of our programs did.
func sayRace(s *section, r *load.Report, m mode, row load.Summary) {
	program := ""
	for _, c := range r.Contestants {
		if c.Name == row.Contestant {
			program = c.Program
		}
	}
	switch {
	case !slices.Contains(ours, program):
		return
	case row.Rounds == 0:
		s.say("%s, %s: void, no round counts.", row.Contestant, m.title)
		return
	case row.Offered == 0:
		text := fmt.Sprintf("%s: at most %s requests a second", row.Contestant, whole(row.PerSecond))
		s.Outcome = append(s.Outcome, text+against(r, row, "per_second")+".")
		return
	}
	text := fmt.Sprintf("%s at %s requests a second: %s µs of CPU each", row.Contestant, whole(row.Offered), fixed(row.CPU, 2))
	s.Outcome = append(s.Outcome, fmt.Sprintf("%s%s; p99 %s%s.", text, against(r, row, "cpu"), duration(row.Latency["p99"]), against(r, row, "p99")))
}

// against tells the ratios of a figure to all baselines.
func against(r *load.Report, row load.Summary, figure string) (text string) {
	for _, b := range r.Setup.Baselines {
		if ratio, ok := row.Ratios[b][figure]; ok {
			text += fmt.Sprintf(", %s times that of %s", spreadText(ratio, func(v float64) string { return fixed(v, 2) }), b)
		}
	}
	return text
}

// contestants says who took part, and who did not.
func contestants(r *load.Report) part {
	t := table{Caption: "Who took part", Words: 5, Head: []string{"contestant", "program", "what it is", "answer", "its answer differs in"}}
	for _, c := range r.Contestants {
		answer := none
		if c.Answer > 0 {
			answer = fmt.Sprintf("%d bytes", c.Answer)
		}
		program := c.Program
		if version := r.Versions[c.Program]; version != "" {
			program += " " + version
		}
		t.add(c.Name, program, c.What, answer, c.Differs)
	}
	return part{Title: "contestants", Tables: []table{t}, Notes: r.Notes}
}

// racePart is a mode: costs, ratios, microseconds above the yardstick, latencies.
func racePart(id string, r *load.Report, m mode) part {
	p := part{Title: m.title}
	for _, row := range m.rows {
		for _, void := range row.Voids {
			p.Notes = append(p.Notes, fmt.Sprintf("void: %s, %s", row.Contestant, void))
		}
		for _, note := range row.Notes {
			p.Notes = append(p.Notes, fmt.Sprintf("note: %s, %s", row.Contestant, note))
		}
		if row.CacheHits > 0 {
			p.Notes = append(p.Notes, fmt.Sprintf("cache: %s found %s of the links there", row.Contestant, percent(row.CacheHits)))
		}
	}
	rows := slices.DeleteFunc(slices.Clone(m.rows), func(s load.Summary) bool { return s.Rounds == 0 })
	if len(rows) == 0 {
		return p
	}
	if f, ok := costFigure(id, r, m, rows); ok {
		p.Figures = append(p.Figures, f)
	}
	if f, ok := curveFigure(id, m.title, curvesOf(r, rows)); ok {
		p.Figures = append(p.Figures, f)
	}
	p.Tables = append(p.Tables, costTable(rows))
	if t := ratioTable(r.Setup.Baselines, rows); len(t.Rows) > 0 {
		p.Tables = append(p.Tables, t)
	}
	if t := aboveTable(r.Setup.Baselines, rows); len(t.Rows) > 0 {
		p.Tables = append(p.Tables, t)
	}
	p.Tables = append(p.Tables, latencyTable(rows))
	return p
}

// costTable has medians over the rounds.
func costTable(rows []load.Summary) table {
	t := table{
		Caption: "CPU of a request in microseconds, and what else it took: medians over the rounds that count", Words: 1,
		Head: []string{"contestant", "rounds", "requests/s", "user", "system", "total", "whole core", "switches", "anonymous MB", "server core", "generator core"},
	}
	for _, s := range rows {
		cells := []string{s.Contestant, whole(float64(s.Rounds)), whole(s.PerSecond)}
		if s.CPU == 0 { // not a process of this machine
			cells = append(cells, none, none, none, none, none, none, none)
		} else {
			cells = append(cells, fixed(s.User, 2), fixed(s.System, 2), fixed(s.CPU, 2), fixed(s.Core, 2), fixed(s.Switches, 3), megabytes(s.Anonymous), percent(s.Server))
		}
		t.add(append(cells, percent(s.Generator))...)
	}
	return t
}

// ratioTable holds each to each baseline.
func ratioTable(baselines []string, rows []load.Summary) table {
	t := table{
		Caption: "Times the baseline's figure in the same round: median (min to max)", Words: 2,
		Head: []string{"contestant", "baseline", "requests/s", "CPU", "whole core", "p99", "p99.9"},
	}
	for _, s := range rows {
		for _, b := range baselines {
			if of, ok := s.Ratios[b]; ok {
				t.add(s.Contestant, b, spread(of, "per_second"), spread(of, "cpu"), spread(of, "core"), spread(of, "p99"), spread(of, "p99.9"))
			}
		}
	}
	return t
}

func aboveTable(baselines []string, rows []load.Summary) table {
	yardstick := strings.Join(baselines[:min(1, len(baselines))], "")
	t := table{
		Caption: "Microseconds of CPU a request above " + yardstick + " in the same round: median (min to max)", Words: 1,
		Head: []string{"contestant", "user", "system", "total", "whole core"},
	}
	for _, s := range rows {
		if s.Above != nil {
			t.add(s.Contestant, spread(s.Above, "user"), spread(s.Above, "system"), spread(s.Above, "cpu"), spread(s.Above, "core"))
		}
	}
	return t
}

// percentiles are those of every latency table.
var percentiles = []string{"p50", "p90", "p99", "p99.9", "p99.99", "max"}

func latencyTable(rows []load.Summary) table {
	t := table{Caption: "Latency in microseconds, in the open loop from when the request was due: medians over the rounds that count", Words: 1, Head: append([]string{"contestant"}, percentiles...)}
	for _, s := range rows {
		t.add(append([]string{s.Contestant}, latencies(s.Latency)...)...)
	}
	return t
}

// latencies are the cells of the percentiles.
func latencies(us map[string]float64) (cells []string) {
	for _, p := range percentiles {
		if v, ok := us[p]; ok {
			cells = append(cells, whole(v))
		} else {
			cells = append(cells, none)
		}
	}
	return cells
}

// rateTable is what the figure of rates shows.
func rateTable(r *load.Report) table {
	t := table{Caption: "Latency in microseconds by load: medians over the rounds that count", Words: 1, Head: []string{"contestant", "offered/s", "answered/s", "p50", "p99", "p99.9", "CPU"}}
	for _, s := range r.Summary {
		if s.Rounds == 0 {
			continue
		}
		offered, cpu := "all it takes", none
		if s.Offered > 0 {
			offered = whole(s.Offered)
		}
		if s.CPU > 0 {
			cpu = fixed(s.CPU, 2)
		}
		t.add(s.Contestant, offered, whole(s.PerSecond), whole(s.Latency["p50"]), whole(s.Latency["p99"]), whole(s.Latency["p99.9"]), cpu)
	}
	return t
}

// syncFactor is how many times the tail without a syncer is within the bound that bench load sync names.
const syncFactor = 2

func syncSection(s *section, r *load.Report) {
	for _, row := range r.Summary {
		for _, b := range r.Setup.Baselines {
			for _, p := range []string{"p99", "p99.9"} {
				if ratio, ok := row.Ratios[b][p]; ok {
					s.say("%s: %s is %s times that of %s: %s %d times.", row.Contestant, p, spreadText(ratio, func(v float64) string { return fixed(v, 2) }), b, within(ratio), syncFactor)
				}
			}
		}
	}
	said := len(s.Outcome)
	addRace(s, r, modesByRate(r.Summary))
	if said > 0 {
		s.Outcome = s.Outcome[:said]
	}
}

func within(ratio result.Spread) string {
	if ratio.Median > syncFactor {
		return "not within"
	}
	return "within"
}
