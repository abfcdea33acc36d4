package formats

import (
	"net/http"
	"time"

	"waypost/edge/event"
)

// Standard is our own format: the CloudEvent itself, in the structured mode of CloudEvents over HTTP, under Standard Webhooks' signature.
type Standard struct{}

var standardWaits = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// Name is standard.
func (Standard) Name() string { return "standard" }

// Has every type.
func (Standard) Has(event.Type) bool { return true }

// AppendBody appends the event as it stands in the journal, with what is known of who did it and where at the end of its data.
func (Standard) AppendBody(dst []byte, in *Input) ([]byte, error) {
	return in.Who.Append(dst, in.Document, in.Event), nil
}

// SetHeaders names the structured mode, so that any CloudEvents SDK takes the request as it is. The signature is a Signer's.
func (Standard) SetHeaders(h http.Header, _ string, _ []byte) {
	h.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
}

// Judge takes any 2xx as success; 410 says that the receiver is gone for good.
func (Standard) Judge(status int) Verdict {
	if status == http.StatusGone {
		return Gone
	}
	return anySuccess(status)
}

// Waits are Standard Webhooks' schedule.
func (Standard) Waits(event.Type) []time.Duration { return standardWaits }
