package inbound

import (
	"errors"
	"strings"
	"time"
)

// ErrUnknown says that there is no such tenant, or that nothing is set for the provider any more.
var ErrUnknown = errors.New("inbound: unknown tenant or provider")

// Again maps and records a delivery that was kept aside, as Take does with one that has just come; who sent it was found out when it came. Its events are those that it would have made
// then. nil: it is in the journal, or tells of nothing that has an event. Any error: it has to be kept on.
func (h *Handler) Again(tenant, provider string, at time.Time, headers []Header, body []byte) error {
	s := h.rules.Load().sources[tenant][provider]
	if s == nil {
		return ErrUnknown
	}
	d := delivery{at: at, header: func(name string) []byte {
		for _, h := range headers {
			if strings.EqualFold(h.Name, name) {
				return []byte(h.Value)
			}
		}
		return nil
	}}
	all, err := s.told(body)
	switch {
	case errors.Is(err, ErrIgnored):
		return nil
	case err != nil:
		return err
	}
	return h.record(s, &d, body, all)
}
