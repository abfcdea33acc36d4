package uniques

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"waypost/edge/event"
	"waypost/sink/internal/store"
)

// kinds are the numbers of types in the store. A number stays with its type for ever; 0 is none.
var kinds = [...]event.Type{
	1: event.Clicked, 2: event.Opened, 3: event.Sent, 4: event.Delivered, 5: event.Bounced, 6: event.Deferred, 7: event.Complained, 8: event.Failed,
}

func kindOf(t event.Type) uint8 {
	if t == "" {
		return 0
	}
	return uint8(max(slices.Index(kinds[:], t), 0))
}

// Types are all types that are kept.
func Types() []event.Type { return slices.Clone(kinds[1:]) }

// View is what is kept at one moment. It must be closed, soon: what leaves meanwhile stays on disk until then, and so does the sink.
type View struct {
	// Snapshot is the store at that moment.
	Snapshot *pebble.Snapshot
	k        *Keeper
	segments []store.Segment
	cutoff   uint64
}

// View opens one. ErrOff: nothing is kept; ErrEnded: the sink is ending.
func (k *Keeper) View() (*View, error) {
	k.reading.RLock()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended {
		k.reading.RUnlock()
		return nil, ErrEnded
	}
	if k.limit == 0 {
		k.reading.RUnlock()
		return nil, ErrOff
	}
	k.views.Add(1)
	return &View{k.o.Store.NewSnapshot(), k, slices.Clone(k.segments), k.cutoff(k.micros())}, nil
}

// Close ends it.
func (v *View) Close() {
	_ = v.Snapshot.Close()
	v.k.reading.RUnlock()
	v.k.views.Done()
}

// Query says which events are asked for.
type Query struct {
	Tenant      uint32
	Types       []event.Type
	Message     *[16]byte // formats.MessageID; nil: of whichever message
	From, To    uint64    // at From or later, and before To; microseconds since 1970; To 0: without an end
	OldestFirst bool      // in place of the newest first
}

// Event is one that is kept.
type Event struct {
	ID   event.ID
	Type event.Type
	At   uint64 // its time, microseconds since 1970; where an edge's clock was ahead, when it was decided

	walk  *walk
	block *block
	line  int
}

// Document is the CloudEvent, valid until visit returns.
func (e *Event) Document() ([]byte, error) {
	lines, err := e.walk.read(e.block)
	if err == nil && e.line >= len(lines) {
		err = store.ErrKey
	}
	if err != nil {
		return nil, fmt.Errorf("uniques: event %s: %w", e.ID, err)
	}
	return lines[e.line], nil
}

// walk is one search.
type walk struct {
	view *View
	q    *Query
	rest []store.Segment // not looked into yet, in the order in which they are needed
	open [][]found       // of each segment that is: what was found and not visited yet, in order
	held *block          // whose documents were read last: neighbours in time mostly share a block
	docs [][]byte        // they
}

// block is one that has events which are asked for.
type block struct {
	store.Block
	events int // in all
}

// found is one of them.
type found struct {
	at    uint64
	id    event.ID
	kind  uint8
	line  int32
	block *block
}

// checkEvery is after how many events a search looks whether it is still wanted.
const checkEvery = 256

// Walk visits what a query asks for, by time, until visit says that it needs no more. An error of visit ends it, and is Walk's.
func (v *View) Walk(ctx context.Context, q Query, visit func(*Event) (more bool, err error)) error {
	q.From = max(q.From, v.cutoff)
	if q.To != 0 && q.To <= q.From {
		return nil
	}
	w := &walk{view: v, q: &q}
	for i := range v.segments {
		if s := &v.segments[i]; s.Newest >= q.From && (q.To == 0 || s.Oldest < q.To) {
			w.rest = append(w.rest, *s)
		}
	}
	slices.SortFunc(w.rest, func(a, b store.Segment) int { return w.order(w.edge(&a), w.edge(&b)) })
	for seen := 1; ; seen++ {
		next, ok, err := w.next(ctx)
		if err != nil || !ok {
			return err
		}
		if more, err := visit(&Event{next.id, kinds[next.kind], next.at, w, next.block, int(next.line)}); err != nil || !more {
			return err
		}
		if seen%checkEvery == 0 {
			if err := w.wanted(ctx); err != nil {
				return err
			}
		}
	}
}

