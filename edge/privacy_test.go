package main

import (
	"net/http"
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
