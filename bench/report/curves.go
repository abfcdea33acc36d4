package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"waypost/bench/load"
	"waypost/bench/result"
)

// curve is one contestant's latency at load.CurveQuantile(0), (1) ...
type curve struct {
	name   string
	colour int
	us     []float64
}

// mostPlaces of a curve: more nines than anybody can count.
const mostPlaces = 100

// medianCurve is at each place the median of the turns whose curve reaches so far, as long as most of them do.
func medianCurve[T any](turns []T, curve func(T) []float64) (us []float64) {
	for k := range mostPlaces {
		var at []float64
		for _, t := range turns {
			if c := curve(t); k < len(c) {
				at = append(at, c[k])
			}
		}
		if 2*len(at) <= len(turns) {
			break
		}
		us = append(us, result.SpreadOf(at).Median)
	}
	return us
}

func turnCurve(t load.Turn) []float64 { return t.Curve }

// place is that of a contestant among all who took part, so that it keeps its colour.
func place(r *load.Report, contestant string) int {
	return slices.IndexFunc(r.Contestants, func(e load.Entry) bool { return e.Name == contestant })
}

// turnsOf are those that a summary is of.
func turnsOf(turns []load.Turn, s load.Summary) (of []load.Turn) {
	for _, t := range turns {
		if t.Contestant == s.Contestant && t.Offered == s.Offered && t.Void == "" {
			of = append(of, t)
		}
	}
	return of
}

func curvesOf(r *load.Report, rows []load.Summary) (all []curve) {
	for _, s := range rows {
		all = append(all, curve{s.Contestant, place(r, s.Contestant), medianCurve(turnsOf(r.Turns, s), turnCurve)})
	}
	return all
}

// curveFigure draws latencies on an axis on which each nine is as wide as the one before.
func curveFigure(id, what string, curves []curve) (figure, bool) {
	curves = slices.DeleteFunc(slices.Clone(curves), func(c curve) bool { return len(c.us) < 2 })
	if len(curves) == 0 {
		return figure{}, false
	}
	var all []float64
	var keys []key
	var names []string
	places := 0
	for _, c := range curves {
		all, places = append(all, c.us...), max(places, len(c.us))
		keys, names = append(keys, key{colour(c.colour), "line", c.name}), append(names, c.name)
	}
	x, y := percentileAxis(places), logarithmic(all, duration)
	desc := fmt.Sprintf("Lines of the latency within which a share of the answers came, for %s; medians over the rounds. The shares go from 0 through 90 and 99 to %s per cent, the latencies on a logarithmic scale. The table of latencies has the figures.",
		strings.Join(names, ", "), x.ticks[len(x.ticks)-1].text)
	return newFigure(id+"-latency", "Latency percentiles, "+what, desc, keys, func(d *drawing) {
		d.Height = 330
		f := frame{58, 12, d.Width - 16, d.Height - 44}
		d.axes(f, x, y)
		d.text("name", "middle", (f.left+f.right)/2, d.Height-8, "answered within, % of the requests")
		for _, c := range curves {
			var points []point
			for k, us := range c.us {
				points = append(points, point{x.place(float64(k)), y.place(us)})
			}
			d.line(colour(c.colour), f, points)
		}
	}), true
}

// percentileAxis takes places of a curve.
func percentileAxis(places int) axis {
	end := float64(max(places-1, 1))
	a := axis{place: func(k float64) float64 { return k / end }, ticks: []tick{{0, "0"}}}
	for nines := 1; ; nines++ {
		// The place at which so many nines are reached, as load.CurveQuantile counts.
		k := 0
		for load.CurveQuantile(k) < 1-1.0001*math.Pow(10, -float64(nines)) {
			k++
		}
		if float64(k) > end {
			return a
		}
		text := "90"
		switch {
		case nines > 2:
			text = "99." + strings.Repeat("9", nines-2)
		case nines == 2:
			text = "99"
		}
		a.ticks = append(a.ticks, tick{float64(k) / end, text})
		if nines == 8 {
			return a
		}
	}
}

// rateFigure draws the latency at each rate that was answered; ok is false where there is one rate only.
func rateFigure(id string, r *load.Report) (figure, bool) {
	rows := slices.DeleteFunc(slices.Clone(r.Summary), func(s load.Summary) bool { return s.Rounds == 0 || place(r, s.Contestant) < 0 })
	var offered, answered, us []float64
	for _, s := range rows {
		if !slices.Contains(offered, s.Offered) {
			offered = append(offered, s.Offered)
		}
		answered, us = append(answered, s.PerSecond), append(us, s.Latency["p99"])
	}
	if len(offered) < 2 {
		return figure{}, false
	}
	var keys []key
	for i, c := range r.Contestants {
		if slices.ContainsFunc(rows, func(s load.Summary) bool { return s.Contestant == c.Name }) {
			keys = append(keys, key{colour(i), "line", c.Name})
		}
	}
	keys = append(keys, key{"open", "dot", "an offered rate"}, key{"closed", "dot", "the maximum, closed loop"})
	y := logarithmic(us, duration)
	desc := "For each contestant the 99th percentile of the latency by requests a second: a dot for each rate that was offered, joined by lines, and a ring for its maximum in the closed loop. The table below has the figures."
	return newFigure(id+"-rates", "Throughput against latency (p99)", desc, keys, func(d *drawing) {
		d.Height = 330
		f := frame{58, 12, d.Width - 24, d.Height - 44}
		x := linear(answered, int(d.Width)/110, thousands)
		d.axes(f, x, y)
		d.text("name", "middle", (f.left+f.right)/2, d.Height-8, "requests answered a second, thousands")
		for i, c := range r.Contestants {
			d.rates(f, x, y, colour(i), c.Name, rows)
		}
	}), true
}

func thousands(v float64) string { return strings.TrimSuffix(fixed(v/1e3, 1), ".0") }

// rates draws one contestant's.
func (d *drawing) rates(f frame, x, y axis, class, name string, rows []load.Summary) {
	rows = slices.DeleteFunc(slices.Clone(rows), func(s load.Summary) bool { return s.Contestant != name })
	slices.SortStableFunc(rows, func(a, b load.Summary) int {
		switch {
		case a.Offered < b.Offered:
			return -1
		case a.Offered > b.Offered:
			return 1
		}
		return 0
	})
	var points []point
	for _, s := range rows {
		at := point{x.place(s.PerSecond), y.place(s.Latency["p99"])}
		kind, how := "open", fmt.Sprintf("at %s requests a second", whole(s.Offered))
		if s.Offered == 0 {
			kind, how = "closed", fmt.Sprintf("at most %s requests a second", whole(s.PerSecond))
		} else {
			points = append(points, at)
		}
		px, py := f.at(at.x, at.y)
		d.Dots = append(d.Dots, dot{kind + " " + class, fmt.Sprintf("%s, %s: p99 %s", name, how, duration(s.Latency["p99"])), px, py})
	}
	d.line(class, f, points)
}
