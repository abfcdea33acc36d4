package dispatch

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/prometheus/client_golang/prometheus/testutil"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/sink/ingest"
)

// Each format goes out with its own headers, with those that the endpoint adds, and, where it has such secrets, with Standard Webhooks' beside.
func TestHeadersOfEachFormat(t *testing.T) {
	const oldSecret = "whsec_b2xkIHNlY3JldCBvZiAyNCBieXRlcyBvciBtb3Jl"
	receivers := map[string]*receiver{}
	var endpoints []configs.Endpoint
	for _, format := range configs.Formats {
		receivers[format] = receive(t, nil)
		endpoints = append(endpoints, configs.Endpoint{
			ID: format, URL: receivers[format].URL, Format: format, Secret: testSecret, StandardSecrets: []configs.Secret{oldSecret},
			Headers: []configs.Header{{Name: "x-token", Value: "opensesame"}},
		})
	}
	h := start(t, fresh(), usual(), endpoints...)
	ids := h.add(3)
	h.settle()
	h.stop()

	mac := func(body []byte) string {
		mac := hmac.New(sha256.New, []byte(testSecret))
		mac.Write(body)
		return hex.EncodeToString(mac.Sum(nil))
	}
	webhook, err := standardwebhooks.NewWebhook(oldSecret)
	if err != nil {
		t.Fatal(err)
	}
	for format, rc := range receivers {
		expectOnce(t, rc, ids)
		for _, r := range rc.got() {
			if err := webhook.Verify(r.body, r.header); err != nil {
				t.Errorf("%s: %v", format, err)
			}
			want := http.Header{"Content-Type": {"application/json"}, "User-Agent": {"Waypost-Webhook/1.0"}, "X-Token": {"opensesame"}}
			switch format {
			case "standard":
				want.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
			case "maileroo":
				want.Set("X-Maileroo-Signature", mac(r.body))
			case "nexomailer":
				want.Set("User-Agent", "NexoMailer-Webhook/1.0")
				want.Set("X-NexoMailer-Signature", mac(r.body))
			}
			for name := range r.header {
				if own := []string{"Accept-Encoding", "Content-Length", "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"}; slices.Contains(own, name) {
					continue
				}
				if got := r.header[name]; !slices.Equal(got, want[name]) {
					t.Errorf("%s: %s: %q, want %q", format, name, got, want[name])
				}
				want.Del(name)
			}
			if len(want) > 0 {
				t.Errorf("%s: missing %v", format, want)
			}
		}
	}
}

// NexoMailer makes one attempt, unless the settings say otherwise.
func TestNexoMailerTriesOnce(t *testing.T) {
	rc := receive(t, status(http.StatusInternalServerError))
	settings := usual()
	settings.Retries = nil
	h := start(t, fresh(), settings, endpointTo("a", rc.URL, "nexomailer"))
	h.add(1)
	h.settle()
	if letters := h.letters(); len(letters) != 1 || letters[0].Delivery.Attempts != 1 {
		t.Errorf("dead letters %+v", letters)
	}
	h.stop()
	if n := len(rc.got()); n != 1 {
		t.Errorf("%d attempts", n)
	}
}

// What a format has no document for is not due to its endpoints, and counted; the others get it.
func TestLeftOut(t *testing.T) {
	one, two := receive(t, nil), receive(t, nil)
	h := start(t, fresh(), usual(), endpointTo("one", one.URL, "standard"), endpointTo("two", two.URL, "postmark"))
	e := click(1)
	e.Type = event.Failed
	b := h.store.NewBatch()
	defer b.Close()
	if err := h.Due(b, ingest.First{ID: e.ID, Type: e.Type, Tenant: 1, Document: event.AppendDocument(nil, &e)}); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(pebble.Sync); err != nil {
		t.Fatal(err)
	}
	h.Committed()
	h.settle()
	letters := h.letters()
	h.stop()
	expectOnce(t, one, []string{e.ID.String()})
	if n := len(two.got()) + len(letters); n != 0 {
		t.Errorf("%d deliveries and dead letters of what postmark cannot express", n)
	}
	if n := testutil.ToFloat64(h.metrics.LeftOut.WithLabelValues("postmark", "email.failed")); n != 1 {
		t.Errorf("counted %v times", n)
	}
}
