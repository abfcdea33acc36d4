package server

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"waypost/edge/journal"
)

// Who is not to be tracked gets there all the same: nothing of it is in the journal, and the counter says how often.
func TestUntracked(t *testing.T) {
	r := newRig(t, func(o *Options, _ *journal.Options) {
		o.Tenants.List[1].Track = "off"     // other
		o.Tenants.List[2].HonourGPC = true  // open
		o.Tenants.List[0].HonourGPC = false // demo
	})
	of := func(tenant uint32) (click, shown string) {
		l, o := demoLink(), openLink()
		l.Tenant, o.Tenant = tenant, tenant
		return "/" + r.token(l), "/o/" + r.token(o) + ".gif"
	}
	gpc := func(value string) [][2]string { return [][2]string{{"Sec-GPC", value}, {"User-Agent", "curl/7.88.1"}} }
	for _, c := range []struct {
		name   string
		tenant uint32
		q      request
		events int
	}{
		{"off", 2, request{host: "other.example.com"}, 0},
		{"off, HEAD", 2, request{host: "other.example.com", method: "HEAD"}, 0},
		{"off, with the header", 2, request{host: "other.example.com", headers: gpc("1")}, 0},
		{"honoured", 3, request{headers: gpc("1")}, 0},
		{"honoured, in any case of letters", 3, request{headers: [][2]string{{"sec-gpc", "1"}}}, 0},
		{"another value", 3, request{headers: gpc("0")}, 1},
		{"no value", 3, request{headers: gpc("")}, 1},
		{"more than the value", 3, request{headers: gpc("1, 1")}, 1},
		{"DNT is another header", 3, request{headers: [][2]string{{"DNT", "1"}}}, 1},
		{"without the header", 3, request{}, 1},
		{"not honoured", 1, request{headers: gpc("1")}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			click, shown := of(c.tenant)
			before := len(r.events())
			c.q.uri = click
			if a := r.do(c.q); a.StatusCode() != 302 || string(a.Header.Peek("Location")) != "https://bit.ly/33zYFqH" {
				t.Errorf("%d, %s", a.StatusCode(), a.Header.Peek("Location"))
			}
			if got := len(r.events()) - before; got != c.events {
				t.Errorf("%d events of a click, want %d", got, c.events)
			}
			if c.q.method == "HEAD" {
				return // no open, whatever the tenant wants
			}
			c.q.uri = shown
			if a := r.do(c.q); a.StatusCode() != 200 || len(a.Body()) != 43 {
				t.Errorf("%d, %d bytes", a.StatusCode(), len(a.Body()))
			}
			if got := len(r.events()) - before; got != 2*c.events {
				t.Errorf("%d events of a click and an open, want %d", got, 2*c.events)
			}
		})
	}
	want := map[string]TenantCounts{
		"demo":  {Redirects: 1, Opens: 1, Untracked: map[string]uint64{"track": 0, "gpc": 0}},
		"other": {Redirects: 3, Opens: 2, Untracked: map[string]uint64{"track": 5, "gpc": 0}},
		"open":  {Redirects: 7, Opens: 7, Untracked: map[string]uint64{"track": 0, "gpc": 4}},
	}
	if diff := cmp.Diff(want, r.Counts().Tenants); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := r.Counts().Requests; got["redirect"] != 11 || got["opened"] != 10 {
		t.Errorf("%v", got)
	}

	// What the tenant takes back with a reload holds for the requests that begin then.
	tenants := demoTenants()
	r.Reload(r.keys, tenants, nil, nil)
	before := len(r.events())
	click, _ := of(2)
	r.do(request{uri: click, host: "other.example.com"})
	if got := len(r.events()) - before; got != 1 {
		t.Errorf("%d events after tracking was switched on again", got)
	}
}
