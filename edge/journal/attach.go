package journal

import (
	"errors"
	"os"
	"syscall"
	"time"

	"waypost/edge/internal/blocking"
)

// directory is a journal's directory as a Reader polls it: listed again only when it may have changed.
type directory struct {
	path    string
	entries []entry
	stamp   stamp
	trusted bool
}

// stamp changes with every file that is made, renamed or deleted in the directory, and when the directory is replaced.
type stamp struct {
	device, inode uint64
	changed       time.Time
}

// grain is how far apart two changes must be for the file system's clock (4 to 10 ms) to tell them apart.
const grain = 20 * time.Millisecond

// list gives the segments by number.
func (d *directory) list() ([]entry, error) {
	now := time.Now()
	info, err := os.Stat(d.path)
	if errors.Is(err, os.ErrNotExist) {
		d.entries, d.trusted = nil, false
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	st := info.Sys().(*syscall.Stat_t)
	s := stamp{st.Dev, st.Ino, info.ModTime()}
	if d.trusted && s == d.stamp {
		return d.entries, nil
	}
	entries, err := listSegments(d.path)
	if err != nil {
		return nil, err
	}
	// A change right after this listing could bear the same time as the last one before it: such a listing is not kept.
	age := now.Sub(s.changed)
	d.entries, d.stamp, d.trusted = entries, s, age > grain
	return entries, nil
}

// settledBelow reads afresh what the writer of the run says of its segments: all with a lower number are closed for good.
func (d *directory) settledBelow(run Run) (below uint64) {
	for _, e := range d.entries {
		if e.run != run || e.bad {
			continue
		}
		if now, err := readEntry(e.path, e.number); err == nil && now.run == run {
			below = max(below, now.settledBelow)
		}
	}
	return below
}

// start is the lowest unread sequence of a run.
func (r *Reader) start(run Run) uint64 {
	s, ok := r.next[run]
	if !ok && r.o.Resume != nil {
		s = r.o.Resume(run)
		r.next[run] = s
	}
	return s
}

// choose gives the first segment in list that holds something unread; nil when there is none. Runs that end before their resumed position
// are reported and passed over.
func (r *Reader) choose(list []entry) *entry {
	for i := range list {
		e := &list[i]
		switch {
		case e.bad:
			r.tellHeader(e, e.fileSize)
			continue
		case r.over[e.run]:
			continue
		}
		start := r.start(e.run)
		after := e.base() + uint64(e.size/alignment)
		if start < after {
			return e
		}
		if follower := firstGood(list[i+1:]); follower != nil && follower.run != e.run {
			if start > after+headerPage/alignment {
				r.pastEnd(e.run, start)
			}
			r.over[e.run] = true
		}
	}
	return nil
}

func firstGood(list []entry) *entry {
	for i := range list {
		if !list[i].bad {
			return &list[i]
		}
	}
	return nil
}

// tellHeader reports a segment whose header cannot be read, once.
func (r *Reader) tellHeader(e *entry, n int64) {
	if r.told[e.number] {
		return
	}
	r.told[e.number] = true
	r.report(Damage{e.run, e.number, 0, n, "segment header"})
}

// attach maps the first segment that holds something unread; false when there is none.
func (r *Reader) attach() (bool, error) {
	list, err := r.dir.list()
	if err != nil {
		return false, err
	}
	e := r.choose(list)
	if e == nil {
		return false, nil
	}
	v, err := openView(*e)
	if err != nil || v == nil { // vanished since it was listed: look again
		r.dir.trusted = false
		return true, err
	}
	if v.guessed {
		r.tellHeader(e, headerPage)
	}
	start := r.start(v.run)
	r.gap(v, start)
	r.view, r.off, r.met = v, headerPage, true
	if r.resume = start > v.firstSequence(); r.resume {
		r.off = int64(start-v.place.base) * alignment
	}
	r.setPosition(v.run, r.sequence())
	return true, nil
}

// gap reports the segments that are missing between the first unread sequence and v. A run that was never seen, and is the first that
// this Reader meets, may have lost its beginning before: to this reader nothing is missing.
func (r *Reader) gap(v *view, start uint64) {
	if start == 0 && !r.met {
		return
	}
	units := uint64(v.size / alignment)
	missing := v.ordinal - min(v.ordinal, start/units)
	for n := range r.told {
		if n < v.number && n+missing >= v.number {
			missing--
		}
	}
	if missing > 0 {
		r.report(Damage{v.run, v.number - missing, 0, int64(missing) * v.size, "segments missing, or freed before they were read"})
	}
}

func (r *Reader) detach() {
	if r.view != nil {
		r.next[r.view.run] = r.pos.Sequence
		blocking.Do(r.view.unmap) // of a large segment: some milliseconds
		r.view = nil
	}
}
