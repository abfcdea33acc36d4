package live

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"waypost/sink/ingest/topic"
	"waypost/sink/internal/kafkalog"
)

// Waits of a partition that cannot be read.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
	// newLeader is for how long a place behind the log's end may be one that a new leader does not know yet.
	newLeader = 5 * time.Second
)

// partitions reads a topic: all events, or the firsts, where only they are asked for. Each partition is fetched by a goroutine, one answer ahead.
type partitions struct {
	sieve
	h     *Hub
	topic string
	kind  kind
	parts []*part
	runs  []seenRun // what the readers' rule knows, the run that was met last first
	turn  int
	ready chan struct{} // holds something when an answer came
	stop  context.CancelFunc
	tasks sync.WaitGroup
}

// part is one partition.
type part struct {
	answers chan answer
	now     answer
	looked  int   // messages of now
	at      int64 // behind what was taken or passed over
	begin   int64 // where reading begins: below show, for what the rule must know
	show    int64 // below it nothing is shown
	source  int64 // of the last first that was taken or passed over; -1: none
}

// answer is what was fetched, or why events may be missing before what comes next.
type answer struct {
	kafkalog.Fetched
	gap string
}

// mostRuns bounds the rule's memory; a cursor has room for about as many at 12 partitions.
const mostRuns = 100

// openTopic begins where the query says.
func (h *Hub) openTopic(ctx context.Context, q *query) (source, error) {
	p := &partitions{
		sieve: sieve{query: q}, h: h, topic: h.o.Events, kind: ofEvents, ready: make(chan struct{}, 1),
	}
	if q.first != "" {
		p.topic, p.kind = h.o.Unique, ofUnique
	}
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	n, err := h.o.Log.Partitions(ctx, p.topic)
	if err == nil && n > maxPartitions {
		return nil, &fault{http.StatusNotImplemented, fmt.Sprintf("%s has %d partitions: streams are for at most %d", p.topic, n, maxPartitions)}
	}
	var offsets, begins []int64
	gap := ""
	if err == nil {
		offsets, begins, gap, err = p.places(ctx, n)
	}
	if err != nil {
		return nil, h.away(err)
	}
	for i, at := range offsets {
		part := &part{answers: make(chan answer, 1), at: at, begin: at, source: -1}
		if begins != nil {
			part.begin, part.show = begins[i], at
		}
		if p.resumes(n) && p.kind == ofUnique {
			part.source = q.from.sources[i]
		}
		p.parts = append(p.parts, part)
	}
	if p.resumes(n) {
		p.runs = q.from.runs
	}
	if gap != "" {
		p.parts[0].answers <- answer{gap: gap, Fetched: kafkalog.Fetched{Next: offsets[0]}}
	}
	p.begin()
	return p, nil
}

// resumes says whether the reader comes back to a place in this topic.
func (p *partitions) resumes(n int) bool {
	return p.from != nil && p.from.kind == p.kind && len(p.from.offsets) == n
}

// places are the offsets from which each partition is to be shown, and, where that is not the same, read.
func (p *partitions) places(ctx context.Context, n int) (offsets, begins []int64, gap string, err error) {
	if p.resumes(n) {
		return p.from.offsets, nil, "", nil
	}
	var firsts, ends []int64
	for i := range n {
		span, err := p.h.o.Log.Span(ctx, p.topic, i)
		if err != nil {
			return nil, nil, "", err
		}
		firsts, ends = append(firsts, span.First), append(ends, span.End)
	}
	switch {
	case p.from != nil:
		return ends, nil, gapKind, nil
	case p.last > 0:
		offsets, begins, err = p.lastOfTopic(ctx, firsts, ends)
		return offsets, begins, "", err
	case p.oldest:
		return firsts, nil, "", nil
	case p.since.IsZero():
		return ends, nil, "", nil
	}
	offsets, err = p.h.o.Log.Since(ctx, p.topic, n, p.since)
	for i, offset := range offsets {
		if offset < 0 {
			offsets[i] = ends[i]
		}
	}
	return offsets, nil, "", err
}

// begin starts to fetch.
func (p *partitions) begin() {
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	for i, part := range p.parts {
		p.tasks.Go(func() { p.fetch(ctx, i, part.answers, part.begin) })
	}
}

func (p *partitions) close() {
	p.stop()
	p.tasks.Wait()
}

// fetch reads a partition until ctx is done. What fails is tried again.
func (p *partitions) fetch(ctx context.Context, n int, answers chan<- answer, at int64) {
	pause, beyond := firstPause, time.Time{}
	for ctx.Err() == nil {
		f, err := p.h.o.Log.Fetch(ctx, p.topic, n, at)
		a := answer{Fetched: f}
		if errors.Is(err, kafka.OffsetOutOfRange) {
			a.gap, at, beyond = p.outOfRange(ctx, n, at, beyond)
		}
		if err != nil && a.gap == "" {
			if ctx.Err() == nil {
				p.h.failing(fmt.Sprintf("%s/%d", p.topic, n), err)
			}
			kafkalog.Wait(ctx, pause)
			pause = min(2*pause, lastPause)
			continue
		}
		pause, beyond = firstPause, time.Time{}
		if a.gap == "" {
			if at == f.Next && len(f.Messages) == 0 {
				continue // the broker had nothing for as long as it waits
			}
			at = f.Next
		} else {
			a.Next = at
		}
		select {
		case answers <- a:
		case <-ctx.Done():
			return
		}
		select {
		case p.ready <- struct{}{}:
		default:
		}
	}
}

