package inbound

import (
	"maps"
	"sync"
	"sync/atomic"

	"waypost/configs/ops"
)

// counters are what became of the deliveries of one provider to one tenant. Any goroutine writes them.
type counters struct {
	results [results]atomic.Uint64
	named   [2]atomic.Uint64 // events: by the provider's own id, by what mint gave to send along
}

// tenantCounters are those of one tenant, by provider.
type tenantCounters struct {
	mu     sync.Mutex
	byName map[string]*counters
}

func (t *tenantCounters) of(provider string) *counters {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.byName[provider]
	if c == nil {
		c = new(counters)
		t.byName[provider] = c
	}
	return c
}

// counts are a handler's.
type counts struct {
	tenants ops.ByTenant[tenantCounters]
	unknown atomic.Uint64 // deliveries to nobody
}

func (c *counts) of(tenant, provider string) *counters {
	return c.tenants.Of(tenant, func(string) *tenantCounters { return &tenantCounters{byName: map[string]*counters{}} }).of(provider)
}

// Count is what became of the deliveries of one provider to one tenant.
type Count struct {
	Tenant, Provider string
	Deliveries       map[string]uint64 // by result
	// Events in the journal: of messages that were named by what mint gave to send along, and of those named by the provider's own id.
	Tagged, Untagged uint64
}

// Counts are the counters for metrics.
type Counts struct {
	Sources   []Count // tenants beyond a bound together, as "other"
	Unknown   uint64  // deliveries to a tenant or of a provider that there is not
	BodyBytes int64   // of bodies under way
}

// Counts reads the counters. It is cheap enough for each scrape.
func (h *Handler) Counts() Counts {
	c := Counts{Unknown: h.counts.unknown.Load(), BodyBytes: h.bodies.Load()}
	for tenant, t := range h.counts.tenants.All() {
		t.mu.Lock()
		byName := maps.Clone(t.byName)
		t.mu.Unlock()
		for provider, n := range byName {
			count := Count{Tenant: tenant, Provider: provider, Deliveries: make(map[string]uint64, results), Tagged: n.named[1].Load(), Untagged: n.named[0].Load()}
			for i, name := range resultNames {
				count.Deliveries[name] = n.results[i].Load()
			}
			c.Sources = append(c.Sources, count)
		}
	}
	return c
}
