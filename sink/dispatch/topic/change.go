package topic

import (
	"context"
	"slices"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/sink/dispatch"
	"waypost/sink/dispatch/attempt"
	"waypost/sink/dispatch/operator"
	"waypost/sink/internal/metrics"
)

// lanes are the Courier's. Changes are under Courier.changing.
type lanes = attempt.Set[*lane]

// taker is what may change of an endpoint. It does not change itself: another takes its place.
type taker struct {
	*attempt.Target
	types  []event.Type // nil: all
	stream string       // of messages; empty: all
}

// takes says whether the endpoint is to be told. What its format has no document for is counted; what it does not want is not.
func (t *taker) takes(e *event.Event, m *metrics.Set) bool {
	if t.types != nil && !slices.Contains(t.types, e.Type) {
		return false
	}
	if t.stream != "" && t.stream != streamOf(e, t.Tenant) {
		return false
	}
	return t.Takes(e.Type, m)
}

// streamOf is the stream that the postmark document will name.
func streamOf(e *event.Event, tenant *configs.Tenant) string {
	if len(e.Stream) > 0 {
		return string(e.Stream)
	}
	return tenant.Stream
}

func newTaker(a dispatch.Added) (*taker, error) {
	target, err := attempt.NewTarget(a.Tenant, a.Endpoint)
	if err != nil {
		return nil, err
	}
	return &taker{target, a.Types, a.Stream}, nil
}

func (c *Courier) newLane(t *taker) *lane {
	change := operator.Change{Tenant: t.Tenant.Number, Endpoint: t.Config.ID}
	l := &lane{Target: t.Target, c: c, gate: t.NewGate(c.o.Settings), condition: c.states.of(change.Key())}
	l.taker.Store(t)
	if cause := l.condition.cause(); cause != nil {
		c.sender.Disabled(l.Target, cause.At)
	}
	return l
}

// Put adds an endpoint while the Courier runs, or changes the one that has its tenant and id. commit makes that durable; with its error nothing has changed. Records that are read after Put are told
// to the endpoint as it is then; attempts that begin after it go where it says.
func (c *Courier) Put(a dispatch.Added, commit func() error) error {
	t, err := newTaker(a)
	if err != nil {
		return err
	}
	c.changing.Lock()
	defer c.changing.Unlock()
	if err := commit(); err != nil {
		return err
	}
	set := c.lanes.Load()
	if old := set.Find(a.Tenant.Number, a.Endpoint.ID); old != nil {
		old.taker.Store(t)
		return nil
	}
	c.lanes.Store(set.With(c.newLane(t)))
	return nil
}

// Remove takes an endpoint away while the Courier runs. commit makes that durable; with its error nothing has changed. Attempts under way end, and no other begins; what else is due to it
// waits for it to come back, and is among the dead when it has not. An endpoint that is not there is removed already.
func (c *Courier) Remove(tenant uint32, id string, commit func() error) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	if err := commit(); err != nil {
		return err
	}
	set := c.lanes.Load()
	l := set.Find(tenant, id)
	if l == nil {
		return nil
	}
	c.lanes.Store(set.Without(l))
	l.remove()
	return nil
}

// remove ends the lane: it takes no more, and what waits in it is put off. That is written by another goroutine: it may have to wait for brokers, and nobody waits for that.
func (l *lane) remove() {
	l.mu.Lock()
	queue := l.queue
	l.queue, l.removed = nil, true
	for _, j := range queue {
		l.c.release(j)
	}
	l.mu.Unlock()
	l.c.sender.Forget(l.Target)
	if len(queue) == 0 {
		return
	}
	l.c.workers.Go(func() {
		for _, j := range queue {
			if j.owner.begin() {
				l.c.hold(nil, j)
				j.owner.attempts.Done()
			}
		}
	})
}

// known waits until all endpoints are; false: ctx is over.
func (c *Courier) known(ctx context.Context) bool {
	if c.o.Known == nil {
		return true
	}
	select {
	case <-c.o.Known:
		return true
	case <-ctx.Done():
		return false
	}
}

// Target is the endpoint of a tenant as attempts need it; nil: there is none.
func (c *Courier) Target(tenant uint32, id string) *attempt.Target {
	if l := c.lane(tenant, id); l != nil {
		return l.taker.Load().Target
	}
	return nil
}
