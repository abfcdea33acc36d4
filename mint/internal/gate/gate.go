// Package gate decides which request is worked on when, and which is turned away because it would be answered too late.
//
// Work needs a slot; there are as many as Go runs goroutines at a time. Who finds one free goes on at once, by one atomic instruction and without a lock. The others
// wait in one of two queues, oldest first: small requests in one, large ones (above Large) in the other. The large have a few slots of their own, so that
// a burst of them never fills those of the small, and none of them begins while a small one waits.
//
// A request is turned away at once (ErrBusy) when the wait that is to be expected leads past the moment by which it has to begin: the bytes in
// front of it, by the pace at which bytes are worked off. The pace is measured while there is a queue, by the clock, so it holds all that the machine does beside: reading
// requests, writing answers, turning others away. An estimate can be wrong. Who is still waiting at that moment leaves the queue (ErrWaited), so that the bound
// does not stand on any estimate.
//
// All this helps only if requests are read before others are worked on. Go's scheduler runs goroutines in the order in which they can run, and one that has read its request
// would find the slot of the one before it free again: no queue would ever be seen here, while all wait in the scheduler's. So whoever comes and is behind (the
// kernel says that its request lay there for a while) takes a slot, and steps back with it behind all who can run: these read, find no slot, and join the queue. From then on
// slots go from owner to owner, and among those who can run are few who work and all who have something to read, until the queue is empty.
//
// What was tried on paper and left:
//   - A limit of connections or of requests under way: how many of them can be answered in time depends on their size and on the machine.
//   - A short queue (CoDel and its like): who asks waits for two seconds and does not ask again, so a burst that can be worked off in time has to be.
//   - The bound at the end of the queue alone: under overload everybody would be answered at the last moment, the refusals too.
//   - Goroutines that take requests from a channel: two switches for each request, also where nobody waits.
//   - A large request that steps aside for small ones every few links: its parsing and its signature cannot, while goroutines of the scheduler's can.
package gate

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Large is how many bytes a small request may have.
const Large = 64 << 10

var (
	// ErrBusy says that what waits already would take too long.
	ErrBusy = errors.New("gate: too much is waiting")
	// ErrWaited says that the time to begin came while the request waited.
	ErrWaited = errors.New("gate: waited too long")
)

// surcharge is on the expected wait, in percent: the pace may get worse while one waits.
const surcharge = 50

// Gate gives out slots. Any goroutine may call its methods.
type Gate struct {
	// state holds the slots in use by small requests in its low half, and how many small requests wait in its high half. Whoever enters or leaves while
	// nobody waits changes it by compare-and-swap; the high half is changed under mu only. Invariant: where one waits, no slot is free.
	state atomic.Uint64
	_     [56]byte // what follows is written by others

	mu    sync.Mutex // guards what follows
	small lane
	large lane
	busy  int // slots in use by large requests
}

const oneWaits = 1 << 32

// lane is a queue and the slots of those who stand in it.
type lane struct {
	slots int
	queue queue
	pace  pace
}

// New makes a gate with that many slots for small requests, and half as many, but at least one, for large ones.
func New(slots int) *Gate {
	g := &Gate{small: lane{slots: slots}, large: lane{slots: max(1, slots/2)}}
	g.small.pace.ns, g.large.pace.ns = firstPace/float64(g.small.slots), firstPace/float64(g.large.slots)
	return g
}

// Pass is a slot that is held. Give it back to Leave.
type Pass struct {
	lane  *lane
	bytes int
}

// Enter gives a slot to a request of that many bytes, at startBy at the latest, or says why not. now is the present; behind says that the request was not looked at when
// it came.
func (g *Gate) Enter(bytes int, now, startBy time.Time, behind bool) (Pass, error) {
	p := Pass{g.laneOf(bytes), bytes}
	if p.lane != &g.small || !g.take() {
		w, err := g.join(p, now, startBy)
		if w != nil {
			return g.wait(w, startBy)
		}
		if err != nil {
			return p, err
		}
	}
	if behind {
		runtime.Gosched()
	}
	return p, nil
}

func (g *Gate) laneOf(bytes int) *lane {
	if bytes > Large {
		return &g.large
	}
	return &g.small
}

