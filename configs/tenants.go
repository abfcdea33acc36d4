package configs

import (
	"fmt"
	"math"
	"net/url"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// tenantsFile is tenants.yaml.
type tenantsFile struct {
	defaults Tenant
	list     []*Tenant
}

func (t *tenantsFile) group() group {
	return group{
		settings: []setting{
			{"defaults", group{settings: t.defaults.inherited(false), check: t.defaults.checkEndpoints}},
			{"tenants", tenantList{t}},
		},
		check: t.check,
	}
}

// MostRetentionDays is the longest retention that a tenant can have.
const MostRetentionDays = 365

// inherited are the settings of a tenant that the defaults may set for all. What tells tenants apart is not among them.
func (t *Tenant) inherited(withOrgs bool) []setting {
	return []setting{
		{"any_host", boolean(&t.AnyHost)},
		{"outreach", t.Outreach.group(withOrgs)},
		{"nexomailer", t.NexoMailer.group()},
		{"filter", filter(&t.Filter)},
		{"retention_days", numberIn(&t.RetentionDays, 7, MostRetentionDays)},
		{"link_budget", numberIn(&t.LinkBudget, 100, 8000)},
		{"recipient_in_link", boolean(&t.RecipientInLink)},
		{"unique", oneOf(&t.Unique, "person", "any")},
		{"track", oneOf(&t.Track, "full", "off")},
		{"honour_gpc", boolean(&t.HonourGPC)},
		{"client_address", oneOf(&t.ClientAddress, "keep", "truncate", "drop")},
		{"blocked_text", words(&t.BlockedText, 1, 1000)},
		{"stream", words(&t.Stream, 1, 100)},
		{"domain_id", numberIn(&t.DomainID, 0, math.MaxInt64)},
		{"user_id", numberIn(&t.UserID, 0, math.MaxInt64)},
		{"inbound", t.Inbound.group()},
		{"endpoints", list[Endpoint]{&t.Endpoints, func(e *Endpoint) value { return e.group() }, "endpoints", MostEndpoints}},
	}
}

func (t *Tenant) group() group {
	own := []setting{
		{"number", numberIn(&t.Number, 1, math.MaxUint32)},
		{"name", named(&t.Name)},
		{"hosts", list[string]{&t.Hosts, origin, "hosts", 100}},
		{"api_tokens", list[Secret]{&t.APITokens, apiToken, "tokens", 10}},
		{"api_keys", list[Secret]{&t.APIKeys, apiKey, "keys", 10}},
	}
	return group{settings: append(own, t.inherited(true)...), check: t.check}
}

func (t *Tenant) check(r *reader, key string) {
	at := func(name string) string { return join(key, name) }
	if t.Number == 0 && !r.wrote(at("number")) {
		r.late(at("number"), "", "must be set: a whole number that no other tenant has or had; links carry it")
	}
	if t.Name == "" && !r.wrote(at("name")) {
		r.late(at("name"), "", "must be set: 1 to 63 of a-z, 0-9 and -")
	}
	if len(t.Hosts) == 0 && (!r.wrote(at("hosts")) || r.places[at("hosts")].value == describe(&ast.SequenceNode{})) {
		r.late(at("hosts"), "", "must name at least one host: the first is where links are minted")
	}
	if t.Inbound.KeepRaw && (t.ClientAddress != "keep" || !t.RecipientInLink) {
		r.late(at("inbound.keep_raw"), "true", "must be false where client_address is not keep, or recipient_in_link is false: providers' documents hold what these leave out")
	}
	if r.wrote(at("endpoints")) { // else the defaults' check has seen them
		t.checkEndpoints(r, key)
	}
	t.NexoMailer.check(r, at("nexomailer"))
	t.advise(r, key)
}

// advise warns of what works but loses something that its reader will look for.
func (t *Tenant) advise(r *reader, key string) {
	for _, e := range t.Endpoints {
		e.advise(r, key, t)
	}
	t.NexoMailer.advise(r, join(key, "nexomailer"), t.RetentionDays, time.Now())
	for i, host := range t.Hosts {
		if strings.HasPrefix(host, "http://") && !loopback(host) {
			r.warn(fmt.Sprintf("%s.hosts[%d]", key, i), host, "links go over the network in clear: https is meant for everything but tests")
		}
	}
	if len(t.Outreach.Secrets) == 0 && len(t.APIKeys) == 0 { // else it may be none of Outreach's
		r.warn(key+".outreach.secrets", "", "no secret: every request of Outreach will be refused with 401")
	}
}

// adviseTenants warns of endpoints to which the sink will send nothing.
func (s *Sink) adviseTenants(r *reader, tenants *Tenants) {
	rules, warned := s.Dispatch.Outbound(), map[string]bool{}
	for i, t := range tenants.List {
		endpoints := fmt.Sprintf("tenants[%d].endpoints", i)
		if !r.wrote(endpoints) {
			endpoints = "defaults.endpoints"
		}
		for j, e := range t.Endpoints {
			key := fmt.Sprintf("%s[%d].url", endpoints, j)
			u, err := url.Parse(e.URL)
			if err != nil || warned[key] {
				continue // what is no URL is a fault already
			}
			if err := rules.CheckURL(u); err != nil {
				warned[key] = true
				r.warn(key, hideLogin(e.URL), fmt.Sprintf("nothing will be sent to it: %v", err))
			}
		}
	}
}

// TenantCheck finds what is wrong with settings of a tenant that only the program can tell which uses them.
type TenantCheck func(*Tenant) []TenantFault

// TenantFault is one of them.
type TenantFault struct {
	Key  string // the setting's, as filter or inbound.parsers[0].type
	Want string // what is allowed
}

// judge notes what the program finds wrong: with the defaults once, with what a tenant sets itself for each tenant.
func (t *tenantsFile) judge(r *reader, checks []TenantCheck) {
	for _, check := range checks {
		r.judged("defaults", check(&t.defaults))
		for i, tenant := range t.list {
			r.judged(fmt.Sprintf("tenants[%d]", i), check(tenant))
		}
	}
}

func (r *reader) judged(of string, found []TenantFault) {
	for _, f := range found {
		if key := join(of, f.Key); r.wrote(key) {
			r.late(key, "", f.Want)
		}
	}
}

// filter is text of which mint's TenantCheck tells whether it is an expression.
func filter(to *string) value {
	return text(to, "must be a PCRE expression of at most 2000 bytes without control characters, or \"\" for none",
		func(s string) bool { return len(s) <= MaxFilter && clean(s) })
}

// MaxFilter bounds a tenant's filter, in bytes.
const MaxFilter = 2000

func apiKey(s *Secret) value {
	return secretIn(s, "must be 16 to 200 letters, digits and signs of ASCII, without blanks", func(s Secret) bool {
		return len(s) >= 16 && len(s) <= 200 && !strings.ContainsFunc(string(s), func(c rune) bool { return c <= ' ' || c >= 0x7F })
	})
}

func loopback(origin string) bool {
	host := strings.TrimPrefix(origin, "http://")
	return strings.HasPrefix(host, "127.") || strings.HasPrefix(host, "[::1]") || host == "localhost" || strings.HasPrefix(host, "localhost:")
}

// apiToken is what a request names its tenant by: long enough that it cannot be guessed, and such as a header can hold.
func apiToken(to *Secret) value {
	return secretIn(to, "must be 20 to 200 of the characters ! to ~", func(s Secret) bool {
		return len(s) >= 20 && len(s) <= 200 && !strings.ContainsFunc(string(s), func(r rune) bool { return r < '!' || r > '~' })
	})
}

func (o *Outreach) group(withOrgs bool) group {
	secret := func(s *Secret) value {
		return secretIn(s, secretTextWant, isSecretText)
	}
	settings := []setting{{"secrets", list[Secret]{&o.Secrets, secret, "secrets", 10}}}
	if withOrgs {
		org := func(s *string) value { return words(s, 1, 200) }
		settings = append(settings, setting{"orgs", list[string]{&o.Orgs, org, "organisation ids", 1000}})
	}
	return group{settings: settings}
}

// tenantList reads each tenant onto a copy of the defaults.
type tenantList struct{ file *tenantsFile }

func (l tenantList) read(r *reader, key string, n ast.Node) {
	r.note(key, n, r.shown(n))
	sequence, ok := n.(*ast.SequenceNode)
	if !ok {
		r.fault(key, n, r.shown(n), "must be a list of tenants")
		return
	}
	for i, v := range sequence.Values {
		t := l.file.defaults
		t.group().read(r, fmt.Sprintf("%s[%d]", key, i), v)
		l.file.list = append(l.file.list, &t)
	}
}

func (l tenantList) render() (string, []string) {
	tenants := make([]Tenant, len(l.file.list))
	for i, t := range l.file.list {
		tenants[i] = *t
	}
	return list[Tenant]{to: &tenants, item: func(t *Tenant) value { return t.group() }}.render()
}

func (tenantList) allowed() string { return "a list of tenants" }

// check finds what two tenants must not share.
func (t *tenantsFile) check(r *reader, _ string) {
	claims := claims{r: r, owners: map[string]string{}, of: "tenant"}
	for i, tenant := range t.list {
		key := fmt.Sprintf("tenants[%d]", i)
		if tenant.Number != 0 {
			claims.claim("number", fmt.Sprint(tenant.Number), key+".number")
		}
		claims.claim("name", tenant.Name, key+".name")
		for j, host := range tenant.Hosts {
			// A host is one tenant's under http and https alike: the edge sees only the Host header.
			_, bare, _ := strings.Cut(host, "://")
			claims.claim("host", bare, fmt.Sprintf("%s.hosts[%d]", key, j))
		}
		for j, token := range tenant.APITokens {
			claims.claim("token", string(token), fmt.Sprintf("%s.api_tokens[%d]", key, j))
		}
		for j, org := range tenant.Outreach.Orgs {
			claims.claim("org", org, fmt.Sprintf("%s.outreach.orgs[%d]", key, j))
		}
	}
	if len(t.list) == 0 {
		r.warn("tenants", "[]", "there are no tenants: nothing can be minted, and no link opens")
	}
}

// claims gives each value of a kind to the first who has it.
type claims struct {
	r      *reader
	owners map[string]string
	of     string // what the owners are
}

func (c claims) claim(kind, value, key string) {
	if value == "" {
		return
	}
	owner, taken := c.owners[kind+" "+value]
	if !taken {
		c.owners[kind+" "+value] = key
		return
	}
	c.r.late(key, value, fmt.Sprintf("must be of one %s only, and %s on line %d has it", c.of, owner, c.r.places[owner].line))
}

func (r *reader) wrote(key string) bool {
	_, ok := r.places[key]
	return ok
}
