package inbound

import (
	"net/netip"
	"time"

	"github.com/google/uuid"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/edge/inbound/mapping"
	"waypost/edge/internal/client"
	"waypost/edge/internal/machines"
	"waypost/mint/link"
)

// record appends the events of one delivery to the journal: all of them, or an error. Those before it may be there then, and come again with the repeated delivery.
func (h *Handler) record(s *source, d *delivery, body []byte, all []Told) error {
	o := origin{s, s.verifier.id(d), d.at, body}
	o.identify()
	var record []byte
	for i := range all {
		e := all[i].complete(&o)
		e.ID.Run = uint64(h.journal.Run())
		var at [2]int
		record, at = event.AppendRecord(record[:0], e)
		if _, err := h.journal.Append(record, at[:]...); err != nil {
			return err
		}
		named := 0
		if all[i].Known {
			named = 1
		}
		s.counts.named[named].Add(1)
	}
	return nil
}

// label says who was probably no person, as of the edge's own visits: by the client that the provider tells, before the tenant's privacy takes its address out.
func (told *Told) label(known *machines.Set) {
	e := &told.Event
	if e.Type == event.Clicked || e.Type == event.Opened {
		address, _ := netip.ParseAddr(string(e.Address)) // an invalid one is not known
		e.Labels = known.Labels(e.UserAgent, address.Unmap().WithZone(""), e.Type == event.Opened)
	}
}

// origin is where the events of a delivery come from.
type origin struct {
	*source
	id   []byte // of the delivery
	at   time.Time
	body []byte
}

// identify takes a hash of the body for the id of a delivery that has none.
func (o *origin) identify() {
	if len(o.id) == 0 {
		o.id = mapping.HashID(o.body)
	}
}

// complete makes the event of what was told, all but its id. It points into told.
func (told *Told) complete(o *origin) *event.Event {
	told.Report.Provider = []byte(o.provider)
	if len(told.Report.ProviderEvent) == 0 {
		told.Report.ProviderEvent = o.id
	}
	switch {
	case !o.tenant.Inbound.KeepRaw:
		told.Report.Raw = nil
	case len(told.Report.Raw) == 0: // else it is one of the delivery's entries
		told.Report.Raw = o.body
	}
	told.label(o.rules.machines)
	told.settle(o.tenant, o.at)
	told.followOwn(o.rules.keys, o.tenant)
	told.Event.Report = &told.Report
	return &told.Event
}

// settle fills in what is the edge's to say of an event of that tenant that was told at that time, and takes out what the tenant's privacy does.
func (told *Told) settle(t *configs.Tenant, at time.Time) {
	e, r := &told.Event, &told.Report
	e.Time, e.Tenant, e.TenantName = at, t.Number, t.Name
	e.RetentionDays, e.UniqueAny = uint16(t.RetentionDays), t.Unique == "any"
	if len(e.Stream) == 0 {
		e.Stream = []byte(t.Stream)
	}
	if sent, ok := sentBy(told); ok {
		e.Minted = sent
	}
	if e.Minted.IsZero() {
		e.Minted = r.Occurred
	}
	if e.Minted.IsZero() {
		e.Minted = at
	}
	e.Minted = e.Minted.UTC().Truncate(time.Second)
	e.Address = clientAddress(e.Address, t.ClientAddress)
	e.Recipient = link.KeepRecipient(t.Number, t.RecipientInLink, e.Prospect, e.Recipient) // as mint does, so that both have one key
	if t.ClientAddress != "keep" || !t.RecipientInLink {
		r.Raw = nil // it names what is taken out above; the settings refuse both together
	}
}

// sentBy is when mint made the message's id, where it made it: the links in the mail are of that moment, and so what is told of it lies on their day. Ids that mint makes
// are UUIDs that begin with their time.
func sentBy(told *Told) (time.Time, bool) {
	if !told.Known || len(told.Event.Message) != 36 {
		return time.Time{}, false
	}
	id, err := uuid.ParseBytes(told.Event.Message)
	if err != nil || id.Version() != 7 {
		return time.Time{}, false
	}
	return time.Unix(id.Time().UnixTime()).UTC(), true
}

// clientAddress is what is kept of an address that a provider tells. What is none is not kept.
func clientAddress(text []byte, keep string) []byte {
	address, err := netip.ParseAddr(string(text))
	if err != nil || keep != "keep" && keep != "truncate" {
		return nil
	}
	address = address.Unmap().WithZone("")
	if keep == "truncate" {
		address = client.Truncate(address)
	}
	return address.AppendTo(nil)
}
