package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"waypost/bench/demo"
	"waypost/bench/stack"
)

// The links and the picture of a mail that NexoMailer's module has sent, on an edge in the module's place: its receivers are told what the module would have told them, of the same message and URL,
// each first once, on whichever day; HEAD is no click, and a destination that nobody answers for is no redirect.
func TestNexoMailerMails(t *testing.T) {
	const (
		id     = "7d9c2b1e-3f4a-4c5d-8e6f-0a1b2c3d4e5f"
		secret = "a-secret-of-16-or-more"
		listed = "https://www.example.com/pricing?plan=pro&q=a%20b"
		signed = "https://shop.example.org/"
		far    = "https://evil.example/"
	)
	h := open(t, stack.Config{}, func(edge string, endpoints []stack.Endpoint) []stack.Tenant {
		tenants := demoTenant(edge, endpoints)
		tenants[0].Keys = stack.Keys{"nexomailer": stack.Keys{"enabled": true, "hosts": []string{"*.example.com"}, "secrets": []string{secret}, "sent_until": time.Now().UTC().Format("2006-01-02")}}
		return tenants
	})
	base := h.Edges[0].URL + "/api/track/"
	click := func(destination string) string { return base + "click/" + id + "?url=" + url.QueryEscape(destination) } // as encodeURIComponent does: none holds a space
	signature := "&s=" + demo.Sign(secret, []byte(id+"\n"+signed))

	h.click(http.MethodHead, click(listed), listed)
	h.click(http.MethodGet, click(listed), listed)
	h.arrived(listed)
	h.stop()
	h.start()
	base = h.Edges[0].URL + "/api/track/"
	h.click(http.MethodGet, click(listed), listed) // a repeat
	for _, q := range []string{click(far), click(far) + signature, click(signed), click("https://www.example.com@evil.example/")} {
		if status, location := h.follow(http.MethodGet, q); status != http.StatusOK || location != "" {
			t.Errorf("%s: %d to %q, want a page", q, status, location)
		}
	}
	for range 2 {
		if status, _ := h.follow(http.MethodGet, base+"open/"+id); status != http.StatusOK {
			t.Errorf("picture: %d", status)
		}
	}
	const noLink = "" // what the document of an open has as its original
	h.arrived(noLink)
	h.click(http.MethodGet, click(signed)+signature, signed) // decided after those before it
	h.arrived(signed)
	h.stop() // sends what was decided
	h.once(listed, signed, noLink)

	got := h.received("/nexomailer")
	for i, want := range []struct{ event, url string }{{"email.clicked", listed}, {"email.opened", ""}, {"email.clicked", signed}} {
		if i >= len(got) {
			t.Fatalf("%d webhooks", len(got))
		}
		var document struct {
			Event string
			Data  struct{ MessageID, Type, URL, IP string }
		}
		if err := json.Unmarshal(got[i].Body, &document); err != nil {
			t.Fatal(err)
		}
		if document.Event != want.event || document.Data.Type != want.event || document.Data.MessageID != id || document.Data.URL != want.url || document.Data.IP != "127.0.0.1" {
			t.Errorf("webhook %d: %s", i, got[i].Body)
		}
	}
	if len(got) != 3 {
		t.Errorf("%d webhooks, want 3", len(got))
	}
	journal, err := h.Run(t.Context(), "edge", "journal", "cat", h.JournalDir(0))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(journal), "evil.example") {
		t.Error("what was only asked about is recorded")
	}
}
