package inbound

import (
	"slices"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/edge/internal/machines"
	"waypost/mint/link"
)

// rules are what decides about a delivery, and what a reload replaces: as a whole. They never change.
type rules struct {
	keys     *link.Keyring
	machines *machines.Set                 // nil: none is known
	sources  map[string]map[string]*source // by the tenant's name, and the provider as it stands in the path
}

// source is a provider of one tenant.
type source struct {
	rules    *rules
	tenant   *configs.Tenant
	provider string
	verifier verifier
	mapper   Mapper
	counts   *counters
}

// told is what a delivery says that the tenant wants recorded; ErrIgnored where that is nothing. Other errors are the mapper's.
func (s *source) told(body []byte) ([]Told, error) {
	all, err := s.mapper.Map(body)
	if err != nil {
		return nil, err
	}
	if s.tenant.Track == "off" { // nobody's doings are recorded then; what became of the mail is
		all = slices.DeleteFunc(all, func(told Told) bool { return told.Event.Type == event.Clicked || told.Event.Type == event.Opened })
	}
	if len(all) == 0 {
		return nil, ErrIgnored
	}
	return all, nil
}

// Reload decides the deliveries that begin from now on by these keys (of links), tenants and machines (nil: none is known). Any goroutine may call it.
func (h *Handler) Reload(keys *link.Keyring, tenants *configs.Tenants, known *machines.Set) {
	r := &rules{keys: keys, machines: known, sources: make(map[string]map[string]*source, len(tenants.List))}
	for _, t := range tenants.List {
		verifiers := verifiersOf(&t.Inbound)
		sources := make(map[string]*source, len(verifiers))
		for provider, v := range verifiers {
			sources[provider] = &source{r, t, provider, v, mapperOf(t, provider), h.counts.of(t.Name, provider)}
		}
		r.sources[t.Name] = sources
	}
	h.rules.Store(r)
}

// verifiersOf are the providers for which something is set, by the name that stands in the path.
func verifiersOf(in *configs.Inbound) map[string]verifier {
	all := map[string]verifier{}
	if s := in.Resend.Secrets; len(s) > 0 {
		all["resend"] = newStandardSigned(s, in.Tolerance)
	}
	if p := &in.Postmark; p.Username != "" || len(p.PathSecrets) > 0 {
		all["postmark"] = newUnsigned(p)
	}
	if s := in.Maileroo.Secrets; len(s) > 0 {
		all["maileroo"] = newHexSigned("X-Maileroo-Signature", s)
	}
	if s := in.NexoMailer.Secrets; len(s) > 0 {
		all["nexomailer"] = newHexSigned("X-Nexomailer-Signature", s)
	}
	for i := range in.Parsers {
		p := &in.Parsers[i]
		all[p.Name] = newRegisteredVerifier(&p.Auth, in.Tolerance)
	}
	return all
}
