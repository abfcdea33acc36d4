package journal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Writer appends to a journal. One process at a time holds the directory (a lock file); any number of goroutines append.
type Writer struct {
	o       Options
	run     Run
	first   uint64 // number of this run's segment with ordinal 0
	largest int    // payload
	ranges  bool   // the file system can sync ranges durably
	log     *slog.Logger

	// current is replaced by turn only, under turning. It is never nil; before the first segment it is a spent one.
	current atomic.Pointer[segment]
	// shortage is why no segment is ready; nil while one is, or is being prepared. The preparer owns it; turn may set it from nil.
	shortage atomic.Pointer[error]
	turning  sync.Mutex
	closed   bool // under turning

	ready chan *segment // prepared segments, in order of their numbers: preparer to turn
	short chan struct{} // the preparer has set shortage
	wake  chan struct{} // the preparer waits for what keep does
	stop  chan struct{}
	done  sync.WaitGroup

	scarce bool     // the preparer's: the last segment was made of a kept one because the disk was full
	inHand *segment // the preparer's: what it was about to queue when it was stopped

	// mu guards what follows. Nobody waits for a device while holding it, because begin takes it under turning.
	mu       sync.Mutex
	lock     *os.File   // keep's restore replaces it when the directory was deleted
	living   []*segment // of this run, begun and not yet sealed, oldest first
	stored   []stored   // every other segment file, oldest first
	spares   []string   // spare files of the right size
	prepared int        // segments of this run that are not begun
	next     uint64     // number of the next segment to prepare; only prepare changes it once Open is done
	valid    uint64     // prepared segments with a lower number went with a directory that was deleted
	seen     map[string]Position
	garbage  map[string]bool // consumers whose position is damaged
	stats    Stats           // what is counted, and the records and bytes of retired segments
}

// stored is a segment file that nobody writes to any more.
type stored struct {
	header
	end  int64     // offset of its end mark
	at   time.Time // when it was closed, nearly
	path string
}

// Open locks the directory, closes runs that a crash left open (marks their holes), and begins a new run. It gives ErrLocked when another
// process (or another Writer of this one) writes there. A full budget or disk is no error of Open: Append then says so.
func Open(o Options) (*Writer, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, dirPerm); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	w := &Writer{
		o: o, lock: lock, ranges: syncsRanges(lock), log: o.Logger, run: newRun(), largest: largestRecord(o.SegmentBytes),
		ready: make(chan *segment, ahead(o)-1), short: make(chan struct{}, 1), wake: make(chan struct{}, 1), stop: make(chan struct{}),
		seen: map[string]Position{}, garbage: map[string]bool{},
	}
	w.current.Store(spentSegment())
	if err := w.start(); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return w, nil
}

// start takes over what is in the directory, prepares the first segment and starts the three goroutines.
func (w *Writer) start() error {
	if err := w.takeOver(); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	w.first = w.next
	s, err := w.prepare()
	switch {
	case err == nil:
		w.begin(s)
	case reason(err) == ErrIO:
		return fmt.Errorf("journal: first segment: %w", err)
	default:
		w.setShortage(err)
	}
	w.done.Add(3)
	go w.prepareAhead()
	go w.prefaultAhead()
	go w.keep()
	return nil
}

func (o *Options) defaults() error {
	if o.Dir == "" {
		return errors.New("journal: no directory given")
	}
	setDefault(&o.SegmentBytes, 64<<20)
	setDefault(&o.Budget, max(4<<30, 4*o.SegmentBytes))
	setDefault(&o.KeepBytes, 2<<30)
	setDefault(&o.KeepAge, 7*24*time.Hour)
	setDefault(&o.Sync, 100*time.Millisecond)
	setDefault(&o.Patience, 100*time.Millisecond)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if !validSegmentBytes(o.SegmentBytes) {
		return fmt.Errorf("journal: segment of %d bytes: want a power of two from %d to %d", o.SegmentBytes, minSegmentBytes, maxSegmentBytes)
	}
	if o.Budget < 2*o.SegmentBytes {
		return fmt.Errorf("journal: budget of %d bytes: want at least two segments (%d)", o.Budget, 2*o.SegmentBytes)
	}
	for _, name := range o.Consumers {
		if err := CheckConsumer(name); err != nil {
			return err
		}
	}
	return nil
}

