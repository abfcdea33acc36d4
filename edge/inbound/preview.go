package inbound

import (
	"fmt"
	"time"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/edge/internal/machines"
	"waypost/mint/link"
)

// mapperOf is how a tenant's deliveries of a provider are mapped, whether they would be taken or not; nil: there is no such provider.
func mapperOf(t *configs.Tenant, provider string) Mapper {
	switch provider {
	case "resend":
		return resend{}
	case "postmark":
		return postmark{}
	case "maileroo":
		return maileroo{}
	case "nexomailer":
		return nexomailer{}
	}
	for i := range t.Inbound.Parsers {
		if p := &t.Inbound.Parsers[i]; p.Name == provider {
			return newRegistered(p, t)
		}
	}
	return nil
}

// Knows says whether a provider is built in, or one of the tenant's parsers.
func Knows(t *configs.Tenant, provider string) bool { return mapperOf(t, provider) != nil }

// Preview gives the documents of the events that a delivery to t would make if it came at that time, without an id: that is the journal's to give. Errors are those of a Mapper. Nothing
// is looked at but the body: an event that takes its id from a header gets a hash of the body.
func Preview(keys *link.Keyring, known *machines.Set, t *configs.Tenant, provider string, at time.Time, body []byte) ([][]byte, error) {
	s := source{rules: &rules{keys: keys, machines: known}, tenant: t, provider: provider, mapper: mapperOf(t, provider)}
	if s.mapper == nil {
		return nil, fmt.Errorf("%w: %s", ErrUnknown, provider)
	}
	all, err := s.told(body)
	if err != nil {
		return nil, err
	}
	o := origin{source: &s, at: at, body: body}
	o.identify()
	documents := make([][]byte, len(all))
	for i := range all {
		documents[i] = event.AppendDocument(nil, all[i].complete(&o))
	}
	return documents, nil
}
