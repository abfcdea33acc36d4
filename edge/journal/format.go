package journal

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"sync/atomic"
	"unsafe"
)

// The numbers of the format; doc.go draws it. Changing one of them means another formatVersion.
const (
	formatVersion = 1
	headerPage    = 4096 // the segment's header; records begin behind it
	headerBytes   = 64   // of each of the two equal copies, at the segment's beginning and at its end
	// What changes while the segment lives stands outside of the copies, each in a word of its own.
	settledBelowAt = 128 // segments of this run with a lower number are closed, synced, and nobody appends to them any more
	endAt          = 136 // offset of the end mark
	recordHeader   = 16
	alignment      = 8

	minSegmentBytes = 64 << 10
	maxSegmentBytes = 1 << 30
	maxRecordBytes  = 1 << 20
	maxSequence     = 1e16 // SequenceDigits of them: 80 petabytes a run
)

var magic = [8]byte{'W', 'A', 'Y', 'P', 'O', 'S', 'T', 'J'}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// kind stands in the two highest bits of a record's length word.
type kind uint32

const (
	kindRecord       kind = iota // a payload
	kindEndOfSegment             // the run goes on in its next segment
	kindEndOfRun                 // the run is over
	kindSkipped                  // a hole: nothing was ever acknowledged here
)

const (
	kindShift  = 30
	lengthMask = 1<<kindShift - 1
)

func lengthWord(k kind, length int64) uint32 { return uint32(k)<<kindShift | uint32(length) }

// aligned is the room that a record with a payload of n bytes takes.
func aligned(n int) int64 { return (int64(n) + recordHeader + alignment - 1) &^ (alignment - 1) }

// header is the part of a segment's first page that never changes during the segment's life.
type header struct {
	run     Run
	number  uint64 // of the segment in the directory: grows for ever
	ordinal uint64 // of the segment in its run: from 0
	size    int64
	begun   int64 // Unix nanoseconds at which the segment was prepared
}

// base is the sequence of the segment's first byte.
func (h *header) base() uint64 { return h.ordinal * uint64(h.size/alignment) }

// seed is what the commit words of this life of the segment begin from.
func (h *header) seed() uint64 { return mix(uint64(h.run) ^ mix(h.number+1)) }

// put writes h into one 64-byte copy.
func (h *header) put(b []byte) {
	copy(b, magic[:])
	le := binary.LittleEndian
	le.PutUint32(b[8:], formatVersion)
	le.PutUint32(b[12:], headerPage)
	le.PutUint64(b[16:], uint64(h.run))
	le.PutUint64(b[24:], h.number)
	le.PutUint64(b[32:], h.ordinal)
	le.PutUint64(b[40:], uint64(h.size))
	le.PutUint64(b[48:], uint64(h.begun))
	le.PutUint32(b[56:], crc32.Checksum(b[:56], castagnoli))
	le.PutUint32(b[60:], 0)
}

// copies are the offsets of the two copies: a fault that spoils a range never takes both.
func (h *header) copies() [2]int64 { return [2]int64{0, h.size - headerBytes} }

// limit is where the last record may end: an end mark still fits behind it.
func (h *header) limit() int64 { return h.size - headerBytes - recordHeader }

// parseHeader reads one copy.
func parseHeader(b []byte) (header, bool) {
	if len(b) < headerBytes {
		return header{}, false
	}
	le := binary.LittleEndian
	if [8]byte(b) != magic || le.Uint32(b[56:]) != crc32.Checksum(b[:56], castagnoli) ||
		le.Uint32(b[8:]) != formatVersion || le.Uint32(b[12:]) != headerPage {
		return header{}, false
	}
	h := header{
		run:     Run(le.Uint64(b[16:])),
		number:  le.Uint64(b[24:]),
		ordinal: le.Uint64(b[32:]),
		size:    int64(le.Uint64(b[40:])),
		begun:   int64(le.Uint64(b[48:])),
	}
	return h, validSegmentBytes(h.size) && h.run != 0 && h.ordinal < h.number && h.ordinal < maxSequence/uint64(h.size/alignment)
}

func validSegmentBytes(n int64) bool {
	return n >= minSegmentBytes && n <= maxSegmentBytes && bits.OnesCount64(uint64(n)) == 1
}

// mix is a bijection of 64 bits in which every bit of x touches every bit of the result.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// commitWord proves that the record at sequence, with this length word, was published in this life of the segment. Never 0.
func commitWord(seed, sequence uint64, length uint32) uint64 {
	c := mix(seed + sequence*0x9e3779b97f4a7c15 + uint64(length)*0xd6e8feb86659fd93)
	if c == 0 {
		return 1
	}
	return c
}

// checksum covers the payload and, by beginning from the commit word, run, segment number, sequence and length.
func checksum(commit uint64, payload []byte) uint32 {
	return crc32.Update(uint32(commit^commit>>32), castagnoli, payload)
}

// word is the aligned 8 bytes of mapped memory at off, for atomic use: the only words that are written while others read them.
func word(mem []byte, off int64) *uint64 {
	return (*uint64)(unsafe.Pointer(&mem[off : off+8][0]))
}

func storeWord(mem []byte, off int64, v uint64) { atomic.StoreUint64(word(mem, off), v) }

// item is what stands at one place of a segment.
type item struct {
	kind   kind
	length int64 // of the payload; for a skipped hole and the ends, of what follows the record's header
	crc    uint32
	commit uint64
}

// size is the room that the item takes.
func (i item) size() int64 { return (i.length + recordHeader + alignment - 1) &^ (alignment - 1) }

// itemAt reads the header at off; ok only when its commit word is that of this life. It checks no payload.
func itemAt(mem []byte, off int64, seed, base uint64) (i item, ok bool) {
	if off+recordHeader > int64(len(mem)) {
		return item{}, false
	}
	i.commit = atomic.LoadUint64(word(mem, off+8))
	if i.commit == 0 {
		return item{}, false
	}
	first := atomic.LoadUint64(word(mem, off))
	length := uint32(first)
	if commitWord(seed, base+uint64(off/alignment), length) != i.commit {
		return item{}, false
	}
	i.kind, i.length, i.crc = kind(length>>kindShift), int64(length&lengthMask), uint32(first>>32)
	return i, off+i.size() <= int64(len(mem))
}

// good says whether the item at off is whole: for records its payload, for marks their header.
func (i item) good(mem []byte, off int64) bool {
	if i.kind != kindRecord {
		return i.crc == checksum(i.commit, nil)
	}
	return i.crc == checksum(i.commit, mem[off+recordHeader:off+recordHeader+i.length])
}

// putMark publishes a record without payload at off that covers everything up to end.
func putMark(mem []byte, off, end int64, k kind, seed, base uint64) {
	length := lengthWord(k, end-off-recordHeader)
	commit := commitWord(seed, base+uint64(off/alignment), length)
	atomic.StoreUint64(word(mem, off+8), 0)
	atomic.StoreUint64(word(mem, off), uint64(length)|uint64(checksum(commit, nil))<<32)
	atomic.StoreUint64(word(mem, off+8), commit)
}
