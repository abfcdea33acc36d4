package gate

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var begin = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

func never() float64 { return 0 }

// step begins an attempt that must pass, and ends it.
func step(t *testing.T, g *Gate, now time.Time, want Pass, r Result) Change {
	t.Helper()
	pass, wait := g.Begin(now)
	if pass != want {
		t.Fatalf("at %v: pass %d (wait %v), want %d", now.Sub(begin), pass, wait, want)
	}
	return g.End(now, pass, r)
}

// The pauses between probes double up to the longest; one that works closes the breaker.
func TestBreaker(t *testing.T) {
	g, now := New(Limits{Concurrency: 2, Failures: 3, Longest: 5 * time.Second}, never), begin
	for i, r := range []Result{Failed, Failed, Worked, Failed, Untried, Failed} {
		if c := step(t, g, now, Usual, r); c.Turn != Stays {
			t.Fatalf("attempt %d: %+v", i, c)
		}
		now = now.Add(time.Second)
	}
	if c := step(t, g, now, Usual, Failed); c != (Change{Opens, 3, begin.Add(3 * time.Second)}) {
		t.Fatalf("the third failure in a row: %+v", c)
	}
	for i, seconds := range []int{1, 2, 4, 5, 5} {
		pause := time.Duration(seconds) * time.Second
		if pass, wait := g.Begin(now); pass != None || wait != pause {
			t.Fatalf("probe %d: pass %d, wait %v, want %v", i, pass, wait, pause)
		}
		now = now.Add(pause)
		if c := step(t, g, now, Probe, Failed); c.Turn != Stays || c.Failures != 4+i {
			t.Fatalf("probe %d: %+v", i, c)
		}
	}
	now = now.Add(5 * time.Second)
	step(t, g, now, Probe, Untried) // as if it had not been made
	if c := step(t, g, now, Probe, Worked); c != (Change{Closes, 8, begin.Add(3 * time.Second)}) {
		t.Fatalf("a probe that works: %+v", c)
	}
	step(t, g, now, Usual, Worked)
}

// An endpoint that fails again as soon as it was let in is not probed as often as one that was well for long.
func TestBreakerOpensAgain(t *testing.T) {
	for _, test := range []struct{ well, want time.Duration }{{0, 2 * time.Second}, {time.Hour, time.Second}} {
		g := New(Limits{Failures: 1, Longest: time.Minute}, never)
		step(t, g, begin, Usual, Failed)
		now := begin.Add(time.Second)
		step(t, g, now, Probe, Worked)
		now = now.Add(test.well)
		step(t, g, now, Usual, Failed)
		if pass, wait := g.Begin(now); pass != None || wait != test.want {
			t.Errorf("well for %v: pass %d, wait %v, want %v", test.well, pass, wait, test.want)
		}
	}
}

// What began before the breaker opened can close it, and does not put off the next probe.
func TestStragglers(t *testing.T) {
	g := New(Limits{Concurrency: 4, Failures: 1, Longest: time.Minute}, never)
	step(t, g, begin, Usual, Worked)
	for range 3 {
		g.Begin(begin)
	}
	if c := g.End(begin, Usual, Failed); c.Turn != Opens {
		t.Fatal(c)
	}
	at := g.ProbeAt()
	g.End(begin.Add(time.Millisecond), Usual, Failed)
	if !g.Open() || g.ProbeAt() != at {
		t.Error("a straggler's failure moved the probe")
	}
	if c := g.End(begin.Add(2*time.Millisecond), Usual, Worked); c.Turn != Closes || g.Open() {
		t.Error("a straggler that worked did not close it")
	}
}

// An endpoint comes to its concurrency one attempt that works after the other, and loses half of it with each that does not.
func TestWidth(t *testing.T) {
	g := New(Limits{Concurrency: 8}, never)
	if g.Width() != 2 {
		t.Errorf("%d at first", g.Width())
	}
	for i, want := range []int{3, 4, 5, 6, 7, 8, 8, 8} {
		if step(t, g, begin, Usual, Worked); g.Width() != want {
			t.Errorf("success %d: %d, want %d", i, g.Width(), want)
		}
	}
	for range g.Width() {
		if pass, _ := g.Begin(begin); pass != Usual {
			t.Fatal("not as many under way as may be")
		}
	}
	if pass, wait := g.Begin(begin); pass != None || wait != 0 {
		t.Errorf("one more is let in, or told to wait for %v", wait)
	}
	for i, want := range []int{4, 2, 1, 1} {
		if g.End(begin, Usual, Failed); g.Width() != want {
			t.Errorf("failure %d: %d, want %d", i, g.Width(), want)
		}
	}
	if g.End(begin, Usual, Untried); g.Width() != 1 {
		t.Errorf("%d after one that says nothing", g.Width())
	}
}

