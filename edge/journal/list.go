package journal

import (
	"cmp"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// entry is one segment file of a directory, as its name and first page tell.
type entry struct {
	header
	path         string
	fileSize     int64
	modified     time.Time
	settledBelow uint64 // segments of this run with a lower number have no append under way and are synced
	end          int64  // offset of the end mark where the writer noted it, else 0
	bad          bool   // the header cannot be read and was not guessed: only number is known
	guessed      bool   // the header cannot be read; a neighbour's run fits what stands in the segment
}

// Runs gives the runs of the journal in dir, in the order in which they were begun.
func Runs(dir string) ([]Run, error) {
	list, err := listSegments(dir)
	if err != nil {
		return nil, err
	}
	var runs []Run
	for _, e := range list {
		if !e.bad && !slices.Contains(runs, e.run) {
			runs = append(runs, e.run)
		}
	}
	return runs, nil
}

// Segments gives the places at which the segments of the journal in dir begin, in order: a Reader resumed at one of them begins there at once.
func Segments(dir string) ([]Position, error) {
	list, err := listSegments(dir)
	if err != nil {
		return nil, err
	}
	var begins []Position
	for _, e := range list {
		if !e.bad {
			begins = append(begins, Position{e.run, e.base() + headerPage/alignment})
		}
	}
	return begins, nil
}

// listSegments gives the segments of dir by number. A directory that does not exist has none; a file that vanishes meanwhile is left out.
func listSegments(dir string) ([]entry, error) {
	names, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []entry
	for _, n := range names {
		number, ok := segmentNumber(n.Name(), segmentSuffix)
		if !ok {
			continue
		}
		e, err := readEntry(filepath.Join(dir, n.Name()), number)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b entry) int { return cmp.Compare(a.number, b.number) })
	for i := range list {
		if list[i].bad {
			guess(list, i)
		}
	}
	return list, nil
}

func readEntry(path string, number uint64) (entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return entry{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return entry{}, err
	}
	e := entry{path: path, fileSize: info.Size(), modified: info.ModTime()}
	var first [2*headerBytes + 2*8]byte // the first copy, and the words that change
	var second [headerBytes]byte
	n, _ := f.ReadAt(first[:], 0) // what cannot be read is a bad header
	h, ok := parseHeader(first[:n])
	if !ok {
		n, _ = f.ReadAt(second[:], info.Size()-headerBytes)
		h, ok = parseHeader(second[:n])
	}
	if !ok || h.number != number {
		// A segment that was renamed for its next life between the opening and the reading is gone, not bad.
		if again, err := os.Stat(path); err != nil || !os.SameFile(info, again) {
			return entry{}, os.ErrNotExist
		}
		e.header, e.bad = header{number: number}, true
		return e, nil
	}
	e.header = h
	e.settledBelow = binary.LittleEndian.Uint64(first[settledBelowAt:])
	if e.settledBelow > number { // a damaged hint
		e.settledBelow = 0
	}
	e.end = int64(binary.LittleEndian.Uint64(first[endAt:]))
	return e, nil
}

// guess tries the runs of the neighbours on a segment whose header is lost: numbers and ordinals grow in step, so nothing else is missing
// to check its records.
func guess(list []entry, at int) {
	for _, step := range []int{-1, 1} {
		i := at + step
		for i >= 0 && i < len(list) && list[i].bad {
			i += step
		}
		if i < 0 || i >= len(list) {
			continue
		}
		h := list[i].header
		if h.ordinal+list[at].number < h.number {
			continue
		}
		h.ordinal, h.number = h.ordinal+list[at].number-h.number, list[at].number
		if e := list[at]; holdsRecords(e.path, h) {
			list[at] = entry{header: h, path: e.path, fileSize: e.fileSize, modified: e.modified, guessed: true}
			return
		}
	}
}

// holdsRecords says whether anything in the file is valid for h.
func holdsRecords(path string, h header) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	mem, err := unix.Mmap(int(f.Fd()), 0, int(h.size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Munmap(mem) }()
	_, ok := place{mem, h.seed(), h.base()}.search(headerPage, h.size)
	return ok
}
