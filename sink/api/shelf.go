package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"waypost/configs"
	"waypost/sink/internal/store"
)

// shelf keeps webhooks in the store of one machine.
type shelf struct {
	book  *Book
	store *store.Store
	last  uint32 // the highest number ever given; guarded by the book's turn
}

// Load reads the webhooks of a store, which keeps them from now on.
func Load(s *store.Store) (*Book, error) {
	b := newBook()
	k := &shelf{book: b, store: s}
	b.keeper = k
	value, closer, err := s.Get(store.LastWebhookKey())
	if err == nil {
		k.last, err = store.ParseLastWebhook(value)
		_ = closer.Close()
	}
	if err != nil && !errors.Is(err, pebble.ErrNotFound) {
		return nil, fmt.Errorf("webhooks: %w", err)
	}
	return b, each(s, func(tenant uint32, w *webhook) { b.enter(tenant, w) })
}

// each visits the webhooks of a store.
func each(s *store.Store, visit func(tenant uint32, w *webhook)) error {
	start, end := store.Webhooks.Range()
	iter, err := s.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
	if err != nil {
		return fmt.Errorf("webhooks: %w", err)
	}
	defer iter.Close()
	for ok := iter.First(); ok; ok = iter.Next() {
		tenant, w, err := parse(iter.Key(), iter.Value())
		if err != nil {
			return fmt.Errorf("webhooks: key %x: %w", iter.Key(), err)
		}
		visit(tenant, &w)
	}
	return iter.Error()
}

// parse reads one webhook of the store.
func parse(key, value []byte) (tenant uint32, w webhook, err error) {
	tenant, number, document, err := store.ParseWebhook(key, value)
	if err != nil {
		return 0, webhook{}, err
	}
	if err := json.Unmarshal(document, &w); err != nil {
		return 0, webhook{}, store.ErrKey
	}
	w.ID = number
	return tenant, w, nil
}

// current: nobody else writes to the store.
func (*shelf) current(context.Context) error { return nil }

func (k *shelf) number(context.Context) (uint32, error) {
	if k.last+1 >= firstFixed {
		return 0, errNumbers
	}
	return k.last + 1, nil // used when the webhook that has it is on disk
}

func (k *shelf) put(_ context.Context, d Dispatcher, tenant *configs.Tenant, w *webhook) error {
	if err := d.Put(w.added(tenant), func() error { return k.write(tenant.Number, w) }); err != nil {
		return err
	}
	k.last = max(k.last, w.ID)
	k.book.enter(tenant.Number, w)
	return nil
}

// write brings a webhook to the disk.
func (k *shelf) write(tenant uint32, w *webhook) error {
	document, err := json.Marshal(w)
	if err != nil {
		return err
	}
	batch := k.store.NewBatch()
	defer batch.Close()
	if err := batch.Set(store.WebhookKey(tenant, w.ID), store.AppendWebhook(nil, document), nil); err != nil {
		return err
	}
	if err := batch.Set(store.LastWebhookKey(), store.AppendLastWebhook(nil, max(k.last, w.ID)), nil); err != nil {
		return err
	}
	return batch.Commit(pebble.Sync)
}

func (k *shelf) remove(_ context.Context, d Dispatcher, tenant *configs.Tenant, w *webhook) error {
	err := d.Remove(tenant.Number, w.id(), func() error { return k.store.Delete(store.WebhookKey(tenant.Number, w.ID), pebble.Sync) })
	if err == nil {
		k.book.strike(tenant.Number, w.ID)
	}
	return err
}
