package dispatch

import (
	"bytes"
	"errors"
	"slices"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/sink/dispatch/attempt"
	"waypost/sink/ingest"
	"waypost/sink/internal/metrics"
)

// ErrEnded says that the dispatcher was stopped: its endpoints do not change any more.
var ErrEnded = errors.New("dispatch: the sink is ending")

// AddedPrefix begins the ids of endpoints that programs made through the API: no endpoint of tenants.yaml can have it.
const AddedPrefix = "api:"

// Added is an endpoint with what it wants to be told.
type Added struct {
	Tenant   *configs.Tenant
	Endpoint configs.Endpoint
	Types    []event.Type // nil: all
	Stream   string       // of messages; empty: all
}

// endpoints are the dispatcher's own, and those that programs of tenants made. Changes are under Dispatcher.changing.
type endpoints = attempt.Set[*endpoint]

// taker is what may change of an endpoint. It does not change itself: another takes its place.
type taker struct {
	*attempt.Target
	types  []event.Type
	stream string
}

func newTaker(a Added) (*taker, error) {
	target, err := attempt.NewTarget(a.Tenant, a.Endpoint)
	if err != nil {
		return nil, err
	}
	return &taker{target, a.Types, a.Stream}, nil
}

// takes says whether the endpoint is to be told. What its format has no document for is counted; what it does not want is not.
func (r *taker) takes(f *ingest.First, m *metrics.Set) bool {
	return r.asked(f) && r.Takes(f.Type, m)
}

// wants is takes, and counts nothing.
func (r *taker) wants(f *ingest.First) bool { return r.asked(f) && r.Format.Has(f.Type) }

// asked says whether it asked for events of this type and stream.
func (r *taker) asked(f *ingest.First) bool {
	return (r.types == nil || slices.Contains(r.types, f.Type)) && (r.stream == "" || r.stream == streamOf(f, r.Tenant))
}

// streamOf is the stream that the postmark document will name. Only events of providers name one, so that others are not decoded for it.
func streamOf(f *ingest.First, tenant *configs.Tenant) string {
	if bytes.Contains(f.Document, []byte(`"stream"`)) {
		var decoder event.Decoder
		var e event.Event
		if err := decoder.Decode(&e, f.Document); err == nil && len(e.Stream) > 0 {
			return string(e.Stream)
		}
	}
	return tenant.Stream
}

// Put adds an endpoint while the dispatcher runs, or changes the one that has its tenant and id. commit makes that durable; with its error nothing has changed. Events that
// are decided after Put are told to the endpoint as it is then; attempts that begin after it go where it says.
func (d *Dispatcher) Put(a Added, commit func() error) error {
	d.changing.Lock()
	defer d.changing.Unlock()
	if d.ended {
		return ErrEnded
	}
	set := d.endpoints.Load()
	old := set.Find(a.Tenant.Number, a.Endpoint.ID)
	if old != nil {
		r, err := newTaker(a)
		if err != nil {
			return err
		}
		if err := commit(); err != nil {
			return err
		}
		old.taker.Store(r)
		return nil
	}
	e, err := d.newEndpoint(a)
	if err != nil {
		return err
	}
	if err := commit(); err != nil {
		return err
	}
	d.endpoints.Store(set.With(e))
	return nil
}

// Remove takes an endpoint away while the dispatcher runs. commit makes that durable; with its error nothing has changed. Attempts under way end, and no other begins; what else is due to it stays in the
// store, counted as orphaned. An endpoint that is not there is removed already.
func (d *Dispatcher) Remove(tenant uint32, id string, commit func() error) error {
	d.changing.Lock()
	defer d.changing.Unlock()
	if d.ended {
		return ErrEnded
	}
	if err := commit(); err != nil {
		return err
	}
	set := d.endpoints.Load()
	if e := set.Find(tenant, id); e != nil {
		d.endpoints.Store(set.Without(e))
		e.remove()
	}
	return nil
}

// endAll ends changes, and gives what is there then.
func (d *Dispatcher) endAll() []*endpoint {
	d.changing.Lock()
	defer d.changing.Unlock()
	d.ended = true
	return d.endpoints.Load().All
}

// remove stops the endpoint for good and lets go of what waits in memory. What is under way leaves memory with its mark, what ingest has admitted and not committed yet with its push.
func (e *endpoint) remove() {
	e.stop()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.removed = true
	for _, it := range e.queue {
		e.dropLocked(it.place)
	}
	e.queue = nil
	e.d.countPending(-e.pending)
	e.d.metrics.Orphaned.Add(float64(e.pending))
}

// addPending counts deliveries that came into the store or left it.
func (e *endpoint) addPending(n int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pending += n
	if e.removed {
		e.d.metrics.Orphaned.Add(float64(n))
		return
	}
	e.d.countPending(n)
}

// waiting is how many deliveries the store has for it.
func (e *endpoint) waiting() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pending
}

func (d *Dispatcher) countPending(n int64) {
	d.pending.Add(n)
	d.metrics.Pending.Add(float64(n))
}
