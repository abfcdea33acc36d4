package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"waypost/bench/stack"
	"waypost/configs"
	"waypost/edge/event"
	"waypost/sink/dispatch/formats"
	"waypost/sink/dispatch/samples"
)

const (
	resendSecret   = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	inboundSecret  = "inbound-test"
	postmarkSecret = "0123456789abcdef"
)

// inboundKeys take deliveries of all providers.
var inboundKeys = stack.Keys{"inbound": stack.Keys{
	"resend": stack.Keys{"secrets": []string{resendSecret}}, "postmark": stack.Keys{"path_secrets": []string{postmarkSecret}},
	"maileroo": stack.Keys{"secrets": []string{inboundSecret}}, "nexomailer": stack.Keys{"secrets": []string{inboundSecret}},
}, "api_keys": []string{acmeKey}}

// acme is a tenant with a mail program and providers.
func acme(_ string, endpoints []stack.Endpoint) []stack.Tenant {
	return []stack.Tenant{{Number: 1, Name: "acme", Hosts: []string{"go.acme.example"}, Secrets: []string{"unused"}, Endpoints: endpoints, Keys: inboundKeys}}
}

// tell posts a delivery, which must be recorded.
func (h *house) tell(path string, body []byte, header http.Header) {
	h.t.Helper()
	q, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.Edges[0].URL+"/in/acme/"+path, bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	q.Header = header
	response, err := h.client.RoundTrip(q)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || string(text) != `{"result":"recorded"}` {
		h.t.Fatalf("%s: %d %s", path, response.StatusCode, text)
	}
}

