package dispatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"waypost/edge/event"
	"waypost/sink/dispatch/operator"
	"waypost/sink/internal/store"
)

// Forgetting takes deliveries and letters of one person away. While it is open the person's attempts that end leave nothing behind: no further attempt, no letter, no entry of the log.
type Forgetting struct {
	d    *Dispatcher
	fits func(created uint64, document []byte) bool
}

// errand is what the marks do between two of their batches. They write every end of an attempt, in one goroutine, so then nothing of a delivery changes but that its attempt begins or ends.
type errand struct {
	do   func() error
	done chan error
}

// Forget begins to forget: fits says, of when a delivery became due first (the sink's clock, microseconds since 1970) and its document, whether it is of the person. It must be closed; until then no replay begins.
func (d *Dispatcher) Forget(ctx context.Context, fits func(created uint64, document []byte) bool) (*Forgetting, error) {
	d.replaying.Lock()
	f := &Forgetting{d, fits}
	if err := d.between(ctx, func() error { d.forgetting = f; return nil }); err != nil {
		d.replaying.Unlock()
		return nil, err
	}
	return f, nil
}

// Close ends it. Attempts that are still under way leave nothing behind all the same.
func (f *Forgetting) Close(ctx context.Context) error {
	defer f.d.replaying.Unlock()
	return f.d.between(ctx, func() error { f.d.forgetting = nil; return nil })
}

// between has the marks do something between two of their batches, and waits for it. A dispatcher that delivers nothing has no marks.
func (d *Dispatcher) between(ctx context.Context, do func() error) error {
	e := &errand{do, make(chan error, 1)}
	d.changing.Lock()
	if d.ended {
		d.changing.Unlock()
		return ErrEnded
	}
	if !d.started {
		defer d.changing.Unlock()
		return do()
	}
	var err error
	select {
	case d.marks <- mark{errand: e}:
	case <-ctx.Done():
		err = ctx.Err()
	}
	d.changing.Unlock()
	if err != nil {
		return err
	}
	return <-e.done // it is not broken off: the caller would not know what is gone
}

