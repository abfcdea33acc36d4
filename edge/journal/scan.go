package journal

import "unsafe"

// place is the memory of one segment and what its records are held against.
type place struct {
	mem  []byte
	seed uint64
	base uint64
}

// item gives what stands at off, whole and checked. A page that cannot be read holds nothing.
func (p place) item(off int64) (i item, ok bool) {
	if err := guard(func() {
		if i, ok = itemAt(p.mem, off, p.seed, p.base); ok {
			ok = i.good(p.mem, off)
		}
	}); err != nil {
		return item{}, false
	}
	return i, ok
}

// head is item without the check of a record's payload.
func (p place) head(off int64) (i item, ok bool) {
	if err := guard(func() { i, ok = itemAt(p.mem, off, p.seed, p.base) }); err != nil {
		return item{}, false
	}
	return i, ok
}

// search gives the first offset from off up to limit at which a good item stands.
func (p place) search(off, limit int64) (found int64, ok bool) {
	limit = min(limit, int64(len(p.mem))-recordHeader)
	for off <= limit && !ok {
		err := guard(func() {
			for ; off <= limit; off += alignment {
				if i, yes := itemAt(p.mem, off, p.seed, p.base); yes && i.good(p.mem, off) {
					ok = true
					return
				}
			}
		})
		if f, is := err.(pageFault); is {
			off = p.behind(f, off)
		}
	}
	return off, ok
}

// behind is the first offset behind the page that faulted, and behind off in any case.
func (p place) behind(f pageFault, off int64) int64 {
	start := uintptr(unsafe.Pointer(unsafe.SliceData(p.mem)))
	if f.address < start || f.address >= start+uintptr(len(p.mem)) {
		return off + alignment
	}
	return max(off+alignment, (int64(f.address-start)|(pageBytes-1))+1)
}

// mark publishes a mark at off that covers everything up to end.
func (p place) mark(off, end int64, k kind) error {
	return guard(func() { putMark(p.mem, off, end, k, p.seed, p.base) })
}
