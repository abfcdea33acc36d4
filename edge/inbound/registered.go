package inbound

import (
	"fmt"

	"waypost/configs"
	"waypost/edge/inbound/mapping"
)

// registered maps by the expressions of a parser in tenants.yaml.
type registered struct{ parser *mapping.Parser }

// newRegistered compiles a parser that CheckTenant has found no fault with.
func newRegistered(p *configs.Parser, t *configs.Tenant) registered {
	parser, faults := mapping.Compile(p, t.Inbound.KeepRaw)
	if len(faults) > 0 {
		panic("BUG: a parser that the settings refuse: " + faults[0].Error())
	}
	return registered{parser}
}

// Map implements Mapper.
func (r registered) Map(body []byte) ([]Told, error) {
	mails, err := r.parser.Map(body)
	if err != nil {
		return nil, err
	}
	all := make([]Told, len(mails))
	for i := range mails {
		all[i] = Told(mails[i])
		e := &all[i].Event
		e.Recipient = word(e.Recipient).address()
	}
	return all, nil
}

// CheckTenant is a configs.TenantCheck of a tenant's parsers: every mistake in their expressions.
func CheckTenant(t *configs.Tenant) (found []configs.TenantFault) {
	for i := range t.Inbound.Parsers {
		_, faults := mapping.Compile(&t.Inbound.Parsers[i], t.Inbound.KeepRaw)
		for _, f := range faults {
			key := fmt.Sprintf("inbound.parsers[%d].%s", i, f.Key)
			found = append(found, configs.TenantFault{Key: key, Want: fmt.Sprintf("line %d, column %d: %s", f.Line, f.Column, f.Problem)})
		}
	}
	return found
}