// Each visits what the store has of the person: deliveries and dead letters. The document is valid until visit returns.
func (f *Forgetting) Each(ctx context.Context, visit func(document []byte)) error {
	for _, space := range [...]store.Space{store.Dues, store.Deads} {
		err := f.each(ctx, space, func(_, document []byte) { visit(document) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *Forgetting) each(ctx context.Context, space store.Space, visit func(key, document []byte)) error {
	return f.d.store.Each(space, func(key, value []byte) error {
		var letter DeadLetter
		var err error
		if space == store.Deads {
			letter, err = ParseDeadLetter(value)
		} else {
			letter.Delivery, err = ParseDelivery(value)
		}
		if d := &letter.Delivery; err == nil && f.fits(d.Created, d.Document) { // else it names nobody that could be read
			visit(key, d.Document)
		}
		return ctx.Err()
	})
}

// removedAtOnce is how many deliveries, letters or entries of the log go in one step.
const removedAtOnce = 500

// Deliveries takes away what is due to whichever endpoint, disabled and unknown ones too, durably. An attempt that is under way ends; it is the last one. It gives the keys that are gone.
func (f *Forgetting) Deliveries(ctx context.Context) (gone [][]byte, err error) {
	err = f.each(ctx, store.Dues, func(key, _ []byte) { gone = append(gone, bytes.Clone(key)) })
	if err != nil {
		return nil, err
	}
	for some := range slices.Chunk(gone, removedAtOnce) {
		if err := f.d.between(ctx, func() error { return f.d.remove(some) }); err != nil {
			return nil, err
		}
	}
	return gone, nil
}

// Letters takes dead letters away, durably. It gives their keys.
func (f *Forgetting) Letters(ctx context.Context) (gone [][]byte, err error) {
	d := f.d
	d.letters.Lock()
	defer d.letters.Unlock()
	if err := f.each(ctx, store.Deads, func(key, _ []byte) { gone = append(gone, bytes.Clone(key)) }); err != nil {
		return nil, err
	}
	if err := d.store.DeleteAll(gone); err != nil {
		return nil, err
	}
	d.dead -= int64(len(gone))
	d.metrics.Deads.Set(float64(d.dead))
	return gone, nil
}

// Attempts takes the entries of the log away that are about one of these events, durably. It gives their keys.
func (f *Forgetting) Attempts(ctx context.Context, tenant uint32, of map[event.ID]bool) (gone [][]byte, err error) {
	return f.d.attempts.forget(ctx, tenant, of)
}

// left is a delivery that goes.
type left struct {
	endpoint *endpoint // nil: of none that is known
	place    place
	under    bool // its attempt is under way
}

// remove takes deliveries away; no mark is under way.
func (d *Dispatcher) remove(keys [][]byte) error {
	b := d.store.NewBatch()
	defer b.Close()
	var all []left
	for _, key := range keys {
		there, err := d.has(key)
		if err != nil {
			return err
		}
		if !there { // it ended since
			continue
		}
		tenant, endpoint, due, id, err := store.ParseDue(key)
		if err != nil {
			return fmt.Errorf("due %x: %w", key, err)
		}
		l := left{endpoint: d.endpoints.Load().Find(tenant, endpoint), place: place{due, id}}
		if l.endpoint != nil {
			l.under = l.endpoint.withhold(l.place)
		}
		if l.under || l.endpoint == nil { // of one that was removed an attempt may be under way too
			d.dropped[delivery{owner{tenant, endpoint}, id}]++
		}
		if err := b.Delete(key, nil); err != nil {
			return err
		}
		all = append(all, l)
	}
	if err := b.Commit(pebble.Sync); err != nil {
		return err
	}
	for _, l := range all {
		switch {
		case l.endpoint == nil:
			d.metrics.Orphaned.Dec()
		case !l.under: // else its mark does that
			l.endpoint.finished(l.place)
			l.endpoint.addPending(-1)
		}
	}
	return nil
}

// withhold takes a delivery of the store out of the queue, or keeps it from coming into memory, until finished; true: its attempt is under way, or its mark.
func (e *endpoint) withhold(p place) (under bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i := slices.IndexFunc(e.queue, func(it *item) bool { return it.place == p }); i >= 0 {
		e.queue = slices.Delete(e.queue, i, i+1)
		return false
	}
	if _, held := e.held[p]; held {
		return true
	}
	e.held[p] = 0 // a refill may read a view of the store that still has it
	e.d.inMemory.Add(1)
	return false
}

// forget says whether a mark is of a delivery that is to leave nothing behind, and if so changes it to that.
func (d *Dispatcher) forget(m *mark) {
	if m.item == nil {
		return
	}
	name := delivery{owner{m.endpoint.Tenant.Number, m.endpoint.Config.ID}, m.item.place.id}
	if n := d.dropped[name]; n > 0 {
		m.forgotten = true
		if d.dropped[name] = n - 1; n == 1 {
			delete(d.dropped, name)
		}
	}
	if f := d.forgetting; f != nil && m.endpoint.Tenant.Number != operator.Tenant && f.fits(m.item.delivery.Created, m.item.delivery.Document) {
		m.forgotten = true
	}
	if m.forgotten {
		m.again, m.dead = 0, nil
	}
}

// forget removes entries of the log.
func (r *retention) forget(ctx context.Context, tenant uint32, of map[event.ID]bool) (gone [][]byte, err error) {
	iter, err := r.view()
	if err != nil {
		return nil, err
	}
	defer iter.Close()
	for ok := iter.First(); ok; ok = iter.Next() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		key, err := store.ParseAttempt(iter.Key())
		if err == nil && key.Tenant == tenant && of[key.ID] {
			gone = append(gone, bytes.Clone(iter.Key()))
		}
	}
	if err := iter.Error(); err != nil {
		return nil, err
	}
	for some := range slices.Chunk(gone, removedAtOnce) {
		if err := r.remove(some); err != nil {
			return nil, err
		}
	}
	return gone, nil
}

// remove takes entries away that are still there.
func (r *retention) remove(keys [][]byte) error {
	r.taking.Lock()
	defer r.taking.Unlock()
	var length int64
	for _, key := range keys {
		value, closer, err := r.store.Get(key)
		if errors.Is(err, pebble.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		length += int64(len(key) + len(value))
		if err := closer.Close(); err != nil {
			return err
		}
	}
	if err := r.store.DeleteAll(keys); err != nil {
		return err
	}
	r.bytes.Add(-length)
	return nil
}
