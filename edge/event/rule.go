package event

import (
	"iter"
	"maps"
)

// ReadersRule is the one rule that a reader of the topic needs: per run and partition, drop what is not greater than the last sequence seen.
// What a producer repeats after a failure is dropped by it, and nothing else is. Keep one per partition, store its contents together
// with your offset, in one step, and give them back (Set) after a restart. The zero value has seen nothing. Not for concurrent use.
type ReadersRule struct {
	last map[uint64]uint64
}

// Fresh says whether the event is seen for the first time, and remembers it.
func (r *ReadersRule) Fresh(id ID) bool {
	if last, seen := r.last[id.Run]; seen && id.Sequence <= last {
		return false
	}
	r.Set(id.Run, id.Sequence)
	return true
}

// Set says that everything of run up to and with sequence was seen.
func (r *ReadersRule) Set(run, sequence uint64) {
	if r.last == nil {
		r.last = make(map[uint64]uint64)
	}
	r.last[run] = sequence
}

// All gives each run with its last sequence, in no order: what to store.
func (r *ReadersRule) All() iter.Seq2[uint64, uint64] { return maps.All(r.last) }

// Forget drops what is known of a run. Safe when the topic no longer holds anything of it.
func (r *ReadersRule) Forget(run uint64) { delete(r.last, run) }
