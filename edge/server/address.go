package server

import (
	"bytes"
	"net/netip"

	"github.com/valyala/fasthttp"
)

const (
	nameForwarded    = "Forwarded"
	nameForwardedFor = "X-Forwarded-For"
)

// forwardedAddress is the client's address behind trusted proxies: the last hop, from the right, that is no trusted proxy. Each proxy
// appends the address that it saw, so what stands further left is a client's own word. X-Forwarded-For counts when it is there, Forwarded
// (RFC 7239) else: a proxy that writes one of them must take the other from its clients. Anything that is no address (unknown, _hidden,
// garbage) ends the walk with the address of the connection.
func (v *visit) forwardedAddress(trusted []netip.Prefix, h *fasthttp.RequestHeader, connection netip.Addr) netip.Addr {
	v.hops = v.hops[:0]
	// A line that is there counts, even an empty one: proxies add lines of their own behind those of the client, who must not choose which
	// of the two headers is read.
	if lines := h.PeekAll(nameForwardedFor); len(lines) > 0 {
		for _, line := range lines {
			v.hops = appendForwardedFor(v.hops, line)
		}
	} else {
		for _, line := range h.PeekAll(nameForwarded) {
			v.hops = appendForwarded(v.hops, line)
		}
	}
	for i := len(v.hops) - 1; i >= 0; i-- {
		hop := v.hops[i]
		if !hop.IsValid() {
			return connection
		}
		if !isTrusted(trusted, hop) {
			return hop
		}
	}
	if len(v.hops) > 0 {
		return v.hops[0] // trusted all the way: a client inside
	}
	return connection
}

func isTrusted(trusted []netip.Prefix, a netip.Addr) bool {
	for i := range trusted {
		if trusted[i].Contains(a) {
			return true
		}
	}
	return false
}

// appendForwardedFor appends the addresses of one X-Forwarded-For line; an invalid Addr for each entry that is none.
func appendForwardedFor(hops []netip.Addr, line []byte) []netip.Addr {
	for more := true; more; {
		var entry []byte
		entry, line, more = bytes.Cut(line, []byte{','})
		entry = bytes.Trim(entry, " \t")
		if len(entry) == 0 {
			continue // a list may hold empty elements (RFC 9110, 5.6.1)
		}
		hops = append(hops, parseNode(entry))
	}
	return hops
}

// appendForwarded appends the for= addresses of one Forwarded line; an invalid Addr for each element without one.
func appendForwarded(hops []netip.Addr, line []byte) []netip.Addr {
	for len(line) > 0 {
		element, rest, ok := cutUnquoted(line, ',')
		if !ok {
			return append(hops, netip.Addr{}) // a quote that does not end: nothing right of here can be told apart
		}
		line = rest
		if len(bytes.Trim(element, " \t")) > 0 {
			hops = append(hops, forwardedFor(element))
		}
	}
	return hops
}

// forwardedFor finds for=NODE among the pairs of an element.
func forwardedFor(element []byte) netip.Addr {
	for len(element) > 0 {
		pair, rest, _ := cutUnquoted(element, ';')
		element = rest
		name, value, ok := bytes.Cut(pair, []byte{'='})
		if !ok || !bytes.EqualFold(bytes.Trim(name, " \t"), []byte("for")) {
			continue
		}
		value = bytes.Trim(value, " \t")
		if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
			value = value[1 : n-1] // no address needs an escaped character: one with a backslash is none
		}
		return parseNode(value)
	}
	return netip.Addr{}
}

// cutUnquoted cuts s at the first separator outside quotes; false when a quote does not end.
func cutUnquoted(s []byte, separator byte) (before, after []byte, ok bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == separator && !quoted:
			return s[:i], s[i+1:], true
		}
	}
	return s, nil, !quoted
}

// parseNode reads an address with or without port: 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1], [2001:db8::1]:80. IPv4-mapped ones
// become IPv4. The result is not valid for anything else, zones included.
func parseNode(node []byte) netip.Addr {
	switch colons := bytes.Count(node, []byte{':'}); {
	case len(node) > 0 && node[0] == '[':
		end := bytes.IndexByte(node, ']')
		if end < 0 || !isPort(node[end+1:]) {
			return netip.Addr{}
		}
		node = node[1:end]
		if bytes.IndexByte(node, ':') < 0 {
			return netip.Addr{}
		}
	case colons == 1:
		colon := bytes.IndexByte(node, ':')
		if !isPort(node[colon:]) {
			return netip.Addr{}
		}
		node = node[:colon]
	}
	if len(node) > len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255") {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(viewString(node))
	if err != nil || a.Zone() != "" {
		return netip.Addr{}
	}
	return a.Unmap()
}

// isPort says whether s is nothing, or a colon and a port: digits, or an obfuscated name (RFC 7239, 6).
func isPort(s []byte) bool {
	if len(s) == 0 {
		return true
	}
	if s[0] != ':' || len(s) == 1 || len(s) > 32 {
		return false
	}
	for _, c := range s[1:] {
		if c-'0' > 9 && c|0x20-'a' > 25 && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}
