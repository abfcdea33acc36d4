package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"waypost/mint/link"
)

// status follows a link as a browser on links.example.com, and gives the answer's status; 0 when there was none.
func (p *process) status(token string) int {
	p.Helper()
	req, err := http.NewRequest(http.MethodGet, p.url+"/"+token, http.NoBody)
	if err != nil {
		p.Error(err)
		return 0
	}
	req.Host = "links.example.com"
	resp, err := http.DefaultTransport.RoundTrip(req) // follows nothing
	if err != nil {
		p.Error(err)
		return 0
	}
	_ = resp.Body.Close() // of no use here
	return resp.StatusCode
}

// replace puts a whole file into place: the edge never sees a half.
func replace(t testing.TB, path, text string) {
	t.Helper()
	write(t, path+".new", text)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// edge runs one command with the process's settings.
func (p *process) edge(args ...string) string {
	p.Helper()
	var out, errs bytes.Buffer
	if code := run(nil, append([]string{"--config", filepath.Join(p.dir, "edge.yaml")}, args...), os.Environ(), &out, &errs); code != 0 {
		p.Fatalf("%v: exit %d\n%s", args, code, errs.String())
	}
	return out.String()
}

// A block acts in a running edge under load, soon; every request before and after is answered; and it ends as it began.
func TestBlocksUnderLoad(t *testing.T) {
	p := startEdge(t, t.TempDir(), "")
	token, another := p.token(1), p.token(2)
	var stop atomic.Bool
	var lastRedirect atomic.Int64
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for !stop.Load() {
				begin := time.Now()
				switch got := p.status(token); got {
				case http.StatusFound:
					lastRedirect.Store(max(lastRedirect.Load(), begin.UnixNano()))
				case http.StatusGone:
				default:
					t.Errorf("status %d", got)
					return
				}
			}
		})
	}
	p.waitFor(func() bool { return lastRedirect.Load() > 0 })
	p.edge("blocks", "add", "link", p.url+"/"+token)
	added := time.Now()
	p.waitFor(func() bool { return p.metric(`waypost_edge_blocked_total{by="link"}`) > 0 })
	for range 20 {
		if got := p.status(token); got != http.StatusGone {
			t.Errorf("status %d after the block acted", got)
		}
	}
	if got := p.status(another); got != http.StatusFound {
		t.Errorf("another link: status %d", got)
	}
	stop.Store(true)
	clients.Wait()
	t.Logf("the last redirect began %v after the block was written", time.Unix(0, lastRedirect.Load()).Sub(added).Round(time.Millisecond))
	p.edge("blocks", "remove", "link", token)
	p.waitFor(func() bool { return p.status(token) == http.StatusFound })
	if got := p.metric("waypost_edge_blocks"); got != 0 {
		t.Errorf("%v blocks", got)
	}
}

// Wrong files change nothing and are told; SIGHUP takes up tenants and keys when all is right, and a key that is gone opens nothing.
func TestHangup(t *testing.T) {
	p := startEdge(t, t.TempDir(), "")
	token := p.token(1)
	tenants, blocks := filepath.Join(p.dir, "tenants.yaml"), filepath.Join(p.dir, "blocks")
	refused := `waypost_edge_reloads_total{result="refused"}`
	done := `waypost_edge_reloads_total{result="done"}`

	replace(t, blocks, "tenant demo\nnonsense\n")
	p.waitFor(func() bool { return p.metric(refused) == 1 })
	p.waitFor(func() bool {
		code, body := p.get("/readyz")
		return code == http.StatusOK && strings.Contains(body, "blocks:2: must be one of")
	})
	if got := p.status(token); got != http.StatusFound {
		t.Errorf("status %d: half a file acted", got)
	}
	replace(t, tenants, "tenants:\n  - {number: 1, name: demo, hosts: [new.example.com]}\n")
	p.signal(syscall.SIGHUP)
	p.waitFor(func() bool { return p.metric(refused) == 2 })
	if got := p.status(token); got != http.StatusFound {
		t.Errorf("status %d: tenants acted beside blocks that are wrong", got)
	}

	// The blocks mended, what the signal asked for happens too.
	replace(t, blocks, "# nothing\n")
	p.waitFor(func() bool { return p.metric(done) == 1 })
	if got := p.status(token); got != http.StatusNotFound {
		t.Errorf("status %d on a host that is no longer the tenant's", got)
	}
	p.waitFor(func() bool {
		_, body := p.get("/readyz")
		return !strings.Contains(body, "reload")
	})

	replace(t, tenants, "tenants:\n  - {number: 1, name: demo, hosts: [links.example.com]}\n")
	keys := filepath.Join(p.dir, "link.keys")
	slot, err := link.Rotate(keys)
	if err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGHUP)
	p.waitFor(func() bool { return p.metric(done) == 2 })
	if p.keys, err = link.LoadKeyring(keys); err != nil {
		t.Fatal(err)
	}
	fresh := p.token(1)
	if got, ok := link.Slot([]byte(fresh)); !ok || got != slot {
		t.Fatalf("the link names slot %d", got)
	}
	for _, link := range []string{token, fresh} {
		if got := p.status(link); got != http.StatusFound {
			t.Errorf("status %d after the rotation", got)
		}
	}
	p.signal(syscall.SIGTERM)
	p.end(0)
}

// With reload_on_change nobody has to send a signal.
func TestReloadOnChange(t *testing.T) {
	p := startEdge(t, t.TempDir(), "reload_on_change: true\n")
	token := p.token(1)
	replace(t, filepath.Join(p.dir, "tenants.yaml"), "tenants:\n  - {number: 1, name: demo, hosts: [new.example.com]}\n")
	p.waitFor(func() bool { return p.status(token) == http.StatusNotFound })
}
