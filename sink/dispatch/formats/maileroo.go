package formats

import (
	"cmp"
	"net/http"
	"time"

	"waypost/edge/event"
)

// Maileroo is the format of Maileroo's webhooks.
type Maileroo struct{}

var mailerooWaits = []time.Duration{
	5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour,
}

// mailerooTypes are Maileroo's names. A bounce is a failure there.
var mailerooTypes = map[event.Type]string{
	event.Clicked:    "clicked",
	event.Opened:     "opened",
	event.Delivered:  "delivered",
	event.Bounced:    "failed",
	event.Deferred:   "deferred",
	event.Complained: "complained",
	event.Failed:     "failed",
}

// Name is maileroo.
func (Maileroo) Name() string { return "maileroo" }

// Has what Maileroo has a name for.
func (Maileroo) Has(t event.Type) bool { return mailerooTypes[t] != "" }

// mailerooDocument has the members in the order of Maileroo's documentation.
type mailerooDocument struct {
	DomainID           int64             `json:"domain_id"`
	EventData          any               `json:"event_data"`
	EventID            string            `json:"event_id"`
	EventTime          int64             `json:"event_time"`
	EventType          string            `json:"event_type"`
	InsertedAt         string            `json:"inserted_at"`
	MessageID          string            `json:"message_id"`
	MessageReferenceID string            `json:"message_reference_id"`
	Tags               map[string]string `json:"tags"` // nil: null
	UserID             int64             `json:"user_id"`
}

type mailerooClick struct {
	IP          string `json:"ip"`
	OriginalURL string `json:"original_url"`
	UserAgent   string `json:"user_agent"`
}

type mailerooOpen struct {
	IP        string `json:"ip"`
	UserAgent string `json:"user_agent"`
}

type mailerooDelivery struct {
	To string `json:"to"`
}

type mailerooFailure struct {
	Reason string `json:"reason"`
	To     string `json:"to"`
}

// AppendBody appends the document of the event's type.
func (f Maileroo) AppendBody(dst []byte, in *Input) ([]byte, error) {
	e := in.Event
	if !f.Has(e.Type) {
		return dst, ErrCannot
	}
	document := mailerooDocument{
		DomainID: in.Tenant.DomainID, UserID: in.Tenant.UserID,
		EventData: mailerooData(e), EventID: eventHex(e.ID), EventTime: occurred(e).Unix(), EventType: mailerooTypes[e.Type], InsertedAt: millis(e.Time),
		MessageID: string(e.Message), MessageReferenceID: messageReference(e),
	}
	if len(e.Metadata) > 0 {
		document.Tags = metadata(e)
	}
	return appendJSON(dst, &document)
}

func mailerooData(e *event.Event) any {
	switch e.Type {
	case event.Clicked:
		return mailerooClick{IP: string(e.Address), OriginalURL: originalLink(e), UserAgent: string(e.UserAgent)}
	case event.Opened:
		return mailerooOpen{IP: string(e.Address), UserAgent: string(e.UserAgent)}
	case event.Bounced, event.Deferred, event.Failed:
		return mailerooFailure{Reason: reason(e), To: string(e.Recipient)}
	}
	return mailerooDelivery{To: string(e.Recipient)}
}

// reason is why a mail did not arrive, in the words of whoever told.
func reason(e *event.Event) string {
	r := report(e)
	return cmp.Or(string(r.Reason), string(r.Bounce.Details), string(r.Bounce.Description))
}

// SetHeaders signs the body.
func (Maileroo) SetHeaders(h http.Header, secret string, body []byte) {
	h.Set("Content-Type", "application/json")
	h.Set("X-Maileroo-Signature", hexSignature(secret, body))
}

// Judge takes any 2xx as success.
func (Maileroo) Judge(status int) Verdict { return anySuccess(status) }

// Waits are eight, over about 14 hours.
func (Maileroo) Waits(event.Type) []time.Duration { return mailerooWaits }
