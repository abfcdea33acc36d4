package inbound

import (
	"encoding/json"

	"waypost/edge/event"
)

// maileroo maps the webhooks of Maileroo.
type maileroo struct{}

// mailerooTypes are our names of its types. What it rejects it does not try to deliver; what it calls failed is a bounce for good.
var mailerooTypes = map[word]event.Type{
	"accepted": event.Sent, "delivered": event.Delivered, "rejected": event.Failed, "deferred": event.Deferred, "failed": event.Bounced,
	"opened": event.Opened, "clicked": event.Clicked, "complained": event.Complained,
}

type mailerooDocument struct {
	EventID   word `json:"event_id"`
	EventType word `json:"event_type"`
	EventTime word `json:"event_time"` // Unix seconds
	MessageID word `json:"message_id"`
	Tags      pairs
	EventData struct {
		IP          word
		OriginalURL word `json:"original_url"`
		UserAgent   word `json:"user_agent"`
		To          word
		Reason      word
	} `json:"event_data"`
}

// Map gives one event. Of clicks and opens Maileroo does not say whose they are.
func (maileroo) Map(body []byte) ([]Told, error) {
	var d mailerooDocument
	if err := json.Unmarshal(body, &d); err != nil {
		return nil, err
	}
	kind, known := mailerooTypes[d.EventType]
	if !known {
		return nil, unknownType("event_type", string(d.EventType))
	}
	told, err := newTold(kind, d.Tags, d.MessageID)
	if err != nil {
		return nil, err
	}
	e, r := &told.Event, &told.Report
	if r.Occurred, err = d.EventTime.unix(); err != nil {
		return nil, err
	}
	r.ProviderEvent, r.ProviderType, r.Reason = d.EventID.bytes(), d.EventType.bytes(), d.EventData.Reason.bytes()
	e.Recipient, e.UserAgent, e.Address = d.EventData.To.address(), d.EventData.UserAgent.bytes(), d.EventData.IP.bytes()
	if kind == event.Clicked {
		err = told.clicked(d.EventData.OriginalURL)
	}
	return []Told{told}, err
}
