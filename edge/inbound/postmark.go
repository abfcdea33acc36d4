package inbound

import (
	"cmp"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"waypost/edge/event"
)

// postmark maps the webhooks of Postmark.
type postmark struct{}

// postmarkDocument has the members of all RecordTypes.
type postmarkDocument struct {
	RecordType, MessageStream, MessageID, Tag word
	Metadata                                  pairs

	Recipient word // of clicks, opens and deliveries
	Email     word // of bounces and complaints

	ClickLocation, OriginalLink, UserAgent, ReadSeconds word
	Geo                                                 struct{ IP word }
	ReceivedAt, DeliveredAt, BouncedAt                  word

	ID, Type, TypeCode, Name, Description, Details, From, Subject word
	Inactive, CanActivate                                         word
}

// Postmark's types of bounces that are no bounces of ours.
const (
	postmarkTransient     = "2"
	postmarkSpamComplaint = "100001"
)

// Map gives one event. Postmark files all that comes back under Bounce: what is only delayed is email.deferred, a complaint is one.
func (postmark) Map(body []byte) ([]Told, error) {
	var d postmarkDocument
	if err := json.Unmarshal(body, &d); err != nil {
		return nil, err
	}
	var kind event.Type
	at := d.ReceivedAt
	switch d.RecordType {
	case "Click":
		kind = event.Clicked
	case "Open":
		kind = event.Opened
	case "Delivery":
		kind, at = event.Delivered, d.DeliveredAt
	case "Bounce", "SpamComplaint":
		kind, at = d.bounce(), d.BouncedAt
	case "SubscriptionChange":
		return nil, ErrIgnored
	default:
		return nil, unknownType("RecordType", string(d.RecordType))
	}
	told, err := newTold(kind, d.Metadata, d.MessageID)
	if err != nil {
		return nil, err
	}
	if told.Report.Occurred, err = at.moment(); err != nil {
		return nil, err
	}
	e := &told.Event
	e.Recipient, e.Stream, e.Tag = cmp.Or(d.Recipient, d.Email).address(), d.MessageStream.bytes(), d.Tag.bytes()
	told.Report.ProviderType = d.RecordType.bytes()
	switch kind {
	case event.Clicked, event.Opened:
		err = d.hit(&told)
	case event.Delivered:
		told.Report.Reason = d.Details.bytes()
	default:
		d.report(&told.Report)
	}
	return []Told{told}, err
}

func (d *postmarkDocument) bounce() event.Type {
	switch {
	case d.RecordType == "SpamComplaint", d.TypeCode == postmarkSpamComplaint:
		return event.Complained
	case d.TypeCode == postmarkTransient, d.TypeCode == "" && d.Type == "Transient":
		return event.Deferred
	}
	return event.Bounced
}

func (d *postmarkDocument) hit(told *Told) error {
	e := &told.Event
	e.UserAgent, e.Address = d.UserAgent.bytes(), d.Geo.IP.bytes()
	if n, err := strconv.ParseFloat(string(d.ReadSeconds), 64); err == nil && n >= 1 && n <= math.MaxUint32 {
		told.Report.ReadSeconds = uint32(n)
	}
	if e.Type == event.Opened {
		return nil
	}
	switch strings.ToLower(string(d.ClickLocation)) {
	case "html":
		e.Place = "html"
	case "text":
		e.Place = "text"
	}
	return told.clicked(d.OriginalLink)
}

func (d *postmarkDocument) report(r *event.Report) {
	r.ProviderEvent, r.Reason, r.From, r.Subject = d.ID.bytes(), d.Details.bytes(), d.From.bytes(), d.Subject.bytes()
	code, _ := strconv.ParseInt(string(d.TypeCode), 10, 32) // none is 0
	r.Bounce = event.Bounce{
		Type: d.Type.bytes(), Code: int32(code), Name: d.Name.bytes(), Description: d.Description.bytes(), Details: d.Details.bytes(),
		Inactive: d.Inactive == "true", CanActivate: d.CanActivate == "true",
	}
}
