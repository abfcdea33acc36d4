package gate

import "time"

const (
	// firstPace stands in until there was a queue to measure, in nanoseconds a byte and slot: a tenth of a millisecond for a mail of ten links.
	firstPace = 30
	// fixed is what a request costs beside its bytes, in bytes.
	fixed = 1 << 10
	// window is how long is measured at a time. The scheduler lets others run for some ten milliseconds now and then; several of these are in each.
	window = 50 * time.Millisecond
)

func costOf(bytes int) int { return bytes + fixed }

// pace is how fast a lane's queue is worked off, all its slots together. It is measured only while there is a queue: without one, requests say how long they take, and
// nothing of what else there is to do.
type pace struct {
	ns    float64 // for one unit of cost
	since time.Time
	done  int // cost of the requests that left since then
}

// begin begins to measure: the queue is no longer empty.
func (p *pace) begin(now time.Time) { p.since, p.done = now, 0 }

// note counts a request that leaves while others wait.
func (p *pace) note(bytes int, now time.Time) {
	p.done += costOf(bytes)
	if took := now.Sub(p.since); took >= window {
		p.ns = (p.ns + float64(took)/float64(p.done)) / 2
		p.begin(now)
	}
}
