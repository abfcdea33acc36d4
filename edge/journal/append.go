package journal

import (
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"waypost/configs/fault"
)

// Append writes one record and returns its sequence. The sequence's text (SequenceDigits bytes) replaces the payload's bytes at each
// offset in sequenceAt, in the journal only: payload itself is not touched. What Append has returned survives the death of the process.
func (w *Writer) Append(payload []byte, sequenceAt ...int) (uint64, error) {
	if len(payload) > w.largest {
		return 0, ErrTooLarge
	}
	for _, at := range sequenceAt {
		if at < 0 || at > len(payload)-SequenceDigits {
			return 0, ErrOffset
		}
	}
	n := aligned(len(payload))
	for {
		s := w.current.Load()
		off := s.tail.Add(n) - n
		if off+n <= s.limit {
			return w.publish(s, off, payload, sequenceAt)
		}
		if off <= s.limit && s.mem != nil {
			s.finish(off, kindEndOfSegment)
		}
		if err := w.turn(s); err != nil {
			return 0, err
		}
	}
}

// publish fills the reserved room at off and stores its commit word last.
func (w *Writer) publish(s *segment, off int64, payload []byte, sequenceAt []int) (sequence uint64, err error) {
	n, record := aligned(len(payload)), uint64(1)<<settledShift
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			sequence, err, record = 0, w.failed(s, r), 0
		}
		s.settled.Add(uint64(n) | record)
	}()
	sequence = s.firstUnit + uint64(off/alignment)
	fault.Point("journal.reserved")
	length := lengthWord(kindRecord, int64(len(payload)))
	commit := commitWord(s.commitSeed, sequence, length)
	room := s.mem[off+recordHeader:][:len(payload)]
	copy(room, payload)
	if len(sequenceAt) > 0 {
		digits := sequenceText(sequence)
		for _, at := range sequenceAt {
			*(*[SequenceDigits]byte)(room[at:]) = digits
		}
	}
	atomic.StoreUint64(word(s.mem, off), uint64(length)|uint64(checksum(commit, room))<<32)
	atomic.StoreUint64(word(s.mem, off+8), commit)
	return sequence, nil
}

// failed closes a segment whose mapping faulted under an append: its record is lost, the next ones go to the next segment.
func (w *Writer) failed(s *segment, r any) error {
	if f, _ := faultOf(r).(pageFault); !s.holds(f.address) {
		panic(r) // not ours: the payload's memory, or a bug
	}
	s.broken.Store(true)
	s.spend()
	return ErrIO
}

// turn makes the next segment current. Appenders that overshot old meet here; one takes the prepared segment, the others find it taken.
// Without one they wait only while it is being prepared, Patience at most in all, and no longer than until the shortage is known.
func (w *Writer) turn(old *segment) error {
	w.turning.Lock()
	defer w.turning.Unlock()
	if w.current.Load() != old {
		return nil
	}
	if w.closed {
		return ErrClosed
	}
	var late <-chan time.Time
	for {
		select {
		case s := <-w.ready:
			if w.begin(s) {
				return nil
			}
			continue
		default:
		}
		if short := w.shortage.Load(); short != nil {
			return *short
		}
		if late == nil {
			late = time.After(w.o.Patience)
		}
		select {
		case s := <-w.ready:
			if w.begin(s) {
				return nil
			}
		case <-w.short:
		case <-late:
			w.shortage.CompareAndSwap(nil, &ErrStalled)
		}
	}
}

// leave closes s and makes the next segment current if one is ready; else the next append finds it.
func (w *Writer) leave(s *segment) {
	s.spend()
	if !w.turning.TryLock() {
		return // an append is turning, and may be waiting for what the caller has yet to do
	}
	defer w.turning.Unlock()
	for w.current.Load() == s && !w.closed {
		select {
		case next := <-w.ready:
			w.begin(next)
		default:
			return
		}
	}
}

// begin makes s current, unless its file went with the directory. The caller holds turning, or is Open or Close.
func (w *Writer) begin(s *segment) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.prepared--
	if s.number < w.valid {
		s.unmap()
		_ = os.Remove(segmentPath(w.o.Dir, s.number)) // where it was made in the new directory already
		return false
	}
	s.began = time.Now()
	w.living = append(w.living, s)
	w.current.Store(s)
	return true
}

const digitPairs = "00010203040506070809" + "10111213141516171819" + "20212223242526272829" + "30313233343536373839" +
	"40414243444546474849" + "50515253545556575859" + "60616263646566676869" + "70717273747576777879" +
	"80818283848586878889" + "90919293949596979899"

// sequenceText gives 16 decimal digits.
func sequenceText(n uint64) (text [SequenceDigits]byte) {
	for i := SequenceDigits - 2; i >= 0; i -= 2 {
		q := n / 100
		pair := (n - q*100) * 2
		text[i], text[i+1] = digitPairs[pair], digitPairs[pair+1]
		n = q
	}
	return text
}
