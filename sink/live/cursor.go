package live

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"

	"waypost/edge/journal"
)

// kind is what a cursor is a place in.
type kind byte

const (
	ofJournals kind = 1 + iota
	ofEvents
	ofUnique
)

// Limits of a cursor.
const (
	maxCursor     = 4500 // bytes: 6,000 as text, which every proxy takes in a header
	maxPartitions = 500
	maxJournals   = 1000
)

// cursor is a place in everything that a reader reads.
type cursor struct {
	kind     kind
	journals []journal.Position // of each journal of which something is read; a journal that is missing here is to be read from its beginning
	offsets  []int64            // of each partition: the next
	runs     []seenRun          // ofEvents
	sources  []int64            // ofUnique: of each partition, the last source offset seen; -1: none
}

// seenRun is what the readers' rule knows of a run.
type seenRun struct {
	run  uint64
	last []uint64 // of each partition, the last sequence; 0: none
}

var errCursor = errors.New("must be the id of an event of such a stream, whole")

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	text64     = base64.RawURLEncoding.Strict()
)

// appendText appends the cursor's text. The last of its runs are left out where it would be too long.
func (c *cursor) appendText(dst []byte) []byte {
	b := make([]byte, 0, 256)
	b = append(b, byte(c.kind))
	if c.kind == ofJournals {
		b = binary.AppendUvarint(b, uint64(len(c.journals)))
		for _, p := range c.journals {
			b = binary.AppendUvarint(binary.BigEndian.AppendUint64(b, uint64(p.Run)), p.Sequence)
		}
	} else {
		b = binary.AppendUvarint(b, uint64(len(c.offsets)))
		for _, offset := range c.offsets {
			b = binary.AppendUvarint(b, uint64(offset))
		}
		for _, source := range c.sources {
			b = binary.AppendUvarint(b, uint64(source+1))
		}
	}
	if c.kind == ofEvents {
		b = c.appendRuns(b)
	}
	return text64.AppendEncode(dst, withSum(b))
}

// withSum appends the checksum that ends a cursor.
func withSum(b []byte) []byte { return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)) }

func (c *cursor) appendRuns(b []byte) []byte {
	var runs []byte
	n := 0
	for _, r := range c.runs {
		before := len(runs)
		top := uint64(0)
		for _, last := range r.last {
			top = max(top, last)
		}
		runs = binary.AppendUvarint(binary.BigEndian.AppendUint64(runs, r.run), top)
		for _, last := range r.last {
			if last > 0 {
				last = 1 + top - last
			}
			runs = binary.AppendUvarint(runs, last)
		}
		if len(b)+len(runs)+binary.MaxVarintLen16+4 > maxCursor {
			runs = runs[:before]
			break
		}
		n++
	}
	return append(binary.AppendUvarint(b, uint64(n)), runs...)
}

// parseCursor reads what appendText wrote, and nothing else.
func parseCursor(text string) (*cursor, error) {
	if len(text) > text64.EncodedLen(maxCursor) {
		return nil, errCursor
	}
	b, err := text64.DecodeString(text)
	if err != nil || len(b) < 5 || crc32.Checksum(b[:len(b)-4], castagnoli) != binary.BigEndian.Uint32(b[len(b)-4:]) {
		return nil, errCursor
	}
	c := &cursor{kind: kind(b[0])}
	r := numbers{rest: b[1 : len(b)-4]}
	switch c.kind {
	case ofJournals:
		for range r.count(maxJournals) {
			c.journals = append(c.journals, journal.Position{Run: journal.Run(r.fixed()), Sequence: r.next()})
		}
	case ofEvents, ofUnique:
		c.parsePartitions(&r)
	default:
		return nil, errCursor
	}
	// One place has one text: whatever reads the same but is written differently was not written here.
	if r.failed || len(r.rest) > 0 || string(c.appendText(nil)) != text {
		return nil, errCursor
	}
	return c, nil
}

func (c *cursor) parsePartitions(r *numbers) {
	n := r.count(maxPartitions)
	for range n {
		c.offsets = append(c.offsets, int64(r.next()))
	}
	if c.kind == ofUnique {
		for range n {
			c.sources = append(c.sources, int64(r.next())-1)
		}
		return
	}
	for range r.count(maxCursor) {
		if r.failed {
			return
		}
		seen := seenRun{run: r.fixed(), last: make([]uint64, n)}
		top := r.next()
		for p := range n {
			back := r.next()
			if back > top {
				r.failed = true
			} else if back > 0 {
				seen.last[p] = 1 + top - back
			}
		}
		c.runs = append(c.runs, seen)
	}
}

// numbers reads a cursor's numbers. Once failed, it gives zeros.
type numbers struct {
	rest   []byte
	failed bool
}

// next is below 1<<63: offsets are signed.
func (r *numbers) next() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v>>63 != 0 {
		r.rest, r.failed = nil, true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *numbers) fixed() uint64 {
	if len(r.rest) < 8 {
		r.rest, r.failed = nil, true
		return 0
	}
	v := binary.BigEndian.Uint64(r.rest)
	r.rest = r.rest[8:]
	return v
}

// count is a number of things that take a byte each at least.
func (r *numbers) count(most int) int {
	n := r.next()
	if n > uint64(most) || n > uint64(len(r.rest)) {
		r.rest, r.failed = nil, true
		return 0
	}
	return int(n)
}
