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
//	 0         1              9              17              25         29       31
//	┌─────────┬──────────────┬──────────────┬───────────────┬──────────┬────────┬───┬──────────┐
//	│ version │ last success │ last failure │ failing since │ failures │ status │ n │ reason   │
//	│ u8 = 2  │ u64          │ u64          │ u64           │ u32      │ u16    │u8 │ n bytes  │
//	└─────────┴──────────────┴──────────────┴───────────────┴──────────┴────────┴───┴──────────┘
//
// Version 1 had no failures. It is written with the marks, once an endpoint and batch, and outlives the log of attempts, which may be short or off.
type Health struct {
	LastSuccess  uint64
	LastFailure  uint64
	FailingSince uint64 // of the failures since the last success, or since the endpoint was enabled, the first
	Failures     uint32 // since then
	Status       int    // of the last failure; 0: no answer came
	Reason       string // why none came
}

const (
	healthVersion = 2
	healthTimes   = 1 + 3*8
	healthTail    = 2 + 1
)

// AppendTo appends the value's bytes.
func (h *Health) AppendTo(dst []byte) []byte {
	reason := h.Reason[:min(len(h.Reason), maxReason)]
	dst = append(dst, healthVersion)
	dst = binary.BigEndian.AppendUint64(dst, h.LastSuccess)
	dst = binary.BigEndian.AppendUint64(dst, h.LastFailure)
	dst = binary.BigEndian.AppendUint64(dst, h.FailingSince)
	dst = binary.BigEndian.AppendUint32(dst, h.Failures)
	dst = binary.BigEndian.AppendUint16(dst, uint16(min(max(h.Status, 0), math.MaxUint16)))
	return append(append(dst, byte(len(reason))), reason...)
}

// ParseHealth reads a value.
func ParseHealth(value []byte) (Health, error) {
	if len(value) < healthTimes+healthTail {
		return Health{}, ErrDelivery
	}
	h := Health{LastSuccess: binary.BigEndian.Uint64(value[1:]), LastFailure: binary.BigEndian.Uint64(value[9:]), FailingSince: binary.BigEndian.Uint64(value[17:])}
	rest := value[healthTimes:]
	switch {
	case value[0] == 1:
	case value[0] == healthVersion && len(rest) >= 4:
		h.Failures, rest = binary.BigEndian.Uint32(rest), rest[4:]
	default:
		return Health{}, ErrDelivery
	}
	if len(rest) < healthTail || len(rest) != healthTail+int(rest[2]) {
		return Health{}, ErrDelivery
	}
	h.Status, h.Reason = int(binary.BigEndian.Uint16(rest)), string(rest[healthTail:])
	return h, nil
}

// saw takes the end of an attempt into account. What our own format has no document for says nothing of the receiver.
func (h *Health) saw(o *attempt.Outcome, at uint64) {
	switch o.Word {
	case attempt.Unsendable:
	case attempt.Delivered:
		h.LastSuccess, h.FailingSince, h.Failures = at, 0, 0
	default:
		h.LastFailure, h.Status, h.Reason = at, o.Status, o.Reason
		if h.FailingSince == 0 {
			h.FailingSince, h.Failures = at, 0
		}
		if h.Failures < math.MaxUint32 {
			h.Failures++
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

// restart counts failures from now on.
func (p *pulse) restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.health.FailingSince, p.health.Failures = 0, 0
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
