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

// Key is the key's bytes.
func (a *Attempt) Key() []byte {
	key := make([]byte, 0, 14+len(a.Endpoint)+attemptTail)
	key = append(key, AttemptsFrom(a.At)...)
	key = binary.BigEndian.AppendUint32(key, a.Tenant)
	key = append(append(key, byte(len(a.Endpoint))), a.Endpoint...)
	key = binary.BigEndian.AppendUint64(key, a.ID.Run)
	key = binary.BigEndian.AppendUint64(key, a.ID.Sequence)
	return binary.BigEndian.AppendUint16(key, a.Number)
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
