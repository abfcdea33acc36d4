package report

import (
	"math"
	"strconv"
	"strings"
)

// px is a place or a length in a drawing, printed with one place after the point at most.
type px float64

// String is what stands in an attribute.
func (p px) String() string { return strconv.FormatFloat(math.Round(float64(p)*10)/10, 'f', -1, 64) }

// The two widths that every figure is drawn at: one for screens, one for phones. Letters are the same size on both; a drawing that is merely scaled down cannot be read.
const (
	wideWidth   = 720
	narrowWidth = 340
)

// figure is what one picture shows, drawn twice.
type figure struct {
	ID       string
	Title    string
	Desc     string // what is to be seen, for who does not see it
	Legend   []key
	Drawings []drawing
}

// key explains a colour.
type key struct {
	Class string // of the colour
	Kind  string // line, box, dot
	Text  string
}

// drawing is a figure at one width, as SVG's elements.
type drawing struct {
	Class         string // wide or narrow
	Width, Height px
	Boxes         []box
	Lines         []line
	Paths         []path
	Dots          []dot
	Labels        []label
}

type box struct {
	Class      string
	X, Y, W, H px
}

type line struct {
	Class          string
	X1, Y1, X2, Y2 px
}

type path struct{ Class, D string }

type dot struct {
	Class, Title string
	X, Y         px
}

// label is text; Anchor is start, middle or end.
type label struct {
	Class, Anchor, Text string
	X, Y                px
}

// newFigure has draw make the picture at both widths.
func newFigure(id, title, desc string, legend []key, draw func(d *drawing)) figure {
	f := figure{ID: id, Title: title, Desc: desc, Legend: legend}
	for _, size := range []drawing{{Class: "wide", Width: wideWidth}, {Class: "narrow", Width: narrowWidth}} {
		draw(&size)
		f.Drawings = append(f.Drawings, size)
	}
	return f
}

func (d *drawing) text(class, anchor string, x, y px, text string) {
	d.Labels = append(d.Labels, label{class, anchor, text, x, y})
}

// frame is the field that an axis on the left and one below span.
type frame struct{ left, top, right, bottom px }

// at is a place in it: x and y go from 0 to 1, y upwards.
func (f frame) at(x, y float64) (px, px) {
	return f.left + px(unit(x))*(f.right-f.left), f.bottom - px(unit(y))*(f.bottom-f.top)
}

// unit keeps whatever a file held inside the frame.
func unit(v float64) float64 {
	if !(v > 0) { // NaN too
		return 0
	}
	return min(v, 1)
}

// tick is a place on an axis, from 0 to 1, and what stands there.
type tick struct {
	at   float64
	text string
}

// axis is a scale and its ticks.
type axis struct {
	place func(v float64) float64
	ticks []tick
}

// most is the largest number that a scale holds, least the smallest above 0 of a logarithmic one. Beyond them lies what no clock and no memory can give.
const (
	most  = 1e15
	least = 1e-3
)

// linear goes from 0 to the greatest of the values.
func linear(values []float64, ticks int, text func(float64) string) axis {
	top := 0.0
	for _, v := range values {
		if v > top {
			top = min(v, most)
		}
	}
	if top <= 0 {
		top = 1
	}
	step := niceStep(top / float64(ticks))
	end := step * math.Ceil(top/step)
	a := axis{place: func(v float64) float64 { return v / end }}
	for i := 0; float64(i)*step <= end*1.0001; i++ {
		a.ticks = append(a.ticks, tick{float64(i) * step / end, text(float64(i) * step)})
	}
	return a
}

// niceStep is 1, 2 or 5 times a power of ten, at least step.
func niceStep(step float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(step)))
	for _, n := range []float64{1, 2, 5} {
		if n*power >= step*0.9999 {
			return n * power
		}
	}
	return 10 * power
}

// logarithmic spans the values that are above 0, from one power of ten to another.
func logarithmic(values []float64, text func(float64) string) axis {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if v > 0 {
			v = max(least, min(v, most))
			low, high = min(low, v), max(high, v)
		}
	}
	if high < low {
		low, high = 1, 10
	}
	from, to := math.Floor(math.Log10(low)+1e-9), math.Ceil(math.Log10(high)-1e-9)
	if to <= from {
		to = from + 1
	}
	a := axis{place: func(v float64) float64 {
		if v <= 0 {
			return 0
		}
		return (math.Log10(v) - from) / (to - from)
	}}
	for e := from; e <= to; e++ {
		a.ticks = append(a.ticks, tick{(e - from) / (to - from), text(math.Pow(10, e))})
		if to-from <= 2 && e < to { // few powers: between them too
			for _, n := range []float64{2, 5} {
				v := n * math.Pow(10, e)
				a.ticks = append(a.ticks, tick{a.place(v), text(v)})
			}
		}
	}
	return a
}

// axes draws the ticks of both, with lines across the field.
func (d *drawing) axes(f frame, x, y axis) {
	for _, t := range y.ticks {
		_, at := f.at(0, t.at)
		d.Lines = append(d.Lines, line{"grid", f.left, at, f.right, at})
		d.text("tick", "end", f.left-6, at+4, t.text)
	}
	for _, t := range x.ticks {
		at, _ := f.at(t.at, 0)
		d.Lines = append(d.Lines, line{"grid", at, f.top, at, f.bottom})
		d.text("tick", "middle", at, f.bottom+16, t.text)
	}
}

// point is a place in a field, from 0 to 1.
type point struct{ x, y float64 }

// line draws a line through the points.
func (d *drawing) line(class string, f frame, points []point) {
	var b strings.Builder
	for i, p := range points {
		x, y := f.at(p.x, p.y)
		if i == 0 {
			b.WriteString("M")
		} else {
			b.WriteString("L")
		}
		b.WriteString(x.String() + " " + y.String())
	}
	if len(points) > 1 {
		d.Paths = append(d.Paths, path{"line " + class, b.String()})
	}
}

// colour is the class of the n-th series.
func colour(n int) string { return "s" + strconv.Itoa(max(n, 0)%colours) }

// colours are those of page.html.
const colours = 8
