package gate

// waiter is a request in a queue. Its fields are guarded by the gate's mutex until granted is closed.
type waiter struct {
	pass       Pass
	granted    chan struct{}
	next, prev *waiter
	queued     bool
}

func (w *waiter) grant() { close(w.granted) }

// queue holds waiters, oldest first; one may leave from anywhere.
type queue struct {
	first, last *waiter
	length      int
	cost        int
}

func (q *queue) push(w *waiter) {
	w.queued, w.prev = true, q.last
	if q.last == nil {
		q.first = w
	} else {
		q.last.next = w
	}
	q.last = w
	q.length++
	q.cost += costOf(w.pass.bytes)
}

func (q *queue) pop() *waiter {
	w := q.first
	q.remove(w)
	return w
}

// remove says whether w was there.
func (q *queue) remove(w *waiter) bool {
	if !w.queued {
		return false
	}
	if w.prev == nil {
		q.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		q.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.queued, w.next, w.prev = false, nil, nil
	q.length--
	q.cost -= costOf(w.pass.bytes)
	return true
}
