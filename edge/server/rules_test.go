package server

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"waypost/configs"
	"waypost/edge/internal/blocks"
	"waypost/mint/link"
)

func blocked(t testing.TB, tenants *configs.Tenants, text string) *blocks.Set {
	t.Helper()
	path := filepath.Join(t.TempDir(), "blocks")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := blocks.Load(path, tenants)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// A blocked link answers 410 in its tenant's words, whichever way it comes, is counted by what blocks it, and makes no event.
func TestBlockedLinks(t *testing.T) {
	r := newRig(t, nil)
	tenants := demoTenants()
	tenants.List[0].BlockedText = `Zurückgezogen <b>& "zu"</b>`
	token := r.token(demoLink())
	hot := request{uri: "/" + token}
	for range keepAfter + 1 { // into the cache
		r.do(hot)
		r.cache.links.Wait()
	}
	events := len(r.events())
	const page = "<!doctype html>\n<html><head><meta charset=\"utf-8\"><title>Zurückgezogen &lt;b&gt;&amp; &#34;zu&#34;&lt;/b&gt;</title></head>\n" +
		"<body><p>Zurückgezogen &lt;b&gt;&amp; &#34;zu&#34;&lt;/b&gt;</p></body></html>\n"
	for _, c := range []struct{ name, text, uri, by string }{
		{"tenant", "tenant demo", "/" + token, "tenant"},
		{"mailing", "mailing demo 123", "/" + token, "mailing"},
		{"prospect", "prospect demo 456", "/" + token, "prospect"},
		{"host", "host bit.ly", "/" + token, "host"},
		{"key", "key 3", "/" + token, "key"},
		{"link", "link " + token, "/" + token, "link"},
		{"changed link", "link " + token, "/(" + token + ").", "link"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.Reload(r.keys, tenants, blocked(t, tenants, c.text), nil)
			before := r.Counts()
			a := r.do(request{uri: c.uri})
			if a.StatusCode() != 410 || string(a.Body()) != page || len(a.Header.Peek("Location")) > 0 {
				t.Errorf("%d %q", a.StatusCode(), a.Body())
			}
			after := r.Counts()
			for by, n := range after.Blocked {
				if got := n - before.Blocked[by]; (got == 1) != (by == c.by) || got > 1 {
					t.Errorf("%d counted for %s", got, by)
				}
			}
			if after.Requests["blocked"] != before.Requests["blocked"]+1 || after.Blocks != 1 {
				t.Errorf("%d requests blocked before, %d after; %d blocks", before.Requests["blocked"], after.Requests["blocked"], after.Blocks)
			}
			if n := len(r.events()); n != events {
				t.Errorf("%d events", n-events)
			}
		})
	}
	if a := r.do(request{uri: "/" + token, host: "other.example.com"}); a.StatusCode() != 404 {
		t.Errorf("on another tenant's host: %d", a.StatusCode())
	}
	r.Reload(r.keys, tenants, nil, nil)
	if a := r.do(hot); a.StatusCode() != 302 {
		t.Errorf("no longer blocked: %d", a.StatusCode())
	}
}

// What a key opened is dead once the key is gone, also what stands in the cache.
func TestReloadForgetsWhatOldKeysOpened(t *testing.T) {
	r := newRig(t, nil)
	hot := request{uri: "/" + r.token(demoLink())}
	for range keepAfter + 1 {
		r.do(hot)
		r.cache.links.Wait()
	}
	if r.Counts().CacheHits == 0 {
		t.Fatal("the link is not in the cache")
	}
	others, err := link.NewKeyring(4, [64]byte{9})
	if err != nil {
		t.Fatal(err)
	}
	r.Reload(others, demoTenants(), nil, nil)
	if a := r.do(hot); a.StatusCode() != 404 {
		t.Errorf("a link of a key that is gone: %d", a.StatusCode())
	}
	r.Reload(r.keys, demoTenants(), nil, nil)
	if a := r.do(hot); a.StatusCode() != 302 {
		t.Errorf("a link of a key that came back: %d", a.StatusCode())
	}
}

// Two states in turn: in one the tenant is on another host, in the other the link is blocked. A request that saw a part of each would be redirected.
func TestRequestsSeeOneState(t *testing.T) {
	r := newRig(t, nil)
	elsewhere, here := demoTenants(), demoTenants()
	elsewhere.List[0].Hosts = []string{"https://elsewhere.example.com"}
	set := blocked(t, here, "tenant demo")
	token := r.token(demoLink())
	r.Reload(r.keys, elsewhere, nil, nil)
	var done atomic.Bool
	var all sync.WaitGroup
	all.Go(func() {
		for i := range 2000 {
			if i%2 == 0 {
				r.Reload(r.keys, here, set, nil)
			} else {
				r.Reload(r.keys, elsewhere, nil, nil)
			}
		}
		done.Store(true)
	})
	for range 2 {
		all.Go(func() {
			ctx := request{uri: "/" + token}.context()
			for !done.Load() {
				ctx.Response.Reset()
				r.Handle(ctx)
				if got := ctx.Response.StatusCode(); got != 404 && got != 410 {
					t.Error(fmt.Sprint("status ", got))
					return
				}
			}
		})
	}
	all.Wait()
}
