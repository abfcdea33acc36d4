package dispatch

import (
	"encoding/binary"
	"errors"
	"math"

	"waypost/edge/event"
)

// ErrDelivery says that bytes of the store are no delivery.
var ErrDelivery = errors.New("dispatch: delivery not readable")

const deliveryVersion = 1

// Limits of what stands in a value.
const (
	maxReason      = 255
	deliveryHeader = 1 + 2 + 8
	letterHeader   = 1 + 2 + 1
)

// place is where a delivery stands in its endpoint's part of the store.
type place struct {
	due uint64 // microseconds since 1970
	id  event.ID
}

func (p place) before(q place) bool {
	if p.due != q.due {
		return p.due < q.due
	}
	if p.id.Run != q.id.Run {
		return p.id.Run < q.id.Run
	}
	return p.id.Sequence < q.id.Sequence
}

// Delivery is one event for one endpoint, as the store holds it:
//
//	 0         1          3         11
//	┌─────────┬──────────┬─────────┬───────────────────────┐
//	│ version │ attempts │ created │ document, to the end   │
//	│ u8 = 1  │ u16      │ u64     │                        │
//	└─────────┴──────────┴─────────┴───────────────────────┘
type Delivery struct {
	Attempts uint16 // that failed
	Created  uint64 // microseconds since 1970
	Document []byte // the CloudEvent
}

// AppendTo appends the value's bytes.
func (d *Delivery) AppendTo(dst []byte) []byte {
	dst = append(dst, deliveryVersion)
	dst = binary.BigEndian.AppendUint16(dst, d.Attempts)
	dst = binary.BigEndian.AppendUint64(dst, d.Created)
	return append(dst, d.Document...)
}

// ParseDelivery reads a value. The document points into it.
func ParseDelivery(value []byte) (Delivery, error) {
	if len(value) < deliveryHeader || value[0] != deliveryVersion {
		return Delivery{}, ErrDelivery
	}
	return Delivery{
		Attempts: binary.BigEndian.Uint16(value[1:]),
		Created:  binary.BigEndian.Uint64(value[3:]),
		Document: value[deliveryHeader:],
	}, nil
}

// DeadLetter is a delivery that was given up, and why:
//
//	 0         1        3   4          4+n
//	┌─────────┬────────┬───┬──────────┬──────────────────────────────┐
//	│ version │ status │ n │ reason   │ a Delivery's bytes, to the end │
//	│ u8 = 1  │ u16    │u8 │ n bytes  │                                │
//	└─────────┴────────┴───┴──────────┴──────────────────────────────┘
type DeadLetter struct {
	Status   int    // of the last answer; 0: none came
	Reason   string // a word or two, without addresses
	Delivery Delivery
}

// AppendTo appends the value's bytes.
func (l *DeadLetter) AppendTo(dst []byte) []byte {
	reason := l.Reason[:min(len(l.Reason), maxReason)]
	dst = append(dst, deliveryVersion)
	dst = binary.BigEndian.AppendUint16(dst, uint16(min(max(l.Status, 0), math.MaxUint16)))
	dst = append(append(dst, byte(len(reason))), reason...)
	return l.Delivery.AppendTo(dst)
}

// ParseDeadLetter reads a value. The document points into it.
func ParseDeadLetter(value []byte) (DeadLetter, error) {
	if len(value) < letterHeader || value[0] != deliveryVersion || len(value) < letterHeader+int(value[3]) {
		return DeadLetter{}, ErrDelivery
	}
	end := letterHeader + int(value[3])
	delivery, err := ParseDelivery(value[end:])
	if err != nil {
		return DeadLetter{}, err
	}
	return DeadLetter{Status: int(binary.BigEndian.Uint16(value[1:])), Reason: string(value[letterHeader:end]), Delivery: delivery}, nil
}
