// Package client is what is kept of the address of who clicked.
package client

import "net/netip"

// Truncate clears what tells one client from its neighbours: all but /24 of IPv4 and /48 of IPv6.
func Truncate(a netip.Addr) netip.Addr {
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr()
}
