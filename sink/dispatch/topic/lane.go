package topic

import (
	"sync"
	"sync/atomic"
	"time"

	"waypost/sink/dispatch/attempt"
	"waypost/sink/dispatch/gate"
)

// longestQueue is how long a delivery waits in a lane before it goes to the schedule.
const longestQueue = 2 * time.Second

// sharedMemory is how many bytes of documents all lanes have in memory, beyond one for each: an endpoint that fills it cannot stop the others.
const sharedMemory = 64 << 20

// lane is the way to one endpoint: what is to be sent now. Deliveries of all partitions share it.
type lane struct {
	*attempt.Target // as it was at first: of it only Tenant and Config.ID never change
	c               *Courier
	taker           atomic.Pointer[taker] // as it is now: what it takes, and how attempts reach it

	mu      sync.Mutex
	queue   []*job // oldest first
	gate    *gate.Gate
	wake    *time.Timer // for when the gate lets something begin
	removed bool        // it takes nothing any more

	// What finds no room comes again at the pace at which the endpoint can take it: slot is when the last of them is due.
	slot time.Time
	took time.Duration // an attempt, on average

	condition *condition // whether it fails, and whether it is disabled

	booked time.Time // the time of the probe for which a delivery waits, while the breaker is open
}

// leastPace is how many deliveries a second an endpoint is trusted with, however slow it is: it may become better.
const leastPace = 20

// job is a delivery in memory, for one partition of one generation.
type job struct {
	delivery
	record *entry // whose delivery it is
	owner  *partition
	since  time.Time // in the lane
	looked int64     // the version of forgotten when it was last held against it
}

// admit takes a job, unless the lane is full or what it has already waits too long. With an open breaker it takes the next probe only, when its time has come.
func (l *lane) admit(j *job, now time.Time) bool {
	disabled := l.condition.cause() != nil
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.removed || disabled:
		return false
	case len(l.queue)+l.gate.Running() >= l.c.window:
		return false
	case len(l.queue) > 0 && (now.Sub(l.queue[0].since) > longestQueue || l.c.bytes.Load() > sharedMemory):
		return false
	}
	if l.gate.Open() {
		if pass, _ := l.gate.Look(now); pass == gate.None || len(l.queue) > 0 {
			return false
		}
	}
	j.since = now
	l.queue = append(l.queue, j)
	l.c.keep(j)
	l.startLocked(now)
	return true
}

// startLocked begins attempts, as many as the gate lets through, or sets the timer for when it will.
func (l *lane) startLocked(now time.Time) {
	for {
		j, pass := l.nextLocked(now)
		if j == nil {
			return
		}
		l.c.workers.Go(func() { l.attempts(j, pass) })
	}
}

// nextLocked takes the oldest job out of the queue, if an attempt may begin now.
func (l *lane) nextLocked(now time.Time) (*job, gate.Pass) {
	if len(l.queue) == 0 || l.condition.cause() != nil {
		return nil, gate.None
	}
	pass, wait := l.gate.Begin(now)
	if pass == gate.None {
		if wait > 0 && wait <= longestQueue { // else the end of an attempt asks again, or the queue is swept first
			if l.wake == nil {
				l.wake = time.AfterFunc(wait, l.start)
			} else {
				l.wake.Reset(wait)
			}
		}
		return nil, gate.None
	}
	j := l.queue[0]
	l.queue[0] = nil
	l.queue = l.queue[1:]
	return j, pass
}

func (l *lane) start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.startLocked(time.Now())
}

// attempts is a worker: it lives as long as the queue has something that may begin.
func (l *lane) attempts(j *job, pass gate.Pass) {
	for j != nil {
		o := attempt.Outcome{Cut: true}
		if j.owner.begin() {
			o = l.c.attempt(l, j)
			j.owner.attempts.Done()
		}
		l.c.release(j)
		j, pass = l.ended(pass, &o)
	}
}

// ended gives a pass back and takes the next one.
func (l *lane) ended(pass gate.Pass, o *attempt.Outcome) (*job, gate.Pass) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	change := l.gate.End(now, pass, o.Result())
	if !l.removed && l.condition.cause() == nil {
		l.c.sender.Tell(l.Target, change, o) // under the lock: closing is told after opening
	}
	j, pass := l.nextLocked(now)
	if change.Turn == gate.Closes {
		l.slot = time.Time{} // the endpoint's pace is not that of its failures
	}
	if j != nil {
		l.startLocked(now) // one that worked makes room for another
	}
	return j, pass
}

// putOff is when a delivery for which there is no room should come again: behind those put off before it, at the endpoint's pace. probe: it is the one that finds out
// whether the endpoint works again.
func (l *lane) putOff(now time.Time) (at time.Time, probe bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gate.Open() && l.gate.ProbeAt().After(now) && l.booked != l.gate.ProbeAt() {
		l.booked = l.gate.ProbeAt()          // it is the probe, however often it was put off
		return l.booked.Add(leastWait), true // what is due comes up to that early
	}
	limits := l.gate.Limits()
	step := min(l.took/time.Duration(limits.Concurrency), time.Second/leastPace)
	if limits.Rate > 0 {
		step = max(step, time.Second/time.Duration(limits.Rate))
	}
	l.slot = l.slot.Add(step)
	if first := now.Add(firstHold); l.slot.Before(first) {
		l.slot = first
	}
	if last := now.Add(longestHold); l.slot.After(last) {
		l.slot = last
	}
	return l.slot, false
}

// learn takes the time of an attempt into the average, a sixteenth of it.
func (l *lane) learn(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took += (took - l.took) / 16
}

// reset forgets the failures of before.
func (l *lane) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gate.Reset()
	l.slot = time.Time{}
}

// stale takes out what has waited since before then; with an open breaker, or where the endpoint is disabled, all that waits.
func (l *lane) stale(then time.Time) (out []*job) {
	disabled := l.condition.cause() != nil
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) > 0 && (disabled || l.gate.Open() || l.queue[0].since.Before(then)) {
		l.c.release(l.queue[0])
		out = append(out, l.queue[0])
		l.queue[0] = nil
		l.queue = l.queue[1:]
	}
	return out
}

// drop takes out what belongs to a partition that is not ours any more: its next owner has it.
func (l *lane) drop(of *partition) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.queue[:0]
	for _, j := range l.queue {
		if j.owner != of {
			kept = append(kept, j)
		} else {
			l.c.release(j)
		}
	}
	clear(l.queue[len(kept):])
	l.queue = kept
}
