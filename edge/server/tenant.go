package server

import (
	"html"

	"waypost/configs"
)

// privacy is what becomes of a client's address.
type privacy uint8

const (
	keepAddress privacy = iota
	truncateAddress
	dropAddress
)

// tenant is what the redirect path needs of a tenant. Only its counters change.
type tenant struct {
	settings  *configs.Tenant
	privacy   privacy
	uniqueAny bool
	counts    *tenantCounters
	blocked   []byte // the page in place of a blocked link
}

func newTenant(t *configs.Tenant, counts *tenantCounters) *tenant {
	// Settings are checked when they are loaded; a value that is not known here gives away least.
	p := dropAddress
	switch t.ClientAddress {
	case "keep":
		p = keepAddress
	case "truncate":
		p = truncateAddress
	}
	return &tenant{settings: t, privacy: p, uniqueAny: t.Unique == "any", counts: counts, blocked: pageBlocked(t.BlockedText)}
}

// pageBlocked is in the tenant's words alone, which may be of any language.
func pageBlocked(text string) []byte {
	text = html.EscapeString(text)
	return []byte("<!doctype html>\n<html><head><meta charset=\"utf-8\"><title>" + text + "</title></head>\n<body><p>" + text + "</p></body></html>\n")
}
