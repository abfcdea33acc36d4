package inbound

import (
	"cmp"
	"encoding/json"

	"waypost/edge/event"
)

// nexomailer maps the webhooks of NexoMailer, and of a sink of ours in its format.
type nexomailer struct{}

type nexomailerDocument struct {
	Event     word
	Timestamp word // of the webhook
	Data      struct {
		ID, MessageID, Type, Recipient, IP, UserAgent, URL, Timestamp word
		Metadata                                                      pairs
	}
}

// Map gives one event. The types are ours.
func (nexomailer) Map(body []byte) ([]Told, error) {
	var d nexomailerDocument
	if err := json.Unmarshal(body, &d); err != nil {
		return nil, err
	}
	name := cmp.Or(d.Event, d.Data.Type)
	kind := event.Type(name)
	switch kind {
	case event.Sent, event.Delivered, event.Opened, event.Clicked, event.Bounced, event.Deferred, event.Complained, event.Failed:
	default:
		return nil, unknownType("event", string(name))
	}
	told, err := newTold(kind, d.Data.Metadata, d.Data.MessageID)
	if err != nil {
		return nil, err
	}
	e, r := &told.Event, &told.Report
	if r.Occurred, err = cmp.Or(d.Data.Timestamp, d.Timestamp).moment(); err != nil {
		return nil, err
	}
	r.ProviderEvent, r.ProviderType = d.Data.ID.bytes(), name.bytes()
	e.Recipient, e.UserAgent, e.Address = d.Data.Recipient.address(), d.Data.UserAgent.bytes(), d.Data.IP.bytes()
	if kind == event.Clicked {
		err = told.clicked(d.Data.URL)
	}
	return []Told{told}, err
}
