package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"waypost/bench/load"
	"waypost/bench/result"
)

func mintSection(s *section, r *load.MintReport) {
	s.fact("requests", fmt.Sprintf("of %d links, signed, %d bytes", r.Links, r.Bytes))
	var modes []mode
	for _, m := range []mode{{title: "maximum, closed loop"}, {title: "open loop, each at its own rate"}} {
		for _, row := range r.Summary {
			if (row.Offered == 0) == (len(modes) == 0) {
				m.rows = append(m.rows, row)
			}
		}
		modes = append(modes, m)
	}
	modes[1].offered = 1 // no closed loop
	addRace(s, &r.Report, slices.DeleteFunc(modes, func(m mode) bool { return len(m.rows) == 0 }))
	if len(r.Overload) == 0 {
		return
	}
	p := part{Title: fmt.Sprintf("overload: 200 within %s ms, or 503", whole(r.Within/1e3))}
	t := table{
		Caption: "What became of more requests than can be answered; times in milliseconds", Words: 1,
		Head: []string{"contestant", "offered/s", "200/s", "503/s", "other", "no answer", "200 p50", "p99", "max", "503 p50", "p99", "max", "sent late p99"},
	}
	for _, o := range r.Overload {
		each := func(n float64) string {
			if o.Seconds <= 0 {
				return none
			}
			return whole(n / o.Seconds)
		}
		ms := func(us map[string]float64, name string) string { return fixed(us[name]/1e3, 1) }
		t.add(o.Contestant, whole(o.Offered), each(float64(o.Answered)-float64(o.Turn.Shed)-float64(o.Wrong)), each(float64(o.Turn.Shed)), whole(float64(o.Wrong)), whole(float64(o.Broken)),
			ms(o.Latency, "p50"), ms(o.Latency, "p99"), ms(o.Latency, "max"), ms(o.ShedLatency, "p50"), ms(o.ShedLatency, "p99"), ms(o.ShedLatency, "max"), fixed(o.Late/1e3, 1))
		var reasons []string
		for _, reason := range slices.Sorted(maps.Keys(o.Shed)) {
			reasons = append(reasons, fmt.Sprintf("%s %s", reason, whole(o.Shed[reason])))
		}
		p.Notes = append(p.Notes, fmt.Sprintf("%s: refused by reason: %s; links left out of 200s: %s", o.Contestant, strings.Join(reasons, ", "), whole(o.Left)))
		if o.Void != "" {
			p.Notes = append(p.Notes, fmt.Sprintf("void: %s: %s", o.Contestant, o.Void))
		}
		s.say("%s at %s requests a second, more than it can answer: the slowest 200 came after %s.", o.Contestant, whole(o.Offered), duration(o.Latency["max"]))
	}
	p.Tables = append(p.Tables, t)
	s.Parts = append(s.Parts, p)
}

func sinkSection(s *section, r *load.SinkReport) {
	s.fact("cores", r.Where())
	t := table{
		Caption: "Medians over the rounds (min to max); CPU in microseconds an event", Words: 1,
		Head: []string{"webhooks", "rounds", "events", "firsts", "decisions/s", "user", "system", "whole core", "anonymous MB", "webhooks/s", "CPU of a webhook"},
	}
	for _, webhooks := range []bool{false, true} {
		turns := slices.DeleteFunc(slices.Clone(r.Turns), func(t load.SinkTurn) bool { return t.Webhooks != webhooks })
		if len(turns) == 0 {
			continue
		}
		median := func(of func(load.SinkTurn) float64) float64 { return result.SpreadOf(figures(turns, of)).Median }
		rate := wholeSpread(figures(turns, func(t load.SinkTurn) float64 { return t.PerSecond }))
		cells := []string{
			map[bool]string{false: "none", true: "each first"}[webhooks], whole(float64(len(turns))), whole(float64(turns[0].Events)), whole(float64(turns[0].Firsts)), rate,
			fixed(median(func(t load.SinkTurn) float64 { return t.User }), 2), fixed(median(func(t load.SinkTurn) float64 { return t.System }), 2),
			fixed(median(func(t load.SinkTurn) float64 { return t.Core }), 2), megabytes(median(func(t load.SinkTurn) float64 { return float64(t.Anonymous) })),
		}
		if !webhooks {
			t.add(append(cells, none, none)...)
			s.say("%s decisions a second, from a full journal.", rate)
			continue
		}
		delivered := wholeSpread(figures(turns, func(t load.SinkTurn) float64 { return t.DeliveredPerSecond }))
		t.add(append(cells, delivered, fixed(median(func(t load.SinkTurn) float64 { return t.DeliveredCPU }), 1))...)
		s.say("%s webhooks a second, where each first click is told of.", delivered)
	}
	s.Parts = append(s.Parts, part{Title: "decisions", Tables: []table{t}})
}

