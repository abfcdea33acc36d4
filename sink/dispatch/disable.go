package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"waypost/sink/dispatch/operator"
	"waypost/sink/internal/store"
)

// disabledVersion stands before the JSON of an operator.Cause, with which the store says since when and why an endpoint gets no attempts. Without that key it gets them.
const disabledVersion = 1

func appendCause(dst []byte, c *operator.Cause) []byte {
	text, err := json.Marshal(c)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return append(append(dst, disabledVersion), text...)
}

func parseCause(value []byte) (*operator.Cause, error) {
	var c operator.Cause
	if len(value) == 0 || value[0] != disabledVersion || json.Unmarshal(value[1:], &c) != nil {
		return nil, ErrDelivery
	}
	return &c, nil
}

// order is what an operator wants of an endpoint. It goes through the marks like the end of an attempt: they see what attempts come to, they are one goroutine, and so a change, the
// health that it follows from and the event for the operator stand in one synced batch.
type order struct {
	disable bool
	reason  string
	changed bool // what came of it; false: it was so already
	done    chan error
}

// turn is a change that a batch makes durable.
type turn struct {
	endpoint *endpoint
	to       *operator.Cause // nil: enabled
	event    place           // for the operator's endpoint
	told     *endpoint       // nil: the settings name none
	failures uint32
	status   int
	kept     int64
}

// Disable ends attempts at an endpoint until Enable, durably, and tells the operator. What is due to it is kept. changed is false where it was disabled already: it stays
// so, with its reason. The errors are operator.ErrNoEndpoint, ErrEnded, the store's, and ctx's, with which it may happen nonetheless.
func (d *Dispatcher) Disable(ctx context.Context, tenant uint32, id, reason string) (changed bool, err error) {
	return d.order(ctx, tenant, id, &order{disable: true, reason: reason, done: make(chan error, 1)})
}

// Enable begins attempts at a disabled endpoint again, with what is due to it; its failures count from now on. Errors and changed are Disable's.
func (d *Dispatcher) Enable(ctx context.Context, tenant uint32, id string) (changed bool, err error) {
	return d.order(ctx, tenant, id, &order{done: make(chan error, 1)})
}

// Disabled is since when and why an endpoint is disabled; nil: it is not.
func (d *Dispatcher) Disabled(tenant uint32, id string) *operator.Cause {
	if e := d.endpoints.Load().Find(tenant, id); e != nil {
		return e.isDisabled()
	}
	return nil
}

