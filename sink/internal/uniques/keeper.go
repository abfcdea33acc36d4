package uniques

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/sink/dispatch/formats"
	"waypost/sink/ingest"
	"waypost/sink/internal/metrics"
	"waypost/sink/internal/store"
)

const (
	pruneEvery = time.Second
	// parts is into how many segments the days, and the bytes, are divided: what leaves at once, and what may be kept for longer than it must.
	parts = 32
	// longestSegment bounds what a start has to count.
	longestSegment = 64 << 20
)

// Errors of View.
var (
	// ErrOff says that no uniques are kept.
	ErrOff = errors.New("uniques: none are kept: uniques.keep or uniques.keep_bytes of the settings is 0")
	// ErrEnded says that the keeper was closed.
	ErrEnded = errors.New("uniques: the sink is ending")
)

// Options of Open.
type Options struct {
	Store    *store.Store
	Settings configs.Uniques
	Metrics  *metrics.Set
	Now      func() time.Time // time.Now
	// Failed is told when the store cannot be written: nothing leaves any more.
	Failed func(error)
}

// Keeper keeps uniques. It is ingest's Archive.
type Keeper struct {
	o      Options
	keep   time.Duration
	limit  uint64 // bytes; 0: nothing is kept
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu       sync.Mutex
	segments []store.Segment // by number; ingest writes to the last one
	next     uint32          // the number of the next one
	touched  uint32          // the lowest one that a batch under way writes to; 0: none. It does not leave: the batch would put a part of it back
	views    sync.WaitGroup
	reading  sync.RWMutex // read by views; see Forget
	leaving  sync.Mutex   // held while segments leave, before mu
	ended    bool
	ending   chan struct{} // closed with ended

	// Of a batch; only ingest's goroutine.
	noted                []noted
	lines, index, packed []byte
}

// noted is an event that the batch under way is to keep.
type noted struct {
	tenant uint32
	entry
	document []byte
}

