package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Run is the random number of one opening of a journal for writing. Its text is 16 lower-case hex digits.
type Run uint64

// String gives the 16 lower-case hex digits.
func (r Run) String() string { return fmt.Sprintf("%016x", uint64(r)) }

// Position is a place in a journal: everything of Run below Sequence has been read, and every earlier run whole.
type Position struct {
	Run      Run
	Sequence uint64 // the lowest sequence that has not been read
}

// SequenceDigits is the width of a sequence's text: decimal, zero-padded. Append writes it into the payload.
const SequenceDigits = 16

// Options of a Writer. Zero values mean the defaults in the comments.
type Options struct {
	Dir          string
	SegmentBytes int64         // 64 MiB; at least 64 KiB, a power of two
	Budget       int64         // 4 GiB: all segments together never take more
	KeepBytes    int64         // 2 GiB: read segments that stay for later readers, at most; negative: none
	KeepAge      time.Duration // 7 days: and not longer
	Sync         time.Duration // 100 ms between background syncs; negative: never
	Consumers    []string      // names whose published positions hold segments
	Patience     time.Duration // 100 ms: an append waits at most so long for a segment that is being prepared, then is lost (ErrStalled)
	Logger       *slog.Logger
}

// Errors of Append: the event is lost and the caller counts it by this reason. They are values: compare with ==.
var (
	ErrFull     = errors.New("journal: budget spent, consumers do not keep up")
	ErrDiskFull = errors.New("journal: no space on the device")
	ErrIO       = errors.New("journal: the device failed")
	ErrStalled  = errors.New("journal: no segment was ready in time, the device is slow")
	ErrTooLarge = errors.New("journal: record larger than allowed")
	ErrClosed   = errors.New("journal: closed")
	ErrLocked   = errors.New("journal: another process writes here")
	ErrOffset   = errors.New("journal: a sequence does not fit into the payload there")
)

// Stats is a Writer's (and the directory's) state for metrics.
type Stats struct {
	Records, Bytes   uint64            // appended by this Writer
	Segments         int               // files in the directory, free ones included
	UsedBytes        int64             // held by unread and kept records
	HolesSkipped     uint64            // found at Open when closing crashed runs, and in segments that failed under this Writer
	Recycled         uint64            // segments used again
	ConsumerLag      map[string]uint64 // bytes that a named consumer has not read
	SyncErrors       uint64
	LastSyncDuration time.Duration
}

// Record is one event of a journal.
type Record struct {
	Run      Run
	Sequence uint64
	Payload  []byte // valid until the next call of Next
}

// ErrWait says that everything published so far has been read.
var ErrWait = errors.New("journal: nothing new yet")

// Damage describes bytes that a Reader had to skip.
type Damage struct {
	Run     Run
	Segment uint64
	Offset  int64 // in the segment file
	Bytes   int64
	Reason  string
}

// ReaderOptions of a Reader.
type ReaderOptions struct {
	Dir string
	// Resume gives, for a run found in the directory, the lowest sequence not read yet; 0 for a run never seen.
	// Runs are read in the order in which they were begun, each from there; runs resumed at their end are passed over.
	// Nil: every run from its beginning.
	Resume func(Run) uint64
	// OnDamage is told of each damaged range, once. Optional.
	OnDamage func(Damage)
	// OnPastEnd is told when Resume points past the end of a finished run (a power cut took the tail). Optional.
	OnPastEnd func(Run, uint64)
}
