package api

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"

	"waypost/configs"
	"waypost/sink/dispatch"
)

// Book is all webhooks that were made through the API: what is in force, in memory, and the way to where they are kept.
type Book struct {
	keeper

	turn chan struct{} // held by who changes something: one change at a time

	mu       sync.Mutex
	webhooks map[uint32][]webhook // by tenant, by number
}

// keeper keeps webhooks where they outlive the sink. A change is in the book, and told to the dispatcher, when its method returns. Errors are answers of the API, or the
// program's own.
type keeper interface {
	// current waits until the book holds all that was kept before the call, by whichever sink.
	current(ctx context.Context) error
	// number gives one that no webhook ever had.
	number(ctx context.Context) (uint32, error)
	// put keeps a webhook that is new or changed.
	put(ctx context.Context, d Dispatcher, tenant *configs.Tenant, w *webhook) error
	// remove forgets a webhook.
	remove(ctx context.Context, d Dispatcher, tenant *configs.Tenant, w *webhook) error
}

func newBook() *Book {
	return &Book{turn: make(chan struct{}, 1), webhooks: map[uint32][]webhook{}}
}

// errNumbers says that no webhook can be made any more.
var errNumbers = errors.New("the numbers of webhooks are used up")

// begin waits for the turn to change something, with the book current. done gives the turn back.
func (b *Book) begin(ctx context.Context) (done func(), err error) {
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, refuse(http.StatusServiceUnavailable, "other changes are under way, and take long: try again")
	}
	done = func() { <-b.turn }
	if err := b.current(ctx); err != nil {
		done()
		return nil, err
	}
	return done, nil
}

// Added are the webhooks as the dispatcher takes them. Those of tenants that are not in tenants.yaml any more are kept, and told nothing.
func (b *Book) Added(tenants *configs.Tenants, log *slog.Logger) (all []dispatch.Added) {
	b.mu.Lock()
	defer b.mu.Unlock()
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

// enter notes a webhook that is kept.
func (b *Book) enter(tenant uint32, w *webhook) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.webhooks[tenant]
	i, known := slices.BinarySearchFunc(list, w.ID, func(w webhook, id uint32) int { return cmp.Compare(w.ID, id) })
	if known {
		list[i] = *w
		return
	}
	b.webhooks[tenant] = slices.Insert(list, i, *w)
}

// strike notes that a webhook is not kept any more.
func (b *Book) strike(tenant, id uint32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.webhooks[tenant] = slices.DeleteFunc(b.webhooks[tenant], func(w webhook) bool { return w.ID == id })
}

// all is every webhook, by tenant.
func (b *Book) all() map[uint32][]webhook {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make(map[uint32][]webhook, len(b.webhooks))
	for tenant, list := range b.webhooks {
		all[tenant] = slices.Clone(list)
	}
	return all
}

func (b *Book) size() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, list := range b.webhooks {
		n += len(list)
	}
	return n
}

// owner is whose a webhook is.
func (b *Book) owner(id uint32) (tenant uint32, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for tenant, list := range b.webhooks {
		if place(list, id) >= 0 {
			return tenant, true
		}
	}
	return 0, false
}

// place finds a webhook by its number.
func place(list []webhook, id uint32) int {
	return slices.IndexFunc(list, func(w webhook) bool { return w.ID == id })
}
