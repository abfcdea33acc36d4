package load

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
	Setup       Setup     `json:"setup"`
	Contestants []Entry   `json:"contestants"`
	Notes       []string  `json:"notes,omitempty"` // who is missing, and what else a reader must know
	Turns       []Turn    `json:"turns"`
	Summary     []Summary `json:"summary"`
}

// Setup is what a run was asked to do.
type Setup struct {
	Connections   int      `json:"connections"`
	Warmup        float64  `json:"warmup_seconds"`
	Duration      float64  `json:"duration_seconds"`
	Rounds        int      `json:"rounds"`
	ServerCore    int      `json:"server_core"`
	GeneratorCore int      `json:"generator_core"`
	GOMAXPROCS    int      `json:"server_gomaxprocs"`
	Headers       string   `json:"headers"`
	Baselines     []string `json:"baselines"` // the contestants that ratios are to
	SegmentBytes  int64    `json:"journal_segment_bytes"`
	Steady        bool     `json:"journal_steady"` // whether its segments were used again before the first turn
	// Of bench load edge.
	Mix            string `json:"mix,omitempty"`             // of requests
	NewConnections bool   `json:"new_connections,omitempty"` // one for each request
}

// writeTable prints the summaries: one table of costs and one of latencies for each mode.
func (r *Report) writeTable(w io.Writer) error {
	s := r.Setup
	fmt.Fprintln(w, r.Origin())
	fmt.Fprintf(w, "server on core %d with GOMAXPROCS=%d, generator on core %d; %s; %s\n", s.ServerCore, s.GOMAXPROCS, s.GeneratorCore, s.connections(), s.requests())
	fmt.Fprintf(w, "%d rounds in turns, %.3g s each after %.3g s of warm-up; medians, x: ratio within a round (min-max)\n", s.Rounds, s.Duration, s.Warmup)
	fmt.Fprintln(w, s.journal())
	if err := r.writeContestants(w); err != nil {
		return err
	}
	for _, offered := range offeredRates(r.Summary) {
		if offered == 0 {
			fmt.Fprintf(w, "\nmaximum, closed loop\n")
		} else {
			fmt.Fprintf(w, "\nopen loop at %.0f requests a second\n", offered)
		}
		var rows []Summary
		for _, s := range r.Summary {
			if s.Offered == offered {
				rows = append(rows, s)
			}
		}
		if err := r.writeMode(w, rows); err != nil {
			return err
		}
	}
	return nil
}

// connections says how many there are.
func (s Setup) connections() string {
	if s.NewConnections {
		return fmt.Sprintf("a new connection for each request, at most %d at a time", s.Connections)
	}
	return fmt.Sprintf("%d connections, kept", s.Connections)
}

// requests says what is asked for.
func (s Setup) requests() string {
	m := mixOf(s.Mix)
	if m.headers != "" {
		return m.what
	}
	return m.what + "; " + s.Headers + " headers"
}

// journal says in which state the edge's journal was measured.
func (s Setup) journal() string {
	size := fmt.Sprintf("segments of %.3g MiB", float64(s.SegmentBytes)/(1<<20))
	if s.Steady {
		return "journal in its steady state: " + size + ", each used before"
	}
	return "journal from its beginning: " + size + ", fresh ones among them"
}

func offeredRates(all []Summary) (rates []float64) {
	for _, s := range all {
		if !slices.Contains(rates, s.Offered) {
			rates = append(rates, s.Offered)
		}
	}
	return rates
}

// writeContestants says who takes part, and who does not.
func (r *Report) writeContestants(w io.Writer) error {
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range r.Contestants {
		fmt.Fprintf(table, "%s\t%s; answers %d bytes", c.Name, r.describe(c), c.Answer)
		if c.Differs != "" {
			fmt.Fprintf(table, "; %s", c.Differs)
		}
		fmt.Fprintln(table)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, note := range r.Notes {
		fmt.Fprintln(w, note)
	}
	return nil
}

// describe says what a contestant is, with its version.
func (r *Report) describe(c Entry) string {
	if c.Program == "" {
		return c.What
	}
	return strings.TrimSpace(c.Program+" "+r.Versions[c.Program]) + ": " + c.What
}

func (r *Report) writeMode(w io.Writer, rows []Summary) error {
	counted := slices.DeleteFunc(slices.Clone(rows), func(s Summary) bool { return s.Rounds == 0 })
	if len(counted) > 0 {
		if err := r.writeFigures(w, counted); err != nil {
			return err
		}
	}
	for _, s := range rows {
		for _, void := range s.Voids {
			fmt.Fprintf(w, "void: %s, %s\n", s.Contestant, void)
		}
		for _, note := range s.Notes {
			fmt.Fprintf(w, "note: %s, %s\n", s.Contestant, note)
		}
		if s.CacheHits > 0 {
			fmt.Fprintf(w, "cache: %s found %.0f %% of the links there\n", s.Contestant, 100*s.CacheHits)
		}
	}
	return nil
}

// writeFigures prints a mode: costs, latencies, and what each costs above the yardstick.
func (r *Report) writeFigures(w io.Writer, rows []Summary) error {
	b := r.Setup.Baselines
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "contestant\treq/s\tuser us\tsystem us\tCPU us\t%score us\t%sswitches\tRSS MB\tanon MB\tserver\tgenerator\t\n", ratioHeads(b), ratioHeads(b))
	for _, s := range rows {
		fmt.Fprintf(table, "%s\t%.0f\t", s.Contestant, s.PerSecond)
		if s.CPU == 0 {
			fmt.Fprintf(table, "%s", strings.Repeat("-\t", 8+2*len(b)))
		} else {
			fmt.Fprintf(table, "%.2f\t%.2f\t%.2f\t%s%.2f\t%s%.3f\t%.0f\t%.0f\t%.0f %%\t", s.User, s.System, s.CPU, ratios(s, b, "cpu"), s.Core, ratios(s, b, "core"), s.Switches,
				s.Resident/1e6, s.Anonymous/1e6, 100*s.Server)
		}
		fmt.Fprintf(table, "%.0f %%\t\n", 100*s.Generator)
	}
	fmt.Fprintf(table, "\nlatency us\tp50\tp90\tp99\t%sp99.9\t%sp99.99\tmax\t\n", ratioHeads(b), ratioHeads(b))
	for _, s := range rows {
		fmt.Fprintf(table, "%s\t%.0f\t%.0f\t%.0f\t%s%.0f\t%s%.0f\t%.0f\t\n", s.Contestant, s.Latency["p50"], s.Latency["p90"], s.Latency["p99"], ratios(s, b, "p99"),
			s.Latency["p99.9"], ratios(s, b, "p99.9"), s.Latency["p99.99"], s.Latency["max"])
	}
	if slices.ContainsFunc(rows, func(s Summary) bool { return s.Above != nil }) {
		fmt.Fprintf(table, "\nus above %s\tuser\tsystem\tCPU\tcore\t\n", b[0])
	}
	for _, s := range rows {
		if s.Above != nil {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t\n", s.Contestant, s.Above["user"], s.Above["system"], s.Above["cpu"], s.Above["core"])
		}
	}
	return table.Flush()
}

func ratioHeads(baselines []string) (heads string) {
	for _, name := range baselines {
		heads += "x " + name + "\t"
	}
	return heads
}

// ratios are the cells of a figure's ratios to all baselines.
func ratios(s Summary, baselines []string, figure string) (cells string) {
	for _, name := range baselines {
		if r, ok := s.Ratios[name][figure]; ok {
			cells += r.String() + "\t"
		} else {
			cells += "-\t"
		}
	}
	return cells
}
