package inbound

import (
	"waypost/configs"
	"waypost/edge/internal/machines"
	"waypost/mint/link"
)

// rules are what decides about a delivery, and what a reload replaces: as a whole. They never change.
type rules struct {
	keys     *link.Keyring
	machines *machines.Set // nil: none is known
	tenants  map[string]*tenant
}

// tenant is a tenant with the providers that it takes deliveries of.
type tenant struct {
	settings *configs.Tenant
	sources  map[string]*source
}

// source is a provider of one tenant.
type source struct {
	provider string
	verifier verifier
	mapper   Mapper
	counts   *counters
}

// Reload decides the deliveries that begin from now on by these keys (of links), tenants and machines (nil: none is known). Any goroutine may call it.
func (h *Handler) Reload(keys *link.Keyring, tenants *configs.Tenants, known *machines.Set) {
	r := &rules{keys: keys, machines: known, tenants: make(map[string]*tenant, len(tenants.List))}
	for _, settings := range tenants.List {
		t := &tenant{settings: settings, sources: sourcesOf(settings)}
		for provider, s := range t.sources {
			s.provider, s.counts = provider, h.counts.of(settings.Name, provider)
		}
		r.tenants[settings.Name] = t
	}
	h.rules.Store(r)
}

// sourcesOf are the providers for which something is set, by the name that stands in the path.
func sourcesOf(t *configs.Tenant) map[string]*source {
	in, all := &t.Inbound, map[string]*source{}
	if s := in.Resend.Secrets; len(s) > 0 {
		all["resend"] = &source{verifier: newStandardSigned(s, in.Tolerance), mapper: mapperOf(t, "resend")}
	}
	if p := &in.Postmark; p.Username != "" || len(p.PathSecrets) > 0 {
		all["postmark"] = &source{verifier: newUnsigned(p), mapper: mapperOf(t, "postmark")}
	}
	if s := in.Maileroo.Secrets; len(s) > 0 {
		all["maileroo"] = &source{verifier: newHexSigned("X-Maileroo-Signature", s), mapper: mapperOf(t, "maileroo")}
	}
	if s := in.NexoMailer.Secrets; len(s) > 0 {
		all["nexomailer"] = &source{verifier: newHexSigned("X-Nexomailer-Signature", s), mapper: mapperOf(t, "nexomailer")}
	}
	for i := range in.Parsers {
		p := &in.Parsers[i]
		all[p.Name] = &source{verifier: newRegisteredVerifier(&p.Auth, in.Tolerance), mapper: mapperOf(t, p.Name)}
	}
	return all
}
