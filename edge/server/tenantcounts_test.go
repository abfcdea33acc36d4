package server

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"waypost/configs/ops"
)

// Each tenant's links are counted, over reloads too.
func TestTenantCounts(t *testing.T) {
	r := newRig(t, nil)
	demo, other := demoLink(), demoLink()
	other.Tenant = 2
	follow := func() {
		r.do(request{uri: "/" + r.token(demo)})
		r.do(request{uri: "/" + r.token(other), host: "other.example.com"})
		r.do(request{uri: "/" + r.token(other)}) // not its host
	}
	follow()
	r.Reload(r.keys, demoTenants(), blocked(t, demoTenants(), "tenant other"), nil)
	follow()
	none := map[string]uint64{"track": 0, "gpc": 0}
	want := map[string]TenantCounts{"demo": {Redirects: 2, Untracked: none}, "other": {Redirects: 1, Blocked: 1, Untracked: none}, "open": {Untracked: none}}
	if diff := cmp.Diff(want, r.Counts().Tenants); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// However many tenants come and go, there are no more series than the bound and one.
func TestTenantSeriesAreBounded(t *testing.T) {
	var counts tenantCounts
	for i := range 3 * ops.MaxTenants {
		counts.of(fmt.Sprint("tenant-", i)).redirects.add(1)
	}
	counts.of("tenant-0").redirects.add(1)
	read := counts.read()
	if len(read) != ops.MaxTenants+1 || read["tenant-0"].Redirects != 2 || read[ops.OtherTenants].Redirects != 2*ops.MaxTenants {
		t.Errorf("%d series, %+v of the first, %+v of the others", len(read), read["tenant-0"], read[ops.OtherTenants])
	}
}
