package topic

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"

	"waypost/sink/dispatch"
	"waypost/sink/internal/kafkalog"
)

// mark is a record's place in the order of a whole topic: by the time at which the brokers took it, then by partition and offset. That time is made to grow within a partition: a leader whose clock is behind its
// predecessor's is taken to have written at the predecessor's last time. So pages that end at a mark neither repeat a record nor leave one out.
type mark struct {
	taken     int64 // milliseconds since 1970
	partition int
	offset    int64
}

const markBytes = 8 + 4 + 8

func (m mark) compare(other mark) int {
	return cmp.Or(cmp.Compare(m.taken, other.taken), cmp.Compare(m.partition, other.partition), cmp.Compare(m.offset, other.offset))
}

func (m mark) bytes() []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(m.taken))
	b = binary.BigEndian.AppendUint32(b, uint32(m.partition))
	return binary.BigEndian.AppendUint64(b, uint64(m.offset))
}

// parseMark reads what bytes wrote. Any bytes of that length are a mark: one that never was is a place in the order all the same.
func parseMark(b []byte) (mark, error) {
	if len(b) != markBytes {
		return mark{}, dispatch.ErrAfter
	}
	m := mark{int64(binary.BigEndian.Uint64(b)), int(binary.BigEndian.Uint32(b[8:])), int64(binary.BigEndian.Uint64(b[12:]))}
	if m.taken < 0 || m.taken > mostMillis || m.offset < 0 {
		return mark{}, dispatch.ErrAfter
	}
	return m, nil
}

// mostMillis is the end of the year 9999.
const mostMillis = 253_402_300_799_999

// Bounds of one walk.
const (
	mostWalked   = 100_000                    // records, as a query of one machine reads
	walkFor      = 10 * time.Second           // what is found by then is the answer
	mostWindow   = 10_000                     // records that are read and put in order at once
	firstWindow  = 10 * time.Second           // by time; halved and doubled as records come
	longestWalk  = 100 * 365 * 24 * time.Hour // nothing was written before
	patientFetch = 20                         // empty answers in a row, a quarter of a second each, before a leader is taken to have lost its end
)

// walk visits the records of a topic, the newest first.
type walk struct {
	log        kafkalog.Timed
	topic      string
	partitions int
	from, to   time.Time // taken at from or later, and before to; zero: all
	after      *mark     // only what stands before it
}

// entry that was walked over.
type walked struct {
	mark    mark
	message kafkalog.Message
}

// each visits records until visit is false, the bounds of a walk are reached, or there are no more. next is the mark of the last that was passed; nil: there are no more.
func (w *walk) each(ctx context.Context, visit func(*kafkalog.Message) bool) (next *mark, err error) {
	end := time.Now()
	upper, lowest := make([]int64, w.partitions), make([]int64, w.partitions)
	for p := range upper {
		span, err := w.log.Span(ctx, w.topic, p)
		if err != nil {
			return nil, err
		}
		upper[p], lowest[p] = span.End, span.First
	}
	begin := end.Add(-longestWalk)
	if !w.from.IsZero() {
		begin = w.from
		if lowest, err = w.since(ctx, begin, lowest, upper); err != nil {
			return nil, err
		}
	}
	bounds := []time.Time{w.to}
	if w.after != nil {
		bounds = append(bounds, time.UnixMilli(w.after.taken+1))
	}
	for _, to := range bounds {
		if to.IsZero() {
			continue
		}
		if upper, err = w.since(ctx, to, lowest, upper); err != nil {
			return nil, err
		}
		if to.Before(end) {
			end = to
		}
	}
	return w.windows(ctx, begin, end, lowest, upper, visit)
}

// windows goes back from end to begin, a window of time after the other.
func (w *walk) windows(ctx context.Context, begin, end time.Time, lowest, upper []int64, visit func(*kafkalog.Message) bool) (next *mark, err error) {
	left, stop, window := mostWalked, time.Now().Add(walkFor), firstWindow
	for between(lowest, upper) > 0 {
		from := end.Add(-window)
		lower := lowest
		if from.After(begin) {
			if lower, err = w.since(ctx, from, lowest, upper); err != nil {
				return nil, err
			}
		} else {
			from = begin
		}
		records := between(lower, upper)
		if records > mostWindow && window > time.Millisecond {
			window = max(window/2, time.Millisecond).Truncate(time.Millisecond)
			continue
		}
		found, err := w.read(ctx, from, lower, upper)
		if err != nil {
			return nil, err
		}
		for i := range found {
			if m := &found[i]; w.after == nil || m.mark.compare(*w.after) < 0 {
				if !visit(&m.message) {
					return &m.mark, nil
				}
			}
		}
		upper, end = lower, from
		if left -= int(records); left <= 0 || time.Now().After(stop) {
			if between(lowest, upper) == 0 {
				return nil, nil //nolint:nilnil // nothing is left
			}
			return &mark{taken: max(from.UnixMilli(), 0)}, nil
		}
		if records < mostWindow/4 {
			window = min(2*window, longestWalk)
		}
	}
	return nil, nil //nolint:nilnil // nothing is left
}

// since is where records begin that were taken at a time or later, within bounds.
func (w *walk) since(ctx context.Context, at time.Time, lowest, upper []int64) ([]int64, error) {
	offsets, err := w.log.Since(ctx, w.topic, w.partitions, at)
	if err != nil {
		return nil, err
	}
	for p := range offsets {
		if offsets[p] < 0 {
			offsets[p] = upper[p]
		}
		offsets[p] = min(max(offsets[p], lowest[p]), upper[p])
	}
	return offsets, nil
}

// between counts offsets.
func between(lower, upper []int64) (n int64) {
	for p := range lower {
		n += max(upper[p]-lower[p], 0)
	}
	return n
}

// read gives the records of a window, the newest first. They have memory of their own, or share that of an answer.
func (w *walk) read(ctx context.Context, from time.Time, lower, upper []int64) (found []walked, err error) {
	for p := range lower {
		last := from.UnixMilli()
		err := eachBetween(ctx, w.log, w.topic, p, lower[p], upper[p], func(m *kafkalog.Message) error {
			last = max(last, m.At.UnixMilli())
			found = append(found, walked{mark{last, p, m.Offset}, *m})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(found, func(a, b walked) int { return b.mark.compare(a.mark) })
	return found, nil
}

// eachBetween visits the records of a partition from an offset on and before another. What was deleted meanwhile is passed over.
func eachBetween(ctx context.Context, log kafkalog.Log, topic string, partition int, from, to int64, visit func(*kafkalog.Message) error) error {
	for at, empty := from, 0; at < to; {
		f, err := log.Fetch(ctx, topic, partition, at)
		if errors.Is(err, kafka.OffsetOutOfRange) {
			span, err := log.Span(ctx, topic, partition)
			if err != nil {
				return err
			}
			if span.First <= at { // a leader that does not know its end yet, or a topic that was made anew: there is nothing to be read
				return fmt.Errorf("%s/%d at %d: %w", topic, partition, at, kafka.OffsetOutOfRange)
			}
			at = span.First
			continue
		}
		if err != nil {
			return err
		}
		for i := range f.Messages {
			if f.Messages[i].Offset >= to {
				return nil
			}
			if err := visit(&f.Messages[i]); err != nil {
				return err
			}
		}
		if empty++; f.Next > at {
			empty = 0
		} else if empty >= patientFetch {
			return fmt.Errorf("%s/%d at %d: %w", topic, partition, at, kafka.LeaderNotAvailable)
		}
		at = max(at, f.Next)
	}
	return nil
}
