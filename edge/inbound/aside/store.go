package aside

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrFull says that the bound of the directory is reached.
var ErrFull = errors.New("aside: the directory is full")

// ErrInUse says that another process keeps deliveries there.
var ErrInUse = errors.New("aside: another edge keeps its deliveries there")

var errClosed = errors.New("aside: closed")

const (
	suffix = ".jsonl"
	digits = 8
	// fileBytes is about how large a file becomes before the next one begins: a replay writes what stays of one anew.
	fileBytes = 4 << 20
)

// Store is the directory, opened to keep deliveries in it. Any goroutine may call its methods.
type Store struct {
	dir   string
	bound int64

	replaying sync.Mutex // one replay at a time: taken before mu

	mu     sync.Mutex
	lock   *os.File
	file   *os.File // what is appended to; nil: none yet
	number uint64   // of file, or the last one before
	length int64    // of file
	bytes  int64    // of all files
	lines  int64    // in all files
	line   []byte   // room
}

// Open makes the directory if it is not there (its parent has to be), and keeps at most bound bytes in it.
func Open(dir string, bound int64) (*Store, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("aside: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("aside: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s", ErrInUse, dir), lock.Close())
	}
	s := &Store{dir: dir, bound: bound, lock: lock}
	files, err := list(dir)
	if err == nil {
		err = errors.Join(s.tidy(), s.count(files))
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

// unfinished is what ends the name of a file that a replay writes before it puts it in another's place.
const unfinished = ".new"

// tidy removes what a replay did not get done with: what it would have replaced is there.
func (s *Store) tidy() error {
	left, _ := filepath.Glob(filepath.Join(s.dir, "*"+suffix+unfinished)) // its error is of the pattern
	for _, name := range left {
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("aside: %w", err)
		}
	}
	return nil
}

// count finds how much there is. What another process left is never appended to: its last line may be half of one.
func (s *Store) count(files []uint64) error {
	for _, n := range files {
		s.number = n
		err := scan(s.path(n), func(line []byte, _ *Entry, _ error) error {
			s.lines++
			s.bytes += int64(len(line))
			return nil
		})
		if err != nil {
			return fmt.Errorf("aside: %w", err)
		}
	}
	return nil
}

func (s *Store) path(number uint64) string { return path(s.dir, number) }

func path(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%0*d%s", digits, number, suffix))
}

// list finds the numbers of the files, in order.
func list(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("aside: %w", err)
	}
	var numbers []uint64
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), suffix)
		n, err := strconv.ParseUint(name, 10, 64)
		if ok && err == nil && len(name) >= digits {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// Keep returns when the delivery is in a file; it takes what it needs of its arguments. ErrFull: nothing is kept.
func (s *Store) Keep(tenant, provider string, at time.Time, headers []Header, body []byte, why error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return errClosed
	}
	s.line = AppendLine(s.line[:0], &Entry{tenant, provider, at, why.Error(), headers, body})
	if s.bytes+int64(len(s.line)) > s.bound {
		return ErrFull
	}
	if s.file == nil || s.length > 0 && s.length+int64(len(s.line)) > fileBytes {
		if err := s.nextLocked(); err != nil {
			return fmt.Errorf("aside: %w", err)
		}
	}
	if n, err := s.file.Write(s.line); err != nil {
		if n > 0 { // half a line, as on a full disk
			if failed := s.file.Truncate(s.length); failed != nil {
				err = errors.Join(err, failed)
				s.length, s.bytes, s.lines = s.length+int64(n), s.bytes+int64(n), s.lines+1
				_ = s.endLocked()
			}
		}
		return fmt.Errorf("aside: %w", err)
	}
	n := int64(len(s.line))
	s.length, s.bytes, s.lines = s.length+n, s.bytes+n, s.lines+1
	if cap(s.line) > 64<<10 {
		s.line = nil
	}
	return nil
}

// nextLocked begins a new file.
func (s *Store) nextLocked() error {
	if err := s.endLocked(); err != nil {
		return err
	}
	f, err := os.OpenFile(s.path(s.number+1), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	s.file, s.number, s.length = f, s.number+1, 0
	return nil
}

// endLocked ends the file that is appended to.
func (s *Store) endLocked() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

// Size is how much is kept: deliveries, and bytes of files.
func (s *Store) Size() (deliveries, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lines, s.bytes
}

// Close ends it, after a replay under way. Nothing is kept any more.
func (s *Store) Close() error {
	s.replaying.Lock()
	defer s.replaying.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return nil
	}
	err := errors.Join(s.endLocked(), s.lock.Close())
	s.lock = nil
	return err
}

// Read visits what is kept, in the order of its coming, without a lock: while an edge keeps more, and replays. A line that is damaged is visited with ErrDamaged.
func Read(dir string, visit func(*Entry, error) error) error {
	files, err := list(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was ever kept
	}
	if err != nil {
		return err
	}
	for _, n := range files {
		err := scan(path(dir, n), func(_ []byte, e *Entry, damaged error) error { return visit(e, damaged) })
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a replay may have been done with it
			return err
		}
	}
	return nil
}

// scan visits the lines of a file, each with its line break where it has one.
func scan(path string, visit func(line []byte, e *Entry, damaged error) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	lines := newLines(f)
	for {
		line, err := lines.next()
		if len(line) > 0 {
			e, damaged := parseLine(trimmed(line))
			if err := visit(line, e, damaged); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
