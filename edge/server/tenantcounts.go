package server

import "waypost/configs/ops"

// TenantCounts are what became of one tenant's links.
type TenantCounts struct {
	Redirects uint64
	Opens     uint64
	Blocked   uint64
	Untracked map[string]uint64 // redirects and opens of which nothing was written, by: track, gpc
}

// tenantCounters are the counters behind them. A request finds them in its tenant.
type tenantCounters struct {
	redirects counter
	opens     counter
	blocked   counter
	untracked [untrackings]counter
}

// tenantCounts are the counters of all tenants.
type tenantCounts struct {
	ops.ByTenant[tenantCounters]
}

func (t *tenantCounts) of(name string) *tenantCounters {
	return t.Of(name, func(string) *tenantCounters { return new(tenantCounters) })
}

func (t *tenantCounts) read() map[string]TenantCounts {
	all := t.All()
	m := make(map[string]TenantCounts, len(all))
	for name, c := range all {
		m[name] = TenantCounts{c.redirects.n.Load(), c.opens.n.Load(), c.blocked.n.Load(), named(untrackedNames[1:], c.untracked[1:])}
	}
	return m
}
