package configs

import "testing"

func TestOpens(t *testing.T) {
	tenant := &Tenant{Hosts: []string{"https://links.example.com", "http://127.0.0.1:8080", "https://[::1]:9443", "Old.Example.org", "http://plain.example"}}
	for host, want := range map[string]bool{
		"links.example.com": true, "LINKS.Example.com": true, "links.example.com:443": true,
		"links.example.com:80": false, "links.example.com:8443": false, "links.example.com.": false, "xlinks.example.com": false, "example.com": false,
		"127.0.0.1:8080": true, "127.0.0.1": false, "127.0.0.1:8081": false,
		"[::1]:9443": true, "[::1]": false,
		"old.example.org": true, "old.example.org:443": true,
		"plain.example": true, "plain.example:80": true, "plain.example:443": false,
		"": false, ":443": false, "evil.example": false, "https://links.example.com": false,
	} {
		if got := tenant.Opens([]byte(host)); got != want {
			t.Errorf("Opens(%q) = %v, want %v", host, got, want)
		}
	}
	if !(&Tenant{AnyHost: true}).Opens([]byte("evil.example")) {
		t.Error("any_host does not open on any host")
	}
	if (&Tenant{Hosts: []string{""}}).Opens(nil) {
		t.Error("an empty host opens")
	}
}

func TestMintOrigin(t *testing.T) {
	for _, c := range []struct {
		hosts []string
		want  string
	}{
		{nil, ""},
		{[]string{"a.example", "b.example"}, "https://a.example"},
		{[]string{"http://127.0.0.1:8080"}, "http://127.0.0.1:8080"},
	} {
		if got := (&Tenant{Hosts: c.hosts}).MintOrigin(); got != c.want {
			t.Errorf("%v: %q, want %q", c.hosts, got, c.want)
		}
	}
}

func TestNamed(t *testing.T) {
	one, two := &Tenant{Number: 1, Name: "2"}, &Tenant{Number: 2, Name: "two"}
	tenants := &Tenants{List: []*Tenant{one, two, {Number: 3, Name: "2-3"}}}
	for text, want := range map[string]*Tenant{"two": two, "2": one, "1": one, "3": tenants.List[2], "4": nil, "": nil, "-1": nil, "4294967298": nil} {
		if got := tenants.Named(text); got != want {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

// The edge asks both for every click.
func TestLookupsAllocateNothing(t *testing.T) {
	tenant := &Tenant{Number: 7, Name: "seven", Hosts: []string{"https://a.example", "https://links.example.com"}, Outreach: Outreach{Orgs: []string{"17"}}}
	tenants := &Tenants{List: []*Tenant{{Number: 1, Name: "one"}, tenant}}
	host := []byte("Links.Example.com:443")
	found := true
	allocs := testing.AllocsPerRun(100, func() {
		found = found && tenants.ByNumber(7) == tenant && tenants.ByName("seven") == tenant && tenants.ByOrg("17") == tenant && tenant.Opens(host)
	})
	if !found || allocs != 0 {
		t.Errorf("found %v, %v allocations", found, allocs)
	}
}

func BenchmarkOpens(b *testing.B) {
	tenant := &Tenant{Hosts: []string{"https://links.example.com"}}
	host := []byte("links.example.com")
	for b.Loop() {
		tenant.Opens(host)
	}
}
