package journal

import (
	"context"
	"time"
)

// Reader reads a journal, also one that a living process (this or another) appends to. Not for concurrent use.
type Reader struct {
	o      ReaderOptions
	dir    directory
	view   *view
	off    int64           // of the next record in view
	resume bool            // off came from Resume and no record was read there yet: it may lie past the end
	buffer []byte          // the last record's payload
	next   map[Run]uint64  // lowest unread sequence of each run met so far; of the one in view, pos says it
	over   map[Run]bool    // runs read to their end
	told   map[uint64]bool // numbers of segments whose unreadable header was reported
	met    bool            // a run was begun: those that come later must be whole
	pos    Position
	count  ReaderStats
}

// ReaderStats counts what a Reader did not give.
type ReaderStats struct {
	Damages      uint64 // ranges reported as Damage
	DamagedBytes uint64
	Holes        uint64 // ranges that the writer marked as skipped: never acknowledged
	PastEnds     uint64 // runs whose end lay before their resumed position
}

// NewReader opens a journal directory for reading; a directory that does not exist yet (or vanishes) is an empty journal that may appear later.
func NewReader(o ReaderOptions) (*Reader, error) {
	return &Reader{o: o, dir: directory{path: o.Dir}, next: map[Run]uint64{}, over: map[Run]bool{}, told: map[uint64]bool{}}, nil
}

// Next gives the next record, or ErrWait. It never waits itself and never returns a record that fails its checksum.
func (r *Reader) Next() (Record, error) {
	for {
		if r.view == nil {
			if more, err := r.attach(); err != nil || !more {
				return Record{}, waitOr(err)
			}
			continue
		}
		i, found := r.read()
		more, err := true, error(nil)
		switch found {
		case foundRecord:
			rec := Record{r.view.run, r.sequence(), r.buffer}
			r.advance(i.size())
			return rec, nil
		case foundMark:
			more, err = r.pass(i)
		case foundCorrupt:
			r.damage(r.off, i.size(), "checksum")
			r.advance(i.size())
		case foundNothing:
			more, err = r.stuck()
		}
		if err != nil || !more {
			return Record{}, waitOr(err)
		}
	}
}

// Wait is Next that waits for a record until ctx is done: it looks again after 1 ms, later up to 20 ms.
func (r *Reader) Wait(ctx context.Context) (Record, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		rec, err := r.Next()
		if err != ErrWait {
			return rec, err
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return Record{}, ctx.Err()
		case <-t.C:
		}
	}
}

// Position is the place after the last record that Next gave; behind the last one of a segment, the beginning of the next.
func (r *Reader) Position() Position { return r.pos }

// Stats gives the counters of what could not be read.
func (r *Reader) Stats() ReaderStats { return r.count }

// Close unmaps what is mapped.
func (r *Reader) Close() error {
	r.detach()
	return nil
}

func waitOr(err error) error {
	if err != nil {
		return err
	}
	return ErrWait
}

// found is what stands at the current place.
type found int

const (
	foundNothing found = iota // not published yet, or never to be
	foundRecord
	foundMark
	foundCorrupt // published, with a payload that fails its checksum
)

// read looks at the current place. A payload is copied out before its checksum is held against it, because the file may be used again
// at any moment; what passes then belongs to the life of the segment that is in view.
func (r *Reader) read() (i item, f found) {
	v, off := r.view, r.off
	err := guard(func() {
		var ok bool
		if i, ok = itemAt(v.mem, off, v.place.seed, v.place.base); !ok {
			return
		}
		if i.kind != kindRecord {
			if i.good(v.mem, off) {
				f = foundMark
			}
			return
		}
		at := off + recordHeader
		r.buffer = append(r.buffer[:0], v.mem[at:at+i.length]...)
		f = foundRecord
		if checksum(i.commit, r.buffer) != i.crc {
			f = foundCorrupt
		}
	})
	if err != nil || f == foundCorrupt && !v.alive() {
		return i, foundNothing
	}
	return i, f
}

func (r *Reader) sequence() uint64 { return r.view.place.base + uint64(r.off/alignment) }

// advance goes n bytes on. It leaves next behind, which stuck and detach bring up: a map is too slow for each record.
func (r *Reader) advance(n int64) {
	r.off += n
	r.resume = false
	r.pos.Sequence = r.sequence()
}

func (r *Reader) setPosition(run Run, sequence uint64) {
	r.pos = Position{run, sequence}
	r.next[run] = sequence
}