// resend tells what Resend would, signed by Standard Webhooks' own library.
func (h *house) resend(id, body string) {
	h.t.Helper()
	hook, err := standardwebhooks.NewWebhook(resendSecret)
	if err != nil {
		h.t.Fatal(err)
	}
	now := time.Now()
	signature, err := hook.Sign(id, now, []byte(body))
	if err != nil {
		h.t.Fatal(err)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	header.Set("svix-id", id)
	header.Set("svix-timestamp", strconv.FormatInt(now.Unix(), 10))
	header.Set("svix-signature", signature)
	h.tell("resend", []byte(body), header)
}

// journaled are the events in the edge's journal.
func (h *house) journaled() (events []event.Event) {
	h.t.Helper()
	text, err := h.Run(h.t.Context(), "edge", "journal", "cat", h.JournalDir(0))
	if err != nil {
		h.t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var e event.Event
		if err := new(event.Decoder).Decode(&e, bytes.TrimSpace(line)); err != nil {
			h.t.Fatalf("%v: %s", err, line)
		}
		events = append(events, e)
	}
	return events
}

// What our sink sends in a provider's format our edge takes in as that provider's, for every type of event that the format has.
func TestOwnFormatsComeIn(t *testing.T) {
	h := open(t, stack.Config{}, acme)
	tenant := configs.DefaultTenant()
	tenant.Number, tenant.Name = 9, "sender"
	now := time.Now()
	type told struct {
		format string
		event  event.Event
	}
	var all []told
	for _, name := range []string{"postmark", "maileroo", "nexomailer"} {
		format, _ := formats.ByName(name)
		for _, kind := range samples.Types() {
			if !format.Has(kind) {
				continue
			}
			e := samples.Event(kind, &tenant, now)
			body, err := format.AppendBody(nil, &formats.Input{Event: &e, Document: event.AppendDocument(nil, &e), Tenant: &tenant, Created: now})
			if err != nil {
				t.Fatal(err)
			}
			header := http.Header{}
			format.SetHeaders(header, inboundSecret, body)
			path := name
			if name == "postmark" {
				path += "/" + postmarkSecret
			}
			h.tell(path, body, header)
			all = append(all, told{name, e})
		}
	}
	got := h.journaled()
	if len(got) != len(all) {
		t.Fatalf("%d events of %d deliveries", len(got), len(all))
	}
	for i, in := range all {
		out, name := &got[i], fmt.Sprintf("%s %s", in.format, in.event.Type)
		kind := in.event.Type
		if kind == event.Failed && in.format == "maileroo" {
			kind = event.Bounced // it has one word for both
		}
		message := string(in.event.Message)
		if in.format == "postmark" {
			message = formats.MessageID(in.event.Tenant, in.event.Message).String()
		}
		if out.Type != kind || string(out.Message) != message || string(out.Report.Provider) != in.format || out.Tenant != 1 {
			t.Errorf("%s: %s of %s by %s", name, out.Type, out.Message, out.Report.Provider)
		}
		if string(out.Destination) != string(in.event.Destination) || string(out.UserAgent) != string(in.event.UserAgent) || string(out.Address) != string(in.event.Address) {
			t.Errorf("%s: to %q with %q from %q", name, out.Destination, out.UserAgent, out.Address)
		}
		names := in.format == "postmark" || in.format == "maileroo" && kind != event.Clicked && kind != event.Opened
		if want := string(in.event.Recipient); (string(out.Recipient) == want) != names || !names && len(out.Recipient) > 0 {
			t.Errorf("%s: recipient %q", name, out.Recipient)
		}
		when := in.event.Time
		if in.event.Report != nil {
			when = in.event.Report.Occurred
		}
		if off := out.Report.Occurred.Sub(when).Abs(); off >= time.Second {
			t.Errorf("%s: occurred %v, told as %v", name, when, out.Report.Occurred)
		}
		if in.event.Report != nil && kind == event.Bounced && in.format != "nexomailer" && !strings.Contains(string(out.Report.Reason), "no such user") {
			t.Errorf("%s: reason %q", name, out.Report.Reason)
		}
		if _, ok := out.Unique(); !ok {
			t.Errorf("%s is not unique", name)
		}
	}
}

// One mail: minted for, sent and clicked by our link, and told of by two providers. What they tell meets the click under one key, each receiver gets what its format has, once, however often a
// delivery is repeated, and a click that the provider tells is the one that the edge saw.
func TestProvidersTellOfMintedMail(t *testing.T) {
	h := open(t, stack.Config{Mint: stack.Keys{"answer_within": "2s"}}, acme)
	var minted struct {
		Message   string
		Links     map[string]string
		ResendTag struct{ Name, Value string } `json:"resend_tag"`
		Postmark  map[string]string            `json:"postmark_metadata"`
		Maileroo  map[string]string            `json:"maileroo_tags"`
	}
	wait(t, "mint to have time", func() bool {
		text := h.mintMessage("/v1/links/acme", acmeKey, `{"recipient":"Jane@example.com","links":["https://example.com/a"]}`)
		return json.Unmarshal([]byte(text), &minted) == nil && minted.Links["https://example.com/a"] != ""
	})
	now := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	tag, err := json.Marshal([]any{minted.ResendTag})
	if err != nil {
		t.Fatal(err)
	}
	tag = bytes.ReplaceAll(bytes.ReplaceAll(tag, []byte(`"Name"`), []byte(`"name"`)), []byte(`"Value"`), []byte(`"value"`))
	resend := func(kind, more string) string {
		return fmt.Sprintf(`{"type":"email.%s","created_at":%q,"data":{"email_id":"56761188-7520-42d8-8898-ff6fc54ce618","created_at":%q,"to":["jane@example.com"],"tags":%s%s}}`, kind, now, now, tag, more)
	}
	metadata, err := json.Marshal(minted.Postmark)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // providers repeat what they did not hear answered
		h.resend("msg_sent", resend("sent", ""))
		h.resend("msg_delivered", resend("delivered", ""))
	}
	h.clickAs("go.acme.example", minted.Links["https://example.com/a"], "https://example.com/a")
	h.arrived("https://example.com/a")
	h.resend("msg_click", resend("clicked", `,"click":{"ipAddress":"203.0.113.9","link":"`+minted.Links["https://example.com/a"]+`","timestamp":"`+now+`","userAgent":"Mozilla/5.0"}`))
	h.resend("msg_click2", resend("clicked", `,"click":{"ipAddress":"203.0.113.9","link":"https://example.com/a","timestamp":"`+now+`","userAgent":"Mozilla/5.0"}`))
	for _, id := range []string{"17", "17", "18"} { // told twice, and another
		body := fmt.Sprintf(`{"RecordType":"Bounce","ID":%s,"Type":"HardBounce","TypeCode":1,"MessageID":"00000000-0000-0000-0000-000000000000","Email":"jane@example.com","BouncedAt":%q,"Metadata":%s,"Details":"550"}`, id, now, metadata)
		h.tell("postmark/"+postmarkSecret, []byte(body), http.Header{})
	}
	wait(t, "the bounces", func() bool { return len(h.received("/standard")) >= 5 })
	h.stop()

	key := ""
	for _, e := range h.journaled() {
		if got := string(event.AppendKey(nil, &e)); key == "" {
			key = got
		} else if got != key {
			t.Errorf("%s has the key %s, not %s", e.Type, got, key)
		}
	}
	if want := "1/" + minted.Message + "/jane@example.com"; key != want {
		t.Errorf("key %s, want %s", key, want)
	}
	kinds := map[string][]string{}
	for _, format := range configs.Formats {
		for _, d := range h.received("/" + format) {
			kinds[format] = append(kinds[format], kindOf(t, d.Body))
		}
		slices.Sort(kinds[format])
	}
	for format, want := range map[string]string{
		"standard":   "email.bounced email.bounced email.clicked email.delivered email.sent",
		"postmark":   "Bounce Bounce Click Delivery",
		"maileroo":   "clicked delivered failed failed",
		"nexomailer": "email.bounced email.bounced email.clicked email.delivered email.sent",
	} {
		if got := strings.Join(kinds[format], " "); got != want {
			t.Errorf("%s was told %s, want %s", format, got, want)
		}
	}
}

// kindOf is what a webhook's format calls its event.
func kindOf(t *testing.T, body []byte) string {
	t.Helper()
	var document struct {
		RecordType string
		Event      string
		Type       string
		EventType  string `json:"event_type"`
	}
	if err := json.Unmarshal(body, &document); err != nil {
		t.Fatal(err)
	}
	return cmp.Or(document.RecordType, document.Event, document.EventType, document.Type)
}
