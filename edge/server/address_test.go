package server

import (
	"net/netip"
	"testing"

	"waypost/mint/link"
)

func TestForwardedAddress(t *testing.T) {
	r := newRig(t, nil) // trusts 10.0.0.0/8 and fd00::/8
	l := demoLink()
	l.Message = link.ParseID([]byte("forwarded"))
	uri := "/" + r.token(l)
	const proxy = "10.1.2.3:80"
	xff := func(values ...string) (h [][2]string) {
		for _, v := range values {
			h = append(h, [2]string{"X-Forwarded-For", v})
		}
		return h
	}
	fwd := func(values ...string) (h [][2]string) {
		for _, v := range values {
			h = append(h, [2]string{"Forwarded", v})
		}
		return h
	}
	for _, c := range []struct {
		name    string
		remote  string
		headers [][2]string
		want    string
	}{
		{"no proxy", "198.51.100.7:1", nil, "198.51.100.7"},
		{"not trusted", "198.51.100.7:1", xff("203.0.113.9"), "198.51.100.7"},
		{"trusted, no header", proxy, nil, "10.1.2.3"},
		{"trusted", proxy, xff("203.0.113.9"), "203.0.113.9"},
		{"mapped proxy", "[::ffff:10.1.2.3]:80", xff("203.0.113.9"), "203.0.113.9"},
		{"mapped client", "[::ffff:198.51.100.7]:80", nil, "198.51.100.7"},
		{"IPv6", "[2001:db8::7]:80", nil, "2001:db8::7"},
		{"IPv6 proxy", "[fd00::1]:80", xff("2001:db8::9"), "2001:db8::9"},
		{"the client's own word stands left", proxy, xff("1.1.1.1, 203.0.113.9"), "203.0.113.9"},
		{"proxies in a row", proxy, xff("1.1.1.1, 203.0.113.9, 10.9.9.9, fd00::2"), "203.0.113.9"},
		{"several lines", proxy, xff("1.1.1.1", "203.0.113.9,10.9.9.9"), "203.0.113.9"},
		{"all trusted", proxy, xff("10.5.5.5, 10.6.6.6"), "10.5.5.5"},
		{"ports", proxy, xff("203.0.113.9:5555, 10.9.9.9:1"), "203.0.113.9"},
		{"IPv6 with port", proxy, xff("[2001:db8::9]:5555"), "2001:db8::9"},
		{"IPv6 in brackets", proxy, xff("[2001:db8::9]"), "2001:db8::9"},
		{"mapped in the header", proxy, xff("::ffff:203.0.113.9"), "203.0.113.9"},
		{"mapped proxy in the header", proxy, xff("203.0.113.9, ::ffff:10.9.9.9"), "203.0.113.9"},
		{"empty elements", proxy, xff("203.0.113.9, , 10.9.9.9,"), "203.0.113.9"},
		{"tabs", proxy, xff("\t203.0.113.9\t"), "203.0.113.9"},
		{"empty header", proxy, xff(""), "10.1.2.3"},
		{"only commas", proxy, xff(",,"), "10.1.2.3"},
		{"garbage", proxy, xff("unknown"), "10.1.2.3"},
		{"garbage before a proxy", proxy, xff("203.0.113.9, unknown, 10.9.9.9"), "10.1.2.3"},
		{"garbage left of the client", proxy, xff("<script>, 203.0.113.9"), "203.0.113.9"},
		{"zone", proxy, xff("fe80::1%eth0"), "10.1.2.3"},
		{"IPv4 in brackets", proxy, xff("[203.0.113.9]"), "10.1.2.3"},
		{"bad port", proxy, xff("203.0.113.9:"), "10.1.2.3"},
		{"bracket open", proxy, xff("[2001:db8::9"), "10.1.2.3"},
		{"leading zeros", proxy, xff("203.0.113.009"), "10.1.2.3"},
		{"quoted is not X-Forwarded-For's form", proxy, xff(`"203.0.113.9"`), "10.1.2.3"},

		{"forwarded", proxy, fwd("for=203.0.113.9"), "203.0.113.9"},
		{"forwarded, all pairs", proxy, fwd("for=203.0.113.9;proto=http;by=203.0.113.43"), "203.0.113.9"},
		{"forwarded, for last", proxy, fwd("proto=https; For = 203.0.113.9"), "203.0.113.9"},
		{"forwarded, quoted", proxy, fwd(`for="203.0.113.9:80"`), "203.0.113.9"},
		{"forwarded, IPv6", proxy, fwd(`For="[2001:db8:cafe::17]:4711"`), "2001:db8:cafe::17"},
		{"forwarded, hops", proxy, fwd(`for=1.1.1.1, for=203.0.113.9;by=10.0.0.1, for="10.9.9.9:1"`), "203.0.113.9"},
		{"forwarded, lines", proxy, fwd("for=1.1.1.1", "for=203.0.113.9", "for=10.9.9.9"), "203.0.113.9"},
		{"forwarded, separators in quotes", proxy, fwd(`host="a,b;c\"d";for=203.0.113.9`), "203.0.113.9"},
		{"forwarded, hidden", proxy, fwd("for=_hidden"), "10.1.2.3"},
		{"forwarded, unknown", proxy, fwd("for=unknown, for=10.9.9.9"), "10.1.2.3"},
		{"forwarded, no for", proxy, fwd("proto=https"), "10.1.2.3"},
		{"forwarded, hop without for", proxy, fwd("for=203.0.113.9, by=10.0.0.2"), "10.1.2.3"},
		{"forwarded, quote without end", proxy, fwd(`for="203.0.113.9, for=203.0.113.9`), "10.1.2.3"},
		{"forwarded, obfuscated port", proxy, fwd(`for="203.0.113.9:_port"`), "203.0.113.9"},
		{"both, an empty line first", proxy, append(xff("", "203.0.113.9"), fwd("for=1.1.1.1")...), "203.0.113.9"},
		{"both, only an empty line", proxy, append(xff(""), fwd("for=1.1.1.1")...), "10.1.2.3"},
		{"both: X-Forwarded-For", proxy, append(xff("203.0.113.9"), fwd("for=1.1.1.1")...), "203.0.113.9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.do(request{uri: uri, remote: c.remote, headers: c.headers})
			events := r.events()
			if got := string(events[len(events)-1].Address); got != c.want {
				t.Errorf("address %s, want %s", got, c.want)
			}
		})
	}
}

