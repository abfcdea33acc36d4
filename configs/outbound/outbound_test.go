package outbound

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestKindOf(t *testing.T) {
	for kind, addresses := range map[Kind]string{
		Public: "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 " +
			"192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255 2001:200:: 2606:4700:4700::1111 2a00:1450:4001::1 ::ffff:1.1.1.1 2606:4700::1%eth0",
		Metadata:      "169.254.169.254 169.254.170.2 168.63.129.16 100.100.100.200 fd00:ec2::254 fd20:ce::254 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe 2002:a9fe:a9fe::1",
		Unspecified:   "0.0.0.0 0.1.2.3 0.255.255.255 :: ::ffff:0.0.0.0",
		Loopback:      "127.0.0.1 127.255.255.255 ::1 ::ffff:127.0.0.1 ::ffff:7f00:1",
		Private:       "10.0.0.0 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 192.168.255.255 ::ffff:10.1.2.3",
		UniqueLocal:   "fc00::1 fdff:ffff::1",
		LinkLocal:     "169.254.0.1 169.254.255.255 fe80::1 fe80::1%eth0 febf::1",
		Shared:        "100.64.0.0 100.127.255.255",
		Multicast:     "224.0.0.1 239.255.255.255 ff02::1",
		Broadcast:     "255.255.255.255",
		Documentation: "192.0.2.1 198.51.100.1 203.0.113.1 2001:db8::1 3fff::1",
		Translated:    "64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::a00:1 2002:7f00:1::1 2001::1 2001:0:53aa:64c::1",
		Reserved:      "240.0.0.1 255.255.255.254 192.0.0.1 198.18.0.1 192.88.99.1 2001:2::1 2001:20::1 fec0::1 100::1 ::7f00:1 ::ffff:0:7f00:1 4000::1 5f00::1",
	} {
		for text := range strings.FieldsSeq(addresses) {
			if got := KindOf(netip.MustParseAddr(text)); got != kind {
				t.Errorf("%s is %s, want %s", text, got, kind)
			}
		}
	}
	if got := KindOf(netip.Addr{}); got == Public {
		t.Error("no address is a public one")
	}
}

func rules(allow ...string) *Rules {
	r := &Rules{Ports: []int{80, 443}, RequireTLS: true}
	for _, text := range allow {
		if network, err := netip.ParsePrefix(text); err == nil {
			r.Allow = append(r.Allow, Allowed{Network: network})
		} else {
			r.Allow = append(r.Allow, Allowed{Host: text})
		}
	}
	return r
}

func kindOf(t *testing.T, err error) Kind {
	t.Helper()
	if err == nil {
		return ""
	}
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("error %v, want a refusal", err)
	}
	return refusal.Kind
}

