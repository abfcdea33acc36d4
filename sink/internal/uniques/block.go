package uniques

import (
	"bytes"
	"encoding/binary"

	"github.com/klauspost/compress/s2"

	"waypost/edge/event"
	"waypost/sink/internal/store"
)

// The two values of a block. Who its events are, by time and id:
//
//	 0         1      2      10     18         26                42
//	┌─────────┬──────┬──────┬──────┬──────────┬─────────────────┬────────
//	│ version │ kind │ time │ run  │ sequence │ message         │ the next event's kind ...
//	│ u8 = 1  │ u8   │ u64  │ u64  │ u64      │ 16 bytes        │
//	└─────────┴──────┴──────┴──────┴──────────┴─────────────────┴────────
//
// And their documents in the same order, one a line, after a byte that says how: as they are, or as one S2 block.
const (
	indexVersion = 1
	entryBytes   = 1 + 8 + 8 + 8 + 16

	plainDocuments = 1
	s2Documents    = 2

	// blockBytes is when a block is full: enough to compress well, little enough to read for one event.
	blockBytes = 64 << 10
	// leastCompressed is from which size on a block is compressed. Smaller ones are compressed together, by the store.
	leastCompressed = 4 << 10
	// longestBlock bounds what is made of a value: a full block and the longest event stay within it.
	longestBlock = 1 << 20
)

// entry is an event's part of an index.
type entry struct {
	kind    uint8
	at      uint64
	id      event.ID
	message [16]byte
}

func (e *entry) appendTo(dst []byte) []byte {
	dst = append(dst, e.kind)
	for _, n := range [...]uint64{e.at, e.id.Run, e.id.Sequence} {
		dst = binary.BigEndian.AppendUint64(dst, n)
	}
	return append(dst, e.message[:]...)
}

// eachEntry reads an index.
func eachEntry(value []byte, visit func(*entry)) error {
	if len(value) == 0 || value[0] != indexVersion || (len(value)-1)%entryBytes != 0 {
		return store.ErrKey
	}
	for rest := value[1:]; len(rest) > 0; rest = rest[entryBytes:] {
		e := entry{
			kind: rest[0], at: binary.BigEndian.Uint64(rest[1:]),
			id: event.ID{Run: binary.BigEndian.Uint64(rest[9:]), Sequence: binary.BigEndian.Uint64(rest[17:])}, message: [16]byte(rest[25:entryBytes]),
		}
		if e.kind == 0 || int(e.kind) >= len(kinds) {
			return store.ErrKey
		}
		visit(&e)
	}
	return nil
}

// pack makes the value of lines.
func pack(dst, lines []byte) []byte {
	if len(lines) < leastCompressed {
		return append(append(dst, plainDocuments), lines...)
	}
	start := len(dst) + 1
	dst = append(append(dst, s2Documents), make([]byte, s2.MaxEncodedLen(len(lines)))...)
	return dst[:start+len(s2.Encode(dst[start:], lines))]
}

// Documents are the CloudEvents in a block of the store, in the order of their time. They may point into value.
func Documents(value []byte) ([][]byte, error) {
	if len(value) == 0 {
		return nil, store.ErrKey
	}
	lines := value[1:]
	switch value[0] {
	case plainDocuments:
	case s2Documents:
		n, err := s2.DecodedLen(lines)
		if err != nil || n > longestBlock {
			return nil, store.ErrKey
		}
		if lines, err = s2.Decode(nil, lines); err != nil {
			return nil, store.ErrKey
		}
	default:
		return nil, store.ErrKey
	}
	return bytes.Split(bytes.TrimSuffix(lines, []byte{'\n'}), []byte{'\n'}), nil
}
