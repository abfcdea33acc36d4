package report

import (
	"fmt"
	"strings"

	"waypost/bench/load"
	"waypost/bench/result"
)

// bar is a row of a figure: its words above, its parts one behind the other below.
type bar struct {
	group     string // a heading above the first of the group
	name      string
	text      string // at the right end
	parts     []barPart
	low, high float64 // of the whole over the rounds; nothing is drawn where they are equal
}

type barPart struct {
	class string
	value float64
}

const (
	barHeight  = 14
	barAdvance = 44
	barGroup   = 28
)

// draw puts the bars below one another.
func drawBars(d *drawing, bars []bar, unit string) {
	var all []float64
	for _, b := range bars {
		whole := 0.0
		for _, p := range b.parts {
			whole += p.value
		}
		all = append(all, whole, b.high)
	}
	d.Height = 20
	last := ""
	for _, b := range bars {
		if b.group != last {
			d.Height, last = d.Height+barGroup, b.group
		}
		d.Height += barAdvance
	}
	d.Height += 30
	f := frame{2, 4, d.Width - 14, d.Height - 40}
	x := linear(all, int(d.Width)/90, func(v float64) string { return strings.TrimSuffix(fixed(v, 1), ".0") })
	d.axes(f, x, axis{})
	d.text("name", "middle", (f.left+f.right)/2, d.Height-6, unit)
	y, last := px(8), ""
	for _, b := range bars {
		if b.group != last {
			last = b.group
			d.text("group", "start", f.left, y+18, b.group)
			y += barGroup
		}
		d.text("bar-name", "start", f.left, y+13, b.name)
		d.text("bar-value", "end", f.right, y+13, b.text)
		at := 0.0
		for _, p := range b.parts {
			from, _ := f.at(x.place(at), 0)
			to, _ := f.at(x.place(at+p.value), 0)
			d.Boxes = append(d.Boxes, box{p.class, from, y + 19, to - from, barHeight})
			at += p.value
		}
		if b.high > b.low {
			from, _ := f.at(x.place(b.low), 0)
			to, _ := f.at(x.place(b.high), 0)
			middle := y + 19 + barHeight/2
			d.Lines = append(d.Lines, line{"range", from, middle, to, middle}, line{"range", from, middle - 4, from, middle + 4}, line{"range", to, middle - 4, to, middle + 4})
		}
		y += barAdvance
	}
}

// costFigure draws CPU of a request, user and system.
func costFigure(id string, r *load.Report, m mode, rows []load.Summary) (figure, bool) {
	var bars []bar
	var said []string
	for _, s := range rows {
		if s.CPU <= 0 {
			continue
		}
		over := result.SpreadOf(figures(turnsOf(r.Turns, s), func(t load.Turn) float64 { return t.CPU }))
		text := fixed(s.CPU, 2) + " µs"
		if len(r.Setup.Baselines) > 0 {
			if ratio, ok := s.Ratios[r.Setup.Baselines[0]]["cpu"]; ok {
				text += fmt.Sprintf(" = %s × %s", fixed(ratio.Median, 2), r.Setup.Baselines[0])
			}
		}
		said = append(said, s.Contestant+" "+text)
		bars = append(bars, bar{name: s.Contestant, text: text, parts: []barPart{{"user", s.User}, {"system", s.System}}, low: over.Min, high: over.Max})
	}
	if len(bars) == 0 {
		return figure{}, false
	}
	keys := []key{{"user", "box", "user"}, {"system", "box", "system"}, {"range", "line", "total, least to greatest round"}}
	desc := "Bars of the microseconds of CPU for each request, in user and in system mode, medians over the rounds: " + strings.Join(said, "; ") + "."
	return newFigure(id+"-cpu", "CPU of a request, "+m.title, desc, keys, func(d *drawing) { drawBars(d, bars, "microseconds of CPU") }), true
}

// lengthFigure draws mean lengths of links.
func lengthFigure(id string, r *lengthReport) (figure, bool) {
	if len(r.Rows) == 0 {
		return figure{}, false
	}
	bars := []bar{{name: "the URL itself", text: fixed(r.Plain.Mean, 1), parts: []barPart{{"plain", r.Plain.Mean}}}}
	for _, row := range r.Rows {
		class := "system"
		if row.Scheme == "waypost" {
			class = "user"
		}
		bars = append(bars, bar{group: row.Contents, name: row.Scheme, text: fixed(row.Link.Mean, 1), parts: []barPart{{class, row.Link.Mean}}})
	}
	keys := []key{{"user", "box", "Waypost"}, {"system", "box", "other tokens with the same contents"}, {"plain", "box", "the URL without a tracker"}}
	desc := "Bars of the mean length of a link in characters, by what it carries and by scheme. The table below has the figures."
	return newFigure(id+"-length", "Length of a link", desc, keys, func(d *drawing) { drawBars(d, bars, "characters, mean") }), true
}
