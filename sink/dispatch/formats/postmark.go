package formats

import (
	"cmp"
	"net/http"
	"time"

	"waypost/edge/event"
	"waypost/sink/enrich"
)

// Postmark is the format of Postmark's webhooks.
type Postmark struct{}

var (
	postmarkWaits       = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute}
	postmarkBounceWaits = []time.Duration{
		time.Minute, 5 * time.Minute, 10 * time.Minute, 10 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 6 * time.Hour,
	}
)

// Name is postmark.
func (Postmark) Name() string { return "postmark" }

// Has all but what is sent, and what failed before it was: Postmark tells of neither.
func (Postmark) Has(t event.Type) bool {
	switch t {
	case event.Clicked, event.Opened, event.Delivered, event.Bounced, event.Deferred, event.Complained:
		return true
	}
	return false
}

// SetHeaders sets the content type. Postmark signs nothing: Basic auth and an endpoint's own headers stand for the sender.
func (Postmark) SetHeaders(h http.Header, _ string, _ []byte) {
	h.Set("Content-Type", "application/json")
}

// Judge takes 200 alone as success; 403 stops the retries.
func (Postmark) Judge(status int) Verdict {
	switch status {
	case http.StatusOK:
		return Delivered
	case http.StatusForbidden:
		return Stop
	}
	return Retry
}

// Waits are longer for bounces, which Postmark's complaints are too.
func (Postmark) Waits(t event.Type) []time.Duration {
	switch t {
	case event.Bounced, event.Deferred, event.Complained:
		return postmarkBounceWaits
	}
	return postmarkWaits
}

// postmarkClick has the members of Postmark's Click in the order of its documentation. What is not known of client, system and place is left
// out of their objects; the objects are always there, because receivers reach through them.
type postmarkClick struct {
	RecordType    string
	MessageStream string
	ClickLocation string
	Client        postmarkProgram
	OS            postmarkProgram
	Platform      string
	UserAgent     string
	OriginalLink  string
	Geo           postmarkGeo
	MessageID     string
	Metadata      map[string]string
	ReceivedAt    string
	Tag           string
	Recipient     string
}

// postmarkOpen is a Click without a link, and what is told of opens alone.
type postmarkOpen struct {
	RecordType    string
	MessageStream string
	FirstOpen     bool
	Client        postmarkProgram
	OS            postmarkProgram
	Platform      string
	UserAgent     string
	ReadSeconds   uint32
	Geo           postmarkGeo
	MessageID     string
	Metadata      map[string]string
	ReceivedAt    string
	Tag           string
	Recipient     string
}

type postmarkProgram struct {
	Name    string `json:",omitempty"`
	Company string `json:",omitempty"`
	Family  string `json:",omitempty"`
}

type postmarkGeo struct {
	CountryISOCode string `json:",omitempty"`
	Country        string `json:",omitempty"`
	RegionISOCode  string `json:",omitempty"`
	Region         string `json:",omitempty"`
	City           string `json:",omitempty"`
	Zip            string `json:",omitempty"`
	Coords         string `json:",omitempty"`
	IP             string `json:",omitempty"`
}

// AppendBody appends the document of the event's type.
func (Postmark) AppendBody(dst []byte, in *Input) ([]byte, error) {
	switch in.Event.Type {
	case event.Clicked:
		return appendJSON(dst, newPostmarkClick(in))
	case event.Opened:
		return appendJSON(dst, newPostmarkOpen(in))
	case event.Delivered:
		return appendJSON(dst, newPostmarkDelivery(in))
	case event.Bounced, event.Deferred, event.Complained:
		return appendJSON(dst, newPostmarkBounce(in))
	}
	return dst, ErrCannot
}

func newPostmarkClick(in *Input) *postmarkClick {
	e, who := in.Event, in.Who.Of(in.Event)
	return &postmarkClick{
		RecordType:    "Click",
		MessageStream: Stream(in),
		ClickLocation: clickLocation(e.Place),
		Client:        postmarkProgram(who.Client),
		OS:            postmarkProgram(who.OS),
		Platform:      cmp.Or(who.Platform, "Unknown"),
		UserAgent:     string(e.UserAgent),
		OriginalLink:  originalLink(e),
		Geo:           newPostmarkGeo(&who.Place, e),
		MessageID:     messageUUID(e),
		Metadata:      metadata(e),
		ReceivedAt:    postmarkTime(e),
		Tag:           string(e.Tag),
		Recipient:     string(e.Recipient),
	}
}

func newPostmarkOpen(in *Input) *postmarkOpen {
	e, who := in.Event, in.Who.Of(in.Event)
	return &postmarkOpen{
		RecordType:    "Open",
		MessageStream: Stream(in),
		FirstOpen:     true, // no other is told
		Client:        postmarkProgram(who.Client),
		OS:            postmarkProgram(who.OS),
		Platform:      cmp.Or(who.Platform, "Unknown"),
		UserAgent:     string(e.UserAgent),
		ReadSeconds:   report(e).ReadSeconds,
		Geo:           newPostmarkGeo(&who.Place, e),
		MessageID:     messageUUID(e),
		Metadata:      metadata(e),
		ReceivedAt:    postmarkTime(e),
		Tag:           string(e.Tag),
		Recipient:     string(e.Recipient),
	}
}

func newPostmarkGeo(p *enrich.Place, e *event.Event) postmarkGeo {
	return postmarkGeo{p.CountryISOCode, p.Country, p.RegionISOCode, p.Region, p.City, p.Zip, p.Coords, string(e.Address)}
}

// postmarkTime has seven fractional digits.
func postmarkTime(e *event.Event) string {
	return occurred(e).UTC().Format("2006-01-02T15:04:05.0000000Z")
}

// Stream is the message's, else the tenant's.
func Stream(in *Input) string {
	if len(in.Event.Stream) > 0 {
		return string(in.Event.Stream)
	}
	return in.Tenant.Stream
}

// clickLocation is HTML unless the link is known to have stood in a text part: Postmark knows no third value, and links whose place nobody
// told us come from programs that send HTML.
func clickLocation(place string) string {
	if place == "text" {
		return "Text"
	}
	return "HTML"
}
