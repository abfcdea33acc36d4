package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"waypost/bench/demo"
	"waypost/bench/receiver"
	"waypost/bench/stack"
	"waypost/configs"
)

// demoTenant is the tenant of `make run`.
func demoTenant(_ string, endpoints []stack.Endpoint) []stack.Tenant {
	return []stack.Tenant{{Number: 1, Name: "demo", Secrets: []string{demo.OutreachSecret}, Endpoints: endpoints}}
}

// vector is Outreach's documented request, with the signature that Outreach documents for the key test-secret.
func vector(t *testing.T) (body []byte, signature string) {
	t.Helper()
	body, err := os.ReadFile("testdata/outreach-request.json")
	if err != nil {
		t.Fatal(err)
	}
	return body, "c39fbd5ab8b26388897aedc978d78010a25cb173b9114b3f452bcb59747552c0"
}

// The whole way of Outreach's documented request, and that no restart makes anything happen twice.
func TestVectorRequest(t *testing.T) {
	h := open(t, stack.Config{}, demoTenant)
	body, signature := vector(t)
	if got := demo.Sign(demo.OutreachSecret, body); got != signature {
		t.Fatalf("signature %s, the vector's is %s", got, signature)
	}
	links := h.links("demo", demo.OutreachSecret, body)
	const bitly, yahoo = "https://bit.ly/33zYFqH", "https://yhoo.it/35tPtX6"
	if len(links) != 2 || links[bitly] == "" || links[yahoo] == "" {
		t.Fatalf("links %v", links)
	}
	h.click(http.MethodHead, links[bitly], bitly)
	for range 5 {
		h.click(http.MethodGet, links[bitly], bitly)
	}
	h.click(http.MethodHead, links[bitly], bitly)
	h.arrived("https://www.google.com/")

	h.stop()
	h.start()
	h.click(http.MethodGet, links[bitly], bitly)
	if again := h.links("demo", demo.OutreachSecret, body); again[bitly] != links[bitly] {
		h.click(http.MethodGet, again[bitly], bitly) // minted in another minute: another link to the same
	}
	h.click(http.MethodGet, links[yahoo], yahoo) // decided after those before it
	h.arrived("https://www.yahoo.com/")
	h.stop() // sends what was decided
	h.once("https://www.google.com/", "https://www.yahoo.com/")
	h.mu.Lock()
	defer h.mu.Unlock()
	if want := 2 * len(configs.Formats); len(h.got) != want {
		t.Errorf("%d webhooks, want %d", len(h.got), want)
	}
}

