package topic

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"waypost/sink/ingest"
	"waypost/sink/internal/kafkalog"
	"waypost/sink/internal/store"
)

// source is a partition of the events' topic as ingest reads it. A goroutine of its own fetches one answer ahead.
type source struct {
	w       *worker
	answers chan kafkalog.Fetched
	now     kafkalog.Fetched // being handed over
	taken   int              // of its messages
	next    int64            // the lowest offset not handed over
	unique  int64            // behind the last record of unique that is known to be applied
	moved   bool
	atEnd   bool
}

func newSource(w *worker, place store.TopicPosition) *source {
	return &source{w: w, answers: make(chan kafkalog.Fetched), next: int64(place.Source), unique: int64(place.Unique)}
}

// fetch reads ahead until ctx is done or reading on would pass something over.
func (s *source) fetch(ctx context.Context) error {
	w, at, pause := s.w, s.next, firstPause
	for ctx.Err() == nil {
		f, err := w.o.log.Fetch(ctx, w.o.Events, w.partition, at)
		if errors.Is(err, kafka.OffsetOutOfRange) {
			if err := w.outOfRange(ctx, at); err != nil {
				return err
			}
		}
		if err != nil {
			if ctx.Err() == nil {
				w.failing(err)
			}
			kafkalog.Wait(ctx, pause)
			pause = min(2*pause, lastPause)
			continue
		}
		if pause != firstPause {
			pause = firstPause
			w.o.trouble.set(w.name, "")
		}
		at = f.Next
		select {
		case s.answers <- f:
		case <-ctx.Done():
		}
	}
	return nil
}

// Name is the topic and the partition.
func (s *source) Name() string { return s.w.name }

// AtEnd says whether the last Fill found the end.
func (s *source) AtEnd() bool { return s.atEnd }

// Close does nothing: the worker ends the fetching.
func (s *source) Close() error { return nil }

// Fill takes what has been fetched.
func (s *source) Fill(b *ingest.Batch, room int) (int, error) {
	n := 0
	for n < room && !b.Full() {
		if s.taken == len(s.now.Messages) {
			if !s.more() {
				break
			}
			continue
		}
		m := &s.now.Messages[s.taken]
		b.AddAt(m.Key, m.Value, m.At, m.Offset)
		s.next, s.moved = m.Offset+1, true
		s.taken++
		n++
	}
	return n, nil
}

// more takes the next answer, if there is one.
func (s *source) more() bool {
	if s.now.Next > s.next {
		s.next = s.now.Next // behind what does not count; stored with the next batch
	}
	select {
	case s.now = <-s.answers:
		s.taken = 0
		s.atEnd = s.now.Next >= s.now.End && len(s.now.Messages) == 0
		behind := max(s.now.End-s.next, 0)
		s.w.o.Metrics.LagRecords.WithLabelValues(s.w.name).Set(float64(behind))
		return !s.atEnd
	default:
		return false
	}
}

// Positions gives the partition's place.
func (s *source) Positions(put func(key, value []byte) error) error {
	if !s.moved {
		return nil
	}
	return put(s.w.key, s.place().AppendTo(nil))
}

func (s *source) place() store.TopicPosition {
	return store.TopicPosition{Source: uint64(s.next), Unique: uint64(s.unique), Partitions: uint32(s.w.o.count)}
}

// Stored has nobody to tell: the offsets are the store's.
func (s *source) Stored() error {
	s.moved = false
	return nil
}

const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
)

// stopped is what a partition stops with: going on would lose or double something. Its text stands in /readyz.
type stopped struct{ reason string }

func (e *stopped) Error() string { return e.reason }

// failing tells of a fault that is tried again.
func (w *worker) failing(err error) {
	w.o.Metrics.SourceErrors.WithLabelValues(w.name).Inc()
	w.o.trouble.set(w.name, fmt.Sprintf("partition %s: %v", w.name, err))
	if held, ok := w.o.alarms.Allow(time.Now()); ok {
		w.o.Logger.Warn("fetch failed: trying again", "partition", w.name, "error", err, "held_back", held)
	}
}

// outOfRange says whether the log has left our place behind. It may also be a new leader that does not know its end yet.
func (w *worker) outOfRange(ctx context.Context, at int64) error {
	events, err := w.o.log.Span(ctx, w.o.Events, w.partition)
	if err != nil {
		return nil //nolint:nilerr // the fetch is tried again, and asks again
	}
	return w.checkSpan(events, at)
}

func (w *worker) checkSpan(events kafkalog.Span, at int64) error {
	switch {
	case at < events.First:
		w.o.Metrics.KafkaAlarms.WithLabelValues("log_start").Inc()
		return &stopped{fmt.Sprintf("%s begins at offset %d and our place is %d: what was between is gone, undecided", w.name, events.First, at)}
	case at > events.End:
		w.o.Metrics.KafkaAlarms.WithLabelValues("log_end").Inc()
		return &stopped{fmt.Sprintf("%s ends at offset %d and our place is %d: the topic was made anew, or lost its end", w.name, events.End, at)}
	}
	return nil
}
