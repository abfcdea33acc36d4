package journal

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// takeOver lists the directory: spare files are kept for use, what was half made is deleted, and every run that a crash left open is closed.
func (w *Writer) takeOver() error {
	names, err := os.ReadDir(w.o.Dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if _, ok := segmentNumber(n.Name(), spareSuffix); !ok {
			continue
		}
		path := filepath.Join(w.o.Dir, n.Name())
		if info, err := n.Info(); err == nil && info.Size() == w.o.SegmentBytes {
			w.spares = append(w.spares, path)
		} else if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	list, err := listSegments(w.o.Dir)
	if err != nil {
		return err
	}
	w.next = 1
	for len(list) > 0 {
		n := 1
		for n < len(list) && !list[0].bad && !list[n].bad && list[n].run == list[0].run {
			n++
		}
		w.next = list[n-1].number + 1
		if err := w.closeRun(list[:n]); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// closing is one segment of a run that is being closed, mapped.
type closing struct {
	entry
	place
	last lastItem
}

// lastItem is the last good thing in a segment; next is the offset behind it, headerPage where there is none.
type lastItem struct {
	ok       bool
	kind     kind
	at, next int64
}

// closeRun closes one run, unless it is closed or unreadable: it marks its holes and ends it behind its last valid record. Segments that
// the writer had settled were complete and on the device, so only what came after them is gone through.
func (w *Writer) closeRun(list []entry) error {
	last := len(list) - 1
	if list[0].bad || finished(list[last]) {
		w.adopt(list...)
		return nil
	}
	var settled uint64
	for _, e := range list {
		settled = max(settled, e.settledBelow)
	}
	var open []*closing
	defer func() {
		for _, c := range open {
			_ = unix.Munmap(c.mem)
		}
	}()
	for i, e := range list {
		if e.number < settled && i < last {
			w.adopt(e)
			continue
		}
		c, err := openClosing(e)
		if err != nil {
			return err
		}
		open = append(open, c)
	}
	return w.closeSegments(open)
}

// finished says whether the run's end stands where the segment's header says.
func finished(e entry) bool {
	c, err := openClosing(e)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Munmap(c.mem) }()
	i, ok := c.item(e.end)
	return ok && i.kind == kindEndOfRun
}

// openClosing maps a segment for writing. A file that lost its tail gets it back, empty.
func openClosing(e entry) (*closing, error) {
	f, err := os.OpenFile(e.path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if e.fileSize < e.size && allocate(f, e.size) != nil {
		if err := f.Truncate(e.size); err != nil {
			return nil, err
		}
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, int(e.size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return &closing{entry: e, place: place{mem, e.seed(), e.header.base()}}, nil
}

// closeSegments gets the unsettled segments of one run, in order. The run ends in the last of them that holds anything; or, where that
// one ends in an end-of-segment mark, at the beginning of the next, to which a reader may have gone already. Later ones never held a record.
func (w *Writer) closeSegments(open []*closing) error {
	end := 0
	for i, c := range open {
		var holes uint64
		var err error
		holes, c.last, err = c.fillHoles(c.limit())
		w.skipped(c, holes, err)
		if c.last.ok {
			end = i
		}
	}
	if last := open[end].last; last.ok && last.kind == kindEndOfSegment && end+1 < len(open) {
		if open[end+1].number == open[end].number+1 {
			end++
		} else { // the segment in which the run went on is gone
			w.skipped(open[end], 1, nil)
		}
	}
	for i, c := range open {
		if i > end {
			if err := w.setAside(c.entry); err != nil {
				return err
			}
			continue
		}
		w.end(c, i == end)
		w.adopt(c.entry)
	}
	return nil
}

func (w *Writer) skipped(c *closing, holes uint64, err error) {
	w.stats.HolesSkipped += holes
	if holes > 0 || err != nil {
		w.log.Warn("journal: holes of a crashed run skipped", "run", c.run, "segment", c.number, "holes", holes, "error", err)
	}
}

// end closes the segment behind its last good item: with the run's end, or, where the run goes on in the next segment, with this segment's.
func (w *Writer) end(c *closing, run bool) {
	at, k := c.last.next, kindEndOfSegment
	if c.last.ok && c.last.kind != kindRecord && c.last.kind != kindSkipped {
		at = c.last.at
	}
	if run {
		k = kindEndOfRun
	}
	if !c.last.ok || c.last.kind != k {
		err := c.mark(at, c.size, k)
		holes := uint64(0)
		if !run {
			holes = 1 // records that the next segment proves to have been reserved here
		}
		w.skipped(c, holes, err)
	}
	c.entry.end = at
	_ = guard(func() { storeWord(c.mem, endAt, uint64(at)) })
	if err := unix.Msync(c.mem, unix.MS_SYNC); err != nil {
		w.stats.SyncErrors++
	}
}

// fillHoles goes through the items below limit and marks every range between two good ones as skipped. It gives the last good one.
func (p place) fillHoles(limit int64) (holes uint64, last lastItem, err error) {
	last.next = headerPage
	for off := int64(headerPage); off <= limit; {
		i, ok := p.item(off)
		if !ok {
			at, more := p.search(off+alignment, limit)
			if !more {
				return holes, last, nil
			}
			if err := p.mark(off, at, kindSkipped); err != nil {
				return holes, last, err
			}
			holes++
			off = at
			continue
		}
		last = lastItem{true, i.kind, off, off + i.size()}
		if i.kind == kindEndOfSegment || i.kind == kindEndOfRun {
			return holes, last, nil
		}
		off = last.next
	}
	return holes, last, nil
}

// setAside makes a spare file of a segment that never held a record.
func (w *Writer) setAside(e entry) error {
	path := sparePath(w.o.Dir, e.number)
	if e.size != w.o.SegmentBytes {
		return os.Remove(e.path)
	}
	w.spares = append(w.spares, path)
	return os.Rename(e.path, path)
}

// adopt takes closed segments into stored. One whose end is not known counts as full.
func (w *Writer) adopt(list ...entry) {
	for _, e := range list {
		if e.bad {
			e.size = e.fileSize
		}
		if e.end < headerPage || e.end > e.size {
			e.end = e.size
		}
		at := time.Now()
		if e.modified.Before(at) {
			at = e.modified
		}
		w.stored = append(w.stored, stored{e.header, e.end, at, e.path})
	}
}
