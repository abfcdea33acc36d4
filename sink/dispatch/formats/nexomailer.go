package formats

import (
	"encoding/json"
	"net/http"
	"time"

	"waypost/edge/event"
)

// NexoMailer is the format of NexoMailer's outgoing webhooks.
type NexoMailer struct{}

// Name is nexomailer.
func (NexoMailer) Name() string { return "nexomailer" }

// Has all but deferrals.
func (NexoMailer) Has(t event.Type) bool {
	switch t {
	case event.Sent, event.Delivered, event.Opened, event.Clicked, event.Bounced, event.Complained, event.Failed:
		return true
	}
	return false
}

// nexoMailerDocument has the members in NexoMailer's order.
type nexoMailerDocument struct {
	Event     event.Type `json:"event"`
	Data      any        `json:"data"`
	Timestamp string     `json:"timestamp"`
}

// nexoMailerHit is the data of a click or an open, which has no url. What is not known is left out, as JavaScript does.
type nexoMailerHit struct {
	ID        string     `json:"id"`
	MessageID string     `json:"messageId"`
	Type      event.Type `json:"type"`
	IP        string     `json:"ip,omitempty"`
	UserAgent string     `json:"userAgent,omitempty"`
	URL       string     `json:"url,omitempty"`
	Timestamp string     `json:"timestamp"`
}

// nexoMailerReport is the data of what a provider told.
type nexoMailerReport struct {
	ID        string          `json:"id"`
	MessageID string          `json:"messageId"`
	Type      event.Type      `json:"type"`
	Timestamp string          `json:"timestamp"`
	Metadata  json.RawMessage `json:"metadata"`
}

// AppendBody appends the document. Its own timestamp is when the delivery became due.
func (f NexoMailer) AppendBody(dst []byte, in *Input) ([]byte, error) {
	e := in.Event
	if !f.Has(e.Type) {
		return dst, ErrCannot
	}
	return appendJSON(dst, &nexoMailerDocument{Event: e.Type, Data: nexoMailerData(e), Timestamp: millis(in.Created)})
}

func nexoMailerData(e *event.Event) any {
	id, message, timestamp := eventUUID(e.ID), string(e.Message), millis(occurred(e))
	if e.Type != event.Clicked && e.Type != event.Opened {
		metadata := json.RawMessage(report(e).Raw)
		if metadata == nil {
			metadata = json.RawMessage("{}")
		}
		return nexoMailerReport{ID: id, MessageID: message, Type: e.Type, Timestamp: timestamp, Metadata: metadata}
	}
	hit := nexoMailerHit{ID: id, MessageID: message, Type: e.Type, IP: string(e.Address), UserAgent: string(e.UserAgent), Timestamp: timestamp}
	if e.Type == event.Clicked {
		hit.URL = originalLink(e)
	}
	return hit
}

// SetHeaders signs the body, and names the program that NexoMailer's receivers expect.
func (NexoMailer) SetHeaders(h http.Header, secret string, body []byte) {
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "NexoMailer-Webhook/1.0")
	h.Set("X-NexoMailer-Signature", hexSignature(secret, body))
}

// Judge takes any 2xx as success.
func (NexoMailer) Judge(status int) Verdict { return anySuccess(status) }

// Waits are none: NexoMailer makes one attempt.
func (NexoMailer) Waits(event.Type) []time.Duration { return nil }
