package formats

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"waypost/edge/event"
)

func TestNexoMailerClick(t *testing.T) {
	const want = `{"event":"email.clicked","data":{"id":"61c39f90-2431-5e42-9a58-0792437019e8","messageId":"123","type":"email.clicked","ip":"192.0.2.7",` +
		`"userAgent":"Mozilla/5.0 (X11; Linux x86_64)","url":"https://www.google.com/?a=1&b=<2>","timestamp":"2026-06-15T18:14:10.123Z"},` +
		`"timestamp":"2026-06-15T18:14:11.123Z"}`
	got := body(t, NexoMailer{}, click())
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

// What a provider told goes on as it came, or as an empty object.
func TestNexoMailerReport(t *testing.T) {
	const want = `{"event":"email.bounced","data":{"id":"61c39f90-2431-5e42-9a58-0792437019e8","messageId":"123","type":"email.bounced",` +
		`"timestamp":"2026-06-15T18:14:09.123Z","metadata":{"original":{"RecordType":"Bounce"}}},"timestamp":"2026-06-15T18:14:11.123Z"}`
	e := told(event.Bounced)
	if diff := cmp.Diff(want, string(body(t, NexoMailer{}, e))); diff != "" {
		t.Error(diff)
	}
	e.Report.Raw = nil
	if got := body(t, NexoMailer{}, e); !bytes.Contains(got, []byte(`"metadata":{}}`)) {
		t.Errorf("%s", got)
	}
}

// A client whose address the tenant drops has no ip, as a JavaScript object has no member that is undefined.
func TestNexoMailerLeavesOutWhatIsNotKnown(t *testing.T) {
	e := click()
	e.Address, e.UserAgent = nil, nil
	sameShape(t, "nexomailer-clicked", body(t, NexoMailer{}, e), "data")
}