func setDefault[T int64 | time.Duration](v *T, value T) {
	if *v == 0 {
		*v = value
	}
}

// largestRecord is the largest payload: a quarter of a segment, and never above 1 MiB.
func largestRecord(segmentBytes int64) int {
	return int(min(segmentBytes/4, maxRecordBytes)) - recordHeader
}

// ahead is how many segments are prepared before they are needed: one large one, or as many small ones as make up 4 MiB.
func ahead(o Options) int64 { return max(1, min(32, 4<<20/o.SegmentBytes, o.Budget/o.SegmentBytes/4)) }

func newRun() Run {
	var b [8]byte
	for {
		_, _ = rand.Read(b[:])
		if run := Run(binary.LittleEndian.Uint64(b[:])); run != 0 {
			return run
		}
	}
}

func lockPath(dir string) string { return filepath.Join(dir, "lock") }

// lockDir takes the lock file. The kernel gives it back when the process ends, however it ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(lockPath(dir), os.O_RDWR|os.O_CREATE, filePerm)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if err == unix.EWOULDBLOCK {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("journal: lock: %w", err)
	}
	return f, nil
}

// Run is the run that this Writer began. It does not change during the Writer's life.
func (w *Writer) Run() Run { return w.run }

// Close waits for appends under way, marks the run as finished, syncs, and gives the directory back.
func (w *Writer) Close() error {
	w.turning.Lock()
	if w.closed {
		w.turning.Unlock()
		return ErrClosed
	}
	w.closed = true
	w.turning.Unlock()
	close(w.stop)
	w.done.Wait()
	unused := w.drainReady()
	if s := w.current.Load(); s.mem != nil {
		unused = w.finishRun(s, unused)
	}
	for !w.sealed() {
		w.seal(true)
		time.Sleep(50 * time.Microsecond) // an append is between reserve and publish
	}
	for _, s := range unused {
		w.discard(s)
	}
	err := syncDir(w.o.Dir)
	if errors.Is(err, os.ErrNotExist) {
		err = nil // the directory was deleted under us: there is nothing to sync
	}
	return errors.Join(err, w.lock.Close())
}

// finishRun closes the current segment with the mark that ends the run. Where an appender has closed it already, a reader may have gone
// on to the next segment, so the run ends at the beginning of that one; without one the mark is replaced.
func (w *Writer) finishRun(s *segment, unused []*segment) []*segment {
	off, mine := s.close()
	for !mine && s.closedAt.Load() == 0 {
		time.Sleep(50 * time.Microsecond) // its closer is between reserve and mark
	}
	if !mine {
		off = s.closedAt.Load()
	}
	if !mine && len(unused) > 0 {
		if w.begin(unused[0]) {
			s = unused[0]
			off, _ = s.close()
		}
		unused = unused[1:]
	}
	s.finish(off, kindEndOfRun)
	return unused
}

// drainReady gives the segments that were prepared and not used, in order, once the preparer has stopped.
func (w *Writer) drainReady() (unused []*segment) {
	for len(w.ready) > 0 {
		unused = append(unused, <-w.ready)
	}
	if w.inHand != nil {
		unused = append(unused, w.inHand)
	}
	return unused
}

func (w *Writer) sealed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.living) == 0
}

// Stats reads the counters; it is cheap enough for each scrape.
func (w *Writer) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	st := w.stats
	st.Segments = len(w.stored) + len(w.living) + w.prepared + len(w.spares)
	st.ConsumerLag = make(map[string]uint64, len(w.o.Consumers))
	for _, s := range w.stored {
		st.UsedBytes += s.end - headerPage
	}
	for _, s := range w.living {
		settled := s.settled.Load()
		st.Records += settled >> settledShift
		st.Bytes += settled & settledBytes
		st.UsedBytes += s.reserved() - headerPage
	}
	for _, name := range w.o.Consumers {
		st.ConsumerLag[name] = w.lagLocked(name)
	}
	return st
}
