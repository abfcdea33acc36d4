package topic

import (
	"sync"
	"time"

	"waypost/sink/dispatch/attempt"
)

// longestQueue is how long a delivery waits in a lane before it goes to the schedule.
const longestQueue = 2 * time.Second

// sharedMemory is how many bytes of documents all lanes have in memory, beyond one for each: an endpoint that fills it cannot stop the others.
const sharedMemory = 64 << 20

// lane is the way to one endpoint: what is to be sent now. Deliveries of all partitions share it.
type lane struct {
	*attempt.Target
	c *Courier

	mu      sync.Mutex
	queue   []*job // oldest first
	running int

	// What finds no room comes again at the pace at which the endpoint can take it: slot is when the last of them is due.
	slot time.Time
	took time.Duration // an attempt, on average
}

// leastPace is how many deliveries a second an endpoint is trusted with, however slow it is: it may become better.
const leastPace = 20

// job is a delivery in memory, for one partition of one generation.
type job struct {
	delivery
	record *entry // whose delivery it is
	owner  *partition
	since  time.Time // in the lane
}

// admit takes a job, unless the lane is full or what it has already waits too long.
func (l *lane) admit(j *job, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case len(l.queue)+l.running >= l.c.window:
		return false
	case len(l.queue) > 0 && (now.Sub(l.queue[0].since) > longestQueue || l.c.bytes.Load() > sharedMemory):
		return false
	}
	j.since = now
	l.queue = append(l.queue, j)
	l.c.keep(j)
	if l.running < l.c.concurrency {
		l.running++
		l.c.workers.Go(l.attempts)
	}
	return true
}

// attempts is a worker: it lives as long as the queue has something.
func (l *lane) attempts() {
	for {
		l.mu.Lock()
		if len(l.queue) == 0 {
			l.running--
			l.mu.Unlock()
			return
		}
		j := l.queue[0]
		l.queue[0] = nil
		l.queue = l.queue[1:]
		l.mu.Unlock()
		if j.owner.begin() {
			l.c.attempt(l, j)
			j.owner.attempts.Done()
		}
		l.c.release(j)
	}
}

// putOff is when a delivery for which there is no room should come again: behind those put off before it, at the endpoint's pace.
func (l *lane) putOff(now time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slot = l.slot.Add(min(l.took/time.Duration(max(l.c.concurrency, 1)), time.Second/leastPace))
	if first := now.Add(firstHold); l.slot.Before(first) {
		l.slot = first
	}
	if last := now.Add(longestHold); l.slot.After(last) {
		l.slot = last
	}
	return l.slot
}

// learn takes the time of an attempt into the average, a sixteenth of it.
func (l *lane) learn(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took += (took - l.took) / 16
}

// stale takes out what has waited since before then.
func (l *lane) stale(then time.Time) (out []*job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) > 0 && l.queue[0].since.Before(then) {
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
