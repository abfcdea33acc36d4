package formats

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mrz1836/postmark"

	"waypost/edge/event"
)

func TestPostmarkClick(t *testing.T) {
	const want = `{"RecordType":"Click","MessageStream":"broadcast","ClickLocation":"Text","Client":{},"OS":{},"Platform":"Unknown",` +
		`"UserAgent":"Mozilla/5.0 (X11; Linux x86_64)","OriginalLink":"https://www.google.com/?a=1&b=<2>","Geo":{"IP":"192.0.2.7"},` +
		`"MessageID":"2b16f3a0-49b5-523b-b87f-bbaadc2cd350","Metadata":{"a_key":"a_value","b_key":"b_value"},` +
		`"ReceivedAt":"2026-06-15T18:14:10.1234560Z","Tag":"welcome-email","Recipient":"abc@prospect.com"}`
	if diff := cmp.Diff(want, string(body(t, Postmark{}, click()))); diff != "" {
		t.Error(diff)
	}
}

// Somebody else's Postmark library reads every member, and knows no other.
func TestPostmarkIsReadByOthers(t *testing.T) {
	e := click()
	before := e.Time.Add(-time.Second)
	base := func(kind string) postmark.BaseEvent {
		return postmark.BaseEvent{
			RecordType: kind, MessageID: messageUUID(e), MessageStream: "broadcast", Tag: "welcome-email",
			Metadata: map[string]any{"a_key": "a_value", "b_key": "b_value"},
		}
	}
	bounce := postmark.BounceEvent{
		BaseEvent: base("Bounce"), ID: 4711, Type: "SoftBounce", TypeCode: 4096, Name: "Soft", ServerID: 1, Description: "Not now.",
		Details: "mailbox full", Email: "abc@prospect.com", From: "sender@example.com", BouncedAt: before, Inactive: true, CanActivate: true,
		Subject: "Test subject",
	}
	complaint := postmark.SpamComplaintEvent(bounce)
	complaint.BaseEvent, complaint.Type, complaint.TypeCode = base("SpamComplaint"), "SpamComplaint", 100001
	for _, test := range []struct{ got, want any }{
		{readByOthers[postmark.ClickEvent](t, e), postmark.ClickEvent{
			BaseEvent: base("Click"), Recipient: "abc@prospect.com", ReceivedAt: e.Time, Platform: "Unknown", ClickLocation: "Text",
			OriginalLink: string(e.Original), UserAgent: string(e.UserAgent), Geo: postmark.GeoInfo{IP: "192.0.2.7"},
		}},
		{readByOthers[postmark.OpenEvent](t, told(event.Opened)), postmark.OpenEvent{
			BaseEvent: base("Open"), FirstOpen: true, Recipient: "abc@prospect.com", ReceivedAt: before, Platform: "Unknown", ReadSeconds: 5,
			UserAgent: string(e.UserAgent), Geo: postmark.GeoInfo{IP: "192.0.2.7"},
		}},
		{readByOthers[postmark.DeliveryEvent](t, told(event.Delivered)), postmark.DeliveryEvent{
			BaseEvent: base("Delivery"), ServerID: 1, Recipient: "abc@prospect.com", DeliveredAt: before, Details: "550 no such user",
		}},
		{readByOthers[postmark.BounceEvent](t, told(event.Bounced)), bounce},
		{readByOthers[postmark.BounceEvent](t, told(event.Deferred)), bounce},
		{readByOthers[postmark.SpamComplaintEvent](t, told(event.Complained)), complaint},
	} {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Error(diff)
		}
	}
}

