package inbound

import (
	"errors"
	"io"
	"net"

	"github.com/valyala/fasthttp"
)

// MaxBody is how long a delivery may be.
const MaxBody = 1 << 20

// firstRead is what a body's memory begins with: more than a usual delivery has.
const firstRead = 8 << 10

// body is a delivery's, in memory that counts until it is released.
type body struct {
	bytes   []byte
	handler *Handler
}

// read takes the body in. Its memory grows with what came, not with what was announced, so that nobody can hold memory by promises.
func (b *body) read(ctx *fasthttp.RequestCtx) *refusal {
	announced := ctx.Request.Header.ContentLength() // below 0: in chunks
	if announced > MaxBody {
		return refuseLength
	}
	stream := ctx.RequestBodyStream()
	if stream == nil {
		return nil // there is none
	}
	most := MaxBody
	if announced >= 0 {
		most = announced
	}
	for {
		if len(b.bytes) == cap(b.bytes) && !b.grow(most+1) { // room for a byte more, to see the end
			return refuseBusy
		}
		n, err := stream.Read(b.bytes[len(b.bytes):cap(b.bytes)])
		b.bytes = b.bytes[:len(b.bytes)+n]
		switch {
		case len(b.bytes) > MaxBody:
			return refuseLength
		case err == io.EOF:
			return b.whole(announced)
		case err != nil:
			return unread(err)
		}
	}
}

// whole says whether all came that was announced.
func (b *body) whole(announced int) *refusal {
	if announced >= 0 && len(b.bytes) < announced {
		return refuseRead
	}
	return nil
}

func unread(err error) *refusal {
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		return refuseSlow
	}
	return refuseRead
}

// grow doubles the memory, up to most bytes; false where all bodies together would have too much.
func (b *body) grow(most int) bool {
	size := min(max(2*cap(b.bytes), firstRead), most)
	if !b.handler.hold(int64(size - cap(b.bytes))) {
		return false
	}
	grown := make([]byte, len(b.bytes), size)
	copy(grown, b.bytes)
	b.bytes = grown
	return true
}

func (b *body) release() { b.handler.bodies.Add(-int64(cap(b.bytes))) }

// hold counts memory of bodies, unless there would be too much of it.
func (h *Handler) hold(n int64) bool {
	if h.bodies.Add(n) > h.memory {
		h.bodies.Add(-n)
		return false
	}
	return true
}