// Open takes up what the store has, and begins to keep it within its bounds. Close ends that.
func Open(o Options) (*Keeper, error) {
	k, err := newKeeper(o)
	if err != nil {
		return nil, fmt.Errorf("uniques: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	k.cancel = cancel
	k.work.Go(func() { k.run(ctx) })
	return k, nil
}

func newKeeper(o Options) (*Keeper, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	k := &Keeper{o: o, keep: o.Settings.Keep, limit: uint64(o.Settings.KeepBytes), next: 1, ending: make(chan struct{}), cancel: func() {}}
	if k.keep == 0 {
		k.limit = 0
	}
	return k, k.load()
}

// Close waits for who reads, and for what leaves. Ingest must have ended.
func (k *Keeper) Close() {
	k.cancel()
	k.work.Wait()
	k.mu.Lock()
	if !k.ended {
		k.ended = true
		close(k.ending)
	}
	k.mu.Unlock()
	k.views.Wait()
}

// load reads the segments, and counts the last one, which says nothing of itself yet.
func (k *Keeper) load() error {
	err := k.o.Store.Each(store.Segments, func(key, value []byte) error {
		s, err := store.ParseSegment(key, value)
		if err != nil {
			return fmt.Errorf("segment %x: %w", key, err)
		}
		k.segments = append(k.segments, s)
		return nil
	})
	if err != nil || len(k.segments) == 0 {
		return err
	}
	last := &k.segments[len(k.segments)-1]
	k.next = last.Number + 1
	return count(k.o.Store, last)
}

// count fills in what a segment holds.
func count(s *store.Store, segment *store.Segment) error {
	segment.Oldest, segment.Newest, segment.Count, segment.Bytes = 0, 0, 0, 0
	events, index := segment.Ranges()
	for _, bounds := range [...][2][]byte{events, index} {
		iter, err := s.NewIter(&pebble.IterOptions{LowerBound: bounds[0], UpperBound: bounds[1]})
		if err != nil {
			return err
		}
		for ok := iter.First(); ok; ok = iter.Next() {
			value := iter.LazyValue()
			segment.Bytes += uint64(len(iter.Key()) + value.Len())
			if block, err := store.ParseBlock(iter.Key()); err == nil && iter.Key()[0] == index[0][0] {
				segment.Count += uint64(max(value.Len()-1, 0) / entryBytes)
				widen(segment, block.Oldest)
				widen(segment, block.Newest)
			}
		}
		if err := iter.Close(); err != nil {
			return err
		}
	}
	return nil
}

func widen(s *store.Segment, at uint64) {
	if s.Oldest == 0 || at < s.Oldest {
		s.Oldest = at
	}
	s.Newest = max(s.Newest, at)
}

// Keep notes an event. One that is older than what is kept is not kept.
func (k *Keeper) Keep(f ingest.First) error {
	kind := kindOf(f.Type)
	if k.limit == 0 || kind == 0 {
		return nil
	}
	now := k.micros()
	at := min(uint64(max(f.Time.UnixMicro(), 0)), now) // an edge's clock that is ahead must not keep a segment for longer
	if at < k.cutoff(now) {
		return nil
	}
	var room [256]byte
	message, ok := event.KeyMessage(room[:0], f.Key)
	if !ok {
		return fmt.Errorf("uniques: event %s: its key names no message", f.ID)
	}
	document := f.Document
	if bytes.IndexByte(document, '\n') >= 0 { // never by our own encoder, and only between members
		var compact bytes.Buffer
		if err := json.Compact(&compact, document); err != nil {
			return fmt.Errorf("uniques: event %s: %w", f.ID, err)
		}
		document = compact.Bytes()
	}
	k.noted = append(k.noted, noted{f.Tenant, entry{kind, at, f.ID, formats.MessageID(f.Tenant, message)}, document})
	return nil
}

// Write adds what was noted to the batch that also holds the decisions, in blocks of one tenant each.
func (k *Keeper) Write(b *pebble.Batch) error {
	defer func() { clear(k.noted); k.noted = k.noted[:0] }()
	slices.SortFunc(k.noted, func(a, b noted) int {
		return cmp.Or(cmp.Compare(a.tenant, b.tenant), cmp.Compare(a.at, b.at), cmp.Compare(a.id.Run, b.id.Run), cmp.Compare(a.id.Sequence, b.id.Sequence))
	})
	k.mu.Lock()
	defer k.mu.Unlock()
	for rest := k.noted; len(rest) > 0; {
		n, length := 0, 0
		for n < len(rest) && rest[n].tenant == rest[0].tenant && length < blockBytes {
			length += len(rest[n].document) + 1
			n++
		}
		if err := k.block(b, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// block adds one block to the batch.
func (k *Keeper) block(b *pebble.Batch, all []noted) error {
	s, err := k.segment(b, k.micros())
	if err != nil {
		return err
	}
	first, last := &all[0], &all[len(all)-1]
	block := store.Block{Segment: s.Number, Tenant: first.tenant, Oldest: first.at, Newest: last.at, First: first.id}
	k.lines, k.index = k.lines[:0], append(k.index[:0], indexVersion)
	for i := range all {
		k.index = all[i].appendTo(k.index)
		k.lines = append(append(k.lines, all[i].document...), '\n')
	}
	k.packed = pack(k.packed[:0], k.lines)
	for _, pair := range [...][2][]byte{{block.Key(), k.packed}, {block.IndexKey(), k.index}} {
		if err := b.Set(pair[0], pair[1], nil); err != nil {
			return err
		}
		s.Bytes += uint64(len(pair[0]) + len(pair[1]))
	}
	s.Count += uint64(len(all))
	widen(s, block.Oldest)
	widen(s, block.Newest)
	return nil
}

// segment is the one to write to. When the last one is full or has been open for long it is closed, and another begins; the batch says both.
func (k *Keeper) segment(b *pebble.Batch, now uint64) (*store.Segment, error) {
	if n := len(k.segments); n > 0 {
		last := &k.segments[n-1]
		if k.touched == 0 {
			k.touched = last.Number
		}
		if last.Bytes < min(max(k.limit/parts, 1), longestSegment) && now < last.Began+uint64(k.keep.Microseconds())/parts {
			return last, nil
		}
		if err := b.Set(last.Key(), last.AppendTo(nil), nil); err != nil {
			return nil, err
		}
	}
	s := store.Segment{Number: k.next, Began: now}
	if err := b.Set(s.Key(), s.AppendTo(nil), nil); err != nil {
		return nil, err
	}
	k.next++
	k.segments = append(k.segments, s)
	if k.touched == 0 {
		k.touched = s.Number
	}
	return &k.segments[len(k.segments)-1], nil
}

// Committed says that the batch is on disk.
func (k *Keeper) Committed() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.touched = 0
}

func (k *Keeper) micros() uint64 { return uint64(max(k.o.Now().UnixMicro(), 0)) }

// cutoff is the time from which on events are kept.
func (k *Keeper) cutoff(now uint64) uint64 {
	return now - min(now, uint64(k.keep.Microseconds()))
}

// run keeps the segments within their bounds until ctx ends.
func (k *Keeper) run(ctx context.Context) {
	ticker := time.NewTicker(pruneEvery)
	defer ticker.Stop()
	for {
		if err := k.prune(); err != nil {
			k.o.Failed(fmt.Errorf("uniques: %w", err))
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// prune removes segments that are too old, and the oldest of those that are too much.
func (k *Keeper) prune() error {
	k.leaving.Lock()
	defer k.leaving.Unlock()
	gone, dropped := k.take()
	if len(gone) > 0 {
		b := k.o.Store.NewBatch()
		defer b.Close()
		for i := range gone {
			events, index := gone[i].Ranges()
			for _, bounds := range [...][2][]byte{events, index} {
				if err := b.DeleteRange(bounds[0], bounds[1], nil); err != nil {
					return err
				}
			}
			if err := b.Delete(gone[i].Key(), nil); err != nil {
				return err
			}
		}
		if err := b.Commit(pebble.NoSync); err != nil {
			return err
		}
	}
	k.o.Metrics.UniquesDropped.Add(float64(dropped))
	return nil
}

// take gives the segments that are to leave, and how many events leave before their time.
func (k *Keeper) take() (gone []store.Segment, dropped uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var events, size uint64
	for i := range k.segments {
		events, size = events+k.segments[i].Count, size+k.segments[i].Bytes
	}
	cutoff := k.cutoff(k.micros())
	k.segments = slices.DeleteFunc(k.segments, func(s store.Segment) bool {
		aged := s.Newest < cutoff
		if k.touched != 0 && s.Number >= k.touched || !aged && size <= k.limit {
			return false
		}
		if !aged && k.limit > 0 {
			dropped += s.Count
		}
		events, size = events-s.Count, size-s.Bytes
		gone = append(gone, s)
		return true
	})
	k.o.Metrics.Uniques.Set(float64(events))
	k.o.Metrics.UniquesBytes.Set(float64(size))
	return gone, dropped
}
