package uniques

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"waypost/sink/internal/store"
)

// Each visits every event that is kept of a tenant: its time, as Event has it, and its document, valid until visit returns. Unlike a walk it also visits what is too old to be found and has not left yet.
func (k *Keeper) Each(ctx context.Context, tenant uint32, visit func(at uint64, document []byte)) error {
	_, err := k.fitting(ctx, tenant, func(at uint64, document []byte) bool {
		visit(at, document)
		return false
	})
	return err
}

// fitting gives the keys of the blocks that hold an event which fits.
func (k *Keeper) fitting(ctx context.Context, tenant uint32, fits func(at uint64, document []byte) bool) (all []store.Block, err error) {
	for _, s := range k.snapshot() {
		start, end := s.IndexOf(tenant)
		iter, err := k.o.Store.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
		if err != nil {
			return nil, err
		}
		for ok := iter.First(); ok; ok = iter.Next() {
			b, err := store.ParseBlock(iter.Key())
			if err == nil {
				err = ctx.Err()
			}
			var entries []entry
			var documents [][]byte
			if err == nil {
				entries, documents, _, err = k.read(&b)
			}
			if err != nil {
				return nil, errors.Join(err, iter.Close())
			}
			found := false
			for i := range entries {
				found = fits(entries[i].at, documents[i]) || found
			}
			if found {
				all = append(all, b)
			}
		}
		if err := errors.Join(iter.Error(), iter.Close()); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (k *Keeper) snapshot() []store.Segment {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.segments)
}

// read gives a block as it is now, and what it counts for in its segment; nothing where it has left.
func (k *Keeper) read(b *store.Block) (entries []entry, documents [][]byte, size uint64, err error) {
	index, err := k.value(b.IndexKey())
	if err != nil || index == nil {
		return nil, nil, 0, err
	}
	lines, err := k.value(b.Key())
	if err != nil || lines == nil {
		return nil, nil, 0, err
	}
	size = uint64(len(b.Key()) + len(lines) + len(b.IndexKey()) + len(index))
	if err = eachEntry(index, func(e *entry) { entries = append(entries, *e) }); err == nil {
		documents, err = Documents(lines)
	}
	if err == nil && len(documents) != len(entries) {
		err = store.ErrKey
	}
	if err != nil {
		return nil, nil, 0, fmt.Errorf("uniques: block %x: %w", b.IndexKey(), err)
	}
	return entries, documents, size, nil
}

// value gives a copy of what stands under a key; nil: nothing does.
func (k *Keeper) value(key []byte) ([]byte, error) {
	value, closer, err := k.o.Store.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	return bytes.Clone(value), nil
}

// Forget takes the events of a tenant that fit away, durably: the blocks that have them are written anew without them. between runs a function while ingest's Keep and Write are not under way. It gives how many events
// went, and the blocks that were written anew or went whole.
func (k *Keeper) Forget(ctx context.Context, tenant uint32, between func(func() error) error, fits func(at uint64, document []byte) bool) (n int, touched []store.Block, err error) {
	blocks, err := k.fitting(ctx, tenant, fits)
	if err != nil {
		return 0, nil, err
	}
	for i := range blocks {
		err := ctx.Err()
		if err == nil {
			err = between(func() error {
				gone, err := k.rewrite(&blocks[i], fits)
				if n += gone; gone > 0 {
					touched = append(touched, blocks[i])
				}
				return err
			})
		}
		if err != nil {
			return n, touched, err
		}
	}
	k.searched()
	return n, touched, nil
}

// rewrite writes a block without what fits.
func (k *Keeper) rewrite(b *store.Block, fits func(at uint64, document []byte) bool) (gone int, err error) {
	k.leaving.Lock() // a segment that leaves must not get a block back
	defer k.leaving.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	at := slices.IndexFunc(k.segments, func(s store.Segment) bool { return s.Number == b.Segment })
	if at < 0 {
		return 0, nil
	}
	entries, documents, before, err := k.read(b)
	if err != nil {
		return 0, err
	}
	index, lines := []byte{indexVersion}, []byte(nil)
	for i := range entries {
		if fits(entries[i].at, documents[i]) {
			gone++
			continue
		}
		index = entries[i].appendTo(index)
		lines = append(append(lines, documents[i]...), '\n')
	}
	if gone == 0 {
		return 0, nil
	}
	batch := k.o.Store.NewBatch()
	defer batch.Close()
	segment := k.segments[at]
	segment.Count -= min(segment.Count, uint64(gone))
	segment.Bytes -= min(segment.Bytes, before)
	if gone == len(entries) {
		err = errors.Join(batch.Delete(b.Key(), nil), batch.Delete(b.IndexKey(), nil))
	} else {
		packed := pack(nil, lines)
		segment.Bytes += uint64(len(b.Key()) + len(packed) + len(b.IndexKey()) + len(index))
		err = errors.Join(batch.Set(b.Key(), packed, nil), batch.Set(b.IndexKey(), index, nil))
	}
	if at < len(k.segments)-1 { // the last one says nothing of itself yet
		err = errors.Join(err, batch.Set(segment.Key(), segment.AppendTo(nil), nil))
	}
	if err == nil {
		err = batch.Commit(pebble.Sync)
	}
	if err != nil {
		return 0, err
	}
	k.segments[at] = segment
	return gone, nil
}

// searched waits for the searches that may read what was there before.
func (k *Keeper) searched() {
	k.reading.Lock()
	defer k.reading.Unlock()
}

// Since is from when on what was told is kept; now where nothing is.
func (k *Keeper) Since() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.micros()
	since := k.cutoff(now)
	if k.limit == 0 {
		return time.UnixMicro(int64(now)).UTC()
	}
	var size uint64
	var oldest uint64
	for i := range k.segments {
		s := &k.segments[i]
		size += s.Bytes
		if oldest == 0 || s.Oldest != 0 && s.Oldest < oldest {
			oldest = s.Oldest
		}
	}
	if size+k.limit/parts >= k.limit { // the oldest left before their time
		since = max(since, oldest)
	}
	return time.UnixMicro(int64(since)).UTC()
}
