package load

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// book is where a receiver writes down which message's webhook came when. It is a file that the receiver's process and the bench's have both mapped, so that looking costs
// the receiver nothing.
//
//	0         8          16      24
//	+---------+----------+-------+----------+-------+ ...
//	| entries | message 0| at 0  | message 1| at 1  |
//	+---------+----------+-------+----------+-------+
//
// All are in the machine's own order of bytes. A place is taken by counting up the entries; its message, never 0, is written last. Entries beyond the room are counted only.
type book struct {
	mem     []byte
	entries *atomic.Uint64
	places  []place
}

type place struct {
	message atomic.Uint64
	at      atomic.Int64 // ns of CLOCK_MONOTONIC, which is the same for all processes
}

const placeBytes = int(unsafe.Sizeof(place{}))

// makeBook makes one with room for so many entries.
func makeBook(path string, room int) (*book, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := file.Truncate(int64(8 + room*placeBytes)); err != nil {
		return nil, err
	}
	return mapBook(file)
}

func openBook(path string) (*book, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return mapBook(file)
}

func mapBook(file *os.File) (*book, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	room := (int(info.Size()) - 8) / placeBytes
	if room < 1 {
		return nil, fmt.Errorf("load: %s: %d bytes are no book of webhooks", file.Name(), info.Size())
	}
	mem, err := unix.Mmap(int(file.Fd()), 0, int(info.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("load: %s: %w", file.Name(), err)
	}
	return &book{
		mem: mem, entries: (*atomic.Uint64)(unsafe.Pointer(unsafe.SliceData(mem))),
		places: unsafe.Slice((*place)(unsafe.Pointer(unsafe.SliceData(mem[8:]))), room),
	}, nil
}

func (b *book) close() { _ = unix.Munmap(b.mem) }

func (b *book) add(message uint64, at int64) {
	if i := b.entries.Add(1) - 1; i < uint64(len(b.places)) {
		b.places[i].at.Store(at)
		b.places[i].message.Store(message)
	}
}

// count is how many webhooks came.
func (b *book) count() int { return int(b.entries.Load()) }

// read tells of the entries from the given one on; it ends before one that is not complete yet, and gives its place.
func (b *book) read(from int, tell func(message uint64, at int64)) int {
	for end := min(b.count(), len(b.places)); from < end; from++ {
		message := b.places[from].message.Load()
		if message == 0 {
			break
		}
		tell(message, b.places[from].at.Load())
	}
	return from
}

// monotonic is the clock of a book.
func monotonic() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // cannot fail
	return t.Nano()
}
