package dispatch

import (
	"encoding/binary"
	"math"
	"time"

	"waypost/edge/event"
	"waypost/sink/dispatch/attempt"
	"waypost/sink/internal/store"
)

// Attempt is one entry of the log of attempts, as people and programs read it. Key and value hold, besides what the key has:
//
//	 0         1        3      7      11
//	┌─────────┬────────┬──────┬──────┬───┬─────────┬───┬──────┬───┬─────────┬───┬────────┬───┬────────┐
//	│ version │ status │ took │ next │ n │ outcome │ n │ type │ n │ message │ n │ reason │ n │ answer │
//	│ u8 = 1  │ u16    │ u32  │ u32  │u8 │ n bytes │u8 │      │u8 │         │u8 │        │u8 │        │
//	└─────────┴────────┴──────┴──────┴───┴─────────┴───┴──────┴───┴─────────┴───┴────────┴───┴────────┘
//
// took is in microseconds, next in milliseconds; what is longer than its place is cut.
type Attempt struct {
	At        time.Time  `json:"at"` // when it ended
	WebhookID string     `json:"webhook_id"`
	Tenant    uint32     `json:"tenant"`
	Endpoint  string     `json:"endpoint"`
	Type      event.Type `json:"type,omitempty"`
	Message   string     `json:"message,omitempty"` // the mail's id
	Number    int        `json:"attempt"`           // from 1
	Outcome   string     `json:"outcome"`
	Status    int        `json:"status,omitempty"` // none where no answer came
	Reason    string     `json:"reason,omitempty"` // why none came
	TookMS    float64    `json:"took_ms"`
	NextMS    int64      `json:"next_ms,omitempty"` // until the next attempt
	Answer    string     `json:"answer,omitempty"`  // its first bytes, where it was no success

	id event.ID
}

const (
	attemptHeader = 1 + 2 + 4 + 4
	maxShort      = 255
)

// newAttempt is what the log keeps of an attempt that ended at the time given.
func newAttempt(e *endpoint, it *item, o *attempt.Outcome, at uint64) Attempt {
	a := Attempt{
		At: time.UnixMicro(int64(at)).UTC(), Tenant: e.Tenant.Number, Endpoint: e.Config.ID, Type: o.Type, Message: o.Message,
		Number: int(it.delivery.Attempts) + 1, Outcome: o.Word, Status: o.Status, Reason: o.Reason,
		TookMS: float64(o.Took.Microseconds()) / 1000, NextMS: o.Wait.Milliseconds(), id: it.place.id,
	}
	if o.Word != attempt.Delivered {
		a.Answer = string(o.Answer)
	}
	return a
}

// appendKey appends the entry's key in the store.
func (a *Attempt) appendKey(dst []byte) []byte {
	k := store.Attempt{
		At: uint64(max(a.At.UnixMicro(), 0)), Tenant: a.Tenant, Endpoint: a.Endpoint, ID: a.id, Number: uint16(min(a.Number, math.MaxUint16)),
	}
	return k.AppendKey(dst)
}

// AppendTo appends the value's bytes.
func (a *Attempt) AppendTo(dst []byte) []byte {
	dst = append(dst, deliveryVersion)
	dst = binary.BigEndian.AppendUint16(dst, uint16(min(max(a.Status, 0), math.MaxUint16)))
	dst = binary.BigEndian.AppendUint32(dst, uint32(min(max(math.Round(a.TookMS*1000), 0), math.MaxUint32)))
	dst = binary.BigEndian.AppendUint32(dst, uint32(min(max(a.NextMS, 0), math.MaxUint32)))
	for _, text := range [...]string{a.Outcome, string(a.Type), a.Message, a.Reason, a.Answer} {
		text = text[:min(len(text), maxShort)]
		dst = append(append(dst, byte(len(text))), text...)
	}
	return dst
}

// ParseAttempt reads an entry of the log. The result has memory of its own.
func ParseAttempt(key, value []byte) (Attempt, error) {
	k, err := store.ParseAttempt(key)
	if err != nil {
		return Attempt{}, err
	}
	if len(value) < attemptHeader || value[0] != deliveryVersion {
		return Attempt{}, ErrDelivery
	}
	a := Attempt{
		At: time.UnixMicro(int64(k.At)).UTC(), WebhookID: k.ID.String(), Tenant: k.Tenant, Endpoint: k.Endpoint, Number: int(k.Number), id: k.ID,
		Status: int(binary.BigEndian.Uint16(value[1:])),
		TookMS: float64(binary.BigEndian.Uint32(value[3:])) / 1000,
		NextMS: int64(binary.BigEndian.Uint32(value[7:])),
	}
	rest := value[attemptHeader:]
	for _, to := range [...]*string{&a.Outcome, (*string)(&a.Type), &a.Message, &a.Reason, &a.Answer} {
		if len(rest) == 0 || len(rest) < 1+int(rest[0]) {
			return Attempt{}, ErrDelivery
		}
		end := 1 + int(rest[0])
		*to, rest = string(rest[1:end]), rest[end:]
	}
	if len(rest) > 0 {
		return Attempt{}, ErrDelivery
	}
	return a, nil
}
