package inbound

import (
	"time"

	"waypost/edge/event"
	"waypost/edge/inbound/mapping"
)

// Told is what a provider's delivery says of one mail, not yet recorded. Tenant, id and time of receipt are the edge's to fill in, and so is what the tenant's privacy asks
// for: a mapper gives addresses as the provider told them.
type Told struct {
	// Event has Type, Message, Recipient, Prospect, Stream, Tag, Metadata, Minted (when the mail was sent, where the provider tells it), and of clicks and opens Destination,
	// Original, Place, UserAgent and Address. Its own Report is not looked at.
	Event event.Event
	// Report has what the delivery says: ProviderEvent (empty: the delivery's own id is taken), ProviderType, Occurred, Reason, Bounce ... Provider is the edge's to fill in.
	Report event.Report
	// Known says that Message is what mint gave to send along (the tag "waypost"), not the provider's own id.
	Known bool
}

// Mapper makes events of a delivery's body, which is verified. Errors: ErrIgnored for a kind of delivery that has no event of ours; any other: it cannot be mapped, and is
// kept aside. What it gives does not point into body. Any goroutine may call it.
type Mapper interface {
	Map(body []byte) ([]Told, error)
}

// ErrIgnored says that a delivery tells of something that has no event of ours: it is answered as taken, and counted.
var ErrIgnored = mapping.ErrIgnored

// Header is one header of a delivery that is kept beside its body: those that say what it was, never a secret or a signature.
type Header struct{ Name, Value string }

// Asides keeps what cannot be mapped. Keep returns when it is in a file; it takes what it needs of its arguments. Any goroutine may call it.
type Asides interface {
	Keep(tenant, provider string, at time.Time, header []Header, body []byte, why error) error
}
