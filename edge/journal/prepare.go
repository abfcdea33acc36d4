package journal

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"waypost/edge/internal/blocking"
)

// prepareAhead keeps the queue of ready segments filled. It is the only goroutine that makes segments.
func (w *Writer) prepareAhead() {
	defer w.done.Done()
	for {
		var s *segment
		var err error
		blocking.Do(func() { s, err = w.prepare() })
		if err != nil {
			if err == errWiped || errors.Is(err, os.ErrNotExist) {
				w.wakeKeeper() // restore comes at once: an append may wait for it as for any segment
			} else {
				w.setShortage(err)
			}
			if !w.pause(10 * time.Millisecond) {
				return
			}
			continue
		}
		if w.shortage.Swap(nil) != nil {
			w.log.Info("journal: segments again", "segment", s.number)
		}
		select {
		case w.ready <- s:
		case <-w.stop:
			w.inHand = s
			return
		}
	}
}

// pause waits and says whether the Writer goes on.
func (w *Writer) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.stop:
		return false
	}
}

// setShortage lets appends fail at once, and wakes one that waits. Only the change is logged: the caller of Append counts each loss.
func (w *Writer) setShortage(cause error) {
	why := reason(cause)
	if was := w.shortage.Swap(&why); was == nil || *was != why {
		w.log.Error("journal: no further segment can be prepared, events are lost once those that are ready are full", "reason", why, "cause", cause)
	}
	select {
	case w.short <- struct{}{}:
	default:
	}
}

// reason turns an error of the file system into what Append returns.
func reason(err error) error {
	switch {
	case err == ErrFull:
		return ErrFull
	case isAny(err, unix.ENOSPC, unix.EDQUOT, unix.EFBIG):
		return ErrDiskFull
	}
	return ErrIO
}

func isAny(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

// prepare makes the next segment of the run: from a spare file, from a segment that nobody needs, or from new blocks of the disk.
// The file becomes visible under its number only when its header stands in it.
func (w *Writer) prepare() (*segment, error) {
	if !w.holdsLock() {
		return nil, errWiped
	}
	w.readConsumers()
	s, scarce, err := w.obtain()
	for (err == ErrFull || err != nil && scarce) && w.retirable() && w.pause(time.Millisecond) {
		s, scarce, err = w.obtain()
	}
	if err != nil {
		return nil, err
	}
	if scarce && !w.scarce {
		w.log.Warn("journal: the disk is full, segments that were kept for later readers are used again")
	}
	w.scarce = scarce
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next++
	w.prepared++
	return s, nil
}

// obtain makes a segment of what there is; scarce says that the device had no room for a new file.
func (w *Writer) obtain() (s *segment, scarce bool, err error) {
	s, err = w.fromFile(false)
	if err == nil || reason(err) != ErrDiskFull {
		return s, false, err
	}
	s, err = w.fromFile(true)
	return s, true, err
}

// fromFile makes a segment of the file that findFile gives.
func (w *Writer) fromFile(scarce bool) (*segment, error) {
	path, written, err := w.findFile(scarce)
	if err != nil {
		return nil, err
	}
	s, err := w.makeSegment(path, !written)
	if err != nil {
		_ = os.Remove(path)
	}
	return s, err
}

// retirable says whether closed segments are about to be retired, and lets that be done at once: a fast writer with few segments would
// otherwise run out of them between two ticks.
func (w *Writer) retirable() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.living) < 2 {
		return false
	}
	w.wakeKeeper()
	return true
}

func (w *Writer) wakeKeeper() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// makeSegment turns the spare file at path, which may not exist yet, into the segment with the next number. Fresh says that its blocks may never have been written.
func (w *Writer) makeSegment(path string, fresh bool) (*segment, error) {
	h := header{run: w.run, number: w.next, ordinal: w.next - w.first, size: w.o.SegmentBytes, begun: time.Now().UnixNano()}
	f, mem, err := openSpare(path, h.size)
	if err != nil {
		return nil, err
	}
	s := newSegment(h, f, mem)
	s.fresh = fresh
	if fresh {
		// Nothing is there to be read, but the first touch of a page would clear as many as the device reads ahead: 8 MiB on some, in one go.
		_ = unix.Madvise(mem, unix.MADV_RANDOM)
	}
	s.prefault(headerPage, prefaultFirst)
	if err = writeHeader(mem, h); err == nil {
		err = os.Rename(path, segmentPath(w.o.Dir, h.number))
	}
	if err != nil {
		s.unmap()
		return nil, err
	}
	return s, nil
}

