package dispatch

import (
	"bytes"
	"context"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"waypost/edge/event"
	"waypost/sink/dispatch/attempt"
	"waypost/sink/internal/store"
)

// mostScanned is how many attempts one query reads: a longer search goes on where the last one ended, so that none takes long.
const mostScanned = 100_000

// ErrAfter says that the place to go on from is none that an answer gave.
var ErrAfter = errors.New("after: must be the `next` of an earlier answer")

// AttemptQuery says which attempts are asked for. Zero values ask for all.
type AttemptQuery struct {
	Tenant    uint32
	Endpoint  string
	WebhookID event.ID
	Message   string // the mail's id
	Statuses  [2]int // from, to, both included
	Unheard   bool   // only those to which no answer came
	Outcome   string
	Failed    bool   // only those that did not deliver
	From, To  uint64 // ended at From or later, and before To: microseconds since 1970
	After     []byte // what an earlier query gave as the place where it ended
	Limit     int    // at most so many; 0: one
}

// Attempts finds entries of the log, the newest first. next is where to go on; nil: that is all.
func (d *Dispatcher) Attempts(ctx context.Context, q AttemptQuery) (found []Attempt, next []byte, err error) {
	start, end := store.Attempts.Range()
	if q.From > 0 {
		start = store.AttemptsFrom(q.From)
	}
	if q.To > 0 {
		end = store.AttemptsFrom(q.To)
	}
	if q.After != nil && bytes.Compare(q.After, end) < 0 {
		end = q.After
	}
	if bytes.Compare(start, end) >= 0 {
		return nil, nil, nil
	}
	iter, err := d.store.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
	if err != nil {
		return nil, nil, err
	}
	defer iter.Close()
	scanned := 0
	for ok := iter.Last(); ok; ok = iter.Prev() {
		a, fits, err := q.read(iter)
		if err != nil {
			return nil, nil, err
		}
		if fits {
			found = append(found, a)
		}
		if scanned++; len(found) >= max(q.Limit, 1) || scanned == mostScanned {
			return found, bytes.Clone(iter.Key()), nil
		}
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
	}
	return found, nil, iter.Error()
}

// read reads the entry at which an iterator stands, as far as it may be one of those asked for.
func (q *AttemptQuery) read(iter *pebble.Iterator) (Attempt, bool, error) {
	key, err := store.ParseAttempt(iter.Key())
	if err != nil {
		return Attempt{}, false, err
	}
	if q.Tenant != 0 && key.Tenant != q.Tenant || q.Endpoint != "" && key.Endpoint != q.Endpoint || q.WebhookID != (event.ID{}) && key.ID != q.WebhookID {
		return Attempt{}, false, nil
	}
	value, err := iter.ValueAndErr()
	if err != nil {
		return Attempt{}, false, err
	}
	a, err := ParseAttempt(iter.Key(), value)
	return a, err == nil && q.fits(&a), err
}

// Fits says whether an attempt is one of those asked for, wherever it is kept.
func (q *AttemptQuery) Fits(a *Attempt) bool {
	at := uint64(max(a.At.UnixMicro(), 0))
	return (q.Tenant == 0 || a.Tenant == q.Tenant) && (q.Endpoint == "" || a.Endpoint == q.Endpoint) && (q.WebhookID == event.ID{} || a.WebhookID == q.WebhookID.String()) &&
		at >= q.From && (q.To == 0 || at < q.To) && q.fits(a)
}

func (q *AttemptQuery) fits(a *Attempt) bool {
	return (q.Message == "" || a.Message == q.Message) &&
		(q.Statuses == [2]int{} || a.Status >= q.Statuses[0] && a.Status <= q.Statuses[1]) &&
		(!q.Unheard || a.Status == 0) &&
		(q.Outcome == "" || a.Outcome == q.Outcome) &&
		(!q.Failed || a.Outcome != attempt.Delivered)
}
