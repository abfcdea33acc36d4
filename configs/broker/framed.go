package broker

import (
	"context"
	"encoding/binary"
	"net"
)

const (
	// mostAnswer bounds the length of an answer. The longest are those to Fetch, which the asker bounds to some MiB. What an HTTP server or a TLS alert has in
	// the length's place is more.
	mostAnswer = 256 << 20

	// leastAnswer is the number that says which request is answered.
	leastAnswer = 4
)

// framed is a connection in clear that lets pass only answers of a length that can be. kafka-go's decoder panics on a negative one, and makes room for whatever else
// is written there: a wrong port in the settings must not take a program down. (With TLS the other side has shown who it is.)
type framed struct {
	net.Conn
	head [4]byte // of the answer's length
	read int     // how much of head has come
	left int     // of the answer
}

// dialFramed is what both kinds of kafka-go's connections begin with, where they are in clear.
func dialFramed(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &framed{Conn: conn}, nil
}

// Read looks at what passes; it costs no call of the system.
func (f *framed) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	if !f.passes(p[:n]) {
		return 0, errNoKafka
	}
	return n, err
}

func (f *framed) passes(b []byte) bool {
	for len(b) > 0 {
		if f.left > 0 {
			n := min(f.left, len(b))
			f.left, b = f.left-n, b[n:]
			continue
		}
		n := copy(f.head[f.read:], b)
		f.read, b = f.read+n, b[n:]
		if f.read < len(f.head) {
			return true
		}
		length := int32(binary.BigEndian.Uint32(f.head[:]))
		if length < leastAnswer || length > mostAnswer {
			return false
		}
		f.read, f.left = 0, int(length)
	}
	return true
}
