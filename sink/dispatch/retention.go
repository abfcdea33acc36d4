package dispatch

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"waypost/configs"
	"waypost/sink/internal/metrics"
	"waypost/sink/internal/store"
)

const (
	pruneEvery = time.Second
	pruneStep  = 10_000 // attempts taken away together
)

// retention keeps the log of attempts within its days and bytes. Marks only add to it; what leaves is found and removed by a goroutine of its own,
// in steps, so that no attempt waits for it: the log is longer than its bound by what comes in a second, at most.
type retention struct {
	store   *store.Store
	age     time.Duration
	limit   int64 // 0: nothing is kept
	metrics *metrics.Set
	now     func() time.Time

	bytes  atomic.Int64 // of keys and values; without what a start found, until that is counted
	taking sync.Mutex   // held while entries are taken away
	from   []byte       // no key of the log stands before it, unless the clock was put back; only the goroutine

	key, value []byte // of the entry that is added; only the marking goroutine
}

func newRetention(s *store.Store, settings configs.Dispatch, m *metrics.Set, now func() time.Time) *retention {
	r := &retention{store: s, age: time.Duration(settings.AttemptsDays) * 24 * time.Hour, limit: settings.AttemptsBytes, metrics: m, now: now}
	if r.age == 0 {
		r.limit = 0
	}
	return r
}

// on says whether attempts are kept at all.
func (r *retention) on() bool { return r.limit > 0 }

// add appends an entry to a batch.
func (r *retention) add(b *pebble.Batch, a *Attempt) error {
	r.key, r.value = a.appendKey(r.key[:0]), a.AppendTo(r.value[:0])
	r.bytes.Add(int64(len(r.key) + len(r.value)))
	return b.Set(r.key, r.value, nil)
}

// view is the log as it is now. What is added later is counted by add.
func (r *retention) view() (*pebble.Iterator, error) {
	start, end := store.Attempts.Range()
	return r.store.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
}

// run counts what the view has and closes it, then keeps the log within its bounds until ctx ends.
func (r *retention) run(ctx context.Context, view *pebble.Iterator) error {
	if err := r.count(ctx, view); err != nil {
		return err
	}
	ticker := time.NewTicker(pruneEvery)
	defer ticker.Stop()
	for {
		if err := r.prune(ctx); err != nil {
			return err
		}
		r.metrics.AttemptLogBytes.Set(float64(r.bytes.Load()))
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (r *retention) count(ctx context.Context, view *pebble.Iterator) error {
	defer view.Close()
	for ok := view.First(); ok && ctx.Err() == nil; ok = view.Next() {
		r.bytes.Add(entryBytes(view))
	}
	return view.Error()
}

// entryBytes is the length of the entry at which an iterator stands. The value is not read for it.
func entryBytes(iter *pebble.Iterator) int64 {
	value := iter.LazyValue()
	return int64(len(iter.Key()) + value.Len())
}

// prune removes what is too old, and the oldest of what is too much.
func (r *retention) prune(ctx context.Context) error {
	for ctx.Err() == nil {
		removed, err := r.step()
		if err != nil || removed < pruneStep {
			return err
		}
	}
	return nil
}

// step removes at most pruneStep entries, as one range behind the range that the step before removed: ranges that overlap would have to be
// cut out of one another at every read.
func (r *retention) step() (removed int, err error) {
	r.taking.Lock()
	defer r.taking.Unlock()
	now := uint64(max(r.now().UnixMicro(), 0))
	start, end := store.Attempts.Range()
	if r.from == nil || bytes.Compare(r.from, store.AttemptsFrom(now)) > 0 {
		r.from = start
	}
	iter, err := r.store.NewIter(&pebble.IterOptions{LowerBound: r.from, UpperBound: end})
	if err != nil {
		return 0, err
	}
	defer iter.Close()
	oldest := store.AttemptsFrom(now - min(now, uint64(r.age.Microseconds())))
	var length, full int64
	var last []byte
	for ok := iter.First(); ok && removed < pruneStep; ok = iter.Next() {
		aged := bytes.Compare(iter.Key(), oldest) < 0
		if !aged && r.bytes.Load()-length <= r.limit {
			break
		}
		if !aged && r.on() {
			full++
		}
		length += entryBytes(iter)
		last = append(last[:0], iter.Key()...)
		removed++
	}
	if err := iter.Error(); err != nil || removed == 0 {
		return 0, err
	}
	next := append(last, 0)
	if err := r.store.DeleteRange(r.from, next, pebble.NoSync); err != nil {
		return 0, err
	}
	r.from = next
	r.bytes.Add(-length)
	r.metrics.AttemptLogDropped.Add(float64(full))
	return removed, nil
}