func keysSection(s *section, r *load.KeysReport) {
	s.fact("cores", r.Where())
	t := table{
		Caption: "Decisions a second while the store is so large: median of the window's seconds (min to max)", Words: 0,
		Head: []string{"keys", "seconds starved", "decisions/s", "times the first", "CPU of an event, µs"},
	}
	for _, w := range r.Windows {
		rate := spreadText(w.PerSecond, whole)
		t.add(whole(float64(w.Keys)), whole(float64(w.Starved)), rate, fixed(w.Ratio, 2), fixed(w.CPU, 2))
		s.say("%s decisions a second from %s keys on, %s times the first window's.", rate, whole(float64(w.Keys)), fixed(w.Ratio, 2))
	}
	p := part{Title: "as the store grows", Tables: []table{t}}
	if len(r.Samples) > 0 {
		end := r.Samples[len(r.Samples)-1]
		p.Notes = append(p.Notes, fmt.Sprintf("at the end %s keys in %s MB, %s bytes each; anonymous memory %s MB", whole(float64(end.Keys)), megabytes(float64(end.Store)),
			fixed(float64(end.Store)/float64(max(end.Keys, 1)), 1), megabytes(float64(end.Anonymous))))
	}
	if f, ok := keysFigure(s.ID, r); ok {
		p.Figures = append(p.Figures, f)
	}
	s.Parts = append(s.Parts, p)
}

func kafkaSection(s *section, r *load.KafkaReport) {
	s.fact("broker", fmt.Sprintf("one, with shipper and sink on the same %d cores; batches with %s", r.Machine.Cores, r.Compression))
	t := table{
		Caption: "By round; CPU in microseconds an event, of ours and of the broker", Words: 0,
		Head: []string{"round", "events", "firsts", "bytes/event", "shipped/s", "CPU", "broker", "decided/s", "CPU", "broker"},
	}
	for _, k := range r.Turns {
		t.add(whole(float64(k.Round)), whole(float64(k.Events)), whole(float64(k.Firsts)), whole(k.BytesPerEvent), whole(k.Shipped), fixed(k.ShipCPU, 2), fixed(k.ShipBrokerCPU, 2),
			whole(k.Decided), fixed(k.DecideCPU, 2), fixed(k.DecideBrokerCPU, 2))
	}
	if len(r.Turns) > 0 {
		s.say("%s events a second from the journal to the broker's acknowledgement.", wholeSpread(figures(r.Turns, func(t load.KafkaTurn) float64 { return t.Shipped })))
		s.say("%s decisions a second from Kafka into Kafka.", wholeSpread(figures(r.Turns, func(t load.KafkaTurn) float64 { return t.Decided })))
	}
	s.Parts = append(s.Parts, part{Title: "to Kafka and from it", Tables: []table{t}})
}

// phases of an outage, in their order.
var phases = []string{"before", "outage", "backlog"}

