package formats

import (
	"bytes"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"waypost/configs"
	"waypost/edge/event"
)

var tenant = &configs.Tenant{Number: 1, Name: "demo", Stream: "outbound", DomainID: 774, UserID: 323}

var allTypes = []event.Type{event.Clicked, event.Opened, event.Sent, event.Delivered, event.Bounced, event.Deferred, event.Complained, event.Failed}

func click() *event.Event {
	return &event.Event{
		ID: event.ID{Run: 0xabc, Sequence: 17}, Type: event.Clicked, Time: time.Date(2026, 6, 15, 18, 14, 10, 123456000, time.UTC),
		Tenant: 1, TenantName: "demo", Message: []byte("123"), Prospect: []byte("456"), Recipient: []byte("abc@prospect.com"),
		Place: "text", Destination: []byte("https://bit.ly/33zYFqH"), Original: []byte("https://www.google.com/?a=1&b=<2>"),
		Minted: time.Date(2026, 6, 15, 18, 14, 0, 0, time.UTC), RetentionDays: 45, Method: []byte("GET"),
		Stream: []byte("broadcast"), Tag: []byte("welcome-email"), Metadata: [][2]string{{"b_key", "b_value"}, {"a_key", "a_value"}},
		UserAgent: []byte("Mozilla/5.0 (X11; Linux x86_64)"), Address: []byte("192.0.2.7"),
	}
}

// hit is an event that the edge saw; only clicks have a link with a destination.
func hit(kind event.Type) *event.Event {
	e := click()
	if e.Type = kind; kind != event.Clicked {
		e.Place, e.Destination, e.Original = "", nil, nil
	}
	return e
}

// told is an event that a provider told of, a second after it happened.
func told(kind event.Type) *event.Event {
	e := hit(kind)
	e.Report = &event.Report{
		Provider: []byte("postmark"), ProviderEvent: []byte("4711"), ProviderType: []byte("Bounce"), Occurred: e.Time.Add(-time.Second),
		Reason: []byte("550 no such user"), From: []byte("sender@example.com"), Subject: []byte("Test subject"), ReadSeconds: 5,
		Bounce: event.Bounce{
			Type: []byte("SoftBounce"), Code: 4096, Name: []byte("Soft"), Description: []byte("Not now."), Details: []byte("mailbox full"),
			Inactive: true, CanActivate: true,
		},
		Raw: []byte(`{"original":{"RecordType":"Bounce"}}`),
	}
	return e
}

// input is the event as a delivery has it: a second later, by another clock's zone.
func input(e *event.Event) *Input {
	return &Input{Event: e, Document: event.AppendDocument(nil, e), Tenant: tenant, Created: e.Time.Add(time.Second).In(time.FixedZone("", 7200))}
}