// pass goes past a mark: a skipped hole, the end of the segment or of the run.
func (r *Reader) pass(i item) (more bool, err error) {
	switch i.kind {
	case kindSkipped:
		r.count.Holes++
		r.advance(i.size())
		return true, nil
	case kindEndOfRun:
		r.setPosition(r.view.run, r.sequence())
		r.over[r.view.run] = true
		r.detach()
		return true, nil
	}
	return r.follow()
}

// follow goes from the end of a segment to the run's next one when it is there. Until then the view stays, because the writer may still
// turn the mark into the run's end.
func (r *Reader) follow() (bool, error) {
	v := r.view
	r.setPosition(v.run, v.following())
	list, err := r.dir.list()
	if err != nil {
		return false, err
	}
	if i, ok := v.item(r.off); ok && i.kind == kindEndOfRun {
		return true, nil
	}
	here, later, ended := situation(list, v.entry)
	if !later && (here && !ended || len(list) == 0 || !here && r.choose(list) == nil) {
		return false, nil
	}
	if !later && here {
		r.report(Damage{v.run, v.number + 1, 0, v.size, "segment missing"})
		r.over[v.run] = true
	}
	r.detach()
	return true, nil
}

// situation says of a segment whether it is in the list, whether its run goes on in a later one, and whether another run follows: then
// nobody writes to its run any more.
func situation(list []entry, e entry) (here, later, ended bool) {
	for _, o := range list {
		switch {
		case o.bad:
		case o.run != e.run:
			ended = ended || o.number > e.number
		case o.number == e.number:
			here = true
		case o.number > e.number:
			later = true
		}
	}
	return here, later, ended
}

// stuck decides what to do where nothing valid stands: wait, or, when nobody will write there any more, search on.
func (r *Reader) stuck() (bool, error) {
	v := r.view
	r.next[v.run] = r.pos.Sequence
	list, err := r.dir.list()
	if err != nil {
		return false, err
	}
	here, later, ended := situation(list, v.entry)
	settled := ended || v.settled() || later && (!here || r.dir.settledBelow(v.run) > v.number)
	if _, f := r.read(); f != foundNothing {
		return true, nil // published, or closed, since
	}
	switch {
	case !v.alive():
		r.damage(r.off, v.size-r.off, "freed before it was read")
		r.setPosition(v.run, v.following())
	case here && !settled || len(list) == 0:
		return false, nil
	case !here && !later:
		if r.choose(list) == nil {
			return false, nil
		}
	case r.resume:
		r.resume = false
		return true, r.land()
	default:
		r.skipDamage()
		return true, nil
	}
	r.detach()
	return true, nil
}

// skipDamage searches the next good item in the segment, or goes on with the next segment.
func (r *Reader) skipDamage() {
	v := r.view
	at, ok := v.search(r.off+alignment, v.size)
	if !ok {
		at = v.size
	}
	r.damage(r.off, at-r.off, "no valid record")
	r.advance(at - r.off)
	if !ok {
		r.setPosition(v.run, v.following())
		r.detach()
	}
}

// land finds out what a resumed place is at which no record begins, by going through the segment from its beginning: past the run's end,
// amid a record (the next one is the first unread), or in damage (left to skipDamage).
func (r *Reader) land() error {
	v := r.view
	for off := int64(headerPage); off < r.off; {
		i, ok := v.head(off)
		if !ok {
			return nil
		}
		next := off + i.size()
		switch {
		case i.kind == kindEndOfRun:
			r.pastEnd(v.run, r.sequence())
			r.detach()
			return nil
		case i.kind == kindEndOfSegment:
			r.setPosition(v.run, v.following())
			r.off = off
			return nil
		case next > r.off:
			r.advance(next - r.off)
			return nil
		}
		off = next
	}
	return nil
}

func (r *Reader) pastEnd(run Run, sequence uint64) {
	r.count.PastEnds++
	r.over[run] = true
	if r.o.OnPastEnd != nil {
		r.o.OnPastEnd(run, sequence)
	}
}

func (r *Reader) damage(off, n int64, why string) {
	r.report(Damage{r.view.run, r.view.number, off, n, why})
}

func (r *Reader) report(d Damage) {
	r.count.Damages++
	r.count.DamagedBytes += uint64(d.Bytes)
	if r.o.OnDamage != nil {
		r.o.OnDamage(d)
	}
}
