package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"

	"waypost/edge/event"
)

// The first bytes of keys.
const (
	attemptSpace   = 'a'
	deadSpace      = 'x'
	disabledSpace  = 'e'
	dueSpace       = 'd'
	floorSpace     = 'f'
	healthSpace    = 'h'
	indexSpace     = 'i'
	keptSpace      = 'b'
	lastSpace      = 'l'
	topicSpace     = 'k'
	positionSpace  = 'p'
	segmentSpace   = 's'
	tombstoneSpace = 't'
	uniqueSpace    = 'u'
	versionSpace   = 'v'
	webhookSpace   = 'w'
)

// ErrKey says that bytes are no key or value of the kind asked for.
var ErrKey = errors.New("store: key or value not readable")

// epoch is day 0.
var epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

const daySeconds = 24 * 60 * 60

// MaxDay is the last day that a key can carry.
const MaxDay = 1<<16 - 1

// DayOf is the day of t counted from 2025-01-01 UTC; negative before.
func DayOf(t time.Time) int {
	seconds := t.Unix() - epoch.Unix()
	day := seconds / daySeconds
	if seconds%daySeconds < 0 {
		day--
	}
	return int(day)
}

// DayStart is midnight UTC at which day begins.
func DayStart(day int) time.Time { return epoch.AddDate(0, 0, day) }

// Lengths of the unique key and of its value, in bytes.
const (
	UniqueKeyBytes = 27
	FirstsBytes    = 32
	prefixBytes    = 7 // space, day, tenant
)

// UniqueKey is a key of the unique space. It can be compared and is its own bytes.
type UniqueKey [UniqueKeyBytes]byte

// NewUniqueKey builds a key.
func NewUniqueKey(day uint16, tenant, partition uint32, key event.UniqueKey) UniqueKey {
	var k UniqueKey
	k[0] = uniqueSpace
	binary.BigEndian.PutUint16(k[1:], day)
	binary.BigEndian.PutUint32(k[3:], tenant)
	binary.BigEndian.PutUint32(k[7:], partition)
	copy(k[11:], key[:])
	return k
}

// OnDay is the same key on another day.
func (k UniqueKey) OnDay(day uint16) UniqueKey {
	binary.BigEndian.PutUint16(k[1:], day)
	return k
}

// Day is the day of the minting time.
func (k *UniqueKey) Day() uint16 { return binary.BigEndian.Uint16(k[1:]) }

// Tenant is the tenant's number.
func (k *UniqueKey) Tenant() uint32 { return binary.BigEndian.Uint32(k[3:]) }

// Partition is the hash of the Kafka key.
func (k *UniqueKey) Partition() uint32 { return binary.BigEndian.Uint32(k[7:]) }

// Unique is the event's part of the key.
func (k *UniqueKey) Unique() event.UniqueKey { return event.UniqueKey(k[11:]) }

// ParseUniqueKey reads a key of the unique space.
func ParseUniqueKey(key []byte) (UniqueKey, error) {
	if len(key) != UniqueKeyBytes || key[0] != uniqueSpace {
		return UniqueKey{}, ErrKey
	}
	return UniqueKey(key), nil
}

// DayRange is the range of all unique keys of a tenant on a day: from start, up to and without end.
func DayRange(day uint16, tenant uint32) (start, end []byte) {
	start = make([]byte, prefixBytes)
	start[0] = uniqueSpace
	binary.BigEndian.PutUint16(start[1:], day)
	binary.BigEndian.PutUint32(start[3:], tenant)
	return start, after(start)
}

// Firsts are the two events that were first under a unique key. The zero ID: none yet.
type Firsts struct {
	Any    event.ID // of any client
	Person event.ID // not labelled as a machine
}

// AppendTo appends the value's bytes.
func (f Firsts) AppendTo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, f.Any.Run)
	dst = binary.BigEndian.AppendUint64(dst, f.Any.Sequence)
	dst = binary.BigEndian.AppendUint64(dst, f.Person.Run)
	return binary.BigEndian.AppendUint64(dst, f.Person.Sequence)
}

// ParseFirsts reads a value.
func ParseFirsts(value []byte) (Firsts, error) {
	if len(value) != FirstsBytes {
		return Firsts{}, ErrKey
	}
	return Firsts{
		Any:    event.ID{Run: binary.BigEndian.Uint64(value), Sequence: binary.BigEndian.Uint64(value[8:])},
		Person: event.ID{Run: binary.BigEndian.Uint64(value[16:]), Sequence: binary.BigEndian.Uint64(value[24:])},
	}, nil
}

// FloorKey is the key of a tenant's floor.
func FloorKey(tenant uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{floorSpace}, tenant)
}

// ParseFloor reads a floor's key and value.
func ParseFloor(key, value []byte) (tenant uint32, day uint16, err error) {
	if len(key) != 5 || key[0] != floorSpace || len(value) != 2 {
		return 0, 0, ErrKey
	}
	return binary.BigEndian.Uint32(key[1:]), binary.BigEndian.Uint16(value), nil
}

// AppendFloor appends a floor's value.
func AppendFloor(dst []byte, day uint16) []byte { return binary.BigEndian.AppendUint16(dst, day) }

// PositionKey is the key of how far a run of a journal has been read.
func PositionKey(dir string, run uint64) []byte {
	key := append([]byte{positionSpace}, dir...)
	return binary.BigEndian.AppendUint64(append(key, 0), run)
}

