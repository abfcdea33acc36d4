package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	segmentSuffix = ".segment"
	spareSuffix   = ".spare" // prepared or set aside: no reader looks at it
	filePerm      = 0o640
	dirPerm       = 0o750
)

func segmentPath(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016d%s", number, segmentSuffix))
}

func sparePath(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016d%s", number, spareSuffix))
}

// segmentNumber reads a file name with the given suffix.
func segmentNumber(name, suffix string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	var n uint64
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}

// segment is one life of a segment file, as its Writer sees it. A file that is used again gets a new segment value, so that an
// appender that still holds the old one only finds it overshot.
type segment struct {
	header
	file       *os.File
	mem        []byte
	limit      int64  // limit(), once
	commitSeed uint64 // seed(), once
	firstUnit  uint64 // base(), once

	_ [64]byte
	// tail is the next free offset. Every appender adds its length; the sums that stay up to limit are reserved by exactly one
	// appender each, and exactly one sum crosses limit: who made it closes the segment.
	tail atomic.Int64
	// settled counts what appenders have finished with, published or failed: bytes in the low 40 bits, published records above.
	// When its bytes equal closedAt - headerPage, nobody will ever touch the mapping again.
	settled atomic.Uint64
	_       [48]byte
	// closedAt is the offset of the end mark; 0 while the segment is open. Written once, by who closed it.
	closedAt atomic.Int64
	// broken is set when an access to the mapping failed: there is a hole that nobody else will mark.
	broken atomic.Bool

	mapping sync.Mutex // held by who prefaults, and by unmap
	began   time.Time  // when it became current
	fresh   bool       // blocks of the file may never have been written before
	listed  bool       // keep's: the file's name is on the device
	flushed int64      // keep's: everything below is on the device
	leftOut int64      // keep's: the page that the last sync left out because it was being filled
}

const (
	settledShift = 40
	settledBytes = 1<<settledShift - 1
)

func newSegment(h header, f *os.File, mem []byte) *segment {
	s := &segment{header: h, file: f, mem: mem, limit: h.limit(), commitSeed: h.seed(), firstUnit: h.base()}
	s.tail.Store(headerPage)
	return s
}

// spentSegment stands before the first segment of a run: every reserve overshoots it and nobody closes it.
func spentSegment() *segment {
	s := &segment{}
	s.tail.Store(1)
	return s
}

// reserved is the end of what was handed out.
func (s *segment) reserved() int64 {
	if at := s.closedAt.Load(); at > 0 {
		return at
	}
	return min(s.tail.Load(), s.limit)
}

// quiet says whether the segment is closed and no append is under way in it.
func (s *segment) quiet() bool {
	at := s.closedAt.Load()
	return at > 0 && int64(s.settled.Load()&settledBytes) == at-headerPage
}

// close makes every later reserve overshoot. It says whether this call did it; then the caller owes finish.
func (s *segment) close() (off int64, mine bool) {
	off = s.tail.Add(s.size) - s.size
	return off, off <= s.limit
}

// holds says whether address lies in the mapping.
func (s *segment) holds(address uintptr) bool {
	start := uintptr(unsafe.Pointer(unsafe.SliceData(s.mem)))
	return address >= start && address < start+uintptr(len(s.mem))
}

// spend closes the segment unless that is done: the next append goes to the next one.
func (s *segment) spend() {
	if off, mine := s.close(); mine {
		s.finish(off, kindEndOfSegment)
	}
}

// finish writes the end mark at off. The caller is who crossed the limit.
func (s *segment) finish(off int64, k kind) {
	if err := guard(func() { putMark(s.mem, off, s.size, k, s.commitSeed, s.firstUnit) }); err != nil {
		s.broken.Store(true)
	}
	s.closedAt.Store(off)
}

func (s *segment) unmap() {
	s.mapping.Lock()
	defer s.mapping.Unlock()
	if s.mem != nil {
		_ = unix.Munmap(s.mem)
		s.mem = nil
	}
	if s.file != nil {
		_ = s.file.Close()
		s.file = nil
	}
}

// writeHeader begins a new life: the number goes first, so that a reader that still looks at the old life finds it gone before any
// byte of the new one.
func writeHeader(mem []byte, h header) error {
	return guard(func() {
		atomic.StoreUint64(word(mem, 24), h.number)
		clear(mem[:headerPage])
		for _, at := range h.copies() {
			h.put(mem[at : at+headerBytes])
		}
	})
}

// pageFault is an access to mapped memory that failed.
type pageFault struct{ address uintptr }

func (pageFault) Error() string { return "journal: access to a mapped page failed" }

// guard runs f and turns a fault on mapped memory into an error. Faults can be caught only in the goroutine that has them.
func guard(f func()) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = faultOf(r)
		}
	}()
	f()
	return nil
}

// faultOf gives the fault behind a recovered panic, and panics again with everything else.
func faultOf(r any) error {
	if a, ok := r.(interface{ Addr() uintptr }); ok {
		return pageFault{a.Addr()}
	}
	panic(r)
}
