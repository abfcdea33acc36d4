package throttle

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestEvery(t *testing.T) {
	e := Every{Interval: time.Second}
	begin := time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		after time.Duration
		ok    bool
		held  uint64
	}{
		{0, true, 0}, {time.Millisecond, false, 0}, {999 * time.Millisecond, false, 0}, {time.Second, true, 2}, {1500 * time.Millisecond, false, 0},
		{3 * time.Second, true, 1}, {time.Hour, true, 0},
	} {
		held, ok := e.Allow(begin.Add(step.after))
		if ok != step.ok || held != step.held {
			t.Errorf("after %v: %d, %v; want %d, %v", step.after, held, ok, step.held, step.ok)
		}
	}
	var plain Every
	plain.Allow(begin)
	if _, ok := plain.Allow(begin.Add(interval - 1)); ok {
		t.Error("a line passed within the interval")
	}
	if n := plain.HeldBack(); n != 1 {
		t.Errorf("%d held back, want 1", n)
	}
}

// However many ask at once: one line passes, and all others are counted.
func TestEveryAtOnce(t *testing.T) {
	const askers = 64
	var e Every
	var passed atomic.Int64
	var all sync.WaitGroup
	now := time.Now()
	for range askers {
		all.Go(func() {
			if _, ok := e.Allow(now); ok {
				passed.Add(1)
			}
		})
	}
	all.Wait()
	if held := e.HeldBack(); passed.Load() != 1 || held != askers-1 {
		t.Errorf("%d passed and %d were held back of %d", passed.Load(), held, askers)
	}
}
