package dispatch

import (
	"sync"
	"sync/atomic"
	"time"

	"waypost/sink/dispatch/attempt"
	"waypost/sink/dispatch/gate"
	"waypost/sink/dispatch/operator"
	"waypost/sink/internal/store"
)

// item is a delivery in memory.
type item struct {
	place    place
	delivery Delivery
}

// endpoint is one receiver, with what is due to it: some in memory, the rest in the store.
//
// Invariants, under mu:
//   - held has every delivery that is in memory in any form: admitted and not committed yet, queued, under way, finished and not marked yet.
//   - every delivery of the store that is not held stands at or behind cursor, if behind; there is none if not behind.
//   - a place leaves held when the store no longer has it, and then not while a refill reads an older view of the store; or with cursor moved back to it.
//   - gate has as many passes out as attempts are under way. While its breaker is open at most one delivery is queued, for the next probe; the others stand in the store.
//
// So nothing is loaded twice, and nothing is forgotten: whoever takes a delivery out of memory without finishing it moves cursor back.
type endpoint struct {
	*attempt.Target // as it was at first: of it only Tenant and Config.ID never change
	d               *Dispatcher
	prefix          []byte                // of its keys in the store
	taker           atomic.Pointer[taker] // as it is now: what it takes, and how attempts reach it

	pulse pulse

	mu        sync.Mutex
	queue     []*item // due now, oldest first
	held      map[place]int64
	gate      *gate.Gate
	wake      *time.Timer // for when the gate lets something begin
	behind    bool
	cursor    place
	refilling bool
	gone      []place // to leave held when the refill has ended
	timer     *time.Timer
	stopped   bool
	removed   bool            // stopped for good: what is due to it stays in the store
	disabled  *operator.Cause // nil: it is not. What is due to it stays in the store until it is enabled
	pending   int64           // deliveries in the store
}

// admit reserves room in memory for a delivery that is about to be committed; false: it will be read from the store later. While older ones
// wait there, newer ones queue up behind them.
func (e *endpoint) admit(p place, bytes int64, now uint64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.restingLocked() || e.behind && e.cursor.due <= now {
		return false
	}
	return e.reserveLocked(p, bytes)
}

// reserveLocked takes a place in the window. As many as can be under way at once need no share of the common memory, so that endpoints which
// fill it cannot stop the others.
func (e *endpoint) reserveLocked(p place, bytes int64) bool {
	if len(e.held) >= e.windowLocked() {
		return false
	}
	if len(e.held) < e.gate.Width() {
		bytes = 0
	} else if !e.d.takeMemory(bytes) {
		return false
	}
	e.held[p] = bytes
	e.d.inMemory.Add(1)
	return true
}

// windowLocked is how many deliveries may be in memory: with an open breaker no more than the next probe.
func (e *endpoint) windowLocked() int {
	if e.gate.Open() {
		return 1
	}
	return e.d.window
}

// push queues an admitted delivery; its batch is on disk.
func (e *endpoint) push(it *item) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.removed { // since it was admitted
		e.dropLocked(it.place)
		return
	}
	e.pushLocked(it)
}

func (e *endpoint) pushLocked(it *item) {
	if e.disabled != nil || e.gate.Open() && len(e.queue) > 0 { // it was admitted before that
		e.evictLocked(it)
		return
	}
	e.queue = append(e.queue, it)
	e.startLocked()
}

// evictLocked leaves a delivery to the store.
func (e *endpoint) evictLocked(it *item) {
	e.dropLocked(it.place)
	e.spillLocked(it.place)
}

// startLocked begins attempts, as many as the gate lets through, or sets the timer for when it will.
func (e *endpoint) startLocked() {
	for {
		it, pass := e.nextLocked()
		if it == nil {
			return
		}
		e.d.work.Add(1)
		go e.attempts(it, pass)
	}
}

// nextLocked takes the oldest delivery out of the queue, if an attempt may begin now.
func (e *endpoint) nextLocked() (*item, gate.Pass) {
	if len(e.queue) == 0 || e.restingLocked() {
		return nil, gate.None
	}
	pass, wait := e.gate.Begin(e.d.now())
	if pass == gate.None {
		if wait > 0 { // else the end of an attempt asks again
			setTimer(&e.wake, wait, e.start)
		}
		return nil, gate.None
	}
	it := e.queue[0]
	e.queue[0] = nil
	e.queue = e.queue[1:]
	return it, pass
}

func (e *endpoint) start() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.startLocked()
}

// setTimer lets do be called after a time, once, however often it is set before.
func setTimer(t **time.Timer, after time.Duration, do func()) {
	if after = min(after, longestSleep); *t == nil {
		*t = time.AfterFunc(after, do)
	} else {
		(*t).Reset(after)
	}
}

// spill says that a delivery stands in the store only.
func (e *endpoint) spill(p place) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.spillLocked(p)
	e.lookLocked()
}

func (e *endpoint) spillLocked(p place) {
	if !e.behind || p.before(e.cursor) {
		e.behind, e.cursor = true, p
	}
}

// finished takes a delivery out of memory: the store no longer has it at this place.
func (e *endpoint) finished(p place) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.refilling {
		e.gone = append(e.gone, p)
		return
	}
	e.dropLocked(p)
	e.lookLocked()
}

func (e *endpoint) dropLocked(p place) {
	bytes, ok := e.held[p]
	if !ok {
		return
	}
	delete(e.held, p)
	e.d.giveMemory(bytes)
	e.d.inMemory.Add(-1)
}

