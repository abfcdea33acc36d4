package server

import "testing"

// TestNoAllocations has a whole request in the handler, as BenchmarkMint10.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Log("pools drop what they hold under the race detector: nothing to measure")
		return
	}
	s := newStack(t, nil)
	run, _ := handled(t, s, tenLinks(t))
	run()
	// A collection during the run empties the pools, at less than one allocation a request.
	if n := testing.AllocsPerRun(1000, run); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}
