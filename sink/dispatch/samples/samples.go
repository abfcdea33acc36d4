// Package samples makes an event of each type as a receiver may get it, for those who want to see what an endpoint answers before a mail is sent.
package samples

import (
	"crypto/rand"
	"encoding/binary"
	"strings"
	"time"

	"waypost/configs"
	"waypost/edge/event"
)

// Types are all types of events, in the order in which samples are sent.
func Types() []event.Type {
	return []event.Type{event.Sent, event.Delivered, event.Opened, event.Clicked, event.Deferred, event.Bounced, event.Failed, event.Complained}
}

// TypeOf finds a type by its name, which may lack its first part: email.clicked, or clicked.
func TypeOf(name string) (event.Type, bool) {
	for _, t := range Types() {
		if name == string(t) || name == ShortName(t) {
			return t, true
		}
	}
	return "", false
}

// ShortName is the name of a type without its first part.
func ShortName(t event.Type) string { return strings.TrimPrefix(string(t), "email.") }

// ShortNames lists types for people: clicked, opened.
func ShortNames(types []event.Type) string {
	var names []string
	for _, t := range types {
		names = append(names, ShortName(t))
	}
	return strings.Join(names, ", ")
}

// What stands in a sample's place of people, mails and links.
const (
	message     = "waypost-test"
	recipient   = "test@example.com"
	sender      = "sender@example.com"
	destination = "https://example.com/waypost-test"
)

// Event is a sample of a type for a tenant. Its id is a new one each time, because receivers drop ids that they have seen.
func Event(t event.Type, tenant *configs.Tenant, now time.Time) event.Event {
	now = now.UTC().Truncate(time.Microsecond)
	var run [8]byte
	_, _ = rand.Read(run[:]) // never fails, by its documentation
	e := event.Event{
		ID: event.ID{Run: binary.BigEndian.Uint64(run[:]), Sequence: 1}, Type: t, Time: now, Tenant: tenant.Number, TenantName: tenant.Name,
		Message: []byte(message), Prospect: []byte("test"), Recipient: []byte(recipient), Minted: now.Add(-time.Minute).Truncate(time.Minute),
		Stream: []byte(tenant.Stream), RetentionDays: uint16(min(max(tenant.RetentionDays, 1), 3650)),
		Metadata: [][2]string{{"test", "waypost"}},
	}
	if t == event.Clicked || t == event.Opened {
		e.Method, e.UserAgent, e.Address = []byte("GET"), []byte("Mozilla/5.0 (Waypost test)"), []byte("192.0.2.1")
	}
	if t == event.Clicked {
		e.Place, e.Destination, e.Original = "html", []byte(destination), []byte(destination)
		return e
	}
	if t != event.Opened {
		e.Report = report(t, now)
	}
	return e
}

// report is what a provider might tell of a mail.
func report(t event.Type, now time.Time) *event.Report {
	r := &event.Report{Provider: []byte("waypost-test"), ProviderEvent: []byte("1"), Occurred: now.Add(-time.Second), From: []byte(sender), Subject: []byte("A test of Waypost")}
	switch t {
	case event.Bounced, event.Failed:
		r.Reason = []byte("550 5.1.1 no such user")
		r.Bounce = event.Bounce{
			Type: []byte("HardBounce"), Code: 1, Name: []byte("Hard bounce"), Description: []byte("The server was unable to deliver your message."),
			Details: []byte("smtp;550 5.1.1 no such user"), Inactive: true, CanActivate: true,
		}
	case event.Deferred:
		r.Reason = []byte("451 4.2.1 try again later")
		r.Bounce = event.Bounce{Type: []byte("Transient"), Code: 2, Name: []byte("Message delayed"), Description: []byte("The server could not take the message now."), Details: []byte("smtp;451 4.2.1 try again later")}
	case event.Complained:
		r.Bounce = event.Bounce{Type: []byte("SpamComplaint"), Code: 512, Name: []byte("Spam complaint"), Description: []byte("The subscriber complained."), Inactive: true}
	}
	return r
}
