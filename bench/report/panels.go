package report

import (
	"fmt"
	"slices"
	"strings"

	"waypost/bench/load"
	"waypost/bench/soak"
)

// sample is one figure at one moment.
type sample struct{ second, value float64 }

// panel is a figure over time, on a scale of its own from 0.
type panel struct {
	name   string
	colour int
	size   float64    // of the values' unit
	unit   string     // behind them
	lives  [][]sample // a line each
	marks  []float64  // seconds at which something happened
}

func bytePanel(name string, colour int) panel {
	return panel{name: name, colour: colour, size: 1e6, unit: " MB"}
}

// mostSamples bounds the points of a panel: of longer runs each is the greatest of several.
const mostSamples = 240

// thin keeps the greatest of every so many samples: a peak must not get lost.
func thin(all []sample, every int) (few []sample) {
	for chunk := range slices.Chunk(all, max(every, 1)) {
		few = append(few, slices.MaxFunc(chunk, func(a, b sample) int {
			switch {
			case a.value < b.value:
				return -1
			case a.value > b.value:
				return 1
			}
			return 0
		}))
	}
	return few
}

const panelHeight = 96

// drawPanels puts them below one another, with one axis of time.
func drawPanels(d *drawing, panels []panel) {
	d.Height = 16 + px(len(panels))*(panelHeight+34) + 24
	var seconds []float64
	for _, p := range panels {
		for _, life := range p.lives {
			for _, s := range life {
				seconds = append(seconds, s.second)
			}
		}
	}
	unit, name := timeUnit(seconds)
	x := linear(scaled(seconds, 1/unit), int(d.Width)/70, func(v float64) string { return strings.TrimSuffix(fixed(v, 1), ".0") })
	for i, p := range panels {
		top := 24 + px(i)*(panelHeight+34)
		f := frame{58, top, d.Width - 16, top + panelHeight}
		var values []float64
		points := 0
		for _, life := range p.lives {
			points += len(life)
			for _, s := range life {
				values = append(values, s.value/p.size)
			}
		}
		y := linear(values, 3, func(v float64) string { return strings.TrimSuffix(fixed(v, 1), ".0") + p.unit })
		xs := x
		if i+1 < len(panels) {
			xs.ticks = nil
			for _, t := range x.ticks {
				xs.ticks = append(xs.ticks, tick{t.at, ""})
			}
		}
		d.axes(f, xs, y)
		d.text("group", "start", f.left, top-8, p.name)
		for _, mark := range p.marks {
			at, _ := f.at(x.place(mark/unit), 0)
			d.Lines = append(d.Lines, line{"mark", at, f.top, at, f.bottom})
		}
		for _, life := range p.lives {
			var line []point
			for _, s := range thin(life, 1+points/mostSamples) {
				line = append(line, point{x.place(s.second / unit), y.place(s.value / p.size)})
			}
			d.line(colour(p.colour), f, line)
		}
	}
	d.text("name", "middle", d.Width/2, d.Height-4, name)
}

// timeUnit suits the longest of the times.
func timeUnit(seconds []float64) (unit float64, name string) {
	longest := 0.0
	for _, s := range seconds {
		longest = max(longest, s)
	}
	switch {
	case longest > 3*86400:
		return 86400, "days"
	case longest > 3*3600:
		return 3600, "hours"
	case longest > 180:
		return 60, "minutes"
	}
	return 1, "seconds"
}

func scaled(values []float64, by float64) (all []float64) {
	for _, v := range values {
		all = append(all, v*by)
	}
	return all
}

// soakPrograms have a panel each, in this order; others follow.
var soakPrograms = []string{"edge", "mint", "sink"}

func memoryFigure(id string, r *soak.Report) (figure, bool) {
	type life struct {
		program string
		number  int
	}
	programs := slices.Clone(soakPrograms)
	lives := map[life][]sample{}
	numbers := map[string][]int{}
	for _, s := range r.Samples {
		if !slices.Contains(programs, s.Program) {
			programs = append(programs, s.Program)
		}
		at := life{s.Program, s.Life}
		if lives[at] == nil {
			numbers[s.Program] = append(numbers[s.Program], s.Life)
		}
		lives[at] = append(lives[at], sample{s.Second, float64(s.Anonymous)})
	}
	var panels []panel
	var said []string
	for i, program := range programs {
		p := bytePanel(program, 1+i)
		for _, number := range numbers[program] {
			p.lives = append(p.lives, lives[life{program, number}])
		}
		for _, restart := range r.Restarts {
			if restart.Program == program {
				p.marks = append(p.marks, restart.Second)
			}
		}
		if len(p.lives) > 0 {
			panels, said = append(panels, p), append(said, fmt.Sprintf("%s, %d lives", program, len(p.lives)))
		}
	}
	if len(panels) == 0 {
		return figure{}, false
	}
	desc := "Lines of the anonymous memory over time: " + strings.Join(said, "; ") + ". Each program has a scale of its own, from 0. A dashed line is a restart. The table below has the medians of each life."
	return newFigure(id+"-memory", "Anonymous memory over time", desc, []key{{"mark", "line", "a restart"}}, func(d *drawing) { drawPanels(d, panels) }), true
}

func diskFigure(id string, r *soak.Report) (figure, bool) {
	journal, store := bytePanel("journal", 1), bytePanel("store", 3)
	journal.lives = [][]sample{samplesOf(r.Disk, func(s soak.DiskSample) sample { return sample{s.Second, float64(s.Journal)} })}
	store.lives = [][]sample{samplesOf(r.Disk, func(s soak.DiskSample) sample { return sample{s.Second, float64(s.Store)} })}
	if len(r.Disk) < 2 {
		return figure{}, false
	}
	desc := "Lines of the bytes that the journal and the sink's store take on the disk over time, each on a scale of its own, from 0. The rows of the files in the table below have the medians."
	return newFigure(id+"-disk", "Files over time", desc, nil, func(d *drawing) { drawPanels(d, []panel{journal, store}) }), true
}

func samplesOf[T any](of []T, figure func(T) sample) (all []sample) {
	for _, s := range of {
		all = append(all, figure(s))
	}
	return all
}

// keysFigure draws the sink's rate and what it holds, as its store grows.
func keysFigure(id string, r *load.KeysReport) (figure, bool) {
	if len(r.Samples) < 2 {
		return figure{}, false
	}
	rate := panel{name: "decisions a second", colour: 4, size: 1e3, unit: " k"}
	keys := panel{name: "unique clicks in the store", colour: 1, size: 1e6, unit: " M"}
	store, memory := bytePanel("store", 3), bytePanel("anonymous memory", 2)
	rate.lives = [][]sample{samplesOf(r.Samples, func(s load.KeysSample) sample { return sample{s.Seconds, s.PerSecond} })}
	keys.lives = [][]sample{samplesOf(r.Samples, func(s load.KeysSample) sample { return sample{s.Seconds, float64(s.Keys)} })}
	store.lives = [][]sample{samplesOf(r.Samples, func(s load.KeysSample) sample { return sample{s.Seconds, float64(s.Store)} })}
	memory.lives = [][]sample{samplesOf(r.Samples, func(s load.KeysSample) sample { return sample{s.Seconds, float64(s.Anonymous)} })}
	desc := "Lines over time of the decisions a second, the unique clicks in the store, the bytes of the store and the anonymous memory, each on a scale of its own, from 0. The table below has the rates."
	return newFigure(id+"-keys", "As the store grows", desc, nil, func(d *drawing) { drawPanels(d, []panel{rate, keys, store, memory}) }), true
}