// longestSleep bounds how late a delivery comes when the wall clock was put forward.
const longestSleep = time.Minute

// lookLocked starts a refill when something in the store is due and the window has room for a good part of it, or sets the timer for when
// it will be due.
func (e *endpoint) lookLocked() {
	if !e.behind || e.restingLocked() || e.refilling {
		return
	}
	now := e.d.micros()
	if e.cursor.due > now {
		setTimer(&e.timer, time.Duration(min(e.cursor.due-now, uint64(longestSleep.Microseconds())))*time.Microsecond, e.look)
		return
	}
	if window := e.windowLocked(); len(e.queue) > 0 && len(e.held) > window/2 || len(e.held) >= window {
		return // finished will look again
	}
	e.refilling = true
	e.d.work.Add(1)
	go e.refill()
}

func (e *endpoint) look() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lookLocked()
}

// refill reads what is due from the store into memory, as much as there is room for.
func (e *endpoint) refill() {
	defer e.d.work.Done()
	e.d.refills <- struct{}{}
	defer func() { <-e.d.refills }()

	e.mu.Lock()
	from, now, resting := e.cursor, e.d.micros(), e.restingLocked()
	e.behind = false // from here on, spill speaks of what the view below may not have
	e.mu.Unlock()
	var rest *place
	var err error
	if resting {
		rest = &from
	} else {
		rest, err = e.load(from, now)
	}

	e.mu.Lock()
	defer e.mu.Unlock()
	if rest != nil {
		e.spillLocked(*rest)
	}
	e.refilling = false
	moved := rest == nil || *rest != from || rest.due > now || len(e.gone) > 0 || len(e.held) == 0
	for _, p := range e.gone {
		e.dropLocked(p)
	}
	e.gone = e.gone[:0]
	if err != nil {
		e.d.storeFailed(err)
		return
	}
	if moved { // else there was no room: what is held will look again when it is finished. (Not due any more: the wall clock was put back. None held: it was disabled meanwhile, and enabled again.)
		e.lookLocked()
	}
}

// load pushes deliveries from the store, beginning at from, that are due and not in memory. It returns the first one left there.
func (e *endpoint) load(from place, now uint64) (*place, error) {
	iter, err := e.d.store.NewIter(rangeFrom(e.prefix, from))
	if err != nil {
		return &from, err
	}
	defer iter.Close()
	for ok := iter.First(); ok; ok = iter.Next() {
		_, _, due, id, err := store.ParseDue(iter.Key())
		if err != nil {
			return nil, err
		}
		p := place{due, id}
		if due > now {
			return &p, nil
		}
		value, err := iter.ValueAndErr()
		if err != nil {
			return &p, err
		}
		if !e.take(p, value) {
			return &p, nil
		}
	}
	return nil, iter.Error()
}

// take brings one delivery of the store into memory, unless it is there; false: no room.
func (e *endpoint) take(p place, value []byte) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.held[p]; ok {
		return true
	}
	if e.restingLocked() || !e.reserveLocked(p, int64(len(value))) {
		return false
	}
	delivery, err := ParseDelivery(append([]byte(nil), value...))
	if err != nil {
		delivery = Delivery{Document: append([]byte(nil), value...)} // its attempt fails as unsendable, and it is kept as a dead letter
	}
	e.pushLocked(&item{place: p, delivery: delivery})
	return true
}

// attempts is a worker: it lives as long as the queue has something that may begin.
func (e *endpoint) attempts(it *item, pass gate.Pass) {
	defer e.d.work.Done()
	for it != nil {
		o := e.d.attempt(e, it)
		it, pass = e.ended(pass, &o)
	}
}

// ended gives a pass back and takes the next one.
func (e *endpoint) ended(pass gate.Pass, o *attempt.Outcome) (*item, gate.Pass) {
	e.mu.Lock()
	change := e.gate.End(e.d.now(), pass, o.Result())
	switch change.Turn {
	case gate.Stays:
	case gate.Opens:
		for len(e.queue) > 1 { // the oldest stays, as the next probe
			last := len(e.queue) - 1
			e.evictLocked(e.queue[last])
			e.queue[last] = nil
			e.queue = e.queue[:last]
		}
		e.lookLocked()
	case gate.Closes:
		e.lookLocked()
	}
	it, pass := e.nextLocked()
	if it != nil {
		e.startLocked() // one that worked makes room for another
	}
	if !e.restingLocked() {
		e.d.sender.Tell(e.Target, change, o) // under the lock: closing is told after opening
	}
	e.mu.Unlock()
	return it, pass
}

// restingLocked says that no attempt begins and nothing comes into memory: the endpoint is stopped, or disabled.
func (e *endpoint) restingLocked() bool { return e.stopped || e.disabled != nil }

// stop lets attempts under way end and begins no other. What is in memory is in the store too.
func (e *endpoint) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = true
	e.d.sender.Forget(e.Target)
	for _, t := range []*time.Timer{e.timer, e.wake} {
		if t != nil {
			t.Stop()
		}
	}
}

// oldestDue is the earliest time, in microseconds since 1970, for which a delivery is waiting; 0: none.
func (e *endpoint) oldestDue() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	var oldest uint64
	if e.behind {
		oldest = e.cursor.due
	}
	for p := range e.held {
		if oldest == 0 || p.due < oldest {
			oldest = p.due
		}
	}
	return oldest
}
