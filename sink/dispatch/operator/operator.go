// Package operator is what operators are told about endpoints, and where it goes.
//
// An event of an endpoint has the envelope of an event of a mail (edge/event), so that it is kept, sent, signed and tried again as any other; its data is a Change. Its
// source is the sink, and its type begins with endpoint, so that no reader takes it for a click. The receiver that the settings name is an endpoint of no
// tenant: it is told of these events alone, and is never disabled itself, because nobody would be told.
package operator

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"waypost/configs"
	"waypost/edge/event"
)

// Types of events.
const (
	Disabled event.Type = "endpoint.disabled"
	Enabled  event.Type = "endpoint.enabled"

	// With Kafka sinks tell each other, and nobody else.
	Fails event.Type = "endpoint.failing" // its last attempts failed
	Works event.Type = "endpoint.working" // one was accepted
)

// Source is the CloudEvents attribute of these events.
const Source = "/waypost/sink"

// Tenant is what stands in the place of a tenant's number where the operator's own receiver is meant, and ID its id. Tenants count from 1.
const (
	Tenant = 0
	ID     = "operator"
)

// Why an endpoint was disabled.
const (
	Failing = "failing" // all attempts failed, for as long as its settings allow
	Gone    = "gone"    // it answered that it is gone for good
	Asked   = "asked"   // an operator wanted it so
)

// LeastFailures is how many attempts must have failed, besides the time over which they did, for an endpoint to be disabled as Failing: one that is told something once a week is not
// judged by two failures.
const LeastFailures = 10

// ErrNoEndpoint says that a tenant has no such endpoint.
var ErrNoEndpoint = errors.New("operator: no such endpoint")

// Cause is since when and why an endpoint is disabled.
type Cause struct {
	At     time.Time `json:"at"`
	Why    string    `json:"why"`              // Failing, Gone or Asked
	Reason string    `json:"reason,omitempty"` // an operator's words
}

// Change is the data of an event. What is not known is left out.
type Change struct {
	Tenant       uint32     `json:"tenant"`
	TenantName   string     `json:"tenant_name"`
	Endpoint     string     `json:"endpoint"`
	Format       string     `json:"format"`
	URL          string     `json:"url"` // without what may be a secret
	Why          string     `json:"why,omitempty"`
	Reason       string     `json:"reason,omitempty"` // an operator's words
	DisabledAt   *time.Time `json:"disabled_at,omitempty"`
	LastSuccess  *time.Time `json:"last_success,omitempty"`
	FailingSince *time.Time `json:"failing_since,omitempty"` // the first failure since the last success
	Failures     uint32     `json:"failures,omitempty"`      // since then
	Status       int        `json:"last_status,omitempty"`   // of the last failure; none where no answer came
	Failure      string     `json:"last_reason,omitempty"`   // why none came
	Kept         int64      `json:"kept,omitempty"`          // deliveries that wait for the endpoint; not known with Kafka
}

// document is the event's JSON: the members of edge/event's documents, in their order.
type document struct {
	SpecVersion     string     `json:"specversion"`
	ID              string     `json:"id"`
	Source          string     `json:"source"`
	Type            event.Type `json:"type"`
	Time            string     `json:"time"`
	DataContentType string     `json:"datacontenttype"`
	Run             string     `json:"run"`
	Sequence        string     `json:"sequence"`
	Data            *Change    `json:"data"`
}

// Event makes the event of a change: its id, which is new each time, and its document.
func Event(t event.Type, c *Change, at time.Time) (event.ID, []byte) {
	var run [8]byte
	_, _ = rand.Read(run[:]) // never fails, by its documentation
	id := event.ID{Run: binary.BigEndian.Uint64(run[:]), Sequence: 1}
	text := id.String()
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(document{
		SpecVersion: "1.0", ID: text, Source: Source, Type: t, Time: at.UTC().Format("2006-01-02T15:04:05.000000Z"), DataContentType: "application/json",
		Run: text[:event.RunDigits], Sequence: text[event.RunDigits+1:], Data: c,
	})
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return id, bytes.TrimSuffix(out.Bytes(), []byte{'\n'})
}

// Endpoint is the receiver that the settings name; false: there is none.
func Endpoint(o configs.Operator) (*configs.Tenant, configs.Endpoint, bool) {
	if o.URL == "" || len(o.Secrets) == 0 {
		return nil, configs.Endpoint{}, false
	}
	return &configs.Tenant{Number: Tenant}, configs.Endpoint{
		ID: ID, URL: o.URL, Format: "standard", Secret: o.Secrets[0], StandardSecrets: o.Secrets[1:], DisableAfter: -1,
	}, true
}

// Key is the key of the endpoint's records in Kafka.
func (c *Change) Key() string { return strconv.FormatUint(uint64(c.Tenant), 10) + "/" + c.Endpoint }