// take takes a slot for a small request, if one is free.
func (g *Gate) take() bool {
	for {
		s := g.state.Load()
		if s >= uint64(g.small.slots) { // in use all, or one waits
			return false
		}
		if g.state.CompareAndSwap(s, s+1) {
			return true
		}
	}
}

// give gives a small request's slot back, unless one waits for it.
func (g *Gate) give() bool {
	for {
		s := g.state.Load()
		if s >= oneWaits {
			return false
		}
		if g.state.CompareAndSwap(s, s-1) {
			return true
		}
	}
}

// join gives a slot (no waiter, no error), a place in the queue, or ErrBusy.
func (g *Gate) join(p Pass, now, startBy time.Time) (*waiter, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.beginLocked(p.lane) {
		return nil, nil
	}
	wait := g.expectedLocked(p.lane)
	if now.Add(wait + wait*surcharge/100).After(startBy) {
		return nil, ErrBusy
	}
	if p.lane == &g.small && !g.announceLocked() {
		return nil, nil
	}
	w := &waiter{pass: p, granted: make(chan struct{})}
	if p.lane.queue.first == nil {
		p.lane.pace.begin(now)
	}
	p.lane.queue.push(w)
	return w, nil
}

// beginLocked takes a slot, if there is one for this lane.
func (g *Gate) beginLocked(l *lane) bool {
	if l == &g.small {
		return g.take()
	}
	if g.busy == g.large.slots || g.small.queue.first != nil {
		return false
	}
	g.busy++
	return true
}

// announceLocked counts one more small request that waits. A slot that came free in between is taken instead, and the answer is false.
func (g *Gate) announceLocked() bool {
	for {
		s := g.state.Load()
		if s < uint64(g.small.slots) {
			if g.take() {
				return false
			}
			continue
		}
		if g.state.CompareAndSwap(s, s+oneWaits) {
			return true
		}
	}
}

// wait ends with the slot, or at startBy.
func (g *Gate) wait(w *waiter, startBy time.Time) (Pass, error) {
	timer := time.NewTimer(time.Until(startBy))
	defer timer.Stop()
	select {
	case <-w.granted:
	case <-timer.C:
		if g.withdraw(w) {
			return Pass{}, ErrWaited
		}
		<-w.granted // it came in the same moment
	}
	return w.pass, nil
}

// withdraw takes w out of its queue, if it still is there.
func (g *Gate) withdraw(w *waiter) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := w.pass.lane
	if !l.queue.remove(w) {
		return false
	}
	if l == &g.small {
		g.state.Add(^uint64(oneWaits - 1))
		g.beginLargeLocked() // it may have been the last small one
	}
	return true
}

// Leave gives a slot to the next who waits, or back.
func (g *Gate) Leave(p Pass) {
	if p.lane == &g.small && g.give() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.lane.queue.first != nil {
		p.lane.pace.note(p.bytes, time.Now())
	}
	switch {
	case p.lane == &g.large:
		g.busy--
	case g.small.queue.first != nil:
		g.state.Add(^uint64(oneWaits - 1))
		g.small.queue.pop().grant()
	default: // the last one withdrew since give looked
		g.state.Add(^uint64(0))
	}
	g.beginLargeLocked()
}

func (g *Gate) beginLargeLocked() {
	for g.large.queue.first != nil && g.beginLocked(&g.large) {
		g.large.queue.pop().grant()
	}
}

// expectedLocked is how long the next who joins would wait. All small requests come before a large one.
func (g *Gate) expectedLocked(l *lane) time.Duration {
	wait := g.small.drain()
	if l == &g.large {
		wait += g.large.drain()
	}
	return wait
}

// drain is how long it takes until what waits has begun.
func (l *lane) drain() time.Duration {
	return time.Duration(l.pace.ns * float64(l.queue.cost))
}

// Queue is how a lane's queue stands.
type Queue struct {
	Requests int
	Wait     time.Duration // that a request has to expect which comes now
}

// Queues says how many small and large requests wait, and how long the next would.
func (g *Gate) Queues() (small, large Queue) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return Queue{g.small.queue.length, g.expectedLocked(&g.small)}, Queue{g.large.queue.length, g.expectedLocked(&g.large)}
}
