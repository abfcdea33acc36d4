package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"

	"waypost/configs"
	"waypost/configs/ops/jsonbody"
	"waypost/configs/outbound"
	"waypost/edge/event"
	"waypost/sink/dispatch"
	"waypost/sink/dispatch/formats"
)

// firstFixed is the lowest number of an endpoint of tenants.yaml.
const firstFixed = 1_000_000_000

// webhook is Postmark's form of one, in answers and in the store.
type webhook struct {
	ID            uint32
	URL           string `json:"Url"`
	MessageStream string
	HTTPAuth      *login   `json:"HttpAuth,omitempty"`
	HTTPHeaders   []header `json:"HttpHeaders"`
	Triggers      triggers
}

type login struct{ Username, Password string }

type header struct{ Name, Value string }

type triggers struct {
	Open struct {
		Enabled           bool
		PostFirstOpenOnly bool
	}
	Click              trigger
	Delivery           trigger
	Bounce             triggerWithContent
	SpamComplaint      triggerWithContent
	SubscriptionChange trigger
}

type trigger struct{ Enabled bool }

type triggerWithContent struct {
	Enabled        bool
	IncludeContent bool
}

// request is what a body may name. What it does not name stays.
type request struct {
	ID            json.RawMessage // clients send back what they got; the path says which webhook is meant
	URL           *string         `json:"Url"`
	MessageStream *string
	HTTPAuth      json.RawMessage `json:"HttpAuth"` // null takes it away
	HTTPHeaders   *[]header       `json:"HttpHeaders"`
	Triggers      *triggers
}

// decode reads a body onto what is there: the triggers that the body does not name stay.
func (w webhook) decode(body []byte) (request, error) {
	merged := w.Triggers
	q := request{Triggers: &merged}
	err := jsonbody.Decode(bytes.NewReader(body), &q)
	return q, err
}

// with is the webhook with what the request names.
func (w webhook) with(q request) (webhook, error) {
	if q.URL != nil {
		w.URL = *q.URL
	}
	if len(q.HTTPAuth) > 0 {
		var l *login
		if err := jsonbody.Decode(bytes.NewReader(q.HTTPAuth), &l); err != nil {
			return w, fmt.Errorf("HttpAuth: %w", err)
		}
		if l != nil && *l == (login{}) {
			l = nil
		}
		w.HTTPAuth = l
	}
	if q.HTTPHeaders != nil {
		w.HTTPHeaders = *q.HTTPHeaders
	}
	if w.HTTPHeaders == nil {
		w.HTTPHeaders = []header{}
	}
	if q.Triggers != nil {
		w.Triggers = *q.Triggers
	}
	return w, nil
}

// faults are what is wrong with it, by Postmark's names.
func (w *webhook) faults(rules *outbound.Rules) []string {
	e := w.endpoint()
	var all []string
	for _, f := range e.Faults(rules) {
		text := postmarkName.Replace(f.Key)
		if f.Value != "" {
			text += fmt.Sprintf(" = %.200q", f.Value)
		}
		want := postmarkName.Replace(f.Want)
		if refused, _, is := strings.Cut(f.Want, "; allowed are"); is { // what is allowed beside may name places that are no tenant's business
			want = refused + "; allowed are public addresses, by https on the usual ports, and what dispatch.allow of the sink names"
		}
		all = append(all, text+": "+want)
	}
	if n := len(w.MessageStream); n < 1 || n > 100 {
		all = append(all, "MessageStream: must be 1 to 100 bytes")
	}
	return all
}

var postmarkName = strings.NewReplacer("headers[", "HttpHeaders[", "headers", "HttpHeaders", "].name", "].Name", "].value", "].Value",
	"user and password", "Username and Password", "password", "HttpAuth.Password", "user", "HttpAuth.Username", "url", "Url")

// id is the name of the webhook's deliveries. No endpoint of tenants.yaml can have it.
func (w *webhook) id() string { return fmt.Sprintf("%s%d", dispatch.AddedPrefix, w.ID) }

func (w *webhook) endpoint() configs.Endpoint {
	e := configs.Endpoint{ID: w.id(), URL: w.URL, Format: formats.Postmark{}.Name()}
	if w.HTTPAuth != nil {
		e.User, e.Password = w.HTTPAuth.Username, configs.Secret(w.HTTPAuth.Password)
	}
	for _, h := range w.HTTPHeaders {
		e.Headers = append(e.Headers, configs.Header{Name: h.Name, Value: configs.Secret(h.Value)})
	}
	return e
}

// added is the webhook as the dispatcher takes it. PostFirstOpenOnly means nothing beside it: no other open is told. Content and changes of subscriptions are not known here.
func (w *webhook) added(tenant *configs.Tenant) dispatch.Added {
	types := []event.Type{}
	for _, t := range []struct {
		on  bool
		has []event.Type
	}{
		{w.Triggers.Open.Enabled, []event.Type{event.Opened}},
		{w.Triggers.Click.Enabled, []event.Type{event.Clicked}},
		{w.Triggers.Delivery.Enabled, []event.Type{event.Delivered}},
		{w.Triggers.Bounce.Enabled, []event.Type{event.Bounced, event.Deferred}},
		{w.Triggers.SpamComplaint.Enabled, []event.Type{event.Complained}},
	} {
		if t.on {
			types = append(types, t.has...)
		}
	}
	return dispatch.Added{Tenant: tenant, Endpoint: w.endpoint(), Types: types, Stream: w.MessageStream}
}

// masked stands for the operator's secrets: who has a token of the API need not know them.
const masked = "***"

// fixed is an endpoint of tenants.yaml in Postmark's form.
func fixed(tenant *configs.Tenant, e *configs.Endpoint) webhook {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(e.ID))
	w := webhook{ID: firstFixed + uint32(hash.Sum64()%firstFixed), URL: e.URL, MessageStream: tenant.Stream, HTTPHeaders: []header{}}
	if e.User != "" {
		w.HTTPAuth = &login{e.User, masked}
	}
	for _, h := range e.Headers {
		w.HTTPHeaders = append(w.HTTPHeaders, header{h.Name, masked})
	}
	if format, ok := formats.ByName(e.Format); ok {
		t := &w.Triggers
		t.Open.Enabled, t.Open.PostFirstOpenOnly = format.Has(event.Opened), true
		t.Click.Enabled = format.Has(event.Clicked)
		t.Delivery.Enabled = format.Has(event.Delivered)
		t.Bounce.Enabled = format.Has(event.Bounced)
		t.SpamComplaint.Enabled = format.Has(event.Complained)
	}
	return w
}
