package attempt

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/sink/dispatch/formats"
	"waypost/sink/dispatch/operator"
	"waypost/sink/enrich"
	"waypost/sink/internal/metrics"
)

const userAgent = "Waypost-Webhook/1.0"

// Target is an endpoint as attempts need it.
type Target struct {
	Tenant *configs.Tenant
	Config configs.Endpoint
	Format formats.Format
	signer *formats.Signer // Standard Webhooks' headers; nil: none

	request *http.Request // what all attempts begin with, without body and headers; nil: the URL is none
}

// NewTarget prepares a tenant's endpoint.
func NewTarget(tenant *configs.Tenant, c configs.Endpoint) (*Target, error) {
	t := &Target{Tenant: tenant, Config: c}
	var ok bool
	if t.Format, ok = formats.ByName(c.Format); !ok {
		return nil, fmt.Errorf("format %q is not known", c.Format)
	}
	t.request, _ = http.NewRequest(http.MethodPost, c.URL, nil) // a setting that is wrong was told where it was read
	secrets := c.StandardSecrets
	if t.Format == (formats.Standard{}) {
		secrets = append([]configs.Secret{c.Secret}, secrets...)
	}
	if len(secrets) > 0 {
		var err error
		if t.signer, err = formats.NewSigner(secrets...); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// DisableAfter is for how long all attempts at the endpoint may fail before it gets none; 0: for ever.
func (t *Target) DisableAfter(s configs.Dispatch) time.Duration {
	if t.Config.DisableAfter != 0 {
		return max(t.Config.DisableAfter, 0)
	}
	return max(s.DisableAfter, 0)
}

// Change is what an event for the operator says of the endpoint itself.
func (t *Target) Change() operator.Change {
	return operator.Change{Tenant: t.Tenant.Number, TenantName: t.Tenant.Name, Endpoint: t.Config.ID, Format: t.Format.Name(), URL: t.ShownURL()}
}

// ShownURL is the endpoint's URL without its user, password and query, which may be secrets.
func (t *Target) ShownURL() string {
	u, err := url.Parse(t.Config.URL)
	if err != nil {
		return "***"
	}
	named := u.User != nil
	if u.User = nil; u.RawQuery != "" {
		u.RawQuery = "***"
	}
	u.Fragment = ""
	if named {
		return strings.Replace(u.String(), "//", "//***@", 1)
	}
	return u.String()
}

// Takes says whether the endpoint's format has a document for events of a type, and counts what it has none for.
func (t *Target) Takes(of event.Type, m *metrics.Set) bool {
	if t.Format.Has(of) {
		return true
	}
	m.LeftOut.WithLabelValues(t.Format.Name(), string(of)).Inc()
	return false
}

// message is a delivery in the endpoint's format.
type message struct {
	body  []byte
	waits []time.Duration
	of    event.Type
	mail  string // the mail's id
}

// decoders have seen the names that are in every event.
var decoders = sync.Pool{New: func() any { return new(event.Decoder) }}

// message is made anew at each attempt from the stored event. What is told of who did it and where is what is known then; all else are the same bytes each time.
func (t *Target) message(d *Delivery, who *enrich.Enricher) (message, error) {
	decoder := decoders.Get().(*event.Decoder)
	defer decoders.Put(decoder)
	var e event.Event
	if err := decoder.Decode(&e, d.Document); err != nil {
		return message{}, errors.New("the stored event is not readable")
	}
	body, err := t.Format.AppendBody(nil, &formats.Input{Event: &e, Document: d.Document, Tenant: t.Tenant, Created: d.Created, Who: who})
	return message{body, t.Format.Waits(e.Type), e.Type, string(e.Message)}, err
}

// setHeaders sets the endpoint's own headers first, so that none of them replaces what the request needs.
func (t *Target) setHeaders(r *http.Request, id event.ID, body []byte, now time.Time) {
	r.Header = make(http.Header, 8+len(t.Config.Headers))
	for _, h := range t.Config.Headers {
		r.Header.Set(h.Name, string(h.Value))
	}
	r.Header.Set("User-Agent", userAgent)
	t.Format.SetHeaders(r.Header, string(t.Config.Secret), body)
	if t.signer != nil {
		t.signer.SetHeaders(r.Header, id, now, body)
	}
	if t.Config.User != "" || t.Config.Password != "" {
		r.SetBasicAuth(t.Config.User, string(t.Config.Password))
	}
}
