package ops

import (
	"maps"
	"sync"
)

// MaxTenants bounds the series of tenants: those beyond it, in the order in which they were loaded, are counted together, as OtherTenants.
const (
	MaxTenants   = 200
	OtherTenants = "other"
)

// ByTenant keeps what is counted for each tenant by its name, over reloads, so that no counter goes back. The zero value has none. Any goroutine may call its methods.
type ByTenant[T any] struct {
	mu     sync.Mutex
	byName map[string]*T
}

// Of gives the counters of a tenant, or those of all others once there are too many. Where there are none yet, first makes them, for the label that they will have.
func (b *ByTenant[T]) Of(name string, first func(label string) *T) *T {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.byName[name]
	if t == nil && len(b.byName) >= MaxTenants {
		name = OtherTenants
		t = b.byName[name]
	}
	if t == nil {
		if b.byName == nil {
			b.byName = map[string]*T{}
		}
		t = first(name)
		b.byName[name] = t
	}
	return t
}

// All are the counters that there are, by label.
func (b *ByTenant[T]) All() map[string]*T {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.byName)
}