// FuzzForwarded: whatever proxies and clients send, each hop is an address without zone or none, and no more hops come out than went in.
func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{"203.0.113.9, [2001:db8::9]:80, unknown", `for="[::1]:_x";by=a, for=10.0.0.1`, `"\`, ",;=", "[", ":"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, hops := range [][]netip.Addr{appendForwarded(nil, line), appendForwardedFor(nil, line)} {
			if len(hops) > len(line) {
				t.Fatalf("%d hops of %q", len(hops), line)
			}
			for _, hop := range hops {
				if hop.IsValid() && (hop.Zone() != "" || hop.Is4In6()) {
					t.Fatalf("hop %v of %q", hop, line)
				}
			}
		}
	})
}

// FuzzTarget: no request line leads out of its own bytes, and no token holds what ends one.
func FuzzTarget(f *testing.F) {
	for _, seed := range []string{"/token?x#y", "http://host:80/token", "*", "", "HTTPS://u@h", "host:443", "//"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, uri []byte) {
		got := parseTarget(uri, []byte("host"))
		for _, c := range got.path {
			if c == '?' || c == '#' {
				t.Fatalf("path %q of %q", got.path, uri)
			}
		}
		if len(uri) > 0 && uri[0] == '/' && string(got.host) != "host" {
			t.Fatalf("host %q of %q", got.host, uri)
		}
	})
}
