package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strconv"
)

// The PROXY protocol: a proxy that does not speak HTTP says in front of a connection's bytes whose they are (haproxy's doc/proxy-protocol.txt, versions 1 and 2). It is believed
// from trusted proxies only, and there it has to be. Own and not a library, because two pure functions under a fuzz test are less than a dependency.

const (
	signature1 = "PROXY "
	signature2 = "\r\n\r\n\x00\r\nQUIT\n"

	maxHeader1   = 107     // bytes, with CR LF
	fixedHeader2 = 16      // signature, version and command, family, length
	maxHeader2   = 4 << 10 // bytes; what is longer than all known fields together is refused
)

var errProxyHeader = errors.New("no PROXY protocol header")

// parseProxyHeader reads the header at the begin of b. It takes n bytes; 0 without an error says that the header goes on behind b. client is not valid where the header names none: the
// proxy's own checks, or a protocol that is not TCP over IP.
func parseProxyHeader(b []byte) (client netip.AddrPort, n int, err error) {
	switch {
	case hasBegin(b, signature1):
		return parseProxy1(b)
	case hasBegin(b, signature2):
		return parseProxy2(b)
	}
	return client, 0, errProxyHeader
}

// hasBegin says whether b begins with the signature, as far as it goes.
func hasBegin(b []byte, signature string) bool {
	n := min(len(b), len(signature))
	return string(b[:n]) == signature[:n]
}

// parseProxy1 reads "PROXY TCP4 198.51.100.7 192.0.2.1 4711 443\r\n".
func parseProxy1(b []byte) (client netip.AddrPort, n int, err error) {
	end := bytes.Index(b[:min(len(b), maxHeader1)], []byte("\r\n"))
	if end < 0 {
		if len(b) >= maxHeader1 {
			return client, 0, errProxyHeader
		}
		return client, 0, nil
	}
	fields := bytes.Split(b[:end], []byte{' '})
	if len(fields) >= 2 && string(fields[1]) == "UNKNOWN" {
		return client, end + 2, nil // whatever follows
	}
	if len(fields) != 6 {
		return client, 0, errProxyHeader
	}
	is4 := string(fields[1]) == "TCP4"
	source, sourceOK := parseEnd(fields[2], fields[4], is4)
	_, targetOK := parseEnd(fields[3], fields[5], is4)
	if !is4 && string(fields[1]) != "TCP6" || !sourceOK || !targetOK {
		return client, 0, errProxyHeader
	}
	return source, end + 2, nil
}

// parseEnd reads one end of a connection of version 1.
func parseEnd(address, port []byte, is4 bool) (netip.AddrPort, bool) {
	a, err := netip.ParseAddr(string(address))
	if err != nil || a.Is4() != is4 || a.Zone() != "" {
		return netip.AddrPort{}, false
	}
	p, err := strconv.ParseUint(string(port), 10, 16)
	if err != nil || strconv.FormatUint(p, 10) != string(port) {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a, uint16(p)), true
}

// parseProxy2 reads
//
//	| signature, 12 | version 2, command | family, transport | length, 2 | source, target | ports, 2 and 2 | other fields |
func parseProxy2(b []byte) (client netip.AddrPort, n int, err error) {
	if len(b) < fixedHeader2 {
		return client, 0, nil
	}
	command, family := b[12], b[13]
	n = fixedHeader2 + int(binary.BigEndian.Uint16(b[14:]))
	if command>>4 != 2 || command&0x0F > 1 || n > maxHeader2 {
		return client, 0, errProxyHeader
	}
	if len(b) < n {
		return client, 0, nil
	}
	body := b[fixedHeader2:n]
	var size int
	switch {
	case command&0x0F == 0: // LOCAL: the proxy speaks for itself
		return client, n, nil
	case family == 0x11: // TCP over IPv4
		size = 4
	case family == 0x21: // TCP over IPv6
		size = 16
	default:
		return client, n, nil
	}
	if len(body) < 2*size+4 {
		return client, 0, errProxyHeader
	}
	address, _ := netip.AddrFromSlice(body[:size]) // of either size
	return netip.AddrPortFrom(address.Unmap(), binary.BigEndian.Uint16(body[2*size:])), n, nil
}

// proxyListener gives connections of trusted proxies whose address is their client's.
type proxyListener struct {
	net.Listener
	trusted []netip.Prefix
}

// Accept waits for the next connection. It reads nothing: a proxy that is slow holds up itself only.
func (l *proxyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok && isTrusted(l.trusted, tcp.AddrPort().Addr().Unmap().WithZone("")) {
		return &proxiedConn{Conn: c}, nil
	}
	return c, nil
}

// proxiedConn takes the header off at its first Read, under that Read's deadline. Reading and RemoteAddr belong to one goroutine: the one that serves the connection.
type proxiedConn struct {
	net.Conn
	begun  bool
	err    error
	rest   []byte // read behind the header
	client net.Addr
}

// Read gives what follows the header.
func (c *proxiedConn) Read(p []byte) (int, error) {
	if !c.begun {
		c.begun = true
		c.err = c.begin()
	}
	if c.err != nil {
		return 0, c.err
	}
	if len(c.rest) > 0 {
		n := copy(p, c.rest)
		if c.rest = c.rest[n:]; len(c.rest) == 0 {
			c.rest = nil
		}
		return n, nil
	}
	return c.Conn.Read(p)
}

// RemoteAddr is the client's address, once something was read and if the proxy told it; else the proxy's.
func (c *proxiedConn) RemoteAddr() net.Addr {
	if c.client != nil {
		return c.client
	}
	return c.Conn.RemoteAddr()
}

func (c *proxiedConn) begin() error {
	b := make([]byte, 0, 512)
	for {
		if len(b) == cap(b) {
			b = append(make([]byte, 0, 2*maxHeader2), b...)
		}
		n, err := c.Conn.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if n == 0 && err != nil {
			return err
		}
		client, taken, err := parseProxyHeader(b)
		if err != nil {
			return err
		}
		if taken > 0 {
			if client.IsValid() {
				c.client = net.TCPAddrFromAddrPort(client)
			}
			c.rest = b[taken:]
			return nil
		}
	}
}