// openSpare opens or makes the spare file and gives it blocks and a mapping.
func openSpare(path string, size int64) (f *os.File, mem []byte, err error) {
	f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, filePerm)
	if err != nil {
		return nil, nil, err
	}
	if err = allocate(f, size); err == nil {
		mem, err = unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, mem, nil
}

// allocate reserves the file's blocks, so that a full disk shows here and not as a fault in an append. A variable for tests.
var allocate = func(f *os.File, size int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), 0, 0, size)
		if err == unix.EINTR {
			continue
		}
		if err == unix.EOPNOTSUPP {
			return f.Truncate(size)
		}
		return err
	}
}

// findFile gives the spare file to make the next segment of; where it does not exist yet, the budget has room for it. Written says that
// nearly all of it was filled and synced in an earlier life, so that its blocks are known to be in use. With a spent budget, and with scarce,
// which says that the device has no room for a new file, what is only kept for later readers goes first.
func (w *Writer) findFile(scarce bool) (path string, written bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.spares); n > 0 {
		path = w.spares[n-1]
		w.spares = w.spares[:n-1]
		w.stats.Recycled++
		return path, false, nil
	}
	path = sparePath(w.o.Dir, w.next)
	for {
		spent := w.usedLocked()+w.o.SegmentBytes > w.o.Budget
		switch free := w.freeLocked(spent || scarce); {
		case free > 0:
		case spent:
			return "", false, ErrFull
		case scarce:
			return "", false, unix.ENOSPC
		default:
			return path, false, nil
		}
		old := w.stored[0]
		usable := old.size == w.o.SegmentBytes
		if usable {
			err = os.Rename(old.path, path)
		} else {
			err = os.Remove(old.path)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", false, err
		}
		w.stored = w.stored[1:]
		if usable && err == nil { // else it had another size, or somebody emptied the directory
			w.stats.Recycled++
			return path, old.end >= old.size-int64(w.largest)-headerPage, nil
		}
	}
}

// errWiped says that the directory is not the one that was locked: nothing may be made in it before restore has the new one.
var errWiped = errors.New("journal: the directory was deleted or its lock replaced")

// holdsLock says whether the lock file in the directory still is the one that this Writer locked.
func (w *Writer) holdsLock() bool {
	w.mu.Lock()
	lock := w.lock
	w.mu.Unlock()
	mine, err := lock.Stat()
	if err != nil {
		return false
	}
	now, err := os.Stat(lockPath(w.o.Dir))
	return err == nil && os.SameFile(mine, now)
}

// restore makes the directory again when it was deleted under the living Writer. What stood in it is gone; the run goes on with its next
// segment, and readers report the gap. Where another writer has begun there meanwhile, this one gets no segment any more.
func (w *Writer) restore() {
	if w.holdsLock() || os.MkdirAll(w.o.Dir, dirPerm) != nil {
		return
	}
	lock, err := lockDir(w.o.Dir)
	if err != nil {
		return
	}
	w.mu.Lock()
	old := w.lock
	w.lock, w.stored, w.spares, w.valid = lock, nil, nil, w.next+1
	w.mu.Unlock()
	_ = old.Close()
	w.log.Error("journal: the directory was deleted and has been made again; events in it are lost", "dir", w.o.Dir)
	w.leave(w.current.Load())
}

// discard turns a prepared segment back into a spare file.
func (w *Writer) discard(s *segment) {
	s.unmap()
	path := sparePath(w.o.Dir, s.number)
	if err := os.Rename(segmentPath(w.o.Dir, s.number), path); err != nil {
		w.log.Warn("journal: prepared segment not set aside", "error", err)
		return
	}
	w.mu.Lock()
	w.prepared--
	w.spares = append(w.spares, path)
	w.mu.Unlock()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
