package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"waypost/bench/stack"
)

const acmeKey = "a-key-of-16-or-more"

var (
	readmeCall = regexp.MustCompile(`(?m)^\$ curl -s http://127\.0\.0\.1:8081(/v1/(?:messages|links)/\S+) -H 'Authorization: Bearer (\S+)' -H 'Content-Type: application/json' -d '(.*)'\n(.*)\n`)
	acmeToken  = regexp.MustCompile(`https://go\.acme\.example/[A-Za-z0-9_-]+`)
	acmeOpen   = regexp.MustCompile(`https://go\.acme\.example/o/[A-Za-z0-9_-]+\.gif`)
	madeID     = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)
)

// The curl session of mint's README, played on the real programs: the answers are those that it shows, and a minted HTML's link leads through the edge. A click in the HTML is told to
// Postmark's receiver as one there; one on the same URL in the text is the same click again. The picture is looked at twice, and told of once.
func TestReadmeSessionOfMessages(t *testing.T) {
	readme, err := os.ReadFile("../../mint/README.md")
	if err != nil {
		t.Fatal(err)
	}
	calls := readmeCall.FindAllStringSubmatch(string(readme), -1)
	if len(calls) != 3 {
		t.Fatalf("%d calls in the README, want three", len(calls))
	}
	h := open(t, stack.Config{Mint: stack.Keys{"answer_within": "2s"}}, func(_ string, endpoints []stack.Endpoint) []stack.Tenant {
		return []stack.Tenant{{Number: 1, Name: "acme", Hosts: []string{"go.acme.example"}, Secrets: []string{"unused"}, Endpoints: endpoints, Keys: stack.Keys{"api_keys": []string{acmeKey}}}}
	})
	answers := make([]string, len(calls))
	for i, call := range calls {
		want := masked(call[4])
		wait(t, "the answer "+want, func() bool { // a machine that stands still for two seconds gets 503, or links that stay
			answers[i] = h.mintMessage(call[1], call[2], call[3])
			return masked(answers[i]) == want
		})
	}
	var minted struct{ HTML, Text string }
	if err := json.Unmarshal([]byte(answers[0]), &minted); err != nil {
		t.Fatal(err)
	}
	var list struct{ Links map[string]string }
	if err := json.Unmarshal([]byte(answers[1]), &list); err != nil {
		t.Fatal(err)
	}

	const destination = "https://example.com/orders/17?from=mail&lang=en"
	inHTML, inText := acmeToken.FindString(minted.HTML), acmeToken.FindString(minted.Text)
	if inHTML == "" || inText == "" || inHTML == inText {
		t.Fatalf("links %q and %q", inHTML, inText)
	}
	h.clickAs("go.acme.example", inHTML, destination)
	h.arrived(destination)
	picture := acmeOpen.FindString(minted.HTML)
	h.look("go.acme.example", picture)
	const noLink = "" // what the document of an open has as its original
	h.arrived(noLink)
	h.look("go.acme.example", picture)
	h.clickAs("go.acme.example", inText, destination)
	const later = "https://example.com/a" // decided after those before it
	h.clickAs("go.acme.example", list.Links[later], later)
	h.arrived(later)
	h.stop() // sends what was decided
	h.once(destination, later, noLink)
	for _, d := range h.deliveries("/postmark", noLink) {
		var document struct {
			RecordType, Recipient, Tag string
			FirstOpen                  bool
		}
		if err := json.Unmarshal(d.Body, &document); err != nil {
			t.Fatal(err)
		}
		if document.RecordType != "Open" || document.Recipient != "jane@example.com" || document.Tag != "order" || !document.FirstOpen {
			t.Errorf("postmark's receiver was told %s", d.Body)
		}
	}
	for _, d := range h.deliveries("/postmark", destination) {
		var document struct {
			ClickLocation, Recipient, Tag string
		}
		if err := json.Unmarshal(d.Body, &document); err != nil {
			t.Fatal(err)
		}
		if document.ClickLocation != "HTML" || document.Recipient != "jane@example.com" || document.Tag != "order" {
			t.Errorf("postmark's receiver was told %s", d.Body)
		}
	}
}

// masked is an answer without what differs from one key and minute to the other.
func masked(answer string) string {
	return madeID.ReplaceAllString(acmeToken.ReplaceAllString(acmeOpen.ReplaceAllString(answer, "PICTURE"), "LINK"), "ID")
}

// mintMessage posts a body to mint with that key, and gives the answer, whatever its status.
func (h *house) mintMessage(path, key, body string) string {
	h.t.Helper()
	q, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.Mint.URL+path, bytes.NewReader([]byte(body)))
	if err != nil {
		h.t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+key)
	q.Header.Set("Content-Type", "application/json")
	response, err := h.client.RoundTrip(q)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(answer)
}

// look asks the edge for a picture as a mail program does through a proxy.
func (h *house) look(host, picture string) {
	h.t.Helper()
	response := h.get(host, picture)
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "image/gif" {
		h.t.Fatalf("%s: %d %s", picture, response.StatusCode, response.Header.Get("Content-Type"))
	}
}

// clickAs follows a link as a proxy would pass it on to the edge, under its own host's name.
func (h *house) clickAs(host, link, destination string) {
	h.t.Helper()
	response := h.get(host, link)
	defer response.Body.Close()
	if got := response.Header.Get("Location"); response.StatusCode != http.StatusFound || got != destination {
		h.t.Fatalf("%s: %d to %q, want 302 to %q", link, response.StatusCode, got, destination)
	}
}

// get asks the edge for what stands at a URL of that host.
func (h *house) get(host, url string) *http.Response {
	h.t.Helper()
	q, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.Edges[0].URL+strings.TrimPrefix(url, "https://"+host), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	q.Host = host
	response, err := h.client.RoundTrip(q)
	if err != nil {
		h.t.Fatal(err)
	}
	return response
}