// ParsePosition reads a position's key and value.
func ParsePosition(key, value []byte) (dir string, run, sequence uint64, err error) {
	if len(key) < 10 || key[0] != positionSpace || key[len(key)-9] != 0 || len(value) != 8 {
		return "", 0, 0, ErrKey
	}
	return string(key[1 : len(key)-9]), binary.BigEndian.Uint64(key[len(key)-8:]), binary.BigEndian.Uint64(value), nil
}

// TopicPosition is how far a partition's store has come.
type TopicPosition struct {
	Source     uint64 // the lowest offset of the source topic that is not decided
	Unique     uint64 // an offset of the unique topic below which every record is applied
	Partitions uint32 // that both topics had
}

// TopicKey is the key of a partition's position.
func TopicKey(events, unique string) []byte {
	return append(append(append([]byte{topicSpace}, events...), 0), unique...)
}

// AppendTo appends the value's bytes.
func (p TopicPosition) AppendTo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, p.Source)
	dst = binary.BigEndian.AppendUint64(dst, p.Unique)
	return binary.BigEndian.AppendUint32(dst, p.Partitions)
}

// ParseTopicPosition reads the key and value of a partition's position.
func ParseTopicPosition(key, value []byte) (events, unique string, p TopicPosition, err error) {
	if len(key) == 0 || key[0] != topicSpace || len(value) != 20 {
		return "", "", TopicPosition{}, ErrKey
	}
	first, second, ok := bytes.Cut(key[1:], []byte{0})
	if !ok {
		return "", "", TopicPosition{}, ErrKey
	}
	p = TopicPosition{binary.BigEndian.Uint64(value), binary.BigEndian.Uint64(value[8:]), binary.BigEndian.Uint32(value[16:])}
	return string(first), string(second), p, nil
}

// DueKey is the key of a delivery that is to be made at due (microseconds since 1970). The endpoint's id has at most 255 bytes.
func DueKey(tenant uint32, endpoint string, due uint64, id event.ID) []byte {
	key := DuePrefix(tenant, endpoint)
	key = binary.BigEndian.AppendUint64(key, due)
	key = binary.BigEndian.AppendUint64(key, id.Run)
	return binary.BigEndian.AppendUint64(key, id.Sequence)
}

// DuePrefix is what the keys of an endpoint's deliveries begin with.
func DuePrefix(tenant uint32, endpoint string) []byte {
	key := make([]byte, 0, 6+len(endpoint)+24)
	key = binary.BigEndian.AppendUint32(append(key, dueSpace), tenant)
	return append(append(key, byte(len(endpoint))), endpoint...)
}

// ParseDue reads a due key.
func ParseDue(key []byte) (tenant uint32, endpoint string, due uint64, id event.ID, err error) {
	if len(key) < 6 || key[0] != dueSpace || len(key) != 6+int(key[5])+24 {
		return 0, "", 0, event.ID{}, ErrKey
	}
	tail := key[len(key)-24:]
	return binary.BigEndian.Uint32(key[1:]), string(key[6 : len(key)-24]), binary.BigEndian.Uint64(tail), parseID(tail[8:]), nil
}

// DeadKey is the key of a delivery that was given up at the time given (microseconds since 1970).
func DeadKey(at uint64, tenant uint32, endpoint string, id event.ID) []byte {
	key := binary.BigEndian.AppendUint64([]byte{deadSpace}, at)
	key = binary.BigEndian.AppendUint32(key, tenant)
	key = append(append(key, byte(len(endpoint))), endpoint...)
	key = binary.BigEndian.AppendUint64(key, id.Run)
	return binary.BigEndian.AppendUint64(key, id.Sequence)
}

// ParseDead reads a dead key.
func ParseDead(key []byte) (at uint64, tenant uint32, endpoint string, id event.ID, err error) {
	if len(key) < 14 || key[0] != deadSpace || len(key) != 14+int(key[13])+16 {
		return 0, 0, "", event.ID{}, ErrKey
	}
	tail := key[len(key)-16:]
	return binary.BigEndian.Uint64(key[1:]), binary.BigEndian.Uint32(key[9:]), string(key[14 : len(key)-16]), parseID(tail), nil
}

func parseID(b []byte) event.ID {
	return event.ID{Run: binary.BigEndian.Uint64(b), Sequence: binary.BigEndian.Uint64(b[8:])}
}

// Space is one kind of key.
type Space byte

// The kinds that tools list.
const (
	Uniques   Space = uniqueSpace
	Floors    Space = floorSpace
	Positions Space = positionSpace
	Topics    Space = topicSpace
	Dues      Space = dueSpace
	Deads     Space = deadSpace
	Attempts  Space = attemptSpace
	Webhooks  Space = webhookSpace
	Disableds Space = disabledSpace
	Kept      Space = keptSpace
	Indexes   Space = indexSpace
	Segments  Space = segmentSpace

	Tombstones Space = tombstoneSpace
)

// Range is the range of the keys of a space.
func (s Space) Range() (start, end []byte) { return []byte{byte(s)}, []byte{byte(s) + 1} }

// After is the first key behind all keys that begin with prefix.
func After(prefix []byte) []byte { return after(prefix) }

func after(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
