package formats

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"waypost/edge/event"
)

func TestMailerooClick(t *testing.T) {
	const want = `{"domain_id":774,"event_data":{"ip":"192.0.2.7","original_url":"https://www.google.com/?a=1&b=<2>",` +
		`"user_agent":"Mozilla/5.0 (X11; Linux x86_64)"},"event_id":"fc9f01d345a762c226f2320208eb7944770b6012a771f6c7","event_time":1781547250,"event_type":"clicked",` +
		`"inserted_at":"2026-06-15T18:14:10.123Z","message_id":"123","message_reference_id":"2b16f3a049b5523bb87fbbaadc2cd350",` +
		`"tags":{"a_key":"a_value","b_key":"b_value"},"user_id":323}`
	got := body(t, Maileroo{}, click())
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestMailerooParts(t *testing.T) {
	plain := hit(event.Opened)
	plain.Metadata = nil
	worded := told(event.Failed)
	worded.Report.Reason, worded.Report.Bounce.Details = nil, nil
	const failed = `"event_type":"failed"`
	for _, test := range []struct {
		e     *event.Event
		parts []string
	}{
		{plain, []string{`"event_type":"opened"`, `"event_data":{"ip":"192.0.2.7","user_agent":"Mozilla/5.0 (X11; Linux x86_64)"}`, `"tags":null`}},
		{told(event.Delivered), []string{
			`"event_type":"delivered"`, `"event_data":{"to":"abc@prospect.com"}`, `"event_time":1781547249,`, `"inserted_at":"2026-06-15T18:14:10.123Z"`,
		}},
		{told(event.Deferred), []string{`"event_type":"deferred"`, `"event_data":{"reason":"550 no such user","to":"abc@prospect.com"}`}},
		{told(event.Bounced), []string{failed, `"event_data":{"reason":"550 no such user","to":"abc@prospect.com"}`}},
		{worded, []string{failed, `"event_data":{"reason":"Not now.","to":"abc@prospect.com"}`}},
		{told(event.Complained), []string{`"event_type":"complained"`, `"event_data":{"to":"abc@prospect.com"}`}},
	} {
		got := body(t, Maileroo{}, test.e)
		for _, part := range test.parts {
			if !bytes.Contains(got, []byte(part)) {
				t.Errorf("%s lacks %s", got, part)
			}
		}
	}
}

// Two events of one message have one reference and two ids.
func TestMailerooIDs(t *testing.T) {
	a, b := click(), hit(event.Opened)
	b.ID.Sequence++
	if messageReference(a) != messageReference(b) || eventHex(a.ID) == eventHex(b.ID) || len(eventHex(a.ID)) != 48 || len(messageReference(a)) != 32 {
		t.Errorf("%s %s, %s %s", messageReference(a), messageReference(b), eventHex(a.ID), eventHex(b.ID))
	}
}
