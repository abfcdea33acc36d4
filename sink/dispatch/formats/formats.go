// Package formats holds the documents that receivers of webhooks already know how to read: one file a format.
package formats

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/sink/enrich"
)

// ErrCannot says that a format has no document for such an event: it is not sent, and counted.
var ErrCannot = errors.New("formats: the format has no document for this event")

// Verdict is what an answer means for a delivery.
type Verdict uint8

// The verdicts.
const (
	Delivered Verdict = iota // done
	Retry                    // try again when the schedule says so
	Stop                     // the receiver wants no further attempt
	Gone                     // and no other delivery either
)

// Input is what a document is made of. All of it stays the same over the attempts of a delivery, and so do the document's bytes, but for what Who knows at the time.
type Input struct {
	Event    *event.Event
	Document []byte // the CloudEvent as it was journaled
	Tenant   *configs.Tenant
	Created  time.Time        // when the delivery became due
	Who      *enrich.Enricher // tells who did it and where; nil: nobody does
}

// Format is one kind of document, with the rules that its receivers rely on. Implementations hold no state.
type Format interface {
	// Name is what tenants.yaml calls it.
	Name() string
	// Has says whether there is a document for events of this type. Others are not sent to an endpoint of the format.
	Has(t event.Type) bool
	// AppendBody appends the document; ErrCannot where Has says no.
	AppendBody(dst []byte, in *Input) ([]byte, error)
	// SetHeaders sets what the format's receivers look for beside the body: its content type, and its signature under the endpoint's secret.
	SetHeaders(h http.Header, secret string, body []byte)
	// Judge says what a status means.
	Judge(status int) Verdict
	// Waits are the times between an attempt that failed and the next; when they are used up, the delivery is given up.
	Waits(t event.Type) []time.Duration
}

var byName = func() map[string]Format {
	all := map[string]Format{}
	for _, f := range []Format{Standard{}, Postmark{}, Maileroo{}, NexoMailer{}} {
		all[f.Name()] = f
	}
	return all
}()

// ByName finds a format.
func ByName(name string) (Format, bool) {
	f, ok := byName[name]
	return f, ok
}

// appendJSON appends a document as other programs write theirs: compact, with <, > and & as they are.
func appendJSON(dst []byte, document any) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(document); err != nil {
		return dst, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte{'\n'}), nil
}

// millis is a time with three fractional digits, as JavaScript's toISOString writes it.
func millis(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// anySuccess takes every 2xx as success, and stops for nothing.
func anySuccess(status int) Verdict {
	if status >= 200 && status <= 299 {
		return Delivered
	}
	return Retry
}

// occurred is when it happened: by the provider who told of it, else by our clock.
func occurred(e *event.Event) time.Time {
	if r := report(e); !r.Occurred.IsZero() {
		return r.Occurred
	}
	return e.Time
}

// report is what a provider told; empty for what the edge saw itself.
func report(e *event.Event) *event.Report {
	if e.Report == nil {
		return &event.Report{}
	}
	return e.Report
}

// metadata is the sender's, as an object.
func metadata(e *event.Event) map[string]string {
	m := make(map[string]string, len(e.Metadata))
	for _, pair := range e.Metadata {
		m[pair[0]] = pair[1]
	}
	return m
}

// originalLink is what people know the link as: the one that stood in the mail before any tracker replaced it.
func originalLink(e *event.Event) string {
	if len(e.Original) > 0 {
		return string(e.Original)
	}
	return string(e.Destination)
}
