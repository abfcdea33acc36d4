package server

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

var (
	errGzip    = errors.New("gzip data damaged")
	errTooLong = errors.New("body too long")
)

// inflater is a gzip reader with its input, to be used again.
type inflater struct {
	source bytes.Reader
	gzip   gzip.Reader
}

var inflaters = sync.Pool{New: func() any { return new(inflater) }}

// appendInflated appends what compressed holds to dst. It stops one byte behind limit, however much more would follow.
func appendInflated(dst, compressed []byte, limit int) ([]byte, error) {
	in := inflaters.Get().(*inflater)
	defer func() {
		in.source.Reset(nil)
		inflaters.Put(in)
	}()
	in.source.Reset(compressed)
	if err := in.gzip.Reset(&in.source); err != nil {
		return dst, errGzip
	}
	return readUpTo(dst, &in.gzip, limit)
}

func readUpTo(dst []byte, r io.Reader, limit int) ([]byte, error) {
	start := len(dst)
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		room := min(cap(dst), start+limit+1)
		n, err := r.Read(dst[len(dst):room])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst)-start > limit:
			return dst, errTooLong
		case err == io.EOF:
			return dst, nil
		case err != nil:
			return dst, errGzip
		}
	}
}