// readByOthers decodes the event's document with somebody else's type, which must know every member.
func readByOthers[T any](t *testing.T, e *event.Event) (got T) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(body(t, Postmark{}, e)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&got); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestPostmarkBounceTypes(t *testing.T) {
	for _, test := range []struct {
		event event.Type
		code  int32
		word  string
		want  string
	}{
		{event.Bounced, 0, "", "HardBounce 1 Hard bounce"},
		{event.Deferred, 0, "", "Transient 2 Message delayed"},
		{event.Complained, 1, "HardBounce", "SpamComplaint 100001 Spam complaint"},
		{event.Bounced, 100009, "HardBounce", "DMARCPolicy 100009 DMARC policy"},
		{event.Bounced, 3, "badEmailAddress", "BadEmailAddress 100000 Invalid email address"},
		{event.Bounced, 2, "Transient", "Transient 2 Message delayed"},
		{event.Bounced, 0, "Permanent", "HardBounce 1 Hard bounce"},
		{event.Bounced, 0, "Transient", "SoftBounce 4096 Soft bounce"},
		{event.Deferred, 0, "Transient", "Transient 2 Message delayed"},
		{event.Bounced, 0, "Undetermined", "Unknown 2048 Unknown"},
	} {
		e := hit(test.event)
		e.Report = &event.Report{Bounce: event.Bounce{Type: []byte(test.word), Code: test.code}}
		got := newPostmarkBounce(input(e))
		if s := fmt.Sprintf("%s %d %s", got.Type, got.TypeCode, got.Name); s != test.want {
			t.Errorf("%s, %d %q: %s, want %s", test.event, test.code, test.word, s, test.want)
		}
	}
}

// The number of a bounce is the provider's where it has one, and else derived: the same each time, and exact in JavaScript.
func TestPostmarkBounceID(t *testing.T) {
	for theirs, want := range map[string]int64{"4711": 4711, "9007199254740991": 1<<53 - 1, "9007199254740992": 0, "-1": 0, "0": 0, "msg_1": 0, "": 0} {
		e := told(event.Bounced)
		e.Report.ProviderEvent = []byte(theirs)
		if want == 0 {
			want = eventNumber(e.ID)
		}
		if got := bounceID(e); got != want || got <= 0 || got >= 1<<53 {
			t.Errorf("%q: %d, want %d", theirs, got, want)
		}
	}
}

func TestPostmarkDerivations(t *testing.T) {
	const sent = "883953F4-6105-42A2-A16A-77A8EAC79483"
	inBraces := click()
	inBraces.Message = []byte("{" + sent + "}")
	tests := map[string]struct {
		change func(*event.Event)
		part   string
	}{
		"sender's own uuid":         {func(e *event.Event) { e.Message = []byte(sent) }, `"MessageID":"883953f4-6105-42a2-a16a-77a8eac79483"`},
		"a uuid in another dress":   {func(e *event.Event) { e.Message = inBraces.Message }, `"MessageID":"` + messageUUID(inBraces)},
		"stream of the tenant":      {func(e *event.Event) { e.Stream = nil }, `"MessageStream":"outbound"`},
		"place not known":           {func(e *event.Event) { e.Place = "" }, `"ClickLocation":"HTML"`},
		"address dropped":           {func(e *event.Event) { e.Address = nil }, `"Geo":{}`},
		"no metadata":               {func(e *event.Event) { e.Metadata = nil }, `"Metadata":{}`},
		"original is the target":    {func(e *event.Event) { e.Original = nil }, `"OriginalLink":"https://bit.ly/33zYFqH"`},
		"seven digits of a second":  {func(e *event.Event) { e.Time = e.Time.Truncate(time.Second) }, `"ReceivedAt":"2026-06-15T18:14:10.0000000Z"`},
		"time of another time zone": {func(e *event.Event) { e.Time = e.Time.In(time.FixedZone("", 7200)) }, `"ReceivedAt":"2026-06-15T18:14:10.1234560Z"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := click()
			test.change(e)
			if got := body(t, Postmark{}, e); !bytes.Contains(got, []byte(test.part)) {
				t.Errorf("%s lacks %s", got, test.part)
			}
		})
	}
	one, two := click(), click()
	two.Tenant = 2
	if messageUUID(one) == messageUUID(two) {
		t.Error("two tenants share a message id")
	}
}
