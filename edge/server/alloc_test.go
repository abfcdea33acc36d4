//go:build !race

package server

import (
	"fmt"
	"strings"
	"testing"

	"waypost/edge/journal"
	"waypost/mint/link"
)

// A redirect allocates nothing, whichever way its link comes, with everything in the event that it can hold; a refusal neither.
func TestAllocations(t *testing.T) {
	r := newRig(t, func(o *Options, j *journal.Options) { o.Machines, j.SegmentBytes = testMachines(), 16<<20 })
	headers := [][2]string{{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"}, {"Referer", "https://mail.example.com/"}, {"Accept-Language", "en"},
		{"X-Forwarded-For", "203.0.113.9, 10.1.1.1"}, {"Sec-Purpose", "prefetch"}}
	full := demoLink()
	full.Tag, full.Metadata = []byte("t"), link.AppendMetadata(nil, "k", "v")

	hit := request{uri: "/" + r.token(full), headers: headers, remote: "10.1.2.3:80"}.context()
	shown := request{uri: "/o/" + r.token(openLink()) + ".gif", headers: headers}.context()
	for range keepAfter + 1 {
		r.Handle(hit)
		r.Handle(shown)
		r.cache.links.Wait()
	}
	forged := []byte(r.token(full))
	forged[30] ^= 1
	refused := request{uri: "/" + string(forged), headers: headers}.context()

	mended := request{uri: "/" + r.token(full)[:30] + "=%0D%0A" + r.token(full)[30:], headers: headers}.context()

	blocking := newRig(t, nil)
	blocking.Reload(blocking.keys, demoTenants(), blocked(t, demoTenants(), "mailing demo 1\nprospect demo 1\nkey 1\nhost bit.ly\nlink "+strings.Repeat("A", 40)), nil)
	withheld := request{uri: "/" + blocking.token(full), headers: headers}.context()
	blocking.Handle(withheld)

	quiet := newRig(t, func(o *Options, _ *journal.Options) { o.Tenants.List[0].Track = "off" })
	untracked := request{uri: "/" + quiet.token(full), headers: headers}.context()
	quiet.Handle(untracked)
	tracking := nexoRig(t)
	tracked := request{uri: nexoClick + "https%3A%2F%2Fwww.example.com%2F%3Fa%3D1&x=y", headers: headers}.context()
	tracking.Handle(tracked)

	const runs = 200
	miss := request{uri: "/", headers: headers}.context()
	uris := make([]string, runs+1) // AllocsPerRun runs once more, to warm up
	for i := range uris {
		l := *full
		l.Prospect = link.ParseID(fmt.Append(nil, i))
		uris[i] = "/" + r.token(&l)
	}
	r.Handle(mended)
	for range 3 { // the visit grows to size
		miss.Request.Header.SetRequestURI("/" + r.token(demoLink()))
		r.Handle(miss)
	}
	next := 0
	before := r.Counts()
	for _, c := range []struct {
		name string
		f    func()
	}{
		{"picture", func() { shown.Response.Reset(); r.Handle(shown) }},
		{"hit", func() { hit.Response.Reset(); r.Handle(hit) }},
		{"miss", func() {
			miss.Response.Reset()
			miss.Request.Header.SetRequestURI(uris[next])
			next++
			r.Handle(miss)
		}},
		{"mended", func() { mended.Response.Reset(); r.Handle(mended) }},
		{"blocked", func() { withheld.Response.Reset(); blocking.Handle(withheld) }},
		{"untracked", func() { untracked.Response.Reset(); quiet.Handle(untracked) }},
		{"NexoMailer's", func() { tracked.Response.Reset(); tracking.Handle(tracked) }},
		{"refused", func() { refused.Response.Reset(); r.Handle(refused) }},
	} {
		if n := testing.AllocsPerRun(runs, c.f); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
	after := r.Counts()
	if hits, misses := after.CacheHits-before.CacheHits, after.CacheMisses-before.CacheMisses; hits != 2*(runs+1) || misses != runs+1 {
		t.Errorf("%d hits, %d misses: the cases are not what they say", hits, misses)
	}
}
