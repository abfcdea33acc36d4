package dispatch

import (
	"context"

	"waypost/configs"
	"waypost/sink/dispatch/attempt"
	"waypost/sink/dispatch/operator"
	"waypost/sink/internal/store"
)

// State is an endpoint with what is due to it, and how it does.
type State struct {
	*attempt.Target
	Health
	Pending   int64           // deliveries in the store: due, under way, or waiting for another attempt
	OldestDue uint64          // microseconds since 1970; 0: none is pending
	Dead      int64           // dead letters
	Disabled  *operator.Cause // nil: it is not
}

// States are all endpoints as they are now, in the order of the settings.
func (d *Dispatcher) States(ctx context.Context) ([]State, error) {
	dead, err := d.countDead(ctx)
	if err != nil {
		return nil, err
	}
	all := d.endpoints.Load().All
	states := make([]State, 0, len(all))
	for _, e := range all {
		states = append(states, State{
			Target: e.taker.Load().Target, Health: e.pulse.now(), Pending: e.waiting(), OldestDue: e.oldestDue(), Dead: dead[owner{e.Tenant.Number, e.Config.ID}],
			Disabled: e.isDisabled(),
		})
	}
	return states, nil
}

// owner names an endpoint.
type owner struct {
	tenant   uint32
	endpoint string
}

// countDead counts the dead letters, of which there are at most maxDeadLetters, by their keys.
func (d *Dispatcher) countDead(ctx context.Context) (map[owner]int64, error) {
	dead := map[owner]int64{}
	return dead, d.eachKey(store.Deads, func(key []byte) error {
		_, tenant, endpoint, _, err := store.ParseDead(key)
		if err != nil {
			return err
		}
		dead[owner{tenant, endpoint}]++
		return ctx.Err()
	})
}

// Owners are the tenants that have an endpoint with this id.
func (d *Dispatcher) Owners(id string) (all []*configs.Tenant) {
	for _, e := range d.endpoints.Load().All {
		if e.Config.ID == id && e.Tenant.Number != operator.Tenant {
			all = append(all, e.Tenant)
		}
	}
	return all
}

// Target is the endpoint of a tenant as attempts need it; nil: there is none.
func (d *Dispatcher) Target(tenant uint32, id string) *attempt.Target {
	if e := d.endpoints.Load().Find(tenant, id); e != nil {
		return e.taker.Load().Target
	}
	return nil
}
