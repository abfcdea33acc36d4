// Package e2e tests Waypost from end to end: the real programs as processes, real HTTP, a receiver that verifies.
package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"waypost/bench/demo"
	"waypost/bench/receiver"
	"waypost/bench/stack"
	"waypost/bench/stack/stacktest"
	"waypost/configs"
)

// programs is the folder of the real programs, built once.
var programs string

func TestMain(m *testing.M) { stacktest.Main(m, &programs) }

// patience bounds every wait; on a busy machine things are slow, not wrong.
const patience = 2 * time.Minute

// house is a running stack with a receiver.
type house struct {
	*stack.Stack
	t        *testing.T
	receiver *receiver.Receiver
	client   *http.Transport // not a Client, which would refuse a Location that it cannot parse

	mu  sync.Mutex
	got []receiver.Delivery
}

// open starts the programs with the tenants that the caller makes, given the edge's URL and the receiver's endpoints.
func open(t *testing.T, c stack.Config, tenants func(edge string, endpoints []stack.Endpoint) []stack.Tenant) *house {
	t.Helper()
	return openAt(t, t.TempDir(), c, tenants, nil)
}

// openAt is open with a state folder, and with what the receiver answers.
func openAt(t *testing.T, dir string, c stack.Config, tenants func(edge string, endpoints []stack.Endpoint) []stack.Tenant, answer func(path string) int) *house {
	t.Helper()
	h := &house{t: t, client: &http.Transport{ResponseHeaderTimeout: patience}}
	var err error
	h.receiver, err = receiver.Start(receiver.Options{
		Addr:      "127.0.0.1:0",
		Endpoints: demo.ReceiverEndpoints(),
		OnDelivery: func(d receiver.Delivery) {
			h.mu.Lock()
			defer h.mu.Unlock()
			if d.Status == http.StatusOK || d.Verified != nil {
				h.got = append(h.got, d)
			}
		},
		Answer: func(d receiver.Delivery) int {
			if answer == nil {
				return http.StatusOK
			}
			return answer(d.Path)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Dir, c.Bin = dir, programs
	if h.Stack, err = stack.New(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.close)
	h.Tenants = tenants(h.Edges[0].URL, demo.Endpoints(h.receiver.URL()))
	h.start()
	return h
}

func (h *house) close() {
	if h.t.Failed() {
		for _, p := range h.Processes() {
			h.t.Logf("--- %s\n%s", p.Name, p.Log())
		}
	}
	h.Stack.Close()
	h.client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.receiver.Close(ctx); err != nil {
		h.t.Error(err)
	}
}

func (h *house) start() {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	if err := h.Start(ctx); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) stop() {
	h.t.Helper()
	h.client.CloseIdleConnections()
	if err := h.Stop(); err != nil {
		h.t.Fatal(err)
	}
}

// post sends a request of Outreach's to the tenant, with that signature.
func (h *house) post(tenant string, body []byte, signature string) (status int, answer []byte) {
	h.t.Helper()
	q, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.Mint.URL+"/outreach/"+tenant, bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	q.Header.Set("Outreach-Webhook-Signature", signature)
	response, err := h.client.RoundTrip(q)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return response.StatusCode, answer
}

// links asks for links with a right signature.
func (h *house) links(tenant, secret string, body []byte) map[string]string {
	h.t.Helper()
	status, text := h.post(tenant, body, demo.Sign(secret, body))
	wait(h.t, "mint to have time", func() bool {
		if status == http.StatusServiceUnavailable { // on a busy machine mint says so rather than be late; whoever asks, asks again
			status, text = h.post(tenant, body, demo.Sign(secret, body))
		}
		return status != http.StatusServiceUnavailable
	})
	if status != http.StatusOK {
		h.t.Fatalf("mint answered %d: %s", status, text)
	}
	var answer struct {
		Data map[string]string `json:"data"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		h.t.Fatal(err)
	}
	return answer.Data
}

// follow makes one request for a link and gives status and Location.
func (h *house) follow(method, link string) (status int, location string) {
	h.t.Helper()
	q, err := http.NewRequestWithContext(h.t.Context(), method, link, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	response, err := h.client.RoundTrip(q)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		h.t.Fatal(err)
	}
	return response.StatusCode, response.Header.Get("Location")
}

// click follows a link that must lead to that destination.
func (h *house) click(method, link, destination string) {
	h.t.Helper()
	if status, location := h.follow(method, link); status != http.StatusFound || location != destination {
		h.t.Fatalf("%s %s: %d to %q, want 302 to %q", method, link, status, location, destination)
	}
}

// received are the webhooks that came on a path; all must have verified.
func (h *house) received(path string) (found []receiver.Delivery) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.got {
		if d.Verified != nil {
			h.t.Errorf("%s: %v", d.Path, d.Verified)
		}
		if d.Path == path {
			found = append(found, d)
		}
	}
	return found
}

// deliveries are the webhooks that came on a path and carry the original link.
func (h *house) deliveries(path, original string) (found []receiver.Delivery) {
	h.t.Helper()
	for _, d := range h.received(path) {
		if originalOf(h.t, d) == original {
			found = append(found, d)
		}
	}
	return found
}

// originalOf reads the original link out of a webhook of any format.
func originalOf(t *testing.T, d receiver.Delivery) string {
	t.Helper()
	var document struct {
		OriginalLink string
		EventData    struct {
			OriginalURL string `json:"original_url"`
		} `json:"event_data"`
		Data struct {
			URL  string
			Link struct {
				Original, Destination string
			}
		}
	}
	if err := json.Unmarshal(d.Body, &document); err != nil {
		t.Fatalf("%s: %v: %s", d.Path, err, d.Body)
	}
	return cmp.Or(document.OriginalLink, document.EventData.OriginalURL, document.Data.URL, document.Data.Link.Original, document.Data.Link.Destination)
}

// wait polls until the condition holds.
func wait(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			t.Fatalf("waited too long for %s", what)
		case <-tick.C:
		}
	}
}

// arrived waits for the webhooks of an original link, one a format.
func (h *house) arrived(original string) {
	h.t.Helper()
	wait(h.t, "the webhooks of "+original, func() bool {
		return !slices.ContainsFunc(configs.Formats, func(format string) bool { return len(h.deliveries("/"+format, original)) == 0 })
	})
}

// once checks that exactly one webhook a format came for each original, under one id.
func (h *house) once(originals ...string) {
	h.t.Helper()
	for _, original := range originals {
		ids := map[string]bool{}
		for _, format := range configs.Formats {
			deliveries := h.deliveries("/"+format, original)
			if len(deliveries) != 1 {
				h.t.Errorf("%s: %d webhooks in the format %s, want one", original, len(deliveries), format)
				continue
			}
			ids[deliveries[0].ID] = true
		}
		if len(ids) != 1 {
			h.t.Errorf("%s: one click has the ids %v", original, ids)
		}
	}
}

// request is Outreach's request for one mail with these links, original to data value.
func request(t *testing.T, mailing string, urls map[string]string) []byte {
	t.Helper()
	data := []string{}
	for _, value := range urls {
		data = append(data, value)
	}
	type object = map[string]any
	body, err := json.Marshal(object{"data": data, "meta": object{
		"mailing": object{"id": mailing}, "prospect": object{"id": "456", "email": "abc@prospect.com"},
		"user": object{"id": "789", "email": "def@user.com"}, "urls": urls,
	}})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// onHost is the link with another host.
func onHost(t *testing.T, link, host string) string {
	t.Helper()
	_, rest, found := strings.Cut(link, "://")
	slash := strings.IndexByte(rest, '/')
	if !found || slash < 0 {
		t.Fatalf("link %q", link)
	}
	return "http://" + host + rest[slash:]
}