// outOfRange says where to go on when a partition does not hold a place. A new leader may not know its end yet: that is waited for.
func (p *partitions) outOfRange(ctx context.Context, n int, at int64, since time.Time) (gap string, next int64, beyond time.Time) {
	span, err := p.h.o.Log.Span(ctx, p.topic, n)
	switch {
	case err != nil, at >= span.First && at <= span.End:
		return "", at, since
	case at < span.First:
		return fmt.Sprintf("partition %d begins at offset %d now, and %d was to come: what was between is no longer kept", n, span.First, at), span.First, time.Time{}
	case since.IsZero():
		return "", at, time.Now()
	case time.Since(since) < p.h.newLeader:
		return "", at, since
	}
	return fmt.Sprintf("partition %d ends at offset %d, and %d was to come: the topic was made anew, or lost its end; going on from its end", n, span.End, at), span.End, time.Time{}
}

func (p *partitions) round() <-chan struct{} { return p.ready }

func (p *partitions) take(e *entry) (taken, error) {
	idle := 0
	for range burst {
		part := p.parts[p.turn%len(p.parts)]
		if part.looked == len(part.now.Messages) {
			if part.now.Next > part.at {
				part.at = part.now.Next // behind what does not count
			}
			select {
			case part.now = <-part.answers:
				part.looked, idle = 0, 0
				if part.now.gap != "" {
					if part.now.Next < part.at {
						part.source = -1 // another topic's offsets say nothing
					}
					part.at = part.now.Next
					*e = entry{gap: part.now.gap}
					return found, nil
				}
			default:
				p.turn++
				if idle++; idle == len(p.parts) {
					return nothing, nil
				}
			}
			continue
		}
		idle = 0
		m := &part.now.Messages[part.looked]
		part.looked++
		part.at = max(part.at, m.Offset+1)
		if p.look(e, p.turn%len(p.parts), part, m) {
			p.turn++ // so that a busy partition does not starve the others
			return found, nil
		}
	}
	return pending, nil
}

// look makes an entry of a record that the reader wants and has not seen.
func (p *partitions) look(e *entry, n int, part *part, m *kafkalog.Message) bool {
	var first topic.First
	if p.kind == ofUnique {
		var ok bool
		if first, ok = topic.ReadFirst(m); !ok || first.Source <= part.source {
			return false
		}
		part.source = first.Source
	}
	if !p.admits(m.Key, m.Value) || p.kind == ofEvents && !p.fresh(n) || p.kind == ofUnique && !p.wants(first.Any, first.Person) || m.Offset < part.show {
		return false
	}
	*e = entry{event: &p.event, document: m.Value, any: first.Any, person: first.Person}
	return true
}

// fresh is the readers' rule, for what the reader wants: what is repeated of it comes in the same order.
func (p *partitions) fresh(n int) bool {
	id := p.event.ID
	i := slices.IndexFunc(p.runs, func(r seenRun) bool { return r.run == id.Run })
	run := seenRun{run: id.Run}
	if i >= 0 {
		run = p.runs[i]
	} else {
		run.last = make([]uint64, len(p.parts))
		if len(p.runs) < mostRuns {
			p.runs = append(p.runs, run)
		}
		i = len(p.runs) - 1 // the one that was met longest ago is forgotten
	}
	copy(p.runs[1:i+1], p.runs[:i])
	p.runs[0] = run
	if id.Sequence <= run.last[n] {
		return false
	}
	run.last[n] = id.Sequence
	return true
}

func (p *partitions) cursor(dst []byte) []byte {
	c := cursor{kind: p.kind, runs: p.runs}
	for _, part := range p.parts {
		c.offsets = append(c.offsets, part.at)
		if p.kind == ofUnique {
			c.sources = append(c.sources, part.source)
		}
	}
	return c.appendText(dst)
}

// margin is how many records more than are asked for a search for the last events looks into at first: what a producer repeated mostly stands within it twice.
const margin = 1000

// lastOfTopic finds where the last events begin that the reader wants, and where reading must begin for the rule to drop what is repeated of earlier ones. It looks into the last records of
// each partition, and, where those have not enough, into four times as many.
func (p *partitions) lastOfTopic(ctx context.Context, firsts, ends []int64) (offsets, begins []int64, err error) {
	logs := make([][]mark[int64], len(ends))
	offsets, begins = slices.Clone(ends), slices.Clone(ends)
	for i := range ends {
		for span := int64(p.last) + margin; len(logs[i]) < p.last && firsts[i] < begins[i]; span *= 4 {
			begins[i] = max(firsts[i], ends[i]-span)
			if logs[i], err = p.marksOf(ctx, i, begins[i], ends[i]); err != nil {
				return nil, nil, err
			}
		}
	}
	for i, left := range newest(logs, p.last) {
		if left < len(logs[i]) {
			offsets[i] = logs[i][left].place
		}
	}
	return offsets, begins, nil
}

// marksOf are the last events of a partition that the reader wants, between two offsets.
func (p *partitions) marksOf(ctx context.Context, n int, from, to int64) ([]mark[int64], error) {
	kept := ring[int64]{most: p.last}
	one := partitions{sieve: sieve{query: p.query}, kind: p.kind, parts: make([]*part, n+1)}
	place := &part{source: -1}
	var e entry
	for at := from; at < to; {
		f, err := p.h.o.Log.Fetch(ctx, p.topic, n, at)
		if err != nil {
			return nil, err
		}
		for i := range f.Messages {
			if m := &f.Messages[i]; m.Offset < to && one.look(&e, n, place, m) {
				kept.add(mark[int64]{e.event.Time, m.Offset})
			}
		}
		at = f.Next
	}
	return kept.inOrder(), nil
}
