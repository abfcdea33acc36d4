package journal

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"waypost/edge/internal/blocking"
)

const (
	pageBytes     = 4096
	prefaultFirst = 4 << 20   // of a segment, when it is prepared
	prefaultLeast = 1 << 20   // ahead of the tail
	prefaultChunk = 128 << 10 // at a time, so that nobody waits long for the address space's lock
	prefaultEvery = 20 * time.Millisecond
)

// keep is the background goroutine that syncs and seals. It ticks at half of Options.Sync: what was appended is handed to the device at
// the next tick, or, where it stands in a page that is still being filled, at the one after.
func (w *Writer) keep() {
	defer w.done.Done()
	every := w.o.Sync / 2
	if every <= 0 {
		every = 50 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var positions, housekeeping time.Time
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
		case <-w.wake:
		}
		blocking.Do(func() {
			w.seal(false)
			w.restore()
			if time.Since(positions) >= 200*time.Millisecond {
				positions = time.Now()
				w.readConsumers()
			}
			if time.Since(housekeeping) >= time.Second {
				housekeeping = time.Now()
				w.retireOld()
				w.prune()
			}
		})
	}
}

// retireOld closes a current segment that has been filled for longer than KeepAge, so that what stands in it can leave some day.
func (w *Writer) retireOld() {
	if s := w.current.Load(); s.mem != nil && s.tail.Load() > headerPage && time.Since(s.began) > w.o.KeepAge {
		w.leave(s)
	}
}

// seal syncs the living segments, and moves those in which no append is under way any more to the stored ones, oldest first. The current
// one stays until it has a successor, or the Writer is closed.
func (w *Writer) seal(closed bool) {
	w.mu.Lock()
	living := append([]*segment(nil), w.living...)
	w.mu.Unlock()
	current, oldest := w.current.Load(), true
	for _, s := range living {
		if oldest = oldest && s.quiet() && (s != current || closed); oldest {
			w.retire(s)
		} else if w.o.Sync > 0 {
			w.syncFilled(s)
		}
	}
}

// retire moves the oldest living segment, in which nothing is under way, to the stored ones, and tells readers so in the header of the
// current one: there they learn that a hole in this one will not be filled any more.
func (w *Writer) retire(s *segment) {
	if s.broken.Load() {
		w.mend(s)
	}
	end := s.closedAt.Load()
	_ = guard(func() { storeWord(s.mem, endAt, uint64(end)) })
	if w.o.Sync > 0 {
		w.timed(func() error { return errors.Join(w.list(s), unix.Fdatasync(int(s.file.Fd()))) })
	}
	if c := w.current.Load(); c != s && c.mem != nil {
		_ = guard(func() { storeWord(c.mem, settledBelowAt, s.number+1) })
	}
	s.unmap()
	settled := s.settled.Load()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.living = w.living[1:]
	w.stored = append(w.stored, stored{s.header, end, time.Now(), segmentPath(w.o.Dir, s.number)})
	w.stats.Records += settled >> settledShift
	w.stats.Bytes += settled & settledBytes
}

// mend marks the holes of a segment whose mapping faulted. Where even that faults, readers find the damage themselves.
func (w *Writer) mend(s *segment) {
	end := s.closedAt.Load()
	p := place{s.mem, s.commitSeed, s.firstUnit}
	holes, last, err := p.fillHoles(end)
	if err == nil && last.next < end {
		holes++
		err = p.mark(last.next, end, kindSkipped)
	}
	if err == nil {
		err = p.mark(end, s.size, kindEndOfSegment)
	}
	w.mu.Lock()
	w.stats.HolesSkipped += holes
	w.mu.Unlock()
	w.log.Error("journal: the device failed under a segment, it was closed early", "segment", s.number, "holes", holes, "mended", err == nil)
}