func body(t testing.TB, f Format, e *event.Event) []byte {
	t.Helper()
	got, err := f.AppendBody(nil, input(e))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// The settings know the formats that there are.
func TestByName(t *testing.T) {
	if diff := cmp.Diff(slices.Sorted(maps.Keys(byName)), slices.Sorted(slices.Values(configs.Formats))); diff != "" {
		t.Errorf("-formats +settings:\n%s", diff)
	}
	for _, name := range configs.Formats {
		if f, ok := ByName(name); !ok || f.Name() != name {
			t.Errorf("%s: %v %v", name, f, ok)
		}
	}
	if f, ok := ByName("fax"); ok {
		t.Errorf("fax: %v", f)
	}
}

// A format makes a document of what it says it has, appends it, and refuses the rest.
func TestHas(t *testing.T) {
	for name, f := range byName {
		for _, kind := range allTypes {
			got, err := f.AppendBody([]byte("before"), input(hit(kind)))
			has := f.Has(kind)
			if (err == nil) != has || !has && err != ErrCannot {
				t.Errorf("%s, %s: has %v, but %v", name, kind, has, err)
			}
			if whole := string(got); has != (len(whole) > len("before")) || whole[:len("before")] != "before" {
				t.Errorf("%s, %s: %s", name, kind, whole)
			}
		}
		if f.Has("email.read") != (name == "standard") {
			t.Errorf("%s has a type that is not known", name)
		}
	}
}

func TestHeaders(t *testing.T) {
	const nexoMailerAgent = "NexoMailer-Webhook/1.0"
	signed := hexSignature("test-secret", []byte("{}"))
	for name, want := range map[string]http.Header{
		"standard":   {"Content-Type": {"application/cloudevents+json; charset=utf-8"}},
		"postmark":   {"Content-Type": {"application/json"}},
		"maileroo":   {"Content-Type": {"application/json"}, "X-Maileroo-Signature": {signed}},
		"nexomailer": {"Content-Type": {"application/json"}, "X-Nexomailer-Signature": {signed}, "User-Agent": {nexoMailerAgent}},
	} {
		got := http.Header{}
		byName[name].SetHeaders(got, "test-secret", []byte("{}"))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestVerdicts(t *testing.T) {
	for name, want := range map[string]map[int]Verdict{
		"standard":   {199: Retry, 200: Delivered, 204: Delivered, 299: Delivered, 302: Retry, 403: Retry, 410: Gone, 429: Retry, 500: Retry},
		"postmark":   {200: Delivered, 201: Retry, 204: Retry, 301: Retry, 403: Stop, 410: Retry, 500: Retry},
		"maileroo":   {199: Retry, 200: Delivered, 204: Delivered, 302: Retry, 403: Retry, 410: Retry, 500: Retry},
		"nexomailer": {199: Retry, 200: Delivered, 204: Delivered, 302: Retry, 403: Retry, 410: Retry, 500: Retry},
	} {
		for status, verdict := range want {
			if got := byName[name].Judge(status); got != verdict {
				t.Errorf("%s %d: %v, want %v", name, status, got, verdict)
			}
		}
	}
}

func TestWaits(t *testing.T) {
	const s, m, h = time.Second, time.Minute, time.Hour
	for name, want := range map[string][]time.Duration{
		"standard":   {5 * s, 5 * m, 30 * m, 2 * h, 5 * h, 10 * h, 14 * h, 20 * h, 24 * h},
		"postmark":   {m, 5 * m, 15 * m},
		"maileroo":   {5 * m, 10 * m, 15 * m, 30 * m, h, 2 * h, 4 * h, 6 * h},
		"nexomailer": nil,
	} {
		for _, kind := range allTypes {
			want := want
			if name == "postmark" && (kind == event.Bounced || kind == event.Deferred || kind == event.Complained) {
				want = []time.Duration{m, 5 * m, 10 * m, 10 * m, 10 * m, 15 * m, 30 * m, h, 2 * h, 6 * h}
			}
			if got := byName[name].Waits(kind); !slices.Equal(got, want) {
				t.Errorf("%s, %s: %v, want %v", name, kind, got, want)
			}
		}
	}
}

// FuzzBodies: whatever a document from a store or a topic holds, every format makes a valid document of it or says that it has none.
func FuzzBodies(f *testing.F) {
	for _, kind := range allTypes {
		f.Add(event.AppendDocument(nil, told(kind)))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		var decoder event.Decoder
		var e event.Event
		if decoder.Decode(&e, document) != nil {
			return
		}
		for name, format := range byName {
			got, err := format.AppendBody(nil, &Input{Event: &e, Document: document, Tenant: tenant, Created: e.Time})
			if (err == nil) != format.Has(e.Type) {
				t.Fatalf("%s has no document for %s: %v", name, e.Type, err)
			}
			if err == nil {
				members(t, got)
			}
		}
	})
}

// Messages have the names that everybody's UUIDv5 gives, made without allocation.
func TestMessageID(t *testing.T) {
	long := bytes.Repeat([]byte("m"), 1024)
	for _, message := range [][]byte{[]byte("123"), nil, long, []byte("883953F4-6105-42A2-A16A-77A8EAC7948x")} {
		want := uuid.NewSHA1(uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:waypost:message")), append([]byte("4294967295/"), message...))
		if got := MessageID(1<<32-1, message); got != want {
			t.Errorf("%.40s: %s, want %s", message, got, want)
		}
	}
	message := []byte("1795843288712")
	if n := testing.AllocsPerRun(100, func() { _ = MessageID(7, message) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
