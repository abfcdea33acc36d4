package server

import (
	"net/netip"
	"strings"
	"testing"

	"waypost/edge/journal"
)

const (
	header2v4 = signature2 + "\x21\x11\x00\x0c\xc6\x33\x64\x07\xc0\x00\x02\x01\x12\x67\x01\xbb"
	header2v6 = signature2 + "\x21\x21\x00\x24\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x12\x67\x01\xbb"
)

func TestProxyHeaders(t *testing.T) {
	for _, c := range []struct {
		name, header string
		client       string // empty: none is told
		wrong        bool
	}{
		{"version 1", "PROXY TCP4 198.51.100.7 192.0.2.1 4711 443\r\n", "198.51.100.7:4711", false},
		{"version 1, IPv6", "PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n", "[2001:db8::7]:4711", false},
		{"version 1, unknown", "PROXY UNKNOWN\r\n", "", false},
		{"version 1, unknown with addresses", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "", false},
		{"version 2", header2v4, "198.51.100.7:4711", false},
		{"version 2, IPv6", header2v6, "[2001:db8::7]:4711", false},
		{"version 2 with other fields", strings.Replace(header2v4, "\x00\x0c", "\x00\x10", 1) + "\x04\x00\x01\x00", "198.51.100.7:4711", false},
		{"version 2, local", signature2 + "\x20\x00\x00\x00", "", false},
		{"version 2, Unix sockets", signature2 + "\x21\x31\x00\xd8" + strings.Repeat("\x00", 216), "", false},

		{"nothing of it", "GET / HTTP/1.1\r\n", "", true},
		{"small letters", "proxy TCP4 198.51.100.7 192.0.2.1 4711 443\r\n", "", true},
		{"families mixed", "PROXY TCP4 2001:db8::7 192.0.2.1 4711 443\r\n", "", true},
		{"no address", "PROXY TCP4 example.com 192.0.2.1 4711 443\r\n", "", true},
		{"address with a zone", "PROXY TCP6 fe80::1%eth0 2001:db8::1 4711 443\r\n", "", true},
		{"port too high", "PROXY TCP4 198.51.100.7 192.0.2.1 65536 443\r\n", "", true},
		{"port with a zero in front", "PROXY TCP4 198.51.100.7 192.0.2.1 04711 443\r\n", "", true},
		{"two spaces", "PROXY TCP4  198.51.100.7 192.0.2.1 4711 443\r\n", "", true},
		{"protocol", "PROXY UDP4 198.51.100.7 192.0.2.1 4711 443\r\n", "", true},
		{"too long", "PROXY UNKNOWN " + strings.Repeat("x", maxHeader1) + "\r\n", "", true},
		{"version 3", strings.Replace(header2v4, "\x21\x11", "\x31\x11", 1), "", true},
		{"command", strings.Replace(header2v4, "\x21\x11", "\x22\x11", 1), "", true},
		{"addresses cut", strings.Replace(header2v4, "\x00\x0c", "\x00\x0b", 1), "", true},
		{"too many fields", signature2 + "\x21\x11\xff\xff", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			const behind = "GET /"
			client, n, err := parseProxyHeader([]byte(c.header + behind))
			if (err != nil) != c.wrong {
				t.Fatalf("error %v", err)
			}
			if c.wrong {
				return
			}
			if n != len(c.header) {
				t.Errorf("%d bytes taken of %d", n, len(c.header))
			}
			if got := client.String(); got != c.client && (c.client != "" || client.IsValid()) {
				t.Errorf("client %s, want %s", got, c.client)
			}
			for i := range len(c.header) {
				if _, n, err := parseProxyHeader([]byte(c.header[:i])); n != 0 || err != nil {
					t.Fatalf("%d bytes of it: %d, %v", i, n, err)
				}
			}
		})
	}
}

// Over real connections: the event has the client's address; without the header a proxy gets 400; anybody else is not listened to.
func TestProxyProtocol(t *testing.T) {
	trusting := func(network string) *rig {
		return newRig(t, func(o *Options, _ *journal.Options) {
			o.ProxyProtocol, o.TrustedProxies = true, []netip.Prefix{netip.MustParsePrefix(network)}
		})
	}
	r := trusting("127.0.0.0/8")
	addr := r.listen()
	request := "GET /" + r.token(demoLink()) + " HTTP/1.1\r\n" + hostLine + "\r\n"
	for _, c := range []struct{ header, address string }{
		{"PROXY TCP4 198.51.100.7 192.0.2.1 4711 443\r\n", "198.51.100.7"},
		{header2v6, "2001:db8::7"},
		{signature2 + "\x20\x00\x00\x00", "127.0.0.1"},
	} {
		client := dial(t, addr)
		for _, piece := range []string{c.header[:7], c.header[7:], request, request} {
			client.send(piece)
		}
		for range 2 {
			if status, _ := client.head(); status != "HTTP/1.1 302 Found" {
				t.Errorf("%q: %s", c.header, status)
			}
		}
		events := r.events()
		for _, e := range events[len(events)-2:] {
			if string(e.Address) != c.address {
				t.Errorf("%q: address %s in the event, want %s", c.header, e.Address, c.address)
			}
		}
	}
	before := len(r.events())
	bare := dial(t, addr)
	bare.send(request)
	if got := bare.rest(); !strings.HasPrefix(got, "HTTP/1.1 400") {
		t.Errorf("without a header: %.100q", got)
	}

	stranger := trusting("10.0.0.0/8")
	client := dial(t, stranger.listen())
	client.send("PROXY TCP4 198.51.100.7 192.0.2.1 4711 443\r\n" + request)
	if got := client.rest(); !strings.HasPrefix(got, "HTTP/1.1 400") {
		t.Errorf("a header of a stranger: %.100q", got)
	}
	if n := len(r.events()) - before + len(stranger.events()); n != 0 {
		t.Errorf("%d events", n)
	}
}

// Whatever comes, a header is taken or refused, by the same bytes however they are cut.
func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 198.51.100.7 192.0.2.1 4711 443\r\nGET /"), uint(9))
	f.Add([]byte("PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n"), uint(40))
	f.Add([]byte(header2v4+"GET /"), uint(14))
	f.Add([]byte(header2v6), uint(20))
	f.Fuzz(func(t *testing.T, b []byte, cut uint) {
		client, n, err := parseProxyHeader(b)
		if n < 0 || n > len(b) || err != nil && (n != 0 || client.IsValid()) {
			t.Fatalf("%d of %d bytes, %v, %v", n, len(b), client, err)
		}
		if n == 0 && err == nil && len(b) >= maxHeader2 {
			t.Fatalf("more than %d bytes are wanted", len(b))
		}
		head, m, early := parseProxyHeader(b[:cut%uint(len(b)+1)])
		if m > 0 && (head != client || m != n) {
			t.Fatalf("%v in %d bytes, %v in the whole", head, m, client)
		}
		if early != nil && err == nil {
			t.Fatalf("refused after %d bytes, taken as a whole", cut)
		}
	})
}
