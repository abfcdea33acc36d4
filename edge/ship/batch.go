package ship

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Places in a sealed batch. All of them count from the batch's own start; the wire form has its length, 4 bytes, in front.
const (
	sizePrefix     = 4
	batchHeader    = 61
	crcAt          = 17
	attributesAt   = 21
	producerIDAt   = 43
	epochAt        = 51
	baseSequenceAt = 53
	magicV2        = 2
)

// ContentType is the value of the header content-type of every record that holds an event: CloudEvents' structured mode.
const ContentType = "application/cloudevents+json; charset=UTF-8"

// contentType is that header as it stands behind every record: one header.
var contentType = appendHeaders(nil, []Header{{"content-type", []byte(ContentType)}})

// producer is who the brokers take a batch to be from.
type producer struct {
	id    int64
	epoch int16
}

// batch is records on their way to one partition. The reader fills it, then the partition's sender has it until it is done.
type batch struct {
	partition int
	records   []byte // encoded, not compressed
	count     int
	limit     int        // of len(records), unless it is one record alone
	begun     time.Time  // when the first record came
	oldest    int64      // when the first record's event happened, Unix nanoseconds
	run       *runPlaces // of all its records
	after     uint64     // place behind the last record

	wire       []byte // sealed, with the length in front
	compressed []byte
}

func (b *batch) reset() {
	b.records, b.count, b.wire, b.run = b.records[:0], 0, b.wire[:0], nil
}

// add encodes one record of a journal, where nothing is null.
func (b *batch) add(key, value []byte) {
	if key == nil {
		key = []byte{}
	}
	if value == nil {
		value = []byte{}
	}
	b.records = appendRecord(b.records, b.count, key, value, contentType)
	b.count++
}

// appendRecord encodes a record; headers are encoded already. A key or value that is nil is Kafka's null.
func appendRecord(dst []byte, offsetDelta int, key, value, headers []byte) []byte {
	length := 2 + varintSize(int64(offsetDelta)) + nullableSize(key) + nullableSize(value) + len(headers) // 2: attributes, timestamp delta
	dst = appendVarint(dst, int64(length))
	dst = append(dst, 0, 0)
	dst = appendVarint(dst, int64(offsetDelta))
	dst = appendNullable(dst, key)
	dst = appendNullable(dst, value)
	return append(dst, headers...)
}

func appendHeaders(dst []byte, headers []Header) []byte {
	dst = appendVarint(dst, int64(len(headers)))
	for _, h := range headers {
		dst = appendBytes(dst, []byte(h.Key))
		dst = appendNullable(dst, h.Value)
	}
	return dst
}

// seal makes the wire form: header, records compressed by c, checksum. Sealing once more with the same arguments gives the same bytes.
func (b *batch) seal(c compressor, p producer, sequence int32, now time.Time) {
	w := append(b.wire[:0], make([]byte, sizePrefix+batchHeader)...)
	body := b.records
	if c.code != 0 {
		b.compressed = c.compress(b.compressed[:0], b.records)
		body = b.compressed
	}
	w = append(w, body...)
	h := w[sizePrefix:]
	millis := uint64(now.UnixMilli())
	binary.BigEndian.PutUint32(w, uint32(len(h)))
	binary.BigEndian.PutUint32(h[8:], uint32(len(h)-12))
	binary.BigEndian.PutUint32(h[12:], 0xffffffff)
	h[16] = magicV2
	binary.BigEndian.PutUint16(h[attributesAt:], c.code)
	binary.BigEndian.PutUint32(h[23:], uint32(b.count-1))
	binary.BigEndian.PutUint64(h[27:], millis)
	binary.BigEndian.PutUint64(h[35:], millis)
	binary.BigEndian.PutUint32(h[57:], uint32(b.count))
	b.wire = w
	b.assign(p, sequence)
}

// assign puts a sealed batch under a producer's name.
func (b *batch) assign(p producer, sequence int32) {
	h := b.wire[sizePrefix:]
	binary.BigEndian.PutUint64(h[producerIDAt:], uint64(p.id))
	binary.BigEndian.PutUint16(h[epochAt:], uint16(p.epoch))
	binary.BigEndian.PutUint32(h[baseSequenceAt:], uint32(sequence))
	binary.BigEndian.PutUint32(h[crcAt:], crc32.Checksum(h[attributesAt:], castagnoli))
}

// nextSequence follows the records of a batch: after the largest int32 comes 0.
func nextSequence(sequence int32, records int) int32 {
	return int32((int64(sequence) + int64(records)) & 0x7fffffff)
}

// errRecords says that a batch's own records cannot be read back: a bug.
var errRecords = errors.New("ship: BUG: a batch holds bytes that are no record")

// each gives the key and the value of every record in order.
func (b *batch) each(do func(key, value []byte)) error {
	rest := b.records
	for range b.count {
		length, n := binary.Varint(rest)
		if n <= 0 || length < 4 || int64(len(rest)-n) < length {
			return errRecords
		}
		body := rest[n+2 : n+int(length)]
		rest = rest[n+int(length):]
		_, n = binary.Varint(body) // offset delta
		if n <= 0 {
			return errRecords
		}
		key, body, ok := cutBytes(body[n:])
		if !ok {
			return errRecords
		}
		value, _, ok := cutBytes(body)
		if !ok {
			return errRecords
		}
		do(key, value)
	}
	return nil
}

// halves splits a batch of two records or more. The halves share nothing with b; they carry b's place, which is right for the second only.
func (b *batch) halves() (first, second *batch, err error) {
	first = &batch{partition: b.partition, run: b.run, after: b.after, begun: b.begun}
	second = &batch{partition: b.partition, run: b.run, after: b.after, begun: b.begun}
	middle := b.count / 2
	err = b.each(func(key, value []byte) {
		if first.count < middle {
			first.add(key, value)
		} else {
			second.add(key, value)
		}
	})
	return first, second, err
}

func appendVarint(dst []byte, v int64) []byte { return binary.AppendVarint(dst, v) }

func appendBytes(dst, b []byte) []byte {
	dst = appendVarint(dst, int64(len(b)))
	return append(dst, b...)
}

func appendNullable(dst, b []byte) []byte {
	if b == nil {
		return appendVarint(dst, -1)
	}
	return appendBytes(dst, b)
}

func nullableSize(b []byte) int {
	if b == nil {
		return 1
	}
	return varintSize(int64(len(b))) + len(b)
}

func cutBytes(b []byte) (value, rest []byte, ok bool) {
	length, n := binary.Varint(b)
	if n <= 0 || length < 0 || int64(len(b)-n) < length {
		return nil, nil, false
	}
	return b[n : n+int(length)], b[n+int(length):], true
}

func varintSize(v int64) int {
	u := uint64(v)<<1 ^ uint64(v>>63)
	n := 1
	for ; u >= 0x80; u >>= 7 {
		n++
	}
	return n
}
