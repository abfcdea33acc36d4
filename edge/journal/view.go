package journal

import (
	"errors"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// view is one segment mapped for reading. The file may be deleted, renamed or cut under it: then pages fault, or hold another life.
type view struct {
	entry
	place
}

// openView maps a segment; nil when it has vanished or has become another one since it was listed.
func openView(e entry) (*view, error) {
	f, err := os.Open(e.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	mem, err := unix.Mmap(int(f.Fd()), 0, int(e.size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	v := &view{entry: e, place: place{mem, e.seed(), e.header.base()}}
	if !v.alive() {
		v.unmap()
		return nil, nil
	}
	return v, nil
}

// alive says whether the mapped file still is the segment that it was when it was listed.
func (v *view) alive() (ok bool) {
	if v.guessed {
		return true
	}
	err := guard(func() {
		for _, copyAt := range v.copies() {
			ok = ok || Run(atomic.LoadUint64(word(v.mem, copyAt+16))) == v.run && atomic.LoadUint64(word(v.mem, copyAt+24)) == v.number
		}
	})
	return ok || err != nil
}

// settled says whether the writer has noted the segment's end, which it does when no append is under way in it any more.
func (v *view) settled() bool {
	var end uint64
	if guard(func() { end = atomic.LoadUint64(word(v.mem, endAt)) }) != nil || end < headerPage || end > uint64(v.limit()) || end%alignment != 0 {
		return false
	}
	i, ok := v.item(int64(end))
	return ok && (i.kind == kindEndOfSegment || i.kind == kindEndOfRun)
}

func (v *view) unmap() { _ = unix.Munmap(v.mem) }

// firstSequence is that of the first record.
func (v *view) firstSequence() uint64 { return v.place.base + headerPage/alignment }

// following is the sequence of the first record of the run's next segment.
func (v *view) following() uint64 { return v.place.base + uint64(v.size+headerPage)/alignment }
