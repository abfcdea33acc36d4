package server

import (
	"net/netip"
	"testing"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/edge/internal/machines"
	"waypost/edge/journal"
)

func testMachines() *machines.Set {
	return machines.New([]configs.MachineRule{
		{Name: "scanner", Label: "machine", Visits: "all", Agents: []string{"LinkScanner"}, Networks: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/28")}},
		{Name: "proxy", Label: "proxy", Visits: "opens", Agents: []string{"PictureProxy"}},
	})
}

// The label is in the event, and counted; it comes from the client's whole address, whatever the tenant keeps of it.
func TestMachinesAreLabelled(t *testing.T) {
	r := newRig(t, func(o *Options, _ *journal.Options) {
		o.Machines = testMachines()
		o.Tenants.List[0].ClientAddress = "truncate"
	})
	agent := func(name string) [][2]string { return [][2]string{{"User-Agent", name}} }
	dropping := demoLink()
	dropping.Tenant = 2
	click, shown := "/"+r.token(demoLink()), "/o/"+r.token(openLink())+".gif"
	for i, c := range []struct {
		name    string
		q       request
		want    event.Labels
		address string
	}{
		{"a person", request{uri: click, headers: browser}, 0, "198.51.100.0"},
		{"by agent", request{uri: click, headers: agent("linkscanner/2")}, event.Machine, "198.51.100.0"},
		{"by address", request{uri: click, headers: browser, remote: "203.0.113.15:1"}, event.Machine, "203.0.113.0"},
		{"beside the network", request{uri: click, headers: browser, remote: "203.0.113.16:1"}, 0, "203.0.113.0"},
		{"by the address behind a proxy", request{uri: click, headers: [][2]string{{"X-Forwarded-For", "203.0.113.1"}}, remote: "10.0.0.1:1"}, event.Machine, "203.0.113.0"},
		{"as IPv4 in IPv6", request{uri: click, headers: browser, remote: "[::ffff:203.0.113.1]:1"}, event.Machine, "203.0.113.0"},
		{"where the address is dropped", request{uri: "/" + r.token(dropping), host: "other.example.com", headers: browser, remote: "203.0.113.1:1"}, event.Machine, ""},
		{"HEAD", request{method: "HEAD", uri: click, headers: agent("LinkScanner")}, event.Head | event.Machine, "198.51.100.0"},
		{"a proxy's picture", request{uri: shown, headers: agent("x (via PictureProxy)")}, event.Proxy, "198.51.100.0"},
		{"a proxy's click is a person's", request{uri: click, headers: agent("x (via PictureProxy)")}, 0, "198.51.100.0"},
		{"a changed link", request{uri: click + ").", headers: agent("LinkScanner")}, event.Repaired | event.Machine, "198.51.100.0"},
		{"a prefetch", request{uri: click, headers: append(agent("LinkScanner"), [2]string{"Purpose", "prefetch"})}, event.Prefetch | event.Machine, "198.51.100.0"},
	} {
		if a := r.do(c.q); a.StatusCode() != 302 && a.StatusCode() != 200 {
			t.Fatalf("%s: status %d", c.name, a.StatusCode())
		}
		e := r.events()
		if len(e) != i+1 || e[i].Labels != c.want || string(e[i].Address) != c.address {
			t.Errorf("%s: %d events, labels %b, want %b; address %s", c.name, len(e), e[i].Labels, c.want, e[i].Address)
		}
	}
	got := r.Counts()
	for label, want := range map[string]uint64{"machine": 8, "proxy": 1, "head": 1, "prefetch": 1, "repaired": 1} {
		if got.Labels[label] != want {
			t.Errorf("%d labels %s, want %d", got.Labels[label], label, want)
		}
	}
	if got.Machines != 2 {
		t.Errorf("%d rules", got.Machines)
	}
	r.Reload(r.keys, demoTenants(), nil, nil)
	r.do(request{uri: click, headers: agent("LinkScanner")})
	if e := r.events(); e[len(e)-1].Labels != 0 || r.Counts().Machines != 0 {
		t.Errorf("labels %b of rules that are gone", e[len(e)-1].Labels)
	}
}
