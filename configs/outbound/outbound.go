// Package outbound says where webhooks may go. It only judges: `sink --check` warns by it, and sink/dispatch/guard refuses by it at the moment of connecting.
//
// A receiver is allowed when its address is public, its port is one of Ports and, with RequireTLS, it is reached by https. An operator's exceptions, Allow, lift all three: whom he
// names he knows. A host name in Allow stands for whatever it resolves to, except for metadata services, which answer anybody who asks with the machine's credentials: they
// are allowed by their address only.
//
// Other senders: Svix and Convoy judge by address too, with networks as exceptions, and take any port and http unless told otherwise. Ports are bounded here, because a webhook to
// port 25 or 6379 is never meant; so is http, because webhooks name people.
package outbound

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Rules are what dispatch.allow, dispatch.ports and dispatch.require_https say. Zero rules refuse every port.
type Rules struct {
	Allow      []Allowed
	Ports      []int
	RequireTLS bool
}

// Allowed is one exception: a network, or a host name.
type Allowed struct {
	Network netip.Prefix // not valid where Host is set
	Host    string       // lower case, without a dot at its end
}

// String is the exception as the settings have it.
func (a Allowed) String() string {
	switch {
	case a.Host != "":
		return a.Host
	case a.Network.IsSingleIP():
		return a.Network.Addr().String()
	}
	return a.Network.String()
}

// ThisMachine is what lets tests and demonstrations deliver to receivers on their own machine.
func ThisMachine() []Allowed {
	return []Allowed{{Network: netip.MustParsePrefix("127.0.0.0/8")}, {Network: netip.MustParsePrefix("::1/128")}}
}

// Place is where a connection is to lead.
type Place struct {
	Scheme string // http or https
	Host   string // as the URL has it: a name, or an address without brackets
	Port   int
}

// Refusal is why a connection is not made. It names a receiver, never a path, which may hold a secret.
type Refusal struct {
	Kind Kind
	text string
}

func (r *Refusal) Error() string { return "refused: " + r.text }

// CheckName refuses a host that is an address, but spelled so that programs read it differently: 2130706433, 0x7f.1, 0177.0.0.1, 127.1 and 127.0.0.1. (with a dot) all may be 127.0.0.1.
func CheckName(host string) error {
	if !endsInNumber(host) {
		return nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	return &Refusal{Spelling, fmt.Sprintf("%s is an address in a spelling that programs read differently; allowed are four decimal numbers", host)}
}

// endsInNumber is how the URL standard tells an IPv4 address from a name.
func endsInNumber(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	if hex, ok := strings.CutPrefix(strings.ToLower(last), "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// Check refuses a connection to ip, to which the host of p resolved.
func (r *Rules) Check(p Place, ip netip.Addr) error {
	ip = ip.Unmap().WithZone("")
	kind := KindOf(ip)
	if r.names(p.Host) && kind != Metadata || r.contains(ip) {
		return nil
	}
	if kind != Public {
		return &Refusal{kind, fmt.Sprintf("%s is %s; allowed are public addresses%s", ip, kind.describe(), r.exceptions())}
	}
	return r.checkPlace(p)
}

// checkPlace judges what is not the address's.
func (r *Rules) checkPlace(p Place) error {
	switch {
	case !slices.Contains(r.Ports, p.Port):
		return &Refusal{Port, fmt.Sprintf("port %d; allowed are %s%s", p.Port, numbers(r.Ports), r.exceptions())}
	case p.Scheme != "https" && r.RequireTLS:
		return &Refusal{Plaintext, fmt.Sprintf("%s without TLS; allowed are https%s", p.Scheme, r.exceptions())}
	}
	return nil
}

func (r *Rules) names(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return slices.ContainsFunc(r.Allow, func(a Allowed) bool { return a.Host != "" && a.Host == host })
}

// contains says whether a network of Allow has the address, and, where it carries another one to which it will be translated, that this one is allowed as well.
func (r *Rules) contains(ip netip.Addr) bool {
	if !slices.ContainsFunc(r.Allow, func(a Allowed) bool { return a.Network.Contains(ip) }) {
		return false
	}
	inner, ok := carried(ip)
	return !ok || KindOf(inner) == Public || r.contains(inner)
}

// CheckURL refuses a URL of which it is certain, before any name is resolved, that nothing will be sent to it.
func (r *Rules) CheckURL(u *url.URL) error {
	p := Place{Scheme: u.Scheme, Host: u.Hostname(), Port: portOf(u)}
	if err := CheckName(p.Host); err != nil {
		return err
	}
	ip, err := netip.ParseAddr(p.Host)
	switch {
	case err == nil:
		return r.Check(p, ip)
	case isLocalhost(p.Host):
		return r.Check(p, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	case r.names(p.Host), slices.ContainsFunc(r.Allow, func(a Allowed) bool { return a.Host == "" }):
		return nil // it is an exception, or may resolve to one
	}
	return r.checkPlace(p)
}

func isLocalhost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

func portOf(u *url.URL) int {
	if port := u.Port(); port != "" {
		n, _ := strconv.Atoi(port) // 0, which no rule allows, where it is none
		return n
	}
	n, _ := net.LookupPort("tcp", u.Scheme)
	return n
}

// mostTold is how many exceptions a refusal names.
const mostTold = 5

// exceptions is the end of a refusal's sentence.
func (r *Rules) exceptions() string {
	if len(r.Allow) == 0 {
		return " (dispatch.allow names no others)"
	}
	var all []string
	for _, a := range r.Allow[:min(len(r.Allow), mostTold)] {
		all = append(all, a.String())
	}
	if more := len(r.Allow) - mostTold; more > 0 {
		all = append(all, fmt.Sprintf("%d more", more))
	}
	return " and dispatch.allow: " + strings.Join(all, ", ")
}

func numbers(all []int) string {
	texts := make([]string, len(all))
	for i, n := range all {
		texts[i] = strconv.Itoa(n)
	}
	return strings.Join(texts, ", ")
}