func (d *Dispatcher) order(ctx context.Context, tenant uint32, id string, o *order) (changed bool, err error) {
	if err := d.give(ctx, tenant, id, o); err != nil {
		return false, err
	}
	select {
	case err := <-o.done:
		return o.changed, err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// give hands an order to the marks. While it holds changing, Stop cannot close them.
func (d *Dispatcher) give(ctx context.Context, tenant uint32, id string, o *order) error {
	d.changing.Lock()
	defer d.changing.Unlock()
	if d.ended {
		return ErrEnded
	}
	e := d.endpoints.Load().Find(tenant, id)
	if e == nil || tenant == operator.Tenant {
		return operator.ErrNoEndpoint
	}
	select {
	case d.marks <- mark{endpoint: e, order: o}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// answer ends the orders among the marks.
func answer(marks []mark, err error) {
	for i := range marks {
		if o := marks[i].order; o != nil {
			o.done <- err
		}
	}
}

// appendTurn adds to a batch what the mark at i changes about its endpoint, if it does. turns are those of the same batch before it.
func (d *Dispatcher) appendTurn(b *pebble.Batch, turns []turn, marks []mark, i int) ([]turn, error) {
	m := &marks[i]
	e := m.endpoint
	was := e.isDisabled()
	for j := range turns {
		if turns[j].endpoint == e {
			was = turns[j].to
		}
	}
	to := was
	switch o := m.order; {
	case o == nil && was == nil:
		to = d.judge(m)
	case o == nil:
	case o.disable && was == nil:
		to = &operator.Cause{At: time.UnixMicro(int64(d.micros())).UTC(), Why: operator.Asked, Reason: o.reason}
	case !o.disable:
		to = nil
	}
	if to == was {
		return turns, nil
	}
	if m.order != nil {
		m.order.changed = true
	}
	h := e.pulse.now()
	t := turn{endpoint: e, to: to, failures: h.Failures, status: h.Status, kept: e.waiting()}
	for i := range marks {
		if marks[i].endpoint == e && marks[i].ended() {
			t.kept-- // it still counts
		}
	}
	if err := d.appendEvent(b, &t, was, &h); err != nil {
		return nil, err
	}
	key := store.DisabledKey(e.Tenant.Number, e.Config.ID)
	if to != nil {
		return append(turns, t), b.Set(key, appendCause(nil, to), nil)
	}
	e.pulse.restart()
	return append(turns, t), b.Delete(key, nil)
}

// judge says whether an endpoint is to be disabled after an attempt; nil: it is not.
func (d *Dispatcher) judge(m *mark) *operator.Cause {
	e, h := m.endpoint, m.endpoint.pulse.now()
	if e.Tenant.Number == operator.Tenant {
		return nil // nobody would be told
	}
	at := time.UnixMicro(int64(m.at)).UTC()
	if m.outcome.Gone {
		return &operator.Cause{At: at, Why: operator.Gone}
	}
	after := uint64(e.taker.Load().DisableAfter(d.settings).Microseconds())
	if after == 0 || h.Failures < operator.LeastFailures || m.at < h.FailingSince || m.at-h.FailingSince < after {
		return nil
	}
	return &operator.Cause{At: at, Why: operator.Failing}
}

// appendEvent adds the event for the operator, as a delivery that is due now.
func (d *Dispatcher) appendEvent(b *pebble.Batch, t *turn, was *operator.Cause, h *Health) error {
	if t.told = d.endpoints.Load().Find(operator.Tenant, operator.ID); t.told == nil {
		return nil
	}
	of, state := operator.Disabled, t.to
	if state == nil {
		of, state = operator.Enabled, was
	}
	change := t.endpoint.taker.Load().Change()
	change.Why, change.Reason, change.DisabledAt, change.Kept = state.Why, state.Reason, &state.At, t.kept
	change.LastSuccess, change.FailingSince, change.Failures = moment(h.LastSuccess), moment(h.FailingSince), h.Failures
	if h.FailingSince != 0 {
		change.Status, change.Failure = h.Status, h.Reason
	}
	now := d.micros()
	id, document := operator.Event(of, &change, time.UnixMicro(int64(now)))
	t.event = place{now, id}
	delivery := Delivery{Created: now, Document: document}
	return b.Set(t.told.key(t.event), delivery.AppendTo(nil), nil)
}

func moment(micros uint64) *time.Time {
	if micros == 0 {
		return nil
	}
	t := time.UnixMicro(int64(micros)).UTC()
	return &t
}

// turned lets a change that is on disk take effect.
func (d *Dispatcher) turned(t *turn) {
	e := t.endpoint
	if t.to != nil {
		e.rest(t.to)
		d.log.Warn("endpoint disabled: it gets no attempts until it is enabled, and what it would be told is kept", "tenant", e.Tenant.Number, "endpoint", e.Config.ID,
			"why", t.to.Why, "failures", t.failures, "status", t.status)
	} else {
		e.resume()
		d.log.Info("endpoint enabled: what was kept follows", "tenant", e.Tenant.Number, "endpoint", e.Config.ID)
	}
	if t.told != nil {
		t.told.addPending(1)
		t.told.spill(t.event)
	}
}

// rest lets attempts under way end and begins no other. What waits in memory is left to the store.
func (e *endpoint) rest(why *operator.Cause) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.disabled = why
	for _, it := range e.queue {
		e.evictLocked(it)
	}
	e.queue = nil
	if !e.stopped {
		e.d.sender.Disabled(e.Target, why.At)
	}
}

// resume begins attempts again.
func (e *endpoint) resume() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.disabled = nil
	e.gate.Reset()
	if !e.stopped {
		e.d.sender.Enabled(e.Target)
	}
	e.lookLocked()
}

func (e *endpoint) isDisabled() *operator.Cause {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.disabled
}

// readDisabled takes up what the store knows.
func (e *endpoint) readDisabled() error {
	value, closer, err := e.d.store.Get(store.DisabledKey(e.Tenant.Number, e.Config.ID))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer closer.Close()
	if e.disabled, err = parseCause(value); err != nil {
		return fmt.Errorf("since when it is disabled: %w", err)
	}
	e.d.sender.Disabled(e.Target, e.disabled.At)
	return nil
}
