package server

import (
	"html"

	"github.com/valyala/fasthttp"

	"waypost/configs"
)

// privacy is what becomes of a client's address.
type privacy uint8

const (
	keepAddress privacy = iota
	truncateAddress
	dropAddress
)

// untracked is why nothing is written of a visit.
type untracked uint8

const (
	tracked     untracked = iota
	byTenant              // its tenant has tracking off
	byRequest             // the request has Sec-GPC, which its tenant honours
	untrackings           // how many there are
)

// untrackedNames are the values of the label by.
var untrackedNames = [untrackings]string{"none", "track", "gpc"}

// tenant is what the redirect path needs of a tenant. Only its counters change.
type tenant struct {
	settings  *configs.Tenant
	privacy   privacy
	uniqueAny bool
	off       bool // nothing is written of its links
	gpc       bool // nor of requests with Sec-GPC: 1
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
	return &tenant{
		settings: t, privacy: p, uniqueAny: t.Unique == "any", off: t.Track == "off", gpc: t.HonourGPC, counts: counts, blocked: pageBlocked(t.BlockedText),
	}
}

var headerGPC = []byte("Sec-Gpc") // as fasthttp keeps it: in canonical case

// untracked says whether a visit with these headers is to be forgotten.
func (t *tenant) untracked(h *fasthttp.RequestHeader) untracked {
	switch {
	case t.off:
		return byTenant
	case t.gpc && string(h.PeekCanonical(headerGPC)) == "1":
		return byRequest
	}
	return tracked
}

// pageBlocked is in the tenant's words alone, which may be of any language.
func pageBlocked(text string) []byte {
	text = html.EscapeString(text)
	return []byte("<!doctype html>\n<html><head><meta charset=\"utf-8\"><title>" + text + "</title></head>\n<body><p>" + text + "</p></body></html>\n")
}
