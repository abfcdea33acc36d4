// Package gate says when an attempt at one endpoint may begin: how many at once, how many in a second, and whether at all while the endpoint fails.
//
// After Limits.Failures attempts in a row that failed the breaker opens: nothing passes but probes, one at a time, at intervals that double up to Limits.Longest. One attempt
// that works, probe or not, closes it.
//
//	          failures in a row                  interval over
//	closed ──────────────────────▶ open, waiting ─────────────▶ open, probe under way
//	  ▲                              ▲                            │          │
//	  │                              └──── failed: twice as long ─┘          │
//	  └───────────────────────────── worked ─────────────────────────────────┘
//
// How many attempts are under way at once is found out: two at first, one more for each that works, up to Limits.Concurrency, and half as many after one that failed. So an endpoint
// that says nothing at all holds two connections, however many deliveries are due to it, and ten thousand of them what one machine has to spare.
//
// A gate has no clock, no goroutine and no lock: who owns it brings the time, and asks again when told to.
package gate

import "time"

// Limits of one endpoint.
type Limits struct {
	Concurrency int           // attempts under way at once, at least 1: as many as there may ever be
	Rate        int           // attempts that begin in a second; 0: no limit
	Failures    int           // in a row that open the breaker; 0: it never opens
	Longest     time.Duration // between two probes
}

// Pass lets one attempt begin. It is given back with End.
type Pass int

// The passes.
const (
	None  Pass = iota // not now
	Usual             // an attempt as any other
	Probe             // an attempt that finds out whether the endpoint works again
)

// Result is what an attempt says about its endpoint.
type Result int

// The results.
const (
	Untried Result = iota // nothing: it was cut off, or never sent
	Worked
	Failed
)

// Turn is what the end of an attempt did to the breaker.
type Turn int

// The turns.
const (
	Stays Turn = iota
	Opens
	Closes
)

// Change is a turn, and the failures in a row behind it.
type Change struct {
	Turn     Turn
	Failures int
	Since    time.Time // when the first of them ended
}

const (
	firstWidth  = 2           // attempts at once at an endpoint of which nothing is known
	firstPause  = time.Second // before the first probe, or Limits.Longest where that is less
	jitterShare = 0.25        // of a pause that is taken off at most, at random: endpoints behind one broken proxy are not probed all at once
	burstShare  = 10          // a tenth of a second's attempts may begin at once: a timer that is late costs no throughput
)

// Gate of one endpoint. Its owner's lock guards it.
type Gate struct {
	limits Limits
	random func() float64 // in [0, 1)

	running int
	width   int       // attempts that may be under way at once
	next    time.Time // when the next attempt would begin at an even pace

	failures int // in a row
	since    time.Time
	open     bool
	probing  bool
	pause    time.Duration // before the next probe, without jitter
	probe    time.Time     // when it may begin
	closed   time.Time     // when the breaker last closed
}

// New is a gate with its breaker closed. random gives numbers from 0 to below 1.
func New(l Limits, random func() float64) *Gate {
	l.Concurrency = max(l.Concurrency, 1)
	return &Gate{limits: l, random: random, width: min(firstWidth, l.Concurrency)}
}

// Limits are those that it was made with.
func (g *Gate) Limits() Limits { return g.limits }

// Running is how many passes are out.
func (g *Gate) Running() int { return g.running }

// Width is how many may be out now, from 1 to the limits' concurrency. It means nothing while the breaker is open.
func (g *Gate) Width() int { return g.width }

// Open says whether nothing passes but probes.
func (g *Gate) Open() bool { return g.open }

// ProbeAt is when the next probe may begin. It means nothing while the breaker is closed.
func (g *Gate) ProbeAt() time.Time { return g.probe }

// Begin lets an attempt begin, or says how long to wait before asking again; 0: until an attempt has ended.
func (g *Gate) Begin(now time.Time) (Pass, time.Duration) {
	pass, wait := g.Look(now)
	if pass == None {
		return None, wait
	}
	g.running++
	g.probing = g.probing || pass == Probe
	if g.limits.Rate > 0 {
		if g.next.Before(now) {
			g.next = now
		}
		g.next = g.next.Add(g.interval())
	}
	return pass, 0
}

// Look says what Begin would, and lets nothing begin.
func (g *Gate) Look(now time.Time) (Pass, time.Duration) {
	if g.full() {
		return None, 0
	}
	wait, pass := g.paced(now), Usual
	if g.open {
		pass = Probe
		if latest := now.Add(g.pause); g.probe.After(latest) {
			g.probe = latest // the clock was put back
		}
		wait = max(wait, g.probe.Sub(now))
	}
	if wait > 0 {
		return None, wait
	}
	return pass, 0
}

// full says whether the end of an attempt must be waited for. A probe does not wait for what began before the breaker opened.
func (g *Gate) full() bool {
	if g.open {
		return g.probing || g.running >= g.limits.Concurrency
	}
	return g.running >= g.width
}

// interval is an even pace's, rounded up: never more than the rate.
func (g *Gate) interval() time.Duration {
	return (time.Second + time.Duration(g.limits.Rate) - 1) / time.Duration(g.limits.Rate)
}

// burst is how many attempts may begin at once.
func (g *Gate) burst() int { return max(g.limits.Rate/burstShare, 1) }

// paced is how long the rate makes an attempt wait.
func (g *Gate) paced(now time.Time) time.Duration {
	if g.limits.Rate <= 0 {
		return 0
	}
	ahead := time.Duration(g.burst()) * g.interval()
	if latest := now.Add(ahead); g.next.After(latest) {
		g.next = latest // the clock was put back
	}
	return g.next.Sub(now.Add(ahead - g.interval()))
}

// End gives a pass back.
func (g *Gate) End(now time.Time, pass Pass, r Result) Change {
	g.running--
	if pass == Probe {
		g.probing = false
	}
	switch r {
	case Worked:
		return g.worked(now)
	case Failed:
		return g.failed(now, pass)
	}
	return Change{}
}

// Reset forgets all failures and closes the breaker. Passes that are out stay out.
func (g *Gate) Reset() {
	g.failures, g.open, g.pause, g.closed = 0, false, 0, time.Time{}
}

func (g *Gate) worked(now time.Time) Change {
	change := Change{Failures: g.failures, Since: g.since}
	g.failures = 0
	g.width = min(g.width+1, g.limits.Concurrency)
	if g.open {
		g.open, g.closed = false, now
		change.Turn = Closes
	}
	return change
}

func (g *Gate) failed(now time.Time, pass Pass) Change {
	if g.failures == 0 {
		g.since = now
	}
	g.failures++
	g.width = max(g.width/2, 1)
	change := Change{Failures: g.failures, Since: g.since}
	switch {
	case g.open && pass == Probe:
		g.putOff(now, 2*g.pause)
	case g.open: // it began before the breaker opened, and tells nothing new
	case g.limits.Failures > 0 && g.failures >= g.limits.Failures:
		change.Turn = Opens
		g.open = true
		pause := firstPause
		if g.pause > 0 && now.Sub(g.closed) < g.limits.Longest {
			pause = 2 * g.pause // it had only just closed: an endpoint that takes one in ten is no better than one that takes none
		}
		g.putOff(now, pause)
	}
	return change
}

func (g *Gate) putOff(now time.Time, pause time.Duration) {
	g.pause = min(pause, g.limits.Longest)
	g.probe = now.Add(g.pause - time.Duration(jitterShare*g.random()*float64(g.pause)))
}
