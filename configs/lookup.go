package configs

import (
	"strconv"
	"strings"
	"sync/atomic"
)

// Tenants are all tenants, indexed. List does not change after the first lookup.
type Tenants struct {
	List []*Tenant

	index atomic.Pointer[tenantIndex]
}

// tenantIndex is built at the first lookup, so that a literal Tenants{List: ...} works. Two goroutines may build it at once: both build the same.
type tenantIndex struct {
	byName   map[string]*Tenant
	byNumber map[uint32]*Tenant
	byOrg    map[string]*Tenant
}

// ByName finds a tenant; nil when there is none. ByNumber, ByOrg and Named likewise.
func (t *Tenants) ByName(name string) *Tenant { return t.lookup().byName[name] }

// ByNumber finds the tenant of a link.
func (t *Tenants) ByNumber(number uint32) *Tenant { return t.lookup().byNumber[number] }

// ByOrg finds the tenant of an outreach-org-id header.
func (t *Tenants) ByOrg(org string) *Tenant { return t.lookup().byOrg[org] }

// Named finds a tenant as people name it: by its name, or else by its number. A name may be a number too.
func (t *Tenants) Named(text string) *Tenant {
	if tenant := t.ByName(text); tenant != nil {
		return tenant
	}
	number, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return nil
	}
	return t.ByNumber(uint32(number))
}

func (t *Tenants) lookup() *tenantIndex {
	if index := t.index.Load(); index != nil {
		return index
	}
	index := &tenantIndex{map[string]*Tenant{}, map[uint32]*Tenant{}, map[string]*Tenant{}}
	for _, tenant := range t.List {
		index.byName[tenant.Name] = tenant
		index.byNumber[tenant.Number] = tenant
		for _, org := range tenant.Outreach.Orgs {
			index.byOrg[org] = tenant
		}
	}
	t.index.Store(index)
	return index
}

// MintOrigin is the scheme and host that the tenant's links begin with, without a slash at the end: https://links.example.com.
func (t *Tenant) MintOrigin() string {
	if len(t.Hosts) == 0 {
		return ""
	}
	if first := t.Hosts[0]; strings.Contains(first, "://") {
		return first
	}
	return "https://" + t.Hosts[0]
}

// Opens says whether links of the tenant open on this Host header (its case and a default port do not matter). It allocates nothing.
func (t *Tenant) Opens(host []byte) bool {
	if t.AnyHost {
		return true
	}
	for _, origin := range t.Hosts {
		port := ":443"
		name, ok := strings.CutPrefix(origin, "https://")
		if !ok {
			if name, ok = strings.CutPrefix(origin, "http://"); ok {
				port = ":80"
			}
		}
		if sameHost(host, name) || (len(host) > len(port) && string(host[len(host)-len(port):]) == port && sameHost(host[:len(host)-len(port)], name)) {
			return true
		}
	}
	return false
}

// sameHost compares without regard to the case of ASCII letters.
func sameHost(host []byte, name string) bool {
	if len(host) != len(name) || len(name) == 0 {
		return false
	}
	for i := range host {
		if lower(host[i]) != lower(name[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