func outageSection(s *section, r *load.OutageReport) {
	s.fact("load", fmt.Sprintf("open loop at %s requests a second; %s", whole(r.Rate), r.Outage()))
	p := part{Title: "by phase"}
	byPhase := table{
		Caption: "Latency in microseconds by phase: median over its turns that count (min to max)", Words: 1,
		Head: []string{"phase", "turns", "p50", "p99", "p99 to before", "p99.9", "sent late p99", "CPU", "lost"},
	}
	before := p99Before(r)
	counted, lost := map[string][]load.Turn{}, 0.0
	for _, t := range r.Turns {
		lost += t.Lost
		if t.Void != "" {
			p.Notes = append(p.Notes, fmt.Sprintf("void: %s, round %d: %s", t.Contestant, t.Round, t.Void))
			continue
		}
		counted[t.Contestant] = append(counted[t.Contestant], t)
	}
	var curves []curve
	for i, phase := range phases {
		turns := counted[phase]
		if len(turns) == 0 {
			continue
		}
		over := func(of func(load.Turn) float64) []float64 { return figures(turns, of) }
		at := func(p string) string { return wholeSpread(over(func(t load.Turn) float64 { return t.Latency[p] })) }
		var ratios []float64
		for _, t := range turns {
			if b := before[t.Round]; b > 0 {
				ratios = append(ratios, t.Latency["p99"]/b)
			}
		}
		byPhase.add(phase, whole(float64(len(turns))), at("p50"), at("p99"), fixedSpread(ratios, 2), at("p99.9"), wholeSpread(over(func(t load.Turn) float64 { return t.Late })),
			fixedSpread(over(func(t load.Turn) float64 { return t.CPU }), 2), whole(sum(over(func(t load.Turn) float64 { return t.Lost }))))
		curves = append(curves, curve{phase, 2 * i, medianCurve(turns, turnCurve)})
		if phase != "before" {
			s.say("%s: p99 of a turn %s times that before.", phase, fixedSpread(ratios, 2))
		}
	}
	if len(r.Phases) > 0 {
		p.Tables = append(p.Tables, outagePhases(s, r, before))
	}
	s.say("%s events lost.", whole(lost))
	if f, ok := curveFigure(s.ID, "by phase", curves); ok {
		p.Figures = append(p.Figures, f)
	}
	for i, seconds := range r.Shipped {
		p.Notes = append(p.Notes, fmt.Sprintf("round %d: all was shipped %s s after the broker's return was begun", i+1, fixed(seconds, 1)))
	}
	p.Tables = append(p.Tables, byPhase, outageTurns(r))
	s.Parts = append(s.Parts, p)
}

// p99Before gives, by round, the p99 against which the others are held: of all turns before the outage together, or of the only one that older reports have.
func p99Before(r *load.OutageReport) map[int]float64 {
	before := map[int]float64{}
	for _, t := range r.Turns {
		if t.Contestant == "before" && t.Void == "" {
			before[t.Round] = t.Latency["p99"]
		}
	}
	for _, p := range r.Phases {
		if p.Phase == "before" {
			before[p.Round] = p.Latency["p99"]
		}
	}
	return before
}

func outagePhases(s *section, r *load.OutageReport, before map[int]float64) table {
	t := table{
		Caption: "All requests of a phase together; latencies in microseconds", Words: 2,
		Head: append(append([]string{"round", "phase", "turns"}, percentiles...), "p99 to before"),
	}
	ratios := map[string][]float64{}
	for _, p := range r.Phases {
		ratio := none
		if b := before[p.Round]; b > 0 {
			ratio = fixed(p.Latency["p99"]/b, 2)
			ratios[p.Phase] = append(ratios[p.Phase], p.Latency["p99"]/b)
		}
		t.add(append(append([]string{whole(float64(p.Round)), p.Phase, whole(float64(p.Turns))}, latencies(p.Latency)...), ratio)...)
	}
	for _, phase := range phases[1:] {
		if len(ratios[phase]) == 0 {
			continue
		}
		s.say("%s: p99 of all its requests %s times that of all before.", phase, fixedSpread(ratios[phase], 2))
	}
	return t
}

func outageTurns(r *load.OutageReport) table {
	t := table{
		Caption: "By turn; latencies in microseconds", Words: 2,
		Head: append(append([]string{"round", "phase", "requests/s"}, percentiles...), "sent late p99", "broker on the generator's core", "CPU", "lost"),
	}
	for _, turn := range r.Turns {
		cells := append([]string{whole(float64(turn.Round)), turn.Contestant, whole(turn.PerSecond)}, latencies(turn.Latency)...)
		t.add(append(cells, whole(turn.Late), percent(turn.Yielded), fixed(turn.CPU, 2), whole(turn.Lost))...)
	}
	return t
}

func sum(values []float64) (all float64) {
	for _, v := range values {
		all += v
	}
	return all
}