func TestWrongSignature(t *testing.T) {
	h := open(t, stack.Config{}, demoTenant)
	body, signature := vector(t)
	for name, wrong := range map[string]string{
		"none": "", "another key": demo.Sign("other", body), "another body": demo.Sign(demo.OutreachSecret, append(body, ' ')),
		"cut": signature[:63], "no hex": strings.Repeat("x", 64),
	} {
		if status, text := h.post("demo", body, wrong); status != http.StatusUnauthorized || bytes.Contains(text, []byte("http")) {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	if status, _ := h.post("nobody", body, signature); status != http.StatusNotFound {
		t.Errorf("unknown tenant: %d", status)
	}
}

// A link opens on its tenant's hosts only.
func TestTwoTenants(t *testing.T) {
	var here, there string
	h := open(t, stack.Config{}, func(edge string, endpoints []stack.Endpoint) []stack.Tenant {
		here = strings.TrimPrefix(edge, "http://")
		there = strings.Replace(here, "127.0.0.1", "localhost", 1)
		return []stack.Tenant{
			{Number: 1, Name: "here", Hosts: []string{"http://" + here}, Secrets: []string{"one"}, Endpoints: endpoints},
			{Number: 2, Name: "there", Hosts: []string{"http://" + there}, Secrets: []string{"two"}, Endpoints: endpoints},
		}
	})
	urls := map[string]string{"https://www.example.com/": "https://e.example/1"}
	body := request(t, "1", urls)
	one, two := h.links("here", "one", body)["https://e.example/1"], h.links("there", "two", body)["https://e.example/1"]
	if !strings.HasPrefix(one, "http://"+here+"/") || !strings.HasPrefix(two, "http://"+there+"/") {
		t.Fatalf("links %s and %s", one, two)
	}
	if status, _ := h.post("there", body, demo.Sign("one", body)); status != http.StatusUnauthorized {
		t.Errorf("a tenant's secret signs for another: %d", status)
	}
	for _, wrong := range []string{onHost(t, one, there), onHost(t, two, here)} {
		if status, location := h.follow(http.MethodGet, wrong); status != http.StatusNotFound || location != "" {
			t.Errorf("%s: %d to %q", wrong, status, location)
		}
	}
	h.click(http.MethodGet, one, "https://e.example/1")
	h.click(http.MethodGet, two, "https://e.example/1")
	both := func(format string) int { return len(h.deliveries("/"+format, "https://www.example.com/")) }
	wait(t, "both tenants' webhooks", func() bool {
		return !slices.ContainsFunc(configs.Formats, func(format string) bool { return both(format) < 2 })
	})
	h.stop()
	for _, format := range configs.Formats {
		if n := both(format); n != 2 {
			t.Errorf("%d webhooks in the format %s, want 2: the same mail of two tenants is two mails", n, format)
		}
	}
}

// What goes in as a destination comes out of Location byte for byte.
func TestDestinationsUnchanged(t *testing.T) {
	h := open(t, stack.Config{}, func(edge string, endpoints []stack.Endpoint) []stack.Tenant {
		tenants := demoTenant(edge, endpoints)
		tenants[0].Keys = stack.Keys{"link_budget": 8000}
		return tenants
	})
	visible := make([]rune, 0, 200)
	for r := rune(0x21); r < 0x250; r++ {
		if r != 0x7f && (r < 0x80 || r >= 0xa1) {
			visible = append(visible, r)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		scheme := rapid.SampledFrom([]string{"http://", "https://", "HTTPS://"}).Draw(rt, "scheme")
		tail := rapid.StringOfN(rapid.SampledFrom(visible), 0, 300, 500).Draw(rt, "tail")
		destination := scheme + "d.example/" + tail
		links := h.links("demo", demo.OutreachSecret, request(t, "1", map[string]string{"https://o.example/": destination}))
		if len(links) != 1 {
			rt.Fatalf("%q was left untouched", destination)
		}
		status, location := h.follow(http.MethodGet, links[destination])
		if status != http.StatusFound || location != destination {
			rt.Fatalf("%d to %q, want %q", status, location, destination)
		}
	})
}

// A journal that is full redirects all along; what is lost is counted, and what is not is there.
func TestFullJournal(t *testing.T) {
	h := open(t, stack.Config{Edge: stack.Keys{"journal": stack.Keys{
		"segment_bytes": 64 << 10, "budget": 256 << 10, "keep_bytes": 0,
	}}}, demoTenant)
	if err := h.Sinks[0].Kill(); err != nil { // nobody reads
		t.Fatal(err)
	}
	const clicks = 1000
	urls := map[string]string{"https://www.example.com/": "https://e.example/1"}
	link := h.links("demo", demo.OutreachSecret, request(t, "1", urls))["https://e.example/1"]
	for range clicks {
		h.click(http.MethodGet, link, "https://e.example/1")
	}
	m, err := h.Edges[0].Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lost, found := m.Sum("waypost_edge_events_lost_total")
	if !found || lost == 0 {
		t.Fatalf("nothing was lost (%v): the journal was not full", m)
	}
	text, err := h.Run(t.Context(), "edge", "journal", "cat", h.JournalDir(0))
	if err != nil {
		t.Fatal(err)
	}
	if kept := bytes.Count(text, []byte("\n")); kept+int(lost) != clicks {
		t.Errorf("%d events in the journal and %v lost of %d clicks", kept, lost, clicks)
	}
	// Once somebody reads again, clicks are kept again.
	if err := h.Sinks[0].Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.arrived("https://www.example.com/")
	next := 0
	wait(t, "the webhook of a click after the loss", func() bool {
		next++
		original, value := "https://o.example/"+strconv.Itoa(next), "https://e.example/"+strconv.Itoa(next)
		h.click(http.MethodGet, h.links("demo", demo.OutreachSecret, request(t, fmt.Sprint(next), map[string]string{original: value}))[value], value)
		// Of any of them: the one just made needs its time, however fast the next one follows.
		return slices.ContainsFunc(h.received("/standard"), func(d receiver.Delivery) bool {
			return strings.HasPrefix(originalOf(t, d), "https://o.example/")
		})
	})
}

// Two edges write journals of their own; one sink decides over both.
func TestTwoEdges(t *testing.T) {
	h := open(t, stack.Config{Edges: 2}, demoTenant)
	urls := map[string]string{"https://www.example.com/a": "https://e.example/a", "https://www.example.com/b": "https://e.example/b"}
	links := h.links("demo", demo.OutreachSecret, request(t, "1", urls))
	second := strings.TrimPrefix(h.Edges[1].URL, "http://")
	for range 3 {
		h.click(http.MethodGet, links["https://e.example/a"], "https://e.example/a")
		h.click(http.MethodGet, onHost(t, links["https://e.example/a"], second), "https://e.example/a")
	}
	h.arrived("https://www.example.com/a")
	if err := h.Edges[0].Kill(); err != nil {
		t.Fatal(err)
	}
	h.click(http.MethodGet, onHost(t, links["https://e.example/b"], second), "https://e.example/b")
	h.arrived("https://www.example.com/b")
	if err := h.Edges[0].Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.click(http.MethodGet, links["https://e.example/b"], "https://e.example/b")
	h.stop()
	h.once("https://www.example.com/a", "https://www.example.com/b")
}

// A sink that was away catches up; the edge redirects meanwhile.
func TestSinkAway(t *testing.T) {
	h := open(t, stack.Config{}, demoTenant)
	if err := h.Sinks[0].Kill(); err != nil {
		t.Fatal(err)
	}
	urls := map[string]string{}
	for i := range 20 {
		urls[fmt.Sprint("https://www.example.com/", i)] = fmt.Sprint("https://e.example/", i)
	}
	links := h.links("demo", demo.OutreachSecret, request(t, "1", urls))
	if d := cmp.Diff(len(urls), len(links)); d != "" {
		t.Fatal(d)
	}
	for destination, link := range links {
		h.click(http.MethodGet, link, destination)
		h.click(http.MethodGet, link, destination)
	}
	if err := h.Sinks[0].Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var originals []string
	for original := range urls {
		originals = append(originals, original)
		h.arrived(original)
	}
	h.stop()
	h.once(originals...)
}
