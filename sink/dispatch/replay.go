package dispatch

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"waypost/edge/event"
	"waypost/sink/internal/store"
	"waypost/sink/internal/uniques"
)

const (
	replayStep = 1000 // deliveries moved in one batch
	// soon is how near a waiting delivery's time may be: what is nearer may be read for its attempt at this moment, and comes by itself.
	soon = 5 * time.Second
)

// ReplayQuery says what is to be sent again. Zero values ask for all of it.
type ReplayQuery struct {
	Dead, Waiting bool // dead letters; deliveries that wait for another attempt
	Delivered     bool // everything else that was told and is kept; also to endpoints that came later
	Tenant        uint32
	Endpoint      string
	WebhookIDs    map[event.ID]bool
	Types         map[event.Type]bool
	// From, To: given up, for those that wait made due first, for those delivered happened, at From or later and before To: microseconds since 1970.
	From, To uint64
	List     bool // only say which they are
}

// Replayed is one delivery that is sent again.
type Replayed struct {
	WebhookID string     `json:"webhook_id"`
	Tenant    uint32     `json:"tenant"`
	Endpoint  string     `json:"endpoint"`
	Type      event.Type `json:"type,omitempty"`
	Was       string     `json:"was"` // dead, waiting, delivered
	Created   time.Time  `json:"created"`
	GivenUp   *time.Time `json:"given_up,omitempty"`
	Attempts  int        `json:"attempts"` // made before, all of which failed
	Status    int        `json:"status,omitempty"`
	Reason    string     `json:"reason,omitempty"`

	id       event.ID
	to       *endpoint
	delivery Delivery
}

// Replay makes deliveries due now, under their old ids and with their schedule from the beginning, and visits each. It moves them: a letter that is
// sent again is no dead letter any more, unless it is given up once more. Letters of endpoints that the settings do not name stay. With Delivered an error can be one of uniques.View.
func (d *Dispatcher) Replay(ctx context.Context, q ReplayQuery, visit func(*Replayed)) error {
	d.replaying.Lock() // two at once would move the same deliveries twice
	defer d.replaying.Unlock()
	if q.Delivered && d.uniques == nil {
		return uniques.ErrOff
	}
	if q.Delivered {
		view, err := d.uniques.View() // before the others move anything
		if err != nil {
			return err
		}
		defer view.Close()
		if err := d.replayFailed(ctx, &q, visit); err != nil {
			return err
		}
		return d.replayTold(ctx, &q, view, visit)
	}
	return d.replayFailed(ctx, &q, visit)
}

// replayFailed sends dead letters and what waits again.
func (d *Dispatcher) replayFailed(ctx context.Context, q *ReplayQuery, visit func(*Replayed)) error {
	if q.Dead {
		start, end := store.Deads.Range()
		if err := d.replayRange(ctx, q, start, end, visit); err != nil {
			return err
		}
	}
	if !q.Waiting {
		return nil
	}
	for _, e := range d.endpoints.Load().All {
		if q.Tenant != 0 && q.Tenant != e.Tenant.Number || q.Endpoint != "" && q.Endpoint != e.Config.ID {
			continue
		}
		if err := d.replayRange(ctx, q, bytes.Clone(e.prefix), store.After(e.prefix), visit); err != nil {
			return err
		}
	}
	return nil
}

// replayRange works on one view of the store: what fails again in the meantime is not sent a second time.
func (d *Dispatcher) replayRange(ctx context.Context, q *ReplayQuery, start, end []byte, visit func(*Replayed)) error {
	iter, err := d.store.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
	if err != nil {
		return err
	}
	defer iter.Close()
	for ok := iter.First(); ok; ok = iter.Valid() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.replaySome(q, iter, visit); err != nil {
			return err
		}
	}
	return iter.Error()
}

// again is a delivery on its way from one place in the store to another.
type again struct {
	endpoint *endpoint
	from     []byte // nil: from nowhere
	to       place
	value    []byte
	dead     bool // was a letter
	fresh    bool // was nothing that waits
}

