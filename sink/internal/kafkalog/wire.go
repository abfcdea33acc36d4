package kafkalog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"slices"
	"time"

	"github.com/segmentio/kafka-go/compress"
)

// Errors of record batches.
var (
	errBatch       = errors.New("kafka: record batch not readable")
	errChecksum    = errors.New("kafka: record batch damaged: its checksum is wrong")
	errMagic       = errors.New("kafka: record batch of an old format: only version 2 is read")
	errCompression = errors.New("kafka: record batch of a compression that is not known")
	errTooLarge    = errors.New("kafka: record batch larger than 128 MiB")
)

const (
	batchHeader  = 61
	maxInflated  = 128 << 20
	appendTime   = 1 << 3
	transaction  = 1 << 4
	controlBatch = 1 << 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Message is one record of a topic. Its slices are valid as long as the set they were read from, or for ever where that was compressed.
type Message struct {
	Offset     int64
	At         time.Time // LogAppendTime where the topic has it, else the producer's
	Key, Value []byte
	Headers    []Header
}

// Header is one header of a record.
type Header struct{ Key, Value []byte }

// Header gives the value of the first header of that name; nil where there is none.
func (m *Message) Header(name string) []byte {
	for _, h := range m.Headers {
		if string(h.Key) == name {
			return h.Value
		}
	}
	return nil
}

// aborted is a transaction that was given up: its records are in the log and do not count.
type aborted struct{ producer, first int64 }

// readSet appends to dst the messages of a record set that stand at from or behind it. A last batch that is not whole is left out, as brokers cut them. next is
// the offset behind the last whole batch; from where there was none. Control records and those of aborted transactions are passed over.
func readSet(dst []Message, set []byte, from int64, gaveUp []aborted) (messages []Message, next int64, err error) {
	next = from
	open := map[int64]bool{} // producers whose transaction here is an aborted one
	gaveUp = slices.Clone(gaveUp)
	for len(set) >= batchHeader {
		length := int64(int32(binary.BigEndian.Uint32(set[8:])))
		if length < batchHeader-12 {
			return dst, next, errBatch
		}
		if length+12 > int64(len(set)) {
			break
		}
		batch := set[:length+12]
		set = set[length+12:]
		if batch[16] != 2 {
			return dst, next, errMagic
		}
		if crc32.Checksum(batch[21:], castagnoli) != binary.BigEndian.Uint32(batch[17:]) {
			return dst, next, errChecksum
		}
		base, producer := int64(binary.BigEndian.Uint64(batch)), int64(binary.BigEndian.Uint64(batch[43:]))
		attributes := binary.BigEndian.Uint16(batch[21:])
		gaveUp = slices.DeleteFunc(gaveUp, func(a aborted) bool {
			if a.first <= base {
				open[a.producer] = true
			}
			return a.first <= base
		})
		switch {
		case attributes&controlBatch != 0:
			delete(open, producer) // commit or abort: the transaction ends here
		case attributes&transaction != 0 && open[producer]:
		default:
			if dst, err = readBatch(dst, batch, base, from, attributes); err != nil {
				return dst, next, err
			}
		}
		next = max(next, base+int64(int32(binary.BigEndian.Uint32(batch[23:])))+1)
	}
	return dst, next, nil
}

func readBatch(dst []Message, batch []byte, base, from int64, attributes uint16) ([]Message, error) {
	begun := len(dst)
	body, err := inflate(batch[batchHeader:], attributes&7)
	if err != nil {
		return dst, err
	}
	first, last := int64(binary.BigEndian.Uint64(batch[27:])), int64(binary.BigEndian.Uint64(batch[35:]))
	r := reader{rest: body}
	for range int32(binary.BigEndian.Uint32(batch[57:])) {
		record := reader{rest: r.bytes()}
		record.skip(1) // attributes: none are defined
		stamp, offset := first+record.varint(), base+record.varint()
		if attributes&appendTime != 0 {
			stamp = last // the broker writes its time there, and leaves the records' alone
		}
		m := Message{Offset: offset, At: time.UnixMilli(stamp).UTC(), Key: record.bytes(), Value: record.bytes()}
		if n := record.varint(); n > 0 && n <= int64(len(record.rest)) {
			m.Headers = make([]Header, n)
			for i := range m.Headers {
				m.Headers[i] = Header{record.bytes(), record.bytes()}
			}
		} else if n != 0 {
			record.failed = true
		}
		if r.failed || record.failed {
			return dst[:begun], errBatch
		}
		if offset >= from {
			dst = append(dst, m)
		}
	}
	return dst, nil
}

func inflate(body []byte, codec uint16) ([]byte, error) {
	if codec == 0 {
		return body, nil
	}
	c := compress.Compression(codec).Codec()
	if c == nil {
		return nil, errCompression
	}
	z := c.NewReader(bytes.NewReader(body))
	defer z.Close()
	out := bytes.NewBuffer(make([]byte, 0, 4*len(body)))
	n, err := out.ReadFrom(io.LimitReader(z, maxInflated+1))
	if err != nil {
		return nil, errBatch
	}
	if n > maxInflated {
		return nil, errTooLarge
	}
	return out.Bytes(), nil
}

// reader reads varints and what they measure. Once failed, it gives zeros.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.rest, r.failed = nil, true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// bytes gives nil for a length of -1, which is Kafka's null.
func (r *reader) bytes() []byte {
	n := r.varint()
	if n == -1 {
		return nil
	}
	if n < 0 || n > int64(len(r.rest)) {
		r.rest, r.failed = nil, true
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) skip(n int) {
	if n > len(r.rest) {
		r.rest, r.failed = nil, true
		return
	}
	r.rest = r.rest[n:]
}
