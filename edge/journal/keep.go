package journal

import (
	"errors"
	"os"
	"time"
)

// What follows decides which stored segments are free. Stored segments are in the order of their numbers, and they become free in that
// order: those below readLocked have been read by every consumer.

// usedLocked is what all segment files take.
func (w *Writer) usedLocked() int64 {
	used := int64(len(w.living)+w.prepared+len(w.spares)) * w.o.SegmentBytes
	for _, s := range w.stored {
		used += s.size
	}
	return used
}

// freeLocked is how many of the oldest stored segments are read and not held by KeepBytes. When the budget is spent keep holds nothing.
func (w *Writer) freeLocked(spent bool) int {
	read := w.readLocked()
	n, kept := 0, int64(0)
	for n < len(w.stored) && w.stored[n].number < read {
		kept += w.stored[n].size
		n++
	}
	if spent {
		return n
	}
	free := 0
	for free < n && kept > w.o.KeepBytes {
		kept -= w.stored[free].size
		free++
	}
	return free
}

// readLocked is the number of the first segment that some consumer still needs.
func (w *Writer) readLocked() uint64 {
	read := w.next
	for _, name := range w.o.Consumers {
		p, ok := w.seen[name]
		if !ok {
			return 0
		}
		read = min(read, w.placeLocked(p))
	}
	return read
}

// placeLocked is the number of the first segment of which p has not read everything. 0 when its run is not here: nothing is known of what
// its consumer has read, and it holds all.
func (w *Writer) placeLocked(p Position) uint64 {
	if p.Run == w.run {
		return w.first + p.Sequence/uint64(w.o.SegmentBytes/alignment)
	}
	var last *stored
	for i := range w.stored {
		s := &w.stored[i]
		if s.run == p.Run {
			last = s
			if p.Sequence < s.base()+uint64(s.end/alignment) {
				return s.number
			}
		}
	}
	if last == nil {
		return 0
	}
	return last.number + 1
}

// lagLocked is how many bytes the consumer has not read.
func (w *Writer) lagLocked(name string) (lag uint64) {
	p, known := w.seen[name]
	place := uint64(0)
	if known {
		place = w.placeLocked(p)
	}
	count := func(h header, end int64) {
		begin := int64(headerPage)
		switch {
		case h.number < place:
			begin = end
		case h.number == place && h.run == p.Run && p.Sequence > h.base():
			begin = min(max(begin, int64(p.Sequence-h.base())*alignment), end)
		}
		lag += uint64(end - begin)
	}
	for _, s := range w.stored {
		count(s.header, s.end)
	}
	for _, s := range w.living {
		count(s.header, s.reserved())
	}
	return lag
}

// readConsumers reads the published positions. One that is missing or damaged stands at the beginning.
func (w *Writer) readConsumers() {
	for _, name := range w.o.Consumers {
		p, err := ReadPosition(w.o.Dir, name)
		w.mu.Lock()
		damaged := err != nil && !errors.Is(err, os.ErrNotExist)
		if err == nil {
			w.seen[name] = p
		} else {
			delete(w.seen, name)
		}
		news := damaged && !w.garbage[name]
		w.garbage[name] = damaged
		w.mu.Unlock()
		if news {
			w.log.Warn("journal: a consumer's position cannot be read, it stands at the beginning", "consumer", name, "error", err)
		}
	}
}

// prune deletes what keep no longer holds: read segments that are too old, and free ones beyond those that are used again next.
func (w *Writer) prune() {
	w.mu.Lock()
	read, free := w.readLocked(), w.freeLocked(false)
	n := 0
	for n < len(w.stored) && w.stored[n].number < read &&
		(time.Since(w.stored[n].at) > w.o.KeepAge || n < free-cap(w.ready)-1) {
		n++
	}
	old := w.stored[:n]
	w.stored = w.stored[n:]
	w.mu.Unlock()
	for _, s := range old {
		if err := os.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			w.log.Warn("journal: old segment not deleted", "error", err)
		}
	}
}
