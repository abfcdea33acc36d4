package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// recycling is a file system on which Pebble uses the files of its log again, as it does for speed, unless fresh is set: such a file holds bytes of its earlier life behind what is written to it.
type recycling struct {
	vfs.FS
	fresh atomic.Int32 // how many want none used again
}

// ReuseForWrite is for Pebble.
func (r *recycling) ReuseForWrite(old, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if r.fresh.Load() == 0 {
		return r.FS.ReuseForWrite(old, name, category)
	}
	f, err := r.Create(name, category)
	if err != nil {
		return nil, err
	}
	return f, r.Remove(old)
}

// Unwrap is for Pebble.
func (r *recycling) Unwrap() vfs.FS { return r.FS }

// mostSingle is how many keys are compacted one by one; more of them are as one range from the first to the last.
const mostSingle = 32

// Scrub takes what was deleted under these keys, all of one space and sorted, out of the files: until a compaction comes by, Pebble only notes that it is gone. Whoever still reads an older view of the store keeps that.
func (s *Store) Scrub(ctx context.Context, keys [][]byte) error {
	if len(keys) == 0 {
		return nil
	}
	spans := [][2][]byte{{keys[0], after(keys[len(keys)-1])}}
	if len(keys) <= mostSingle {
		spans = spans[:0]
		for _, key := range keys {
			spans = append(spans, [2][]byte{key, after(key)})
		}
	}
	for _, span := range spans {
		if err := s.Compact(ctx, span[0], span[1], false); err != nil {
			return fmt.Errorf("store: %w", err)
		}
	}
	return nil
}

// ScrubSpace is Scrub for all of a space.
func (s *Store) ScrubSpace(ctx context.Context, space Space) error {
	start, end := space.Range()
	if err := s.Compact(ctx, start, end, false); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// Turns of the log: after usualTurns every file that Pebble keeps of it has been taken up once, those that wait to be used again and those that are written to; files are removed beside that, so some more may be needed.
const (
	usualTurns = 2*memTables + 2
	mostTurns  = 200
	turnPause  = 20 * time.Millisecond
)

// ScrubLog takes what is not in the log any more out of its files too, and waits for the files to go that compactions have replaced. It does not wait for long where somebody still reads an older view of the store: the
// file goes when that ends.
func (s *Store) ScrubLog(ctx context.Context) error {
	if err := s.turnLog(ctx); err != nil {
		return err
	}
	for range mostTurns {
		if m := s.Metrics(); m.Table.ObsoleteCount == 0 && m.Table.ZombieCount == 0 {
			return nil
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) turnLog(ctx context.Context) error {
	s.files.fresh.Add(1)
	defer s.files.fresh.Add(-1)
	_, last, err := s.logs()
	if err != nil {
		return err
	}
	for turn := range mostTurns {
		if err := s.Flush(); err != nil {
			return fmt.Errorf("store: %w", err)
		}
		if oldest, _, err := s.logs(); err != nil || oldest > last {
			return err
		}
		if turn < usualTurns {
			continue
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
	return errors.New("store: a file of the log from before is still there: what was deleted may stand in it until it is used again")
}

func pause(ctx context.Context) error {
	select {
	case <-time.After(turnPause):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// logs gives the lowest and the highest number of the files of Pebble's log.
func (s *Store) logs() (oldest, newest uint64, err error) {
	names, err := s.files.List(s.dir)
	if err != nil {
		return 0, 0, fmt.Errorf("store: %w", err)
	}
	oldest = math.MaxUint64
	for _, name := range names {
		text, ok := strings.CutSuffix(name, ".log")
		if n, err := strconv.ParseUint(text, 10, 64); ok && err == nil {
			oldest, newest = min(oldest, n), max(newest, n)
		}
	}
	return oldest, newest, nil
}
