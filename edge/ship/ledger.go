package ship

import (
	"math"

	"waypost/edge/journal"
)

// nothing is the place of what was not passed over.
const nothing = math.MaxUint64

// ledger knows, for each run and each partition, how far its records were taken from the journal and how far they are acknowledged. It belongs to
// the goroutine that reads the journal.
type ledger struct {
	partitions int
	runs       []*runPlaces // in the order in which they were read
	byRun      map[journal.Run]*runPlaces
}

// runPlaces are the places of one run. A place is a sequence: everything below it has been dealt with.
type runPlaces struct {
	run journal.Run
	end uint64 // behind the last record read
	// whole: the reader has gone on to a later run, so that the end is the run's end. Not so again while it goes back for what was missed.
	whole bool
	// by partition
	taken  []uint64 // records below were given to the partition, in this life or an earlier one; taken >= acked
	acked  []uint64 // records below are acknowledged
	missed []uint64 // the first record that the reader passed over because the partition failed; nothing
}

func newLedger(partitions int) *ledger {
	return &ledger{partitions: partitions, byRun: map[journal.Run]*runPlaces{}}
}

// of finds a run, and begins it when it is new.
func (l *ledger) of(run journal.Run) *runPlaces {
	r := l.byRun[run]
	if r == nil {
		r = &runPlaces{run: run, taken: make([]uint64, l.partitions), acked: make([]uint64, l.partitions), missed: make([]uint64, l.partitions)}
		for p := range r.missed {
			r.missed[p] = nothing
		}
		l.byRun[run] = r
		l.runs = append(l.runs, r)
	}
	return r
}

// settle closes the runs before r: the reader has gone on, so that nothing more will come of them than it has seen. (A run whose journal was wiped has
// places here that no record will ever reach.)
func (l *ledger) settle(r *runPlaces) {
	for _, earlier := range l.runs {
		if earlier == r {
			return
		}
		for _, taken := range earlier.taken {
			earlier.end = max(earlier.end, taken)
		}
		earlier.whole = true
	}
}

// take notes that partition p was given the record at [from, to).
func (r *runPlaces) take(p int, from, to uint64) {
	if r.acked[p] == r.taken[p] {
		r.acked[p] = from // what lies between is no record of p's
	}
	r.taken[p] = to
}

// miss notes that partition p was not given the record at from.
func (r *runPlaces) miss(p int, from uint64) {
	if r.acked[p] == r.taken[p] && r.missed[p] == nothing {
		r.acked[p], r.taken[p] = from, from
	}
	r.missed[p] = min(r.missed[p], from)
}

// ack notes that everything which p was given below to is acknowledged.
func (r *runPlaces) ack(p int, to uint64) { r.acked[p] = max(r.acked[p], to) }

// place is how far p is done with the run, for good: where nothing of p's is under way, as far as was read.
func (r *runPlaces) place(p int) uint64 {
	if r.acked[p] == r.taken[p] && r.missed[p] == nothing {
		return max(r.end, r.acked[p])
	}
	return r.acked[p]
}

// level says that every partition stands at the end of what was read.
func (r *runPlaces) level() bool {
	for p := range r.acked {
		if r.place(p) != r.end {
			return false
		}
	}
	return true
}

// done says that no partition will need anything of the run again.
func (r *runPlaces) done() bool { return r.whole && r.least() >= r.end }

// least is the smallest place of all partitions.
func (r *runPlaces) least() uint64 {
	least := uint64(nothing)
	for p := range r.acked {
		least = min(least, r.place(p))
	}
	return least
}

// resume is where a reader has to go on in a run, to find everything that was passed over; without that, behind all that was read.
func (l *ledger) resume(run journal.Run) uint64 {
	r := l.byRun[run]
	if r == nil {
		return 0
	}
	at := r.end
	for _, missed := range r.missed {
		at = min(at, missed)
	}
	return at
}

// goBack sets every run back to where a reader resumes, and forgets what the given partitions missed: the reader is on its way to it. (Were the ends left
// where they are, those partitions would seem to be done with what they missed.)
func (l *ledger) goBack(partitions []int) {
	for _, r := range l.runs {
		if at := l.resume(r.run); at < r.end {
			r.end, r.whole = at, false
		}
		for _, p := range partitions {
			r.missed[p] = nothing
		}
	}
}

// published is what the journal's writer may be told: the first run that is not done, and its least place. False: nothing was read yet.
func (l *ledger) published() (journal.Position, bool) {
	for i, r := range l.runs {
		if i == len(l.runs)-1 || !r.done() {
			return journal.Position{Run: r.run, Sequence: r.least()}, true
		}
	}
	return journal.Position{}, false
}

// outstanding is how many bytes of journal lie between what is acknowledged everywhere and what was read.
func (l *ledger) outstanding() uint64 {
	sum := uint64(0)
	for _, r := range l.runs {
		sum += 8 * (r.end - min(r.end, r.least()))
	}
	return sum
}
