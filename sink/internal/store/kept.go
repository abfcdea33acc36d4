package store

import (
	"encoding/binary"

	"waypost/edge/event"
)

// Block is what the keys of a block of kept events say: their events stand under one, who they are under the other. Segments are what leaves together (package uniques).
type Block struct {
	Segment, Tenant uint32
	Oldest, Newest  uint64   // of the times of its events, microseconds since 1970
	First           event.ID // the oldest event: no other block has it
}

const blockKeyBytes = 1 + 4 + 4 + 8 + 8 + 8 + 8

// Key is the key of the events.
func (b *Block) Key() []byte { return b.key(keptSpace) }

// IndexKey is the key of who they are.
func (b *Block) IndexKey() []byte { return b.key(indexSpace) }

func (b *Block) key(space byte) []byte {
	key := append(make([]byte, 0, blockKeyBytes), space)
	key = binary.BigEndian.AppendUint32(key, b.Segment)
	key = binary.BigEndian.AppendUint32(key, b.Tenant)
	for _, n := range [...]uint64{b.Oldest, b.Newest, b.First.Run, b.First.Sequence} {
		key = binary.BigEndian.AppendUint64(key, n)
	}
	return key
}

// ParseBlock reads one of the two keys of a block.
func ParseBlock(key []byte) (Block, error) {
	if len(key) != blockKeyBytes || key[0] != keptSpace && key[0] != indexSpace {
		return Block{}, ErrKey
	}
	return Block{
		Segment: binary.BigEndian.Uint32(key[1:]), Tenant: binary.BigEndian.Uint32(key[5:]),
		Oldest: binary.BigEndian.Uint64(key[9:]), Newest: binary.BigEndian.Uint64(key[17:]), First: parseID(key[25:]),
	}, nil
}

// Segment is what is known of kept events that leave together. A segment that is still written to says only its number and when it began.
type Segment struct {
	Number         uint32
	Began          uint64 // microseconds since 1970
	Oldest, Newest uint64 // of the times of its events, likewise; 0: it has none
	Count          uint64 // of events
	Bytes          uint64 // of keys and values
}

const segmentVersion = 1

// Key is the key's bytes.
func (s *Segment) Key() []byte { return binary.BigEndian.AppendUint32([]byte{segmentSpace}, s.Number) }

// AppendTo appends the value's bytes.
func (s *Segment) AppendTo(dst []byte) []byte {
	dst = append(dst, segmentVersion)
	for _, n := range [...]uint64{s.Began, s.Oldest, s.Newest, s.Count, s.Bytes} {
		dst = binary.BigEndian.AppendUint64(dst, n)
	}
	return dst
}

// ParseSegment reads a segment's key and value.
func ParseSegment(key, value []byte) (Segment, error) {
	if len(key) != 5 || key[0] != segmentSpace || len(value) != 1+5*8 || value[0] != segmentVersion {
		return Segment{}, ErrKey
	}
	s := Segment{Number: binary.BigEndian.Uint32(key[1:])}
	for i, n := range [...]*uint64{&s.Began, &s.Oldest, &s.Newest, &s.Count, &s.Bytes} {
		*n = binary.BigEndian.Uint64(value[1+8*i:])
	}
	return s, nil
}

// Ranges are where the segment's events, and who they are, stand: each from start, up to and without end.
func (s *Segment) Ranges() (events, index [2][]byte) {
	of := func(space byte) [2][]byte {
		start := binary.BigEndian.AppendUint32([]byte{space}, s.Number)
		return [2][]byte{start, after(start)}
	}
	return of(keptSpace), of(indexSpace)
}

// IndexOf is where it stands who a tenant's events in the segment are.
func (s *Segment) IndexOf(tenant uint32) (start, end []byte) {
	start = binary.BigEndian.AppendUint32([]byte{indexSpace}, s.Number)
	start = binary.BigEndian.AppendUint32(start, tenant)
	return start, after(start)
}