// A clock that is put back makes nothing wait for longer than it would have waited anyway.
func TestClockIsPutBack(t *testing.T) {
	g := New(Limits{Rate: 2, Failures: 1, Longest: time.Minute}, never)
	step(t, g, begin, Usual, Failed)
	if _, wait := g.Begin(begin.Add(-time.Hour)); wait != time.Second {
		t.Errorf("the probe waits for %v", wait)
	}
	g = New(Limits{Rate: 2}, never)
	step(t, g, begin, Usual, Worked)
	if _, wait := g.Begin(begin.Add(-time.Hour)); wait != time.Second/2 {
		t.Errorf("the rate makes it wait for %v", wait)
	}
}

// model is what a gate should be, written the long way.
type model struct {
	limits   Limits
	width    int
	began    []time.Time
	running  []Pass
	failures int
	open     bool
	probed   time.Time // when the last probe ended, or the breaker opened
}

func (m *model) begins(t *rapid.T, pass Pass, now time.Time) {
	m.running = append(m.running, pass)
	m.began = append(m.began, now)
	most := m.width
	if m.open {
		most = m.limits.Concurrency
	}
	if len(m.running) > most {
		t.Fatalf("%d under way, of %d", len(m.running), most)
	}
	if (pass == Probe) != m.open {
		t.Fatalf("pass %d, open %v", pass, m.open)
	}
	if probes := len(slices.DeleteFunc(slices.Clone(m.running), func(p Pass) bool { return p != Probe })); m.open && probes > 1 {
		t.Fatalf("%d probes at once", probes)
	}
	if least := min(firstPause, m.limits.Longest) * 3 / 4; pass == Probe && now.Sub(m.probed) < least {
		t.Fatalf("a probe %v after the last", now.Sub(m.probed))
	}
	if m.limits.Rate > 0 {
		burst := max(m.limits.Rate/burstShare, 1)
		for i := range m.began { // from any attempt on, no more than the rate and a burst
			n, span := len(m.began)-i, now.Sub(m.began[i])
			if most := float64(m.limits.Rate)*span.Seconds() + float64(burst) + 1e-6; float64(n) > most {
				t.Fatalf("%d began within %v at %d a second", n, span, m.limits.Rate)
			}
		}
	}
}

func (m *model) ends(t *rapid.T, i int, r Result, now time.Time, c Change) {
	pass, want := m.running[i], Stays
	m.running = slices.Delete(m.running, i, i+1)
	switch r {
	case Worked:
		m.failures, m.width = 0, min(m.width+1, m.limits.Concurrency)
		if m.open {
			m.open, want = false, Closes
		}
	case Failed:
		m.failures++
		m.width = max(m.width/2, 1)
		if !m.open && m.limits.Failures > 0 && m.failures >= m.limits.Failures {
			m.open, want, m.probed = true, Opens, now
		} else if m.open && pass == Probe {
			m.probed = now
		}
	}
	if c.Turn != want {
		t.Fatalf("turn %d, want %d", c.Turn, want)
	}
}

// Whatever happens: never more at once, in a second, or through an open breaker than there may be; and who waits as long as told is let in.
func TestGate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{
			Concurrency: rapid.IntRange(1, 4).Draw(t, "concurrency"), Rate: rapid.SampledFrom([]int{0, 1, 3, 25, 1000}).Draw(t, "rate"),
			Failures: rapid.IntRange(0, 4).Draw(t, "failures"), Longest: time.Duration(rapid.IntRange(1, 5000).Draw(t, "longest")) * time.Millisecond,
		}
		g := New(limits, func() float64 { return rapid.Float64Range(0, 0.999).Draw(t, "random") })
		m, now := &model{limits: limits, width: min(limits.Concurrency, firstWidth)}, begin
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 10, 100, 1000}).Draw(t, "ms")) * time.Millisecond)
			if len(m.running) > 0 && rapid.Bool().Draw(t, "end") {
				i := rapid.IntRange(0, len(m.running)-1).Draw(t, "which")
				r := rapid.SampledFrom([]Result{Untried, Worked, Failed, Failed}).Draw(t, "result")
				m.ends(t, i, r, now, g.End(now, m.running[i], r))
				continue
			}
			pass, wait := g.Begin(now)
			if pass == None && wait > 0 {
				if most := max(limits.Longest, time.Second); wait > most {
					t.Fatalf("waits for %v", wait)
				}
				now = now.Add(wait)
				if pass, wait = g.Begin(now); pass == None {
					t.Fatalf("not let in after its wait, but in %v", wait)
				}
			}
			if pass != None {
				m.begins(t, pass, now)
			} else if len(m.running) == 0 {
				t.Fatal("nothing under way, and nothing is let in")
			}
		}
	})
}
