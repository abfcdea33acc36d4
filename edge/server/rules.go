package server

import (
	"waypost/configs"
	"waypost/edge/internal/blocks"
	"waypost/edge/internal/machines"
	"waypost/mint/link"
)

// rules are what decides about a request, and what a reload replaces: as a whole, so that each request sees the old ones or the new ones. They never change.
type rules struct {
	keys     *link.Keyring
	tenants  map[uint32]*tenant
	blocks   *blocks.Set
	machines *machines.Set
	nexo     map[string]*nexoMailer // by host, in small letters, with and without the port of its scheme; nil where no tenant has it
}

// Reload decides the requests that begin from now on by these keys, tenants, blocks (nil: nothing is blocked) and machines (nil: none is known). Any goroutine may call it.
// What was sized by the tenants at the start stays: a link budget that grows beyond all of them needs a restart.
func (s *Server) Reload(keys *link.Keyring, tenants *configs.Tenants, blocked *blocks.Set, known *machines.Set) {
	r := &rules{keys: keys, tenants: make(map[uint32]*tenant, len(tenants.List)), blocks: blocked, machines: known}
	for _, t := range tenants.List {
		owner := newTenant(t, s.counts.tenants.of(t.Name))
		r.tenants[t.Number] = owner
		if t.NexoMailer.Enabled {
			r.addNexoMailer(owner)
		}
	}
	s.rules.Store(r)
	if s.inbound != nil {
		s.inbound.Reload(keys, tenants, known)
	}
}

// owner gives whose link o is. Not ok, with the reason: it is no link of that kind, or not one of this host's.
func (r *rules) owner(o *opened, kind link.Kind, host []byte) (owner *tenant, why refusal, ok bool) {
	if o.link.Kind != kind {
		return nil, refusedKind, false
	}
	owner = r.tenants[o.link.Tenant]
	switch {
	case owner == nil:
		return nil, refusedTenant, false
	case !owner.settings.Opens(host):
		return nil, refusedHost, false
	}
	return owner, 0, true
}