// syncFilled hands to the device what appends have filled since the last time: whole pages only, and the page that is being filled only
// when it was left out before. So a page is not given back for writing while appends still go into it, and the prefaulted pages ahead
// are not written for nothing.
func (w *Writer) syncFilled(s *segment) {
	settled, end := s.settledEnd()
	upTo := end &^ (pageBytes - 1)
	if upTo == s.leftOut {
		upTo = end
	}
	s.leftOut = end &^ (pageBytes - 1)
	if upTo <= s.flushed {
		return
	}
	ok := w.timed(func() error {
		if err := w.list(s); err != nil {
			return err
		}
		if !w.ranges {
			upTo = end
			return unix.Fdatasync(int(s.file.Fd()))
		}
		from := s.flushed &^ (pageBytes - 1)
		err := unix.SyncFileRange(int(s.file.Fd()), from, upTo-from,
			unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER)
		if err != nil {
			return err
		}
		return w.barrier(s.fresh)
	})
	if ok && settled {
		s.flushed = upTo
	}
}

// list brings the segment's name to the device, before any of its bytes count as synced. Not when it is prepared: waiting there for a busy
// disk would let small segments run out.
func (w *Writer) list(s *segment) error {
	if s.listed {
		return nil
	}
	err := syncDir(w.o.Dir)
	s.listed = err == nil
	return err
}

// settledEnd gives the tail; settled when no append was under way below it, so that all of it is published.
func (s *segment) settledEnd() (settled bool, end int64) {
	for range 100 {
		done := int64(s.settled.Load()&settledBytes) + headerPage
		end = s.reserved()
		if done == end {
			return true, end
		}
	}
	return false, end
}

// barrier flushes the device's cache. A range that was synced in blocks that had been written before needs no more; else the file system
// must also commit that the blocks are in use now, which the sync of a touched file forces.
func (w *Writer) barrier(commit bool) error {
	fd := int(w.lock.Fd())
	if !commit {
		return unix.Fdatasync(fd)
	}
	now := unix.NsecToTimeval(time.Now().UnixNano())
	if err := unix.Futimes(fd, []unix.Timeval{now, now}); err != nil {
		return err
	}
	return unix.Fsync(fd)
}

// syncsRanges says whether the file system is one whose sync_file_range, with barrier, makes data durable: it overwrites in place.
func syncsRanges(f *os.File) bool {
	var st unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &st) != nil {
		return false
	}
	return st.Type == unix.EXT4_SUPER_MAGIC || st.Type == unix.XFS_SUPER_MAGIC
}

// timed runs one sync and counts it.
func (w *Writer) timed(sync func() error) bool {
	begin := time.Now()
	err := sync()
	took := time.Since(begin)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.LastSyncDuration = took
	if err != nil {
		if w.stats.SyncErrors++; w.stats.SyncErrors == 1 {
			w.log.Error("journal: sync failed, a power cut may take more than the last moments", "error", err)
		}
	}
	return err == nil
}

// prefaultAhead keeps the pages ahead of the tail mapped for writing, so that appends do not fault. Pages lose that when the kernel
// writes them back (after 30 s by default), so the window is gone over again each time.
func (w *Writer) prefaultAhead() {
	defer w.done.Done()
	tick := time.NewTicker(prefaultEvery)
	defer tick.Stop()
	least := int64(prefaultLeast)
	if !w.ranges {
		least /= 16 // each sync writes back what was prefaulted
	}
	var was *segment
	var tail int64
	for again := 0; ; again++ {
		select {
		case <-w.stop:
			return
		case <-tick.C:
		}
		s := w.current.Load()
		if s != was {
			was, tail = s, headerPage
		}
		now := s.tail.Load()
		if now >= s.limit || now == tail && again%25 != 0 {
			continue
		}
		touch := func() { s.prefault(now, max(least, 8*(now-tail))) }
		if s.fresh {
			blocking.Do(touch)
		} else {
			touch() // of pages that the kernel nearly always still has: some microseconds
		}
		tail = now
	}
}

// prefault maps length bytes from off on for writing.
func (s *segment) prefault(off, length int64) {
	s.mapping.Lock()
	defer s.mapping.Unlock()
	if s.mem == nil {
		return
	}
	end := min(off+length, s.size)
	for at := off &^ (pageBytes - 1); at < end; at += prefaultChunk {
		if unix.Madvise(s.mem[at:min(at+prefaultChunk, end)], unix.MADV_POPULATE_WRITE) != nil {
			return // an older kernel, or a failing page: the append that gets there finds out
		}
	}
}
