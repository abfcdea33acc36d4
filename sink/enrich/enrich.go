package enrich

import (
	"log/slog"

	"waypost/edge/event"
	"waypost/sink/internal/metrics"
)

// Platforms, in Postmark's words. What is not known is the empty string.
const (
	Desktop = "Desktop"
	Mobile  = "Mobile"
	WebMail = "WebMail"
)

// Program is a client or an operating system. Members are empty where they are not known.
type Program struct {
	Name    string `json:"name,omitempty"`    // with its version: Chrome 35.0.1916.153
	Company string `json:"company,omitempty"` // who makes it: Google
	Family  string `json:"family,omitempty"`  // without: Chrome
}

// Place is where an address is. Members are empty where they are not known.
type Place struct {
	CountryISOCode string `json:"country_iso_code,omitempty"`
	Country        string `json:"country,omitempty"` // in English, as all names
	RegionISOCode  string `json:"region_iso_code,omitempty"`
	Region         string `json:"region,omitempty"`
	City           string `json:"city,omitempty"`
	Zip            string `json:"zip,omitempty"`
	Coords         string `json:"coords,omitempty"` // latitude,longitude in degrees: 45.2517,19.8369
}

// Details are what is known of who did it, and where.
type Details struct {
	Client   Program `json:"client,omitzero"`
	OS       Program `json:"os,omitzero"`
	Platform string  `json:"platform,omitempty"`
	Place    Place   `json:"geo,omitzero"`
}

// Options of New.
type Options struct {
	Database string // a file in MaxMind's format, GeoIP2 or GeoLite2 City; "": no places
	Metrics  *metrics.Set
	Logger   *slog.Logger
}

// Enricher says who did it and where. Safe for concurrent use; a nil one knows nothing.
type Enricher struct {
	agents *agents
	places *places
}

// New reads the rules for user agents, and the database. One that cannot be read is no error: places are not known then, Reasons says why, and
// Watch takes it up when it is mended.
func New(o Options) (*Enricher, error) {
	agents, err := newAgents(o.Metrics)
	if err != nil {
		return nil, err
	}
	return &Enricher{agents, newPlaces(o)}, nil
}

// Close ends it. Nobody may use it any more.
func (x *Enricher) Close() {
	if x != nil {
		x.agents.close()
	}
}

// Of is what is known of an event. It takes well under a microsecond for a user agent that was seen lately, and at most a tenth of a second.
func (x *Enricher) Of(e *event.Event) Details {
	if x == nil {
		return Details{}
	}
	a := x.agents.of(e.UserAgent)
	return Details{a.client, a.os, a.platformOf(e.Type), x.places.of(e.Address)}
}

// Append appends an event's document with what is known of the event added to its data.
func (x *Enricher) Append(dst, document []byte, e *event.Event) []byte {
	d := x.Of(e)
	return d.AppendTo(dst, document)
}

// platformOf is where an event of a type came from. A picture that a browser on a desktop loads stands in a mail that the browser shows.
func (a *agent) platformOf(t event.Type) string {
	if t == event.Opened && a.browser && a.platform == Desktop {
		return WebMail
	}
	return a.platform
}