func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		rules *Rules
		place Place
		ip    string
		want  Kind
	}{
		"public":                         {rules(), Place{"https", "a.example", 443}, "1.1.1.1", ""},
		"loopback":                       {rules(), Place{"https", "a.example", 443}, "127.0.0.1", Loopback},
		"port":                           {rules(), Place{"https", "a.example", 25}, "1.1.1.1", Port},
		"no port":                        {rules(), Place{"https", "a.example", 0}, "1.1.1.1", Port},
		"http":                           {rules(), Place{"http", "a.example", 80}, "1.1.1.1", Plaintext},
		"http where it may be":           {&Rules{Ports: []int{80}}, Place{"http", "a.example", 80}, "1.1.1.1", ""},
		"network":                        {rules("10.0.0.0/8"), Place{"http", "a.example", 9}, "10.1.2.3", ""},
		"network, mapped":                {rules("10.0.0.0/8"), Place{"http", "a.example", 9}, "::ffff:10.1.2.3", ""},
		"beside the network":             {rules("10.0.0.0/9"), Place{"https", "a.example", 443}, "10.128.0.0", Private},
		"link-local with a zone":         {rules("fe80::/10"), Place{"http", "fe80::1%eth0", 9}, "fe80::1%eth0", ""},
		"host":                           {rules("crm.internal"), Place{"http", "CRM.internal.", 9}, "10.1.2.3", ""},
		"another host":                   {rules("crm.internal"), Place{"https", "a.crm.internal", 443}, "10.1.2.3", Private},
		"host that leads to metadata":    {rules("crm.internal"), Place{"http", "crm.internal", 80}, "169.254.169.254", Metadata},
		"and through NAT64":              {rules("crm.internal"), Place{"http", "crm.internal", 80}, "64:ff9b::a9fe:a9fe", Metadata},
		"metadata by its address":        {rules("169.254.169.254/32"), Place{"http", "m.example", 80}, "169.254.169.254", ""},
		"NAT64":                          {rules(), Place{"https", "a.example", 443}, "64:ff9b::101:101", Translated},
		"NAT64 allowed":                  {rules("64:ff9b::/96"), Place{"https", "a.example", 443}, "64:ff9b::101:101", ""},
		"NAT64 allowed, private within":  {rules("64:ff9b::/96"), Place{"https", "a.example", 443}, "64:ff9b::a00:1", Translated},
		"NAT64 allowed, both":            {rules("64:ff9b::/96", "10.0.0.0/8"), Place{"https", "a.example", 443}, "64:ff9b::a00:1", ""},
		"6to4 allowed, loopback within":  {rules("2002::/16"), Place{"https", "a.example", 443}, "2002:7f00:1::1", Translated},
		"everything, metadata over IPv6": {rules("0.0.0.0/0"), Place{"http", "a.example", 80}, "fd00:ec2::254", Metadata},
	} {
		t.Run(name, func(t *testing.T) {
			if got := kindOf(t, test.rules.Check(test.place, netip.MustParseAddr(test.ip))); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// Addresses are only those that every program reads alike.
func TestCheckName(t *testing.T) {
	refused := "2130706433 0x7f000001 0x7F000001 017700000001 127.1 127.0.1 0177.0.0.1 0x7f.0.0.1 127.0.0.01 127.0.0.1. 1.1.1.1. 256.1.1.1 1.2.3.4.5 0x a.0x1 a.b.1 1"
	for host := range strings.FieldsSeq(refused) {
		if got := kindOf(t, CheckName(host)); got != Spelling {
			t.Errorf("%s: %q, want %q", host, got, Spelling)
		}
	}
	for host := range strings.FieldsSeq("127.0.0.1 1.1.1.1 ::1 ::ffff:127.0.0.1 fe80::1%eth0 a.example localhost 1a.example 0x7g xn--e1aybc.example a1 1.example. _a.example") {
		if err := CheckName(host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func parse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestCheckURL(t *testing.T) {
	for text, want := range map[string]Kind{
		"https://crm.example.com/hooks":          "",
		"https://crm.example.com:8443/":          Port,
		"http://crm.example.com/":                Plaintext,
		"https://127.0.0.1/":                     Loopback,
		"https://[::1]/":                         Loopback,
		"https://[::ffff:127.0.0.1]/":            Loopback,
		"https://[fe80::1%25eth0]/":              LinkLocal,
		"https://2130706433/":                    Spelling,
		"https://127.0.0.1./":                    Spelling,
		"https://localhost/":                     Loopback,
		"https://LOCALHOST.:443/":                Loopback,
		"https://a.localhost/":                   Loopback,
		"http://169.254.169.254/latest/metadata": Metadata,
		"https://[2606:4700:4700::1111]/":        "",
		"https://crm.example.com:0/":             Port,
		"https://crm.example.com:/":              "",
	} {
		if got := kindOf(t, rules().CheckURL(parse(t, text))); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	// What an exception may lift is not certain.
	for _, text := range []string{"http://crm.example.com:8080/", "http://127.0.0.1:9/", "http://localhost:9/"} {
		if err := rules("127.0.0.0/8").CheckURL(parse(t, text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := rules("crm.internal").CheckURL(parse(t, "http://crm.internal:9/")); err != nil {
		t.Error(err)
	}
	if got := kindOf(t, rules("crm.internal").CheckURL(parse(t, "http://crm.example.com/"))); got != Plaintext {
		t.Errorf("%q, want %q", got, Plaintext)
	}
}

func TestRefusalsSayWhatIsAllowed(t *testing.T) {
	for _, test := range []struct {
		rules *Rules
		ip    string
		want  string
	}{
		{rules(), "127.0.0.1", "refused: 127.0.0.1 is loopback; allowed are public addresses (dispatch.allow names no others)"},
		{rules("10.0.0.7/32", "fd00::/8", "b.c"), "::ffff:127.0.0.1", "refused: 127.0.0.1 is loopback; allowed are public addresses and dispatch.allow: 10.0.0.7, fd00::/8, b.c"},
		{rules("a", "b", "c", "d", "e", "f", "g"), "fe80::1%a", "refused: fe80::1 is link-local; allowed are public addresses and dispatch.allow: a, b, c, d, e, 2 more"},
		{&Rules{Ports: []int{80, 8080}}, "1.1.1.1", "refused: port 443; allowed are 80, 8080 (dispatch.allow names no others)"},
	} {
		if err := test.rules.Check(Place{"https", "a.example", 443}, netip.MustParseAddr(test.ip)); err == nil || err.Error() != test.want {
			t.Errorf("%v\nwant %s", err, test.want)
		}
	}
}

// No spelling of a host that url.Parse takes and that is an address of this machine gets through both checks.
func FuzzCheckURL(f *testing.F) {
	for _, text := range []string{"https://127.0.0.1/", "https://[::1]:443/a?b", "https://0x7f.1/", "https://user@localhost", "http://[fe80::1%25a]", "https://%31/", "https://a.example:99999/"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := url.Parse(text)
		if err != nil {
			return
		}
		err = rules().CheckURL(u)
		ip, addrErr := netip.ParseAddr(u.Hostname())
		if addrErr == nil && KindOf(ip) != Public && err == nil {
			t.Errorf("%s is not refused", text)
		}
		if err != nil && len(err.Error()) > 400+len(text) {
			t.Errorf("a refusal of %d bytes", len(err.Error()))
		}
	})
}
