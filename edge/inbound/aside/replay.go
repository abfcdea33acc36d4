package aside

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// lines reads a file of them. A line is good until the next.
type lines struct {
	r    *bufio.Reader
	long []byte
}

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReaderSize(r, 64<<10)} }

func (l *lines) next() ([]byte, error) {
	l.long = l.long[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		if len(l.long) == 0 && !errors.Is(err, bufio.ErrBufferFull) {
			return part, err
		}
		l.long = append(l.long, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return l.long, err
		}
	}
}

func trimmed(line []byte) []byte { return bytes.TrimSuffix(line, []byte("\n")) }

// Replay gives each delivery that was kept before it began to try, in the order of their coming, and takes out those of which try says that they are done: file by file, so a
// crash before that brings them back. What is damaged stays. An error of try ends the replay; what was done before is taken out.
func (s *Store) Replay(try func(*Entry) (done bool, err error)) (damaged int, err error) {
	s.replaying.Lock()
	defer s.replaying.Unlock()
	files, err := s.before()
	if err != nil {
		return 0, err
	}
	for _, n := range files {
		bad, err := s.replay(n, try)
		damaged += bad
		if err != nil {
			return damaged, err
		}
	}
	return damaged, nil
}

// before ends the file that is appended to, and gives all that there are.
func (s *Store) before() ([]uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return nil, errClosed
	}
	if err := s.endLocked(); err != nil {
		return nil, fmt.Errorf("aside: %w", err)
	}
	return list(s.dir)
}

// replay goes through one file, and puts another in its place where some of its lines are done. An error of try is given after that.
func (s *Store) replay(number uint64, try func(*Entry) (bool, error)) (damaged int, failed error) {
	var rest bytes.Buffer // at most a file: fileBytes, or one delivery
	taken, takenBytes := 0, 0
	err := scan(s.path(number), func(line []byte, e *Entry, wrong error) error {
		stays := true
		switch {
		case wrong != nil:
			damaged++
		case failed == nil:
			var done bool
			done, failed = try(e)
			stays = !done
		}
		if !stays {
			taken, takenBytes = taken+1, takenBytes+len(line)
			return nil
		}
		_, err := rest.Write(line)
		return err
	})
	if err != nil {
		return damaged, fmt.Errorf("aside: %w", err)
	}
	if taken == 0 {
		return damaged, failed
	}
	if err := s.replace(number, rest.Bytes()); err != nil {
		return damaged, errors.Join(failed, fmt.Errorf("aside: %w", err))
	}
	s.mu.Lock()
	s.lines, s.bytes = s.lines-int64(taken), s.bytes-int64(takenBytes)
	s.mu.Unlock()
	return damaged, failed
}

// replace puts what stays in a file's place, and nothing for nothing. A crash leaves the one or the other.
func (s *Store) replace(number uint64, rest []byte) error {
	if len(rest) == 0 {
		return os.Remove(s.path(number))
	}
	next := s.path(number) + unfinished // list does not see it, and the next one takes its place
	f, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(rest)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(next, s.path(number))
	}
	if err != nil {
		return errors.Join(err, os.Remove(next))
	}
	return nil
}
