package event

import "time"

// Type of an event: the CloudEvents attribute type.
type Type string

// The types. The edge sees Clicked and Opened itself; all of them providers tell.
const (
	Clicked    Type = "email.clicked"
	Opened     Type = "email.opened"
	Sent       Type = "email.sent"
	Delivered  Type = "email.delivered"
	Bounced    Type = "email.bounced"
	Deferred   Type = "email.deferred"
	Complained Type = "email.complained"
	Failed     Type = "email.failed"
)

// Labels tell what else is known of a hit: mostly why it was probably not a person. They are written at the edge and decide who was first.
type Labels uint8

// The labels.
const (
	Head     Labels = 1 << iota // a HEAD request: never a click
	Prefetch                    // announced by Sec-Purpose, Purpose, X-Moz or X-Purpose: never a click
	Machine                     // a scanner, a crawler or a prefetching proxy: a click of any client, not of a person
	Repaired                    // the link had been changed on its way, and opened once that was undone: a click like any other
	Proxy                       // fetched in a person's place, when they looked: a person's like any other

	allLabels = 1<<iota - 1
)

// Event is one event. Its slices belong to the caller; the encoder only reads them, the decoder points them into its own memory.
type Event struct {
	ID   ID
	Type Type
	Time time.Time // UTC, microseconds

	Tenant     uint32
	TenantName string
	Message    []byte // mailing id or the sender's message id
	Prospect   []byte
	User       []byte
	Recipient  []byte // address, or its hash where the tenant keeps no address

	LinkNumber  uint32
	Place       string // "html", "text" or empty
	Destination []byte
	Original    []byte    // equal to Destination where the link carries none
	Minted      time.Time // UTC, minutes: the sending time that days and retention count from

	Stream   []byte
	Tag      []byte
	Metadata [][2]string

	RetentionDays uint16
	UniqueAny     bool // the tenant's `unique: any`

	Method    []byte
	UserAgent []byte
	Address   []byte // client address after the tenant's privacy; empty when dropped
	Referrer  []byte
	Language  []byte
	Labels    Labels
	Cut       []string // names of fields that were cut to their limit

	Report *Report // what a mail provider told; nil for what the edge saw itself
}
