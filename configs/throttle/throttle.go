// Package throttle holds back log lines that would come by the thousand, and counts them, so that the next line says how many there were.
package throttle

import (
	"sync/atomic"
	"time"
)

// interval is Every's where none is set.
const interval = 10 * time.Second

// Every lets one line pass per interval. The zero value lets one pass in ten seconds. Safe for concurrent use, without a lock: the edge asks it on the
// path of a redirect.
type Every struct {
	Interval time.Duration // 0: ten seconds; not to be changed after the first use

	next atomic.Int64 // Unix nanoseconds from which on a line may pass
	held atomic.Uint64
}

// Allow says whether the line may be written now, and how many were held back since the last one.
func (e *Every) Allow(now time.Time) (heldBack uint64, ok bool) {
	wait := e.Interval
	if wait == 0 {
		wait = interval
	}
	next := e.next.Load()
	if now.UnixNano() < next || !e.next.CompareAndSwap(next, now.Add(wait).UnixNano()) {
		e.held.Add(1)
		return 0, false
	}
	return e.held.Swap(0), true
}

// HeldBack takes the number of lines held back since the last one, for a last word at the end.
func (e *Every) HeldBack() uint64 { return e.held.Swap(0) }
