package soak

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// series makes one sample a second.
func series(n int, value func(i int) float64) (points []point) {
	for i := range n {
		points = append(points, point{float64(i), value(i)})
	}
	return points
}

func TestJudge(t *testing.T) {
	roll := rand.New(rand.NewPCG(1, 1))
	noise := func(i int) float64 { return 100 + 30*roll.Float64() }
	for _, c := range []struct {
		name   string
		n      int
		value  func(i int) float64
		judged bool
		grew   bool
	}{
		{"flat", 100, func(int) float64 { return 100 }, true, false},
		{"noise", 400, noise, true, false},
		{"a leak", 100, func(i int) float64 { return float64(i) }, true, true},
		{"a leak in noise", 400, func(i int) float64 { return noise(i) + float64(i)/5 }, true, true},
		{"a slow leak within what is allowed", 100, func(i int) float64 { return float64(i) / 10 }, true, false},
		{"saw-tooth", 400, func(i int) float64 { return float64(100 + i%40) }, true, false},
		{"warm-up", 100, func(i int) float64 { return math.Min(float64(4*i), 90) }, true, false},
		{"a spike at the end", 100, func(i int) float64 { return 10 + 1000*float64(i/98) }, true, false},
		{"a spike in every quarter", 100, func(i int) float64 { return 10 + 1000*float64(i%20/18) }, true, false},
		{"a step in the last quarter", 100, func(i int) float64 { return 100 + 50*float64(i/80) }, true, false},
		{"one step", 100, func(i int) float64 { return 100 + 50*float64(i/55) }, true, false},
		{"steps", 100, func(i int) float64 { return 100 + 50*float64(i/15) }, true, true},
		{"shrinking", 100, func(i int) float64 { return float64(1000 - i) }, true, false},
		{"too short", 15, func(i int) float64 { return float64(100 * i) }, false, false},
		{"nothing", 0, nil, false, false},
	} {
		g := judge(series(c.n, c.value), flat(20))
		if g.Judged != c.judged || g.Grew != c.grew {
			t.Errorf("%s: %+v; want judged %v, grew %v", c.name, g, c.judged, c.grew)
		}
	}
}

func TestTheilSen(t *testing.T) {
	wild := series(50, func(i int) float64 {
		if i%5 == 0 {
			return 1e9
		}
		return 3 * float64(i)
	})
	if s := theilSen(wild); math.Abs(s-3) > 0.01 {
		t.Errorf("with every fifth sample wrong: %v, want 3", s)
	}
	if s := theilSen(series(100_000, func(i int) float64 { return 2 * float64(i) })); s != 2 {
		t.Errorf("of a long series: %v, want 2", s)
	}
	for _, points := range [][]point{nil, {{1, 1}}, {{1, 1}, {1, 2}}} {
		if s := theilSen(points); s != 0 {
			t.Errorf("of %v: %v, want 0", points, s)
		}
	}
}

func TestTheStoreMayGrowWithItsKeys(t *testing.T) {
	run := func(bytesPerKey float64) Growth {
		var disk []DiskSample
		for i := range 1000 {
			keys := 5000 * i
			disk = append(disk, DiskSample{Second: float64(i), Keys: keys, Store: int64(bytesPerKey * float64(keys)), Journal: keepBytes, Logs: 1000})
		}
		all := diskGrowths(disk)
		if all[0].Grew || all[2].Grew {
			t.Errorf("journal %+v, logs %+v: both are flat", all[0], all[2])
		}
		return all[1]
	}
	if g := run(60); g.Grew || !g.Judged {
		t.Errorf("60 bytes a key: %+v", g)
	}
	if g := run(500); !g.Grew {
		t.Errorf("500 bytes a key: %+v", g)
	}
}

func TestGrowthsAreJudgedByLife(t *testing.T) {
	var samples []Sample
	for life := 1; life <= 2; life++ {
		for i := range 100 {
			at := Sample{Second: float64(100*life + i), Life: life, Anonymous: 50 << 20, Descriptors: 20, Goroutines: 40, Threads: 8}
			at.Program = "sink"
			samples = append(samples, at)
			at.Program = "edge"
			at.Descriptors += i * (life - 1)
			samples = append(samples, at)
		}
	}
	all := growths(samples, nil)
	if all[0].Where != "edge, life 1" {
		t.Errorf("the first row is %s", all[0].Where)
	}
	grew := ""
	for _, g := range all {
		if g.Grew {
			grew += g.Where + ": " + g.What + "; "
		}
	}
	if grew != "edge, life 2: descriptors; " {
		t.Errorf("grew: %s", grew)
	}
	r := Report{Growths: all, Faults: []string{"a fault"}, Verdict: verdict(all, 1)}
	var text strings.Builder
	r.write(&text)
	for _, want := range []string{
		"edge, life 2  99 s", "descriptors 57 to 107", "fault: a fault\n", "grew: edge, life 2, descriptors: from 57 to 107 in 50 s, 10 allowed; 3600 an hour\nFAIL: 1 figures grew, 1 faults\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	if v := verdict(nil, 0); !strings.Contains(v, "no verdict") {
		t.Errorf("nothing was judged: %s", v)
	}
	if v := verdict(all[:4], 0); v != passed {
		t.Errorf("life 1 of the edge: %s", v)
	}
}
