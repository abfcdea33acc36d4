package inbound

import (
	"encoding/json"
	"strings"

	"waypost/edge/event"
)

// resend maps the webhooks of Resend.
type resend struct{}

// resendTypes are our names of its types. It calls a mail suppressed that it does not even try to deliver.
var resendTypes = map[word]event.Type{
	"email.sent": event.Sent, "email.delivered": event.Delivered, "email.delivery_delayed": event.Deferred, "email.complained": event.Complained,
	"email.bounced": event.Bounced, "email.opened": event.Opened, "email.clicked": event.Clicked, "email.failed": event.Failed, "email.suppressed": event.Failed,
}

// resendIgnored tells of what is no fate of a mail that was sent.
func resendIgnored(kind string) bool {
	return kind == "email.scheduled" || kind == "email.received" || strings.HasPrefix(kind, "contact.") || strings.HasPrefix(kind, "domain.")
}

type resendDocument struct {
	Type      word
	CreatedAt word `json:"created_at"` // of the event
	Data      struct {
		EmailID    word `json:"email_id"`
		CreatedAt  word `json:"created_at"` // of the mail
		From       word
		To         addresses
		Subject    word
		Tags       pairs
		Click      resendHit
		Open       resendHit
		Bounce     struct{ Message, SubType, Type word }
		Failed     struct{ Reason word }
		Suppressed struct{ Message word }
	}
}

type resendHit struct{ IPAddress, Link, Timestamp, UserAgent word }

// Map gives one event, but of a mail that was sent to several one for each: of what follows Resend does not say whom of them it befell, and the event names nobody.
func (resend) Map(body []byte) ([]Told, error) {
	var d resendDocument
	if err := json.Unmarshal(body, &d); err != nil {
		return nil, err
	}
	kind, known := resendTypes[d.Type]
	switch {
	case resendIgnored(string(d.Type)):
		return nil, ErrIgnored
	case !known:
		return nil, unknownType("type", string(d.Type))
	}
	told, err := newTold(kind, d.Data.Tags, d.Data.EmailID)
	if err != nil {
		return nil, err
	}
	r := &told.Report
	if r.Occurred, err = d.CreatedAt.moment(); err != nil {
		return nil, err
	}
	if sent, err := d.Data.CreatedAt.moment(); err == nil {
		told.Event.Minted = sent
	}
	r.ProviderType, r.From, r.Subject = d.Type.bytes(), d.Data.From.bytes(), d.Data.Subject.bytes()
	switch kind {
	case event.Clicked:
		told.resendHit(&d.Data.Click)
		err = told.clicked(d.Data.Click.Link)
	case event.Opened:
		told.resendHit(&d.Data.Open)
	case event.Bounced:
		b := &d.Data.Bounce
		r.Reason, r.Bounce = b.Message.bytes(), event.Bounce{Type: b.Type.bytes(), Name: b.SubType.bytes()}
	case event.Failed:
		if r.Reason = d.Data.Failed.Reason.bytes(); r.Reason == nil {
			r.Reason = d.Data.Suppressed.Message.bytes()
		}
	}
	return told.toEach(d.Data.To), err
}

// resendHit takes what Resend says of the client. Its own time of the hit is nearer than that of the event.
func (t *Told) resendHit(h *resendHit) {
	t.Event.UserAgent, t.Event.Address = h.UserAgent.bytes(), h.IPAddress.bytes()
	if at, err := h.Timestamp.moment(); err == nil {
		t.Report.Occurred = at
	}
}

func (t *Told) toEach(to addresses) []Told {
	switch {
	case len(to) == 1:
		t.Event.Recipient = []byte(to[0])
	case t.Event.Type == event.Sent && len(to) > 1:
		all := make([]Told, len(to))
		for i, address := range to {
			all[i] = *t
			all[i].Event.Recipient = []byte(address)
		}
		return all
	}
	return []Told{*t}
}