// replaySome moves the next replayStep deliveries that fit.
func (d *Dispatcher) replaySome(q *ReplayQuery, iter *pebble.Iterator, visit func(*Replayed)) error {
	d.letters.Lock()
	defer d.letters.Unlock()
	now := d.micros()
	var moved []again
	for ; iter.Valid() && len(moved) < replayStep; iter.Next() {
		value, err := iter.ValueAndErr()
		if err != nil {
			return err
		}
		r := d.replayed(q, iter.Key(), value, now)
		if r == nil {
			continue
		}
		if there, err := d.has(iter.Key()); err != nil {
			return err
		} else if !there { // a letter that had to make room for newer ones
			continue
		}
		r.delivery.Attempts = 0
		// Each has a time of its own: two letters of one delivery stay two.
		moved = append(moved, again{
			endpoint: r.to, from: bytes.Clone(iter.Key()), to: place{now + uint64(len(moved)), r.id}, value: r.delivery.AppendTo(nil), dead: r.GivenUp != nil, fresh: r.GivenUp != nil,
		})
		r.to, r.delivery = nil, Delivery{} // the iterator's memory
		visit(r)
	}
	return d.moveUnless(q.List, moved)
}

func (d *Dispatcher) has(key []byte) (bool, error) {
	_, closer, err := d.store.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, closer.Close()
}

// move writes the deliveries to where they are due now, and has their endpoints look.
func (d *Dispatcher) move(all []again) error {
	b := d.store.NewBatch()
	defer b.Close()
	for i := range all {
		if all[i].from != nil {
			if err := b.Delete(all[i].from, nil); err != nil {
				return err
			}
		}
		if err := b.Set(all[i].endpoint.key(all[i].to), all[i].value, nil); err != nil {
			return err
		}
	}
	if err := b.Commit(pebble.Sync); err != nil {
		return err
	}
	for i := range all {
		if all[i].dead {
			d.dead-- // who moves letters holds d.letters; who moves what was told does not
			d.metrics.Deads.Set(float64(d.dead))
		}
		if all[i].fresh {
			all[i].endpoint.addPending(1)
		}
		all[i].endpoint.spill(all[i].to)
	}
	return nil
}

// replayed reads a dead letter or a waiting delivery; nil: it is not asked for, or cannot be sent. The result points into value.
func (d *Dispatcher) replayed(q *ReplayQuery, key, value []byte, now uint64) *Replayed {
	r, at := readLetter(key, value)
	if r == nil {
		r, at = readWaiting(key, value, now+uint64(soon.Microseconds()))
	}
	if r == nil || q.Tenant != 0 && q.Tenant != r.Tenant || q.Endpoint != "" && q.Endpoint != r.Endpoint || at < q.From || q.To != 0 && at >= q.To ||
		len(q.WebhookIDs) > 0 && !q.WebhookIDs[r.id] {
		return nil
	}
	var decoder event.Decoder
	var e event.Event
	if decoder.Decode(&e, r.delivery.Document) == nil {
		r.Type = e.Type
	}
	if r.to = d.endpoints.Load().Find(r.Tenant, r.Endpoint); r.to == nil || len(q.Types) > 0 && !q.Types[r.Type] {
		return nil
	}
	r.WebhookID = r.id.String()
	r.Created, r.Attempts = time.UnixMicro(int64(r.delivery.Created)).UTC(), int(r.delivery.Attempts)
	return r
}

// readLetter reads a dead letter, and when it was given up; nil: it is none that can be read.
func readLetter(key, value []byte) (*Replayed, uint64) {
	at, tenant, endpoint, id, err := store.ParseDead(key)
	if err != nil {
		return nil, 0
	}
	letter, err := ParseDeadLetter(value)
	if err != nil {
		return nil, 0
	}
	given := time.UnixMicro(int64(at)).UTC()
	return &Replayed{
		Tenant: tenant, Endpoint: endpoint, Was: "dead", GivenUp: &given, Status: letter.Status, Reason: letter.Reason, id: id, delivery: letter.Delivery,
	}, at
}

// readWaiting reads a delivery that is due later, and when it became due first; nil: it is none.
func readWaiting(key, value []byte, later uint64) (*Replayed, uint64) {
	tenant, endpoint, due, id, err := store.ParseDue(key)
	if err != nil || due < later {
		return nil, 0
	}
	delivery, err := ParseDelivery(value)
	if err != nil {
		return nil, 0
	}
	return &Replayed{Tenant: tenant, Endpoint: endpoint, Was: "waiting", id: id, delivery: delivery}, delivery.Created
}
