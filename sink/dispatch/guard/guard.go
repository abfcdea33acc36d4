// Package guard connects to the receivers of webhooks, and refuses what they must not lead to: whoever may name an endpoint must not reach this machine's network through us.
//
// The address is judged in net.Dialer's Control: after the name was resolved, on the socket that is about to connect. So a name that resolves otherwise a moment later changes nothing
// (rebinding), every spelling of an address has become its bytes, and each address of a name with several is judged for itself. A connection that is kept was judged when it was made, and
// is used again for the same scheme, host and port only.
//
// Rejected: resolving first, judging, then connecting to the address found (TLS and HTTP/2 by hand, one address of several tried, and still nothing seen that Control does not see); judging URLs when
// settings are read (names resolve later, and differently); a proxy for what goes out (one more program, which must then do the same).
package guard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	"waypost/configs/outbound"
)

// Transport gives t connections made by dialer, as far as the rules allow them, and takes proxies of the environment away from it: they would connect for us, to anything.
// A ControlContext that dialer has is called after the rules. t is not to be used for anything else.
func Transport(t *http.Transport, dialer net.Dialer, rules *outbound.Rules) http.RoundTripper {
	g := &guard{rules: rules, dialer: dialer, transport: t}
	t.Proxy = nil
	t.DialContext = g.dial
	t.DialTLSContext = nil
	return g
}

type guard struct {
	rules     *outbound.Rules
	dialer    net.Dialer
	transport *http.Transport
}

// schemeKey is where a request's context has its scheme: dial is not told it otherwise. A connection may be made for one request and serve another, but of the same scheme.
type schemeKey struct{}

// RoundTrip is http.RoundTripper's.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	return g.transport.RoundTrip(r.WithContext(context.WithValue(r.Context(), schemeKey{}, r.URL.Scheme)))
}

// CloseIdleConnections is for http.Client.
func (g *guard) CloseIdleConnections() { g.transport.CloseIdleConnections() }

func (g *guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	place := outbound.Place{Host: host}
	place.Scheme, _ = ctx.Value(schemeKey{}).(string)
	if place.Port, err = strconv.Atoi(port); err != nil {
		return nil, err
	}
	if err := outbound.CheckName(host); err != nil {
		return nil, err
	}
	dialer := g.dialer
	dialer.ControlContext = func(ctx context.Context, network, address string, c syscall.RawConn) error {
		if err := g.check(place, address); err != nil {
			return err
		}
		if g.dialer.ControlContext != nil {
			return g.dialer.ControlContext(ctx, network, address, c)
		}
		return nil
	}
	return dialer.DialContext(ctx, network, address)
}

// check judges the address that a socket is about to connect to.
func (g *guard) check(p outbound.Place, address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	host, _, _ = strings.Cut(host, "%") // net leaves a zone on IPv4 that was written in IPv6
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	return g.rules.Check(p, ip)
}

// RefusalOf finds the refusal in an error of a request; nil: it failed otherwise.
func RefusalOf(err error) *outbound.Refusal {
	var refusal *outbound.Refusal
	if errors.As(err, &refusal) {
		return refusal
	}
	return nil
}
