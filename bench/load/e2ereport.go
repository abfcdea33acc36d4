package load

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"waypost/bench/result"
)

// E2EReport is a run of `bench load e2e`, as --json writes it.
type E2EReport struct {
	result.Head
	Setup        Setup     `json:"setup"`
	SinkCore     int       `json:"sink_core"`
	ReceiverCore int       `json:"receiver_core"`
	Turns        []E2ETurn `json:"turns"`
	Repeated     uint64    `json:"repeated"` // webhooks after the last turn: none was due
}

// E2ETurn is one window of clicks with their webhooks. CPU is for each delivery.
type E2ETurn struct {
	Round     int       `json:"round"`
	Time      time.Time `json:"time"` // of the window's begin
	Offered   float64   `json:"offered_per_second"`
	Clicks    uint64    `json:"clicks"`
	Answered  uint64    `json:"answered"` // with 302
	Wrong     uint64    `json:"wrong"`    // answered with another status
	Broken    uint64    `json:"broken"`   // never answered
	Delivered uint64    `json:"delivered"`
	Missing   uint64    `json:"missing"`  // clicks whose webhook did not come in time
	Repeated  uint64    `json:"repeated"` // webhooks of a click that had one

	// Latency is from when a click was due until its webhook had arrived, Redirect until its answer had.
	Latency  map[string]float64 `json:"latency_us"`
	Curve    []float64          `json:"latency_curve_us,omitempty"`
	Redirect map[string]float64 `json:"redirect_latency_us"`
	Late     float64            `json:"sent_late_p99_us"`

	EdgeCPU     float64 `json:"edge_cpu_us"`
	SinkCPU     float64 `json:"sink_cpu_us"`
	ReceiverCPU float64 `json:"receiver_cpu_us"`
}

func (r *E2EReport) writeTable(w io.Writer) error {
	s := r.Setup
	fmt.Fprintln(w, r.Origin())
	fmt.Fprintf(w, "edge on core %d, sink on core %d, receiver on core %d, each with GOMAXPROCS=1; generator on core %d; %d connections, kept; each click the first on its link; %s headers\n",
		s.ServerCore, r.SinkCore, r.ReceiverCore, s.GeneratorCore, s.Connections, s.Headers)
	fmt.Fprintf(w, "%d rounds, %.3g s each after %.3g s of warm-up, %.0f clicks a second in an open loop; medians (and range)\n", s.Rounds, s.Duration, s.Warmup, r.Turns[0].Offered)
	fmt.Fprintln(w, s.journal())
	var sum E2ETurn
	for _, t := range r.Turns {
		sum.Clicks += t.Clicks
		sum.Answered += t.Answered
		sum.Delivered += t.Delivered
		sum.Missing += t.Missing
		sum.Repeated += t.Repeated
	}
	fmt.Fprintf(w, "\n%d clicks, %d redirected, %d told of; %d not told of, %d told of again\n\n", sum.Clicks, sum.Answered, sum.Delivered, sum.Missing, sum.Repeated+r.Repeated)
	over := func(figure func(E2ETurn) float64) result.Spread { return result.SpreadOf(figures(r.Turns, figure)) }
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	names := append(percentileNames(), "max")
	fmt.Fprint(table, "us from when a click was due\t")
	for _, name := range names {
		fmt.Fprintf(table, "%s\t", name)
	}
	for _, row := range []struct {
		name string
		of   func(E2ETurn) map[string]float64
	}{
		{"to its redirect", func(t E2ETurn) map[string]float64 { return t.Redirect }},
		{"to its webhook", func(t E2ETurn) map[string]float64 { return t.Latency }},
	} {
		fmt.Fprintf(table, "\n%s\t", row.name)
		for _, name := range names {
			v := over(func(t E2ETurn) float64 { return row.of(t)[name] })
			fmt.Fprintf(table, "%.0f (%.0f-%.0f)\t", v.Median, v.Min, v.Max)
		}
	}
	fmt.Fprint(table, "\n\n")
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "CPU us for each delivery: edge %s, sink %s, receiver %s; the generator sent %.0f us late (p99)\n", over(func(t E2ETurn) float64 { return t.EdgeCPU }),
		over(func(t E2ETurn) float64 { return t.SinkCPU }), over(func(t E2ETurn) float64 { return t.ReceiverCPU }), over(func(t E2ETurn) float64 { return t.Late }).Median)
	return err
}

// fault tells of clicks that did not come to exactly one redirect and one webhook.
func (r *E2EReport) fault() error {
	for _, t := range r.Turns {
		if t.Answered != t.Clicks || t.Missing > 0 || t.Repeated > 0 {
			return fmt.Errorf("load: round %d: of %d clicks %d were answered wrongly, %d not; %d were not told of within %v, %d again",
				t.Round, t.Clicks, t.Wrong, t.Clicks-t.Answered-t.Wrong, t.Missing, deliverWithin, t.Repeated)
		}
	}
	if r.Repeated > 0 {
		return fmt.Errorf("load: %d webhooks came after all clicks had been told of", r.Repeated)
	}
	return nil
}
