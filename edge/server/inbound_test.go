package server

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"waypost/configs"
	"waypost/edge/inbound"
	"waypost/edge/journal"
)

type noAsides struct{}

func (noAsides) Keep(string, string, time.Time, []inbound.Header, []byte, error) error { return nil }

// inboundRig takes deliveries too.
func inboundRig(t testing.TB) *rig {
	return newRig(t, func(o *Options, j *journal.Options) {
		o.Tenants.List[0].Inbound.Maileroo.Secrets = []configs.Secret{"test-secret"}
		w, err := journal.Open(*j)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		})
		o.Inbound = inbound.New(inbound.Options{Keys: o.Keys, Tenants: o.Tenants, Journal: w, Asides: noAsides{}, Memory: 4 << 20, Log: slog.New(slog.DiscardHandler)})
		j.Dir = t.TempDir() // clicks go elsewhere
	})
}

func deliveryOf(body, target string) string {
	mac := hmac.New(sha256.New, []byte("test-secret"))
	mac.Write([]byte(body))
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: any.example.com\r\nX-Maileroo-Signature: %s\r\nContent-Length: %d\r\n\r\n%s", target, hex.EncodeToString(mac.Sum(nil)), len(body), body)
}

// Deliveries and redirects share a port and its connections; nothing of one is taken for the other.
func TestDeliveriesBesideRedirects(t *testing.T) {
	r := inboundRig(t)
	addr := r.listen()
	token := r.token(demoLink())
	const delivery = `{"event_type":"delivered","event_time":1795457650,"event_id":"1","message_id":"<1@example.com>","event_data":{"to":"jane@example.com"}}`
	long := delivery + strings.Repeat(" ", inbound.MaxBody-len(delivery))
	redirect := "GET /" + token + " HTTP/1.1\r\nHost: links.example.com\r\n\r\n"
	c := dial(t, addr)
	for _, step := range []struct {
		request string
		status  int
		body    string // begins so
	}{
		{redirect, 302, ""},
		{deliveryOf(delivery, "/in/demo/maileroo"), 200, `{"result":"recorded"}`},
		{redirect, 302, ""},
		{deliveryOf(long, "/in/demo/maileroo"), 200, `{"result":"recorded"}`},
		{deliveryOf(delivery, "http://any.example.com/in/demo/maileroo?x=y"), 200, `{"result":"recorded"}`},
		{deliveryOf(delivery, "/in/demo/resend"), 404, `{"error":`},
		{deliveryOf(delivery, "/in/nobody/maileroo"), 404, `{"error":`},
		{deliveryOf(delivery, "/in/"), 404, `{"error":`},
		{strings.Replace(deliveryOf(delivery, "/in/demo/maileroo"), "POST", "PUT", 1), 405, `{"error":"only POST"}`},
		{deliveryOf(delivery, "/inn/demo/maileroo"), 405, "<!doctype html>"},
		{deliveryOf(delivery, "/"+token), 405, "<!doctype html>"},
		{"GET /in/demo/maileroo HTTP/1.1\r\nHost: links.example.com\r\n\r\n", 404, "<!doctype html>"},
		{"GET /" + token + " HTTP/1.1\r\nHost: links.example.com\r\nContent-Length: 4000\r\n\r\n" + strings.Repeat("x", 4000), 302, ""},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100_000), 405, "<!doctype html>"},
		{redirect, 302, ""},
	} {
		go func() { _, _ = io.WriteString(c.conn, step.request) }() // what the edge does not want to read it may not read
		response, err := http.ReadResponse(c.in, nil)
		if err != nil {
			t.Fatalf("%.80s: %v", step.request, err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != step.status || !bytes.HasPrefix(body, []byte(step.body)) {
			t.Errorf("%.80s: %d %s, want %d %s", step.request, response.StatusCode, body, step.status, step.body)
		}
		if response.Close {
			c = dial(t, addr)
		}
	}
	if c := r.Counts().Requests; c["delivery"] != 7 || c["redirect"] != 4 {
		t.Errorf("counted %v", c)
	}
	if n := len(r.events()); n != 3 {
		t.Errorf("%d deliveries in the journal", n)
	}
}

// A delivery whose body does not come is waited for no longer than a request.
func TestSlowDelivery(t *testing.T) {
	r := inboundRig(t).impatient()
	c := dial(t, r.listen())
	whole := deliveryOf(strings.Repeat("x", 1000), "/in/demo/maileroo")
	c.send(whole[:len(whole)-1])
	if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 408") || !strings.HasSuffix(got, `{"error":"the body did not come in time"}`) {
		t.Errorf("answer %q", got)
	}
}

// A reload changes what is taken.
func TestReloadOfDeliveries(t *testing.T) {
	r := inboundRig(t)
	addr := r.listen()
	c := dial(t, addr)
	ask := func() int {
		c.send(deliveryOf("{}", "/in/demo/maileroo"))
		response, err := http.ReadResponse(c.in, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		return response.StatusCode
	}
	if status := ask(); status != 200 {
		t.Errorf("before: %d", status)
	}
	r.Reload(r.keys, demoTenants(), nil, nil)
	if status := ask(); status != 404 {
		t.Errorf("after: %d", status)
	}
}

// NexoMailer's path for providers is another name of the tenant's, on its hosts only, and asks for the same proof.
func TestDeliveriesUnderNexoMailersName(t *testing.T) {
	r := inboundRig(t)
	tenants := nexoTenants()
	tenants.List[0].Inbound.Maileroo.Secrets = []configs.Secret{"test-secret"}
	r.Reload(r.keys, tenants, nil, nil)
	c := dial(t, r.listen())
	const delivery = `{"event_type":"delivered","event_time":1795457650,"event_id":"1","message_id":"<1@example.com>","event_data":{"to":"jane@example.com"}}`
	on := func(host, path string) string {
		return strings.Replace(deliveryOf(delivery, path), "any.example.com", host, 1)
	}
	for _, step := range []struct {
		request string
		status  int
		body    string // begins so
	}{
		{on("links.example.com", "/api/track/webhook/maileroo"), 200, `{"result":"recorded"}`},
		{on("127.0.0.1:8080", "/api/track/webhook/maileroo?x"), 200, `{"result":"recorded"}`},
		{strings.Replace(on("links.example.com", "/api/track/webhook/maileroo"), "Signature: ", "Signature: 0", 1), 401, `{"error":`},
		{on("links.example.com", "/api/track/webhook/resend"), 404, `{"error":`},
		{on("links.example.com", "/api/track/webhook/"), 404, `{"error":`},
		{on("open.example.com", "/track/webhook/maileroo"), 404, `{"error":`},
		{on("other.example.com", "/api/track/webhook/maileroo"), 405, "<!doctype html>"},
		{on("links.example.com", "/api/track/webhooks"), 405, "<!doctype html>"},
		{on("links.example.com", "/in/demo/maileroo"), 200, `{"result":"recorded"}`},
	} {
		c.send(step.request)
		response, err := http.ReadResponse(c.in, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != step.status || !strings.HasPrefix(string(body), step.body) {
			t.Errorf("%.60q: %d %.60q, %v; want %d %s", step.request, response.StatusCode, body, err, step.status, step.body)
		}
	}
}
