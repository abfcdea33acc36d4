package ship

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress/lz4"
)

// Compression of batches.
type Compression string

// The compressions. Snappy costs least; Zstd ships about half of snappy's bytes for twice its time.
const (
	None   Compression = "none"
	Snappy Compression = "snappy"
	LZ4    Compression = "lz4"
	Zstd   Compression = "zstd"
)

// compressor appends the compressed form of src to dst. It belongs to one sender.
type compressor struct {
	code     uint16 // in a batch's attributes
	compress func(dst, src []byte) []byte
}

func newCompressor(c Compression) (compressor, error) {
	switch c {
	case None:
		return compressor{}, nil
	case Snappy, "":
		return compressor{2, appendSnappy}, nil
	case LZ4:
		return compressor{3, appendLZ4}, nil
	case Zstd:
		z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
		if err != nil {
			return compressor{}, fmt.Errorf("ship: zstd: %w", err)
		}
		return compressor{4, func(dst, src []byte) []byte { return z.EncodeAll(src, dst) }}, nil
	}
	return compressor{}, fmt.Errorf("ship: compression %q: none, snappy, lz4 or zstd", c)
}

// xerialHeader is the frame of Java's SnappyOutputStream: its name, its version and the oldest version that can read it. Every client reads that form; some only that.
var xerialHeader = []byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01")

// snappyBlock is how much one block of the frame holds: as Java's, so that a reader needs no larger buffer for ours.
const snappyBlock = 32 << 10

func appendSnappy(dst, src []byte) []byte {
	dst = append(dst, xerialHeader...)
	for len(src) > 0 {
		block := src[:min(len(src), snappyBlock)]
		src = src[len(block):]
		at := len(dst)
		room := 4 + s2.MaxEncodedLen(len(block))
		if cap(dst)-at < room {
			dst = append(dst, make([]byte, room+len(src)/2)...)[:at]
		}
		encoded := s2.EncodeSnappy(dst[at+4:at+room], block)
		binary.BigEndian.PutUint32(dst[at:at+4], uint32(len(encoded)))
		dst = dst[:at+4+len(encoded)]
	}
	return dst
}

func appendLZ4(dst, src []byte) []byte {
	out := bytes.NewBuffer(dst)
	w := (&lz4.Codec{}).NewWriter(out)
	_, _ = w.Write(src) // a buffer takes everything
	_ = w.Close()
	return out.Bytes()
}
