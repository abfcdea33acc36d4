package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"waypost/configs"
	"waypost/sink/dispatch"
	"waypost/sink/internal/store"
)

// Book is all webhooks that were made through the API, in memory as in the store.
type Book struct {
	store *store.Store

	mu       sync.Mutex
	last     uint32               // the highest number ever given
	webhooks map[uint32][]webhook // by tenant, by number
}

// Load reads them.
func Load(s *store.Store) (*Book, error) {
	b := &Book{store: s, webhooks: map[uint32][]webhook{}}
	value, closer, err := s.Get(store.LastWebhookKey())
	if err == nil {
		b.last, err = store.ParseLastWebhook(value)
		_ = closer.Close()
	}
	if err != nil && !errors.Is(err, pebble.ErrNotFound) {
		return nil, fmt.Errorf("webhooks: %w", err)
	}
	start, end := store.Webhooks.Range()
	iter, err := s.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
	if err != nil {
		return nil, fmt.Errorf("webhooks: %w", err)
	}
	defer iter.Close()
	for ok := iter.First(); ok; ok = iter.Next() {
		tenant, w, err := parse(iter.Key(), iter.Value())
		if err != nil {
			return nil, fmt.Errorf("webhooks: key %x: %w", iter.Key(), err)
		}
		b.webhooks[tenant] = append(b.webhooks[tenant], w)
	}
	return b, iter.Error()
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

// Added are the webhooks as the dispatcher takes them. Those of tenants that are not in tenants.yaml any more are kept, and told nothing.
func (b *Book) Added(tenants *configs.Tenants, log *slog.Logger) (all []dispatch.Added) {
	for number, list := range b.webhooks {
		tenant := tenants.ByNumber(number)
		if tenant == nil {
			log.Warn("webhooks of a tenant that the settings do not name are kept and told nothing", "tenant", number, "webhooks", len(list))
			continue
		}
		for i := range list {
			all = append(all, list[i].added(tenant))
		}
	}
	return all
}

// of are a tenant's.
func (b *Book) of(tenant uint32) []webhook {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.webhooks[tenant])
}

// put writes a webhook to the disk.
func (b *Book) put(tenant uint32, w *webhook) error {
	document, err := json.Marshal(w)
	if err != nil {
		return err
	}
	batch := b.store.NewBatch()
	defer batch.Close()
	if err := batch.Set(store.WebhookKey(tenant, w.ID), store.AppendWebhook(nil, document), nil); err != nil {
		return err
	}
	if err := batch.Set(store.LastWebhookKey(), store.AppendLastWebhook(nil, max(b.last, w.ID)), nil); err != nil {
		return err
	}
	return batch.Commit(pebble.Sync)
}

// place finds a webhook by its number.
func place(list []webhook, id uint32) int {
	return slices.IndexFunc(list, func(w webhook) bool { return w.ID == id })
}
