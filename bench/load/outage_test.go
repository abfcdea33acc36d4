package load

import (
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"
)

func TestAPhasesPercentilesAreOfAllItsRequests(t *testing.T) {
	turn := func(phase string, round int, requests int64, us int64) Turn {
		h := hdrhistogram.New(1, latencyMax, latencyDigits)
		if err := h.RecordValues(us*1000, requests); err != nil {
			t.Fatal(err)
		}
		return Turn{Contestant: phase, Round: round, latency: h}
	}
	got := phasesOf([]Turn{
		turn("before", 1, 1000, 100), turn("before", 1, 1000, 100),
		turn("backlog", 1, 2000, 200), turn("backlog", 1, 10, 9000), // 0.5 %: within what p99 leaves out
		turn("before", 2, 50, 100), turn("before", 2, 50, 800),
	})
	want := []struct {
		phase        string
		round, turns int
		p99, max     float64
	}{{"before", 1, 2, 100, 100}, {"backlog", 1, 2, 200, 9000}, {"before", 2, 2, 800, 800}}
	if len(got) != len(want) {
		t.Fatalf("%d phases, want %d: %+v", len(got), len(want), got)
	}
	near := func(a, b float64) bool { return a > 0.995*b && a < 1.005*b } // a histogram's digits
	for i, w := range want {
		if p := got[i]; p.Phase != w.phase || p.Round != w.round || p.Turns != w.turns || !near(p.Latency["p99"], w.p99) || !near(p.Latency["max"], w.max) {
			t.Errorf("phase %d: %+v, want %+v", i, p, w)
		}
	}
}
