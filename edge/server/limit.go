package server

import (
	"net"
	"net/netip"
	"sync"
)

// perAddress is a listener that closes connections beyond limit of one client at once, without an answer: what floods costs least so. A client is an IPv4 address or an
// IPv6 /64, of which one machine can have all. Proxies that are trusted have no limit: their clients share them.
type perAddress struct {
	net.Listener
	limit   int
	trusted []netip.Prefix
	refused *counter

	mu   sync.Mutex
	open map[netip.Prefix]int // no client without a connection
}

func newPerAddress(l net.Listener, limit int, trusted []netip.Prefix, refused *counter) *perAddress {
	return &perAddress{Listener: l, limit: limit, trusted: trusted, refused: refused, open: map[netip.Prefix]int{}}
}

// Accept waits for the next connection that may stay.
func (l *perAddress) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		client, ok := clientOf(c.RemoteAddr())
		if !ok || isTrusted(l.trusted, client.Addr()) {
			return c, nil
		}
		if l.enter(client) {
			return &countedConn{Conn: c, listener: l, client: client}, nil
		}
		l.refused.add(1) // before it is closed, so that whoever sees it closed finds it counted
		_ = c.Close()    // whatever comes of it, nobody serves it
	}
}

func (l *perAddress) enter(client netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[client] >= l.limit {
		return false
	}
	l.open[client]++
	return true
}

func (l *perAddress) leave(client netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[client]--; l.open[client] == 0 {
		delete(l.open, client)
	}
}

// clientOf is whom the connections of an address count for.
func clientOf(a net.Addr) (client netip.Prefix, ok bool) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return client, false
	}
	address := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 64
	if address.Is4() {
		bits = 32
	}
	client, err := address.Prefix(bits)
	return client, err == nil
}

// countedConn leaves the count when it is closed, once.
type countedConn struct {
	net.Conn
	listener *perAddress
	client   netip.Prefix
	once     sync.Once
}

// Close closes the connection.
func (c *countedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { c.listener.leave(c.client) })
	return err
}
