package server

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"waypost/configs"
	"waypost/configs/ops"
	"waypost/mint/link"
)

// otherKeys is a key ring in which testKeys' key has gone.
func otherKeys(t testing.TB) *link.Keyring {
	t.Helper()
	keys, err := link.NewKeyring(7, [64]byte{9, 8, 7, 63: 1})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// TestReload changes keys, secret and host of a tenant, and takes the other away; its counters go on.
func TestReload(t *testing.T) {
	s := newStack(t, nil)
	s.answer(oneLink)
	changed := demoTenant()
	changed.Hosts = []string{"new.example.com"}
	changed.Outreach.Secrets = []configs.Secret{"a new secret"}
	keys := otherKeys(t)
	if err := s.server.Reload(keys, &configs.Tenants{List: []*configs.Tenant{changed}}); err != nil {
		t.Fatal(err)
	}
	if status, body, _ := s.do(s.request(oneLink)); status != 401 {
		t.Errorf("signed with a secret that has gone: %d %s", status, body)
	}
	r := s.request(oneLink)
	r.Header.Set(SignatureHeader, Sign([]byte(oneLink), "a new secret"))
	status, body, _ := s.do(r)
	if status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	s.keys, s.tenant = keys, changed
	s.open(body)
	r = s.request(oneLink)
	r.URL.Path = "/outreach/other"
	if status, body, _ := s.do(r); status != 404 {
		t.Errorf("a tenant that has gone: %d %s", status, body)
	}
	if n := s.counter("waypost_mint_requests_total", "tenant", "demo", "status", "200"); n != 2 {
		t.Errorf("%v requests of the tenant counted, want 2: before and after", n)
	}
}

// TestReloadRefused has one tenant among others that cannot be: nothing changes, not even counters.
func TestReloadRefused(t *testing.T) {
	s := newStack(t, nil)
	fresh, wrong := otherTenant(), otherTenant()
	fresh.Name = "fresh"
	wrong.Name, wrong.Hosts = "wrong", []string{`quo"te.example`}
	if err := s.server.Reload(otherKeys(t), &configs.Tenants{List: []*configs.Tenant{fresh, wrong}}); err == nil {
		t.Fatal("a host that breaks JSON was taken")
	}
	s.answer(oneLink)
	if s.server.metrics.byTenant.All()["fresh"] != nil {
		t.Error("a tenant that was not taken up has counters")
	}
}

// TestReloadUnderLoad has requests under way at every moment of many reloads: each is answered by the old rules or by the new ones, never by half of them.
func TestReloadUnderLoad(t *testing.T) {
	s := newStack(t, nil)
	old := map[string]*link.Keyring{"https://links.example.com/": s.keys, "https://new.example.com/": otherKeys(t)}
	var stop atomic.Bool
	var answered atomic.Int64
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			inner := *s
			inner.t = t
			for !stop.Load() {
				status, body, _ := inner.do(inner.request(oneLink))
				if status != 200 {
					t.Errorf("%d %s", status, body)
					return
				}
				opens := 0
				for prefix, keys := range old {
					var l link.Link
					if token, ok := cutLink(body, prefix); ok && keys.Open(&l, []byte(token)) == nil {
						opens++
					}
				}
				if opens != 1 {
					t.Errorf("answer %s: %d of the rules give it", body, opens)
				}
				answered.Add(1)
			}
		})
	}
	for i := 0; i < 200 || answered.Load() < 200 && !t.Failed(); i++ {
		tenant, keys := demoTenant(), s.keys
		if i%2 == 0 {
			tenant.Hosts, keys = []string{"new.example.com"}, old["https://new.example.com/"]
		}
		if err := s.server.Reload(keys, &configs.Tenants{List: []*configs.Tenant{tenant}}); err != nil {
			t.Fatal(err)
		}
	}
	stop.Store(true)
	clients.Wait()
}

// cutLink gives the token of an answer with one link.
func cutLink(body, prefix string) (string, bool) {
	var token string
	_, err := fmt.Sscanf(body, `{"data":{"https://a.example/1":"`+prefix+"%s", &token)
	return token[:max(0, len(token)-len(`"}}`))], err == nil
}

// TestManyTenants counts those beyond the bound together, whenever they came.
func TestManyTenants(t *testing.T) {
	s := newStack(t, nil)
	for generation := range 2 {
		var tenants configs.Tenants
		for i := range ops.MaxTenants {
			tenant := otherTenant()
			tenant.Number, tenant.Name = uint32(1+i), fmt.Sprintf("tenant-%d-%d", generation, i)
			tenants.List = append(tenants.List, tenant)
		}
		if err := s.server.Reload(s.keys, &tenants); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.server.metrics.byTenant.All()); n > ops.MaxTenants+1 {
		t.Errorf("%d labels of tenants, want %d and other", n, ops.MaxTenants)
	}
	last := s.server.rules.Load().byName["tenant-1-199"]
	if last.tenantMetrics != s.server.metrics.byTenant.All()[ops.OtherTenants] {
		t.Error("a tenant beyond the bound is not counted with the others")
	}
}
