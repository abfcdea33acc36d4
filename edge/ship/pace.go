package ship

import (
	"context"
	"time"
)

// pace keeps a backlog from being shipped as fast as it can be read: that would take the cores, the edge's and on a small machine the broker's too, from people who wait
// for their redirect. A backlog goes at backlogSpeed times the speed at which it arose, or at Options.BacklogRate where that is more. What is shipped as it comes never waits.
type pace struct {
	rate  int       // events a second; 0: no limit
	taken int       // events of this stretch
	since int64     // when the last stretch's last event happened, Unix nanoseconds
	due   time.Time // when this stretch may end
}

const (
	backlogSpeed  = 2
	eventsAPace   = 256                    // in a stretch: one look at the clock for all
	mostUnclaimed = 100 * time.Millisecond // of time not used by earlier stretches, for later ones
)

// count takes an event, and says whether the stretch is full: then rest is due.
func (p *pace) count() bool {
	if p.rate == 0 {
		return false
	}
	p.taken++
	return p.taken >= eventsAPace
}

// rest ends a stretch whose last event happened at the given time, Unix nanoseconds, and gives the time before which the next may not begin.
func (p *pace) rest(now time.Time, at int64) time.Time {
	allowed := time.Duration(p.taken) * time.Second / time.Duration(p.rate)
	// An event without a time, and one that happened before its forerunner, say nothing about the speed: they are not waited for.
	arose := max(time.Duration(at-p.since), 0)
	if earliest := now.Add(-mostUnclaimed); p.due.Before(earliest) {
		p.due = earliest
	}
	p.due = p.due.Add(min(allowed, arose/backlogSpeed))
	p.taken, p.since = 0, at
	return p.due
}

// keepPace waits until the next stretch may begin, ctx is done, or the shipper is to come to its end.
func (r *reading) keepPace(ctx context.Context, at int64) {
	until := r.pace.rest(time.Now(), at)
	for !r.s.finishing.Load() && ctx.Err() == nil {
		left := time.Until(until)
		if left <= 0 {
			return
		}
		r.tick()
		r.await(ctx, min(left, longestLook))
	}
}
