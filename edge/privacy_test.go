package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"waypost/mint/link"
)

// picture is a token of an open of the tenant.
func (p *process) picture() string {
	p.Helper()
	token, err := p.keys.AppendToken(nil, &link.Link{Kind: link.Open, Tenant: 1, Minted: link.Minutes(time.Now()), Message: link.ParseID([]byte("123")),
		Prospect: link.ParseID([]byte("456"))})
	if err != nil {
		p.Fatal(err)
	}
	return "o/" + string(token) + ".gif"
}

// visit asks with a user agent and further headers.
func (p *process) visit(path, agent string, headers ...string) int {
	p.Helper()
	req, err := http.NewRequest(http.MethodGet, p.url+"/"+path, http.NoBody)
	if err != nil {
		p.Fatal(err)
	}
	req.Host = "links.example.com"
	req.Header.Set("User-Agent", agent)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // follows nothing
	if err != nil {
		p.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// last is the newest event.
func (p *process) last() string {
	p.Helper()
	events := p.cat()
	return events[len(events)-1]
}

// The operator's own list labels visits, and is replaced as a whole by a signal, or not at all.
func TestMachinesOfAnOperator(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "machines.yaml")
	write(t, file, "rules:\n  - {name: acme, agents: [AcmeLinkCheck]}\n  - {name: here, label: proxy, visits: opens, networks: [127.0.0.0/8]}\n")
	p := startEdge(t, dir, "machines: machines.yaml\n")
	const machine, proxy = `"labels":["machine"]`, `"labels":["proxy"]`
	click := func(want bool) {
		t.Helper()
		p.visit(p.token(1), "acmelinkcheck/3")
		if e := p.last(); strings.Contains(e, machine) != want {
			t.Errorf("labelled: want %v, got %s", want, e)
		}
	}
	click(true)
	if p.visit(p.picture(), "AnyBrowser"); !strings.Contains(p.last(), proxy) {
		t.Error(p.last())
	}
	if p.visit(p.token(1), "AnyBrowser"); strings.Contains(p.last(), "labels") {
		t.Error(p.last())
	}
	if p.metric(`waypost_edge_labels_total{label="machine"}`) != 1 || p.metric(`waypost_edge_labels_total{label="proxy"}`) != 1 || p.metric("waypost_edge_machines") != 2 {
		t.Error("not counted")
	}
	replace(t, file, "rules:\n  - {name: acme, agent: [Other]}\n")
	p.signal(syscall.SIGHUP)
	p.waitFor(func() bool { return p.metric(`waypost_edge_reloads_total{result="refused"}`) == 1 })
	click(true)
	replace(t, file, "rules:\n  - {name: other, agents: [Other]}\n")
	p.signal(syscall.SIGHUP)
	p.waitFor(func() bool { return p.metric("waypost_edge_machines") == 1 })
	click(false)
	p.signal(syscall.SIGTERM)
	p.end(0)
}

// With reload_on_change nobody has to send a signal.
func TestMachinesReloadOnChange(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "machines.yaml")
	write(t, file, "rules: []\n")
	p := startEdge(t, dir, "machines: machines.yaml\nreload_on_change: true\n")
	replace(t, file, "rules:\n  - {name: other, agents: [Other]}\n")
	p.waitFor(func() bool { return p.metric("waypost_edge_machines") == 1 })
}

// A tenant with tracking off, and a request with Sec-GPC of one that honours it: people get where they want, and nothing of them stays anywhere.
func TestNothingStaysOfTheUntracked(t *testing.T) {
	p := startEdge(t, t.TempDir(), "")
	const secret = "NobodyShallReadThis"
	tenants := func(settings string) {
		t.Helper()
		done := p.metric(`waypost_edge_reloads_total{result="done"}`)
		replace(t, filepath.Join(p.dir, "tenants.yaml"), "tenants:\n  - {number: 1, name: demo, hosts: [links.example.com], "+settings+"}\n")
		p.signal(syscall.SIGHUP)
		p.waitFor(func() bool { return p.metric(`waypost_edge_reloads_total{result="done"}`) > done })
	}
	follow := func(headers ...string) {
		t.Helper()
		headers = append(headers, "Referer", "https://"+secret+".example.com/")
		if got := p.visit(p.token(1), secret, headers...); got != http.StatusFound {
			t.Errorf("status %d", got)
		}
		if got := p.visit(p.picture(), secret, headers...); got != http.StatusOK {
			t.Errorf("status %d of a picture", got)
		}
	}
	counted := func(by string, want float64) {
		t.Helper()
		if got := p.metric(fmt.Sprintf(`waypost_edge_untracked_total{by=%q,tenant="demo"}`, by)); got != want {
			t.Errorf("%v untracked by %s, want %v", got, by, want)
		}
	}
	tenants("track: off")
	follow()
	counted("track", 2)
	tenants("honour_gpc: true")
	follow("Sec-GPC", "1")
	counted("gpc", 2)
	if got := p.metric("waypost_edge_journal_records_total"); got != 0 {
		t.Errorf("%v records", got)
	}
	p.visit(p.token(1), "SomebodyElse")
	if got := p.cat(); len(got) != 1 || !strings.Contains(got[0], "SomebodyElse") {
		t.Errorf("events %q", got)
	}
	if got := p.metric(`waypost_edge_tenant_links_total{outcome="redirect",tenant="demo"}`); got != 3 {
		t.Errorf("%v redirects", got)
	}
	p.signal(syscall.SIGTERM)
	p.end(0)
	if strings.Contains(strings.ToLower(p.stderr.String()), strings.ToLower(secret)) {
		t.Error("the log knows them")
	}
	files := 0
	err := filepath.WalkDir(filepath.Join(p.dir, "journal"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("%s knows them", path)
		}
		return err
	})
	if err != nil || files == 0 {
		t.Error(files, err)
	}
}