// wanted says why nobody needs the rest.
func (w *walk) wanted(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-w.view.k.ending:
		return ErrEnded
	default:
		return nil
	}
}

// edge is the time that a segment's events can have at first in the walk's order.
func (w *walk) edge(s *store.Segment) uint64 {
	if w.q.OldestFirst {
		return s.Oldest
	}
	return s.Newest
}

// order compares times as the walk meets them.
func (w *walk) order(a, b uint64) int {
	if w.q.OldestFirst {
		return cmp.Compare(a, b)
	}
	return cmp.Compare(b, a)
}

func (w *walk) compare(a, b found) int {
	order := cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id.Run, b.id.Run), cmp.Compare(a.id.Sequence, b.id.Sequence))
	if !w.q.OldestFirst {
		order = -order
	}
	return order
}

// next takes what comes next; false: there is no more. A segment is looked into when one of its events may be it.
func (w *walk) next(ctx context.Context) (found, bool, error) {
	for {
		best := -1
		for i := range w.open {
			if best < 0 || w.compare(w.open[i][0], w.open[best][0]) < 0 {
				best = i
			}
		}
		if len(w.rest) > 0 && (best < 0 || w.order(w.edge(&w.rest[0]), w.open[best][0].at) <= 0) {
			if err := w.enter(ctx, &w.rest[0]); err != nil {
				return found{}, false, err
			}
			w.rest = w.rest[1:]
			continue
		}
		if best < 0 {
			return found{}, false, nil
		}
		next := w.open[best][0]
		if w.open[best] = w.open[best][1:]; len(w.open[best]) == 0 {
			w.open = slices.Delete(w.open, best, best+1)
		}
		return next, true, nil
	}
}

// enter looks into a segment.
func (w *walk) enter(ctx context.Context, s *store.Segment) error {
	wanted := map[uint8]bool{}
	for _, t := range w.q.Types {
		wanted[kindOf(t)] = true
	}
	start, end := s.IndexOf(w.q.Tenant)
	iter, err := w.view.Snapshot.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
	if err != nil {
		return err
	}
	defer iter.Close()
	var all []found
	for seen, ok := 1, iter.First(); ok; seen, ok = seen+1, iter.Next() {
		b := &block{}
		if b.Block, err = store.ParseBlock(iter.Key()); err != nil {
			return err
		}
		if b.Newest < w.q.From || w.q.To != 0 && b.Oldest >= w.q.To {
			continue
		}
		value, err := iter.ValueAndErr()
		if err != nil {
			return err
		}
		err = eachEntry(value, func(e *entry) {
			if wanted[e.kind] && e.at >= w.q.From && (w.q.To == 0 || e.at < w.q.To) && (w.q.Message == nil || e.message == *w.q.Message) {
				all = append(all, found{e.at, e.id, e.kind, int32(b.events), b})
			}
			b.events++
		})
		if err != nil {
			return fmt.Errorf("uniques: index %x: %w", iter.Key(), err)
		}
		if seen%checkEvery == 0 {
			if err := w.wanted(ctx); err != nil {
				return err
			}
		}
	}
	if len(all) > 0 {
		slices.SortFunc(all, w.compare)
		w.open = append(w.open, all)
	}
	return iter.Error()
}

// read gives a block's documents.
func (w *walk) read(b *block) ([][]byte, error) {
	if w.held == b {
		return w.docs, nil
	}
	value, closer, err := w.view.Snapshot.Get(b.Key())
	if err != nil {
		return nil, err
	}
	docs, err := Documents(slices.Clone(value))
	_ = closer.Close()
	if err == nil && len(docs) != b.events {
		err = store.ErrKey
	}
	if err != nil {
		return nil, err
	}
	w.held, w.docs = b, docs
	return docs, nil
}
