package server

import (
	"bytes"
	"fmt"

	"waypost/configs"
	"waypost/mint/filter"
	"waypost/mint/link"
)

// rules are what a reload replaces: as a whole, so that each request sees the old ones or the new ones. They never change.
type rules struct {
	byName, byOrg map[string]*tenant
}

// tenant is a tenant with what minting for it needs, prepared.
type tenant struct {
	*tenantMetrics
	keys     *link.Keyring // the same for all
	settings *configs.Tenant
	number   uint32
	prefix   []byte // what its links begin with: origin and slash
	budget   int    // characters of a whole link
	secrets  []*secret
	apiKeys  apiKeys
	filter   *filter.Filter // nil: every link is replaced
}

// Reload answers the requests that come from now on by these keys and tenants; those under way go on by the old ones. An error: nothing has changed. Any goroutine may
// call it.
func (s *Server) Reload(keys *link.Keyring, tenants *configs.Tenants) error {
	if err := warm(keys); err != nil {
		return err
	}
	r := &rules{byName: map[string]*tenant{}, byOrg: map[string]*tenant{}}
	for _, settings := range tenants.List {
		t, err := newTenant(settings, keys)
		if err != nil {
			return err
		}
		r.byName[settings.Name] = t
		for _, org := range settings.Outreach.Orgs {
			r.byOrg[org] = t
		}
	}
	for _, settings := range tenants.List { // once all are right
		r.byName[settings.Name].tenantMetrics = s.metrics.of(settings.Name)
	}
	s.rules.Store(r)
	return nil
}

// warm mints a link for nobody: what encoding URLs needs is built at the first one, and no mail is to wait for that.
func warm(keys *link.Keyring) error {
	_, err := keys.AppendToken(nil, &link.Link{Tenant: 1, Destination: []byte("https://waypost.example/")})
	return err
}

// newTenant leaves the metrics out.
func newTenant(settings *configs.Tenant, keys *link.Keyring) (*tenant, error) {
	prefix := []byte(settings.MintOrigin() + "/")
	if bytes.ContainsAny(prefix, "\"\\") {
		return nil, fmt.Errorf("tenant %s: host %q cannot stand in a JSON string", settings.Name, prefix)
	}
	t := &tenant{
		keys:     keys,
		settings: settings,
		number:   settings.Number,
		prefix:   prefix,
		budget:   settings.LinkBudget,
		apiKeys:  newAPIKeys(settings.APIKeys),
	}
	if settings.Filter != "" {
		var err error
		if t.filter, err = filter.Compile(settings.Filter); err != nil {
			return nil, fmt.Errorf("tenant %s: filter: %w", settings.Name, err)
		}
	}
	for _, key := range settings.Outreach.Secrets {
		t.secrets = append(t.secrets, newSecret(key))
	}
	return t, nil
}
