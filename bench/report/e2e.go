package report

import (
	"fmt"

	"waypost/bench/load"
)

func e2eSection(s *section, r *load.E2EReport) {
	s.fact("cores", fmt.Sprintf("edge on core %d, sink on core %d, receiver on core %d, each with GOMAXPROCS=1; generator on core %d", r.Setup.ServerCore, r.SinkCore, r.ReceiverCore, r.Setup.GeneratorCore))
	over := func(of func(load.E2ETurn) float64) []float64 { return figures(r.Turns, of) }
	clicks := sum(over(func(t load.E2ETurn) float64 { return float64(t.Clicks) }))
	delivered := sum(over(func(t load.E2ETurn) float64 { return float64(t.Delivered) }))
	missing := sum(over(func(t load.E2ETurn) float64 { return float64(t.Missing) }))
	repeated := sum(over(func(t load.E2ETurn) float64 { return float64(t.Repeated) })) + float64(r.Repeated)
	p := part{Title: "from a click to its webhook"}
	latency := table{
		Caption: "Microseconds from when a click was due: medians over the rounds (min to max)", Words: 1,
		Head: append([]string{"to its"}, percentiles...),
	}
	for _, way := range []struct {
		name string
		of   func(load.E2ETurn) map[string]float64
	}{
		{"redirect", func(t load.E2ETurn) map[string]float64 { return t.Redirect }},
		{"webhook", func(t load.E2ETurn) map[string]float64 { return t.Latency }},
	} {
		cells := []string{way.name}
		for _, name := range percentiles {
			cells = append(cells, wholeSpread(over(func(t load.E2ETurn) float64 { return way.of(t)[name] })))
		}
		latency.add(cells...)
	}
	curves := []curve{{"webhook", 0, medianCurve(r.Turns, func(t load.E2ETurn) []float64 { return t.Curve })}}
	if f, ok := curveFigure(s.ID, "from a click to its webhook", curves); ok {
		p.Figures = append(p.Figures, f)
	}
	cost := table{Caption: "CPU in microseconds for each delivery", Words: 0, Head: []string{"edge", "sink", "receiver", "sent late p99"}}
	cpu := func(of func(load.E2ETurn) float64) string { return fixedSpread(over(of), 1) }
	cost.add(cpu(func(t load.E2ETurn) float64 { return t.EdgeCPU }), cpu(func(t load.E2ETurn) float64 { return t.SinkCPU }),
		cpu(func(t load.E2ETurn) float64 { return t.ReceiverCPU }), wholeSpread(over(func(t load.E2ETurn) float64 { return t.Late })))
	p.Tables = append(p.Tables, latency, cost)
	s.Parts = append(s.Parts, p)
	s.say("%s clicks, %s told of, %s not, %s again.", whole(clicks), whole(delivered), whole(missing), whole(repeated))
	s.say("From a click to its webhook: p99 %s us.", wholeSpread(over(func(t load.E2ETurn) float64 { return t.Latency["p99"] })))
}
