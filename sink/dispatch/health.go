package dispatch

import (
	"encoding/binary"
	"errors"
	"math"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"waypost/sink/dispatch/attempt"
	"waypost/sink/internal/store"
)

// Health is how an endpoint does. Times are microseconds since 1970; 0: never. The store holds it as
//
//	 0         1              9              17              25       27
//	┌─────────┬──────────────┬──────────────┬───────────────┬────────┬───┬──────────┐
//	│ version │ last success │ last failure │ failing since │ status │ n │ reason   │
//	│ u8 = 1  │ u64          │ u64          │ u64           │ u16    │u8 │ n bytes  │
//	└─────────┴──────────────┴──────────────┴───────────────┴────────┴───┴──────────┘
//
// It is written with the marks, once an endpoint and batch, and outlives the log of attempts, which may be short or off.
type Health struct {
	LastSuccess  uint64
	LastFailure  uint64
	FailingSince uint64 // of the failures since the last success, the first
	Status       int    // of the last failure; 0: no answer came
	Reason       string // why none came
}

const healthHeader = 1 + 3*8 + 2 + 1

// AppendTo appends the value's bytes.
func (h *Health) AppendTo(dst []byte) []byte {
	reason := h.Reason[:min(len(h.Reason), maxReason)]
	dst = append(dst, deliveryVersion)
	dst = binary.BigEndian.AppendUint64(dst, h.LastSuccess)
	dst = binary.BigEndian.AppendUint64(dst, h.LastFailure)
	dst = binary.BigEndian.AppendUint64(dst, h.FailingSince)
	dst = binary.BigEndian.AppendUint16(dst, uint16(min(max(h.Status, 0), math.MaxUint16)))
	return append(append(dst, byte(len(reason))), reason...)
}

// ParseHealth reads a value.
func ParseHealth(value []byte) (Health, error) {
	if len(value) < healthHeader || value[0] != deliveryVersion || len(value) != healthHeader+int(value[healthHeader-1]) {
		return Health{}, ErrDelivery
	}
	return Health{
		LastSuccess: binary.BigEndian.Uint64(value[1:]), LastFailure: binary.BigEndian.Uint64(value[9:]), FailingSince: binary.BigEndian.Uint64(value[17:]),
		Status: int(binary.BigEndian.Uint16(value[25:])), Reason: string(value[healthHeader:]),
	}, nil
}

// saw takes the end of an attempt into account. What our own format has no document for says nothing of the receiver.
func (h *Health) saw(o *attempt.Outcome, at uint64) {
	switch o.Word {
	case attempt.Unsendable:
	case attempt.Delivered:
		h.LastSuccess, h.FailingSince = at, 0
	default:
		h.LastFailure, h.Status, h.Reason = at, o.Status, o.Reason
		if h.FailingSince == 0 {
			h.FailingSince = at
		}
	}
}

// pulse is an endpoint's health, which marks write and people read.
type pulse struct {
	mu      sync.Mutex
	health  Health
	changed bool // since it was last written; only the marking goroutine
}

func (p *pulse) now() Health {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.health
}

func (p *pulse) saw(o *attempt.Outcome, at uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.health.saw(o, at)
	p.changed = true
}

// appendHealth adds the endpoint's health to a batch, once.
func (e *endpoint) appendHealth(b *pebble.Batch) error {
	if !e.pulse.changed {
		return nil
	}
	e.pulse.changed = false
	h := e.pulse.now()
	return b.Set(store.HealthKey(e.Tenant.Number, e.Config.ID), h.AppendTo(nil), nil)
}

// readHealth takes up what the store knows. A value that is not readable is as none: it is written anew with the next attempt.
func (e *endpoint) readHealth() error {
	value, closer, err := e.d.store.Get(store.HealthKey(e.Tenant.Number, e.Config.ID))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer closer.Close()
	e.pulse.health, _ = ParseHealth(value)
	return nil
}
