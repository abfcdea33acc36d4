package live

import (
	"cmp"
	"context"
	"time"

	"waypost/edge/journal"
)

// mark is an event that a reader wants, among the last ones of its log.
type mark[P any] struct {
	at    time.Time
	place P // where it begins
}

// ring keeps the last marks that it was given.
type ring[P any] struct {
	marks []mark[P]
	next  int
	most  int
}

func (r *ring[P]) add(m mark[P]) {
	if len(r.marks) < r.most {
		r.marks = append(r.marks, m)
		return
	}
	r.marks[r.next] = m
	r.next = (r.next + 1) % r.most
}

// inOrder are the marks, the oldest first.
func (r *ring[P]) inOrder() []mark[P] {
	return append(r.marks[r.next:len(r.marks):len(r.marks)], r.marks[:r.next]...)
}

// newest takes the n newest of all logs, each from its end, and gives how many of the marks of each are left: its reader begins there.
func newest[P any](logs [][]mark[P], n int) (left []int) {
	left = make([]int, len(logs))
	for i := range logs {
		left[i] = len(logs[i])
	}
	for ; n > 0; n-- {
		best := -1
		for i := range logs {
			if left[i] > 0 && (best < 0 || logs[i][left[i]-1].at.After(logs[best][left[best]-1].at)) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		left[best]--
	}
	return left
}

// lastOfJournals finds where the last events begin that a reader wants: it looks into the last segment of each journal, and, where that has not enough, into twice as many.
func (h *Hub) lastOfJournals(ctx context.Context, j *journals) ([]*journal.Position, error) {
	logs := make([][]mark[journal.Position], len(h.o.Journals))
	places := make([]*journal.Position, len(h.o.Journals))
	for i, dir := range h.o.Journals {
		end, err := h.decidedPlace(dir)
		if err != nil {
			return nil, err
		}
		if places[i] = end; end == nil {
			continue
		}
		segments, err := journal.Segments(dir)
		if err != nil {
			return nil, err
		}
		behind := 0 // how many segments hold anything decided
		for n, s := range segments {
			if s.Run == end.Run && s.Sequence < end.Sequence {
				behind = n + 1
			}
		}
		for begin, span := behind, 1; begin > 0 && len(logs[i]) < j.last; span *= 2 {
			begin = max(behind-span, 0)
			if logs[i], err = j.marksOf(ctx, dir, segments[begin], *end); err != nil {
				return nil, err
			}
		}
	}
	for i, left := range newest(logs, j.last) {
		if left < len(logs[i]) {
			places[i] = &logs[i][left].place
		}
	}
	return places, nil
}

// marksOf are the last events of a journal that the reader wants, between two places.
func (j *journals) marksOf(ctx context.Context, dir string, from, to journal.Position) ([]mark[journal.Position], error) {
	f, err := newFeed(j.store, dir, &from)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.reader.Close() }()
	kept := ring[journal.Position]{most: j.last}
	var e entry
	for {
		ok, err := f.next()
		if err != nil || ctx.Err() != nil {
			return nil, cmp.Or(err, ctx.Err())
		}
		if len(f.gaps) > 0 { // told by the reading that follows, where it matters
			f.gaps = nil
			continue
		}
		if !ok || f.held.Run == to.Run && f.held.Sequence >= to.Sequence {
			return kept.inOrder(), nil
		}
		wanted, err := j.look(&e, &f.held)
		if err != nil {
			return nil, err
		}
		if wanted {
			kept.add(mark[journal.Position]{e.event.Time, journal.Position{Run: f.held.Run, Sequence: f.held.Sequence}})
		}
	}
}
