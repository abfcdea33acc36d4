package store

import (
	"encoding/binary"

	"waypost/edge/event"
)

// Attempt is what the key of an attempt says.
type Attempt struct {
	At       uint64 // when it ended, microseconds since 1970
	Tenant   uint32
	Endpoint string // at most 255 bytes
	ID       event.ID
	Number   uint16 // of the attempts at this delivery, from 1
}

// attemptTail is what follows the endpoint's id: run, sequence, number.
const attemptTail = 8 + 8 + 2

// AppendKey appends the key's bytes.
func (a *Attempt) AppendKey(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, attemptSpace), a.At)
	dst = binary.BigEndian.AppendUint32(dst, a.Tenant)
	dst = append(append(dst, byte(len(a.Endpoint))), a.Endpoint...)
	dst = binary.BigEndian.AppendUint64(dst, a.ID.Run)
	dst = binary.BigEndian.AppendUint64(dst, a.ID.Sequence)
	return binary.BigEndian.AppendUint16(dst, a.Number)
}

// ParseAttempt reads the key of an attempt.
func ParseAttempt(key []byte) (Attempt, error) {
	if len(key) < 14 || key[0] != attemptSpace || len(key) != 14+int(key[13])+attemptTail {
		return Attempt{}, ErrKey
	}
	tail := key[len(key)-attemptTail:]
	return Attempt{
		At: binary.BigEndian.Uint64(key[1:]), Tenant: binary.BigEndian.Uint32(key[9:]), Endpoint: string(key[14 : len(key)-attemptTail]),
		ID: parseID(tail), Number: binary.BigEndian.Uint16(tail[16:]),
	}, nil
}

// AttemptsFrom is where the keys of attempts that ended at this time, or later, begin.
func AttemptsFrom(at uint64) []byte { return binary.BigEndian.AppendUint64([]byte{attemptSpace}, at) }

// HealthKey is the key of how an endpoint does.
func HealthKey(tenant uint32, endpoint string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{healthSpace}, tenant), endpoint...)
}

// DisabledKey is the key of an endpoint that gets no attempts.
func DisabledKey(tenant uint32, endpoint string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{disabledSpace}, tenant), endpoint...)
}
