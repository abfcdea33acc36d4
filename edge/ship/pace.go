package ship

import (
	"context"
	"runtime"
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

// breath is long enough for the scheduler to look at the network; without anybody there, it becomes a millisecond.
const breath = 50 * time.Microsecond

// giveWay lets requests go first that have come in meanwhile: a backlog is read without a pause otherwise. Who only yields (Gosched) is taken again before the scheduler looks
// at the network, which it then does every 10 ms: on one core, redirects waited for 25 to 140 stretches of reading. Where nothing is paced, speed is all.
func (r *reading) giveWay() {
	if r.pace.rate == 0 || r.s.finishing.Load() {
		runtime.Gosched()
		return
	}
	time.Sleep(breath)
}

// A paced backlog goes in batches of backlogBatch at most. A batch is compressed and sent in one go, and on one core redirects wait for it: at 512 KiB for 1 to 2.6 ms, and at
// 30,000 requests a second beside a backlog their p99 was 1.4 to 3.9 times that before the outage, instead of 0.8 to 1.5 times. Smaller batches for all would take the
// sink, which gets the events in the same batches, a third of its speed.
const (
	backlogBatch = 128 << 10
	backlogAge   = time.Second // what happened longer ago than that is one
)

// limit is how many bytes the batch may hold that is about to get its first record.
func (r *reading) limit(b *batch) int {
	if r.pace.rate > 0 && b.oldest != 0 && b.begun.Sub(time.Unix(0, b.oldest)) > backlogAge {
		return min(r.s.o.BatchBytes, backlogBatch)
	}
	return r.s.o.BatchBytes
}
