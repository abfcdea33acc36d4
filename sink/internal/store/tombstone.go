package store

import (
	"encoding/binary"

	"waypost/edge/event"
)

// What a tombstone is about.
const (
	unique = 'u' // a unique key of a person who was forgotten
	person = 'p' // the person
)

// HashBytes is the length of a keyed hash (package person).
const HashBytes = 16

const tombstoneBytes = prefixBytes + 1 + HashBytes

// TombstoneEntry is the length of a unique key's tombstone, key and value.
const TombstoneEntry = tombstoneBytes + 1

// TombstoneKey is where it stands which firsts there were under a unique key of somebody who was forgotten. hash is of the unique key, day that of its key in the store.
func TombstoneKey(day uint16, tenant uint32, hash [HashBytes]byte) []byte {
	return tombstoneKey(day, tenant, unique, hash)
}

// ForgottenKey is where it stands until when somebody was forgotten. hash is of the person, day the one behind that moment: from the day on that the floor has passed it, nothing that happened before can be told.
func ForgottenKey(day uint16, tenant uint32, hash [HashBytes]byte) []byte {
	return tombstoneKey(day, tenant, person, hash)
}

func tombstoneKey(day uint16, tenant uint32, of byte, hash [HashBytes]byte) []byte {
	key := append(make([]byte, 0, tombstoneBytes), tombstoneSpace)
	key = binary.BigEndian.AppendUint16(key, day)
	key = binary.BigEndian.AppendUint32(key, tenant)
	return append(append(key, of), hash[:]...)
}

// Tombstone is what the key of one says.
type Tombstone struct {
	Day    uint16
	Tenant uint32
	Person bool // it is of a person; else of a unique key
	Hash   [HashBytes]byte
}

// ParseTombstone reads the key of a tombstone.
func ParseTombstone(key []byte) (Tombstone, error) {
	if len(key) != tombstoneBytes || key[0] != tombstoneSpace || key[prefixBytes] != unique && key[prefixBytes] != person {
		return Tombstone{}, ErrKey
	}
	return Tombstone{
		Day: binary.BigEndian.Uint16(key[1:]), Tenant: binary.BigEndian.Uint32(key[3:]), Person: key[prefixBytes] == person, Hash: [HashBytes]byte(key[prefixBytes+1:]),
	}, nil
}

// TombstoneRange is the range of all tombstones of a tenant on a day: from start, up to and without end.
func TombstoneRange(day uint16, tenant uint32) (start, end []byte) {
	start = TombstoneKey(day, tenant, [HashBytes]byte{})[:prefixBytes]
	return start, after(start)
}

// Buried stands in Firsts for an event that was forgotten.
var Buried = event.ID{Sequence: 1}

// Bits of the value of a unique key's tombstone.
const (
	buriedAny = 1 << iota
	buriedPerson
)

// AppendBuried appends the value of a tombstone: whether there was a first, not which.
func AppendBuried(dst []byte, f Firsts) []byte {
	var bits byte
	if f.Any != (event.ID{}) {
		bits |= buriedAny
	}
	if f.Person != (event.ID{}) {
		bits |= buriedPerson
	}
	return append(dst, bits)
}

// ParseBuried reads it.
func ParseBuried(value []byte) (f Firsts, err error) {
	if len(value) != 1 || value[0] > buriedAny|buriedPerson {
		return f, ErrKey
	}
	if value[0]&buriedAny != 0 {
		f.Any = Buried
	}
	if value[0]&buriedPerson != 0 {
		f.Person = Buried
	}
	return f, nil
}

// Forgotten is the value of a person's tombstone.
type Forgotten struct {
	Until uint64 // what happened until then is forgotten; microseconds since 1970
	Whole bool   // all that the store had is gone; else the command was cut off
}

// AppendTo appends the value's bytes.
func (f Forgotten) AppendTo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, f.Until)
	if f.Whole {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// ParseForgotten reads it.
func ParseForgotten(value []byte) (Forgotten, error) {
	if len(value) != 9 || value[8] > 1 {
		return Forgotten{}, ErrKey
	}
	return Forgotten{Until: binary.BigEndian.Uint64(value), Whole: value[8] == 1}, nil
}
