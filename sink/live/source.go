package live

import "waypost/edge/event"

// taken is what a source answers when it is asked for the next event.
type taken int

const (
	nothing taken = iota // there is none yet: wait for the bell
	found
	pending // there may be more; the source gives others their turn first
)

// burst is how many records a source looks into before it answers pending: about a millisecond.
const burst = 2000

// source is everything that a reader reads, in order. It is used by one goroutine.
type source interface {
	// round gives what closes, or is ready, when there may be more than now.
	round() <-chan struct{}
	// take gives the next event that the reader wants, or a gap. What it gives is valid until the next call.
	take(e *entry) (taken, error)
	// cursor appends the place behind everything that was taken and passed over.
	cursor(dst []byte) []byte
	// close gives up what the source holds.
	close()
}

// entry is what a source gives: an event, or a gap.
type entry struct {
	event       *event.Event
	document    []byte
	any, person bool   // of what it was the first
	gap         string // why events may be missing here
}
