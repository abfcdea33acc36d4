package server

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"waypost/configs/ops"
	"waypost/mint/internal/gate"
)

const (
	// idleTimeout is how long a connection may stay open without a request. It is longer than what proxies keep
	// their upstream connections (nginx: 60 s), so that it is they who close, and never while they send.
	idleTimeout = 90 * time.Second
	// writeTimeout ends a connection whose client does not take the answer. Outreach itself waits 2 s in all.
	writeTimeout = 2 * time.Second
	// lingerBytes bounds what is read and thrown away after an answer that was given before the whole request had come.
	lingerBytes = 16 << 20
)

// listener hands out connections that know when the first byte of their request came.
type listener struct {
	*ops.Listener
	server *Server
}

func (l listener) Accept() (net.Conn, error) {
	if l.server.stopped.Load() { // fasthttp overlooks a Shutdown that comes before Serve
		_ = l.Close()
		return nil, io.EOF
	}
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.server.newConn(c), nil
}

// conn keeps the times of one connection, and what its request holds.
//
// fasthttp's own ReadTimeout runs from the accept for the first request of a connection, which would cut a proxy that connects ahead, and the handler
// is told no time before the whole body has come. So fasthttp has no read timeout here: connState sets every deadline, from the one moment that
// counts, and the handler reads that moment here.
//
// All fields are written by the connection's own goroutine, while a request is under way. Shutdown closes only connections without one.
type conn struct {
	net.Conn
	arrival
	server *Server
	first  time.Time // when the first byte of the present request came; zero before any
	behind bool      // it lay there for a while before we came to look at it
	unseen bool      // its time was over when we came to look at it
	linger bool      // the answer was given before the request had been read

	read    int  // bytes of the present request, and of what came with them
	held    int  // what of them is counted in server.bodies
	crowded bool // no more could be counted: Read has failed

	answered *tenantMetrics // whose request was answered, until the answer has gone out
	wrote    time.Time      // when the last piece of an answer went out; zero before any
}

func (s *Server) newConn(c net.Conn) *conn {
	wrapped := &conn{Conn: c, server: s}
	wrapped.watch(c)
	return wrapped
}

// connState is fasthttp's hook. A connection turns active with the first byte of each request, pipelined ones included, and idle when the answer has gone out.
func (s *Server) connState(nc net.Conn, state fasthttp.ConnState) {
	c := nc.(*conn)
	switch state {
	case fasthttp.StateNew, fasthttp.StateIdle:
		c.end()
		_ = c.SetReadDeadline(time.Now().Add(idleTimeout))
	case fasthttp.StateActive:
		now, ago := time.Now(), c.ago()
		c.first, c.behind = now.Add(-ago), ago > 0
		by := s.workBy(c.first)
		c.unseen = now.After(by)
		_ = c.SetReadDeadline(by)
	case fasthttp.StateClosed:
		c.end()
	}
}

// answers notes that t's request has its answer, which goes out now.
func (c *conn) answers(t *tenantMetrics) { c.answered, c.wrote = t, time.Time{} }

// end ends the present request: its answer has gone out, or will with that of the next, which came with it.
func (c *conn) end() {
	if c.answered != nil {
		if c.wrote.IsZero() {
			c.wrote = time.Now()
		}
		c.server.metrics.took(c.answered, c.wrote.Sub(c.first), c.server.answerWithin)
		c.answered = nil
	}
	if c.held > 0 {
		c.server.bodies.Add(-int64(c.held))
	}
	c.read, c.held = 0, 0
}

// workBy is when reading and minting end for a request, a twentieth early, which is left for the answer to get out.
func (s *Server) workBy(first time.Time) time.Time {
	return first.Add(s.answerWithin - s.answerWithin/20)
}

// startBy is by when a request has to begin, or be told that it does not: three quarters of the time. What is left is for minting, and for what the scheduler does to us. One
// that took longer to come may still wait for half of what it has left.
func (s *Server) startBy(first, now time.Time) time.Time {
	by := first.Add(s.answerWithin - s.answerWithin/4)
	if late := now.Add(s.workBy(first).Sub(now) / 2); late.After(by) {
		return late
	}
	return by
}

// errCrowded ends the reading of a large request.
var errCrowded = errors.New("large requests take all the memory that they may")

// Read counts the memory of large requests: of their bytes only those that came, however many were announced.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.read += n; c.read > gate.Large {
		more := c.read - c.held
		if c.server.bodies.Add(int64(more)) > c.server.maxBodies {
			c.server.bodies.Add(-int64(more))
			c.crowded = true
			return 0, errCrowded
		}
		c.held = c.read
	}
	return n, err
}

// Write drops what fasthttp says to a client that connected, sent nothing and reached the idle timeout: a proxy would take that 408 for
// the answer to the next request that it sends.
func (c *conn) Write(p []byte) (int, error) {
	if c.first.IsZero() {
		return len(p), nil
	}
	n, err := c.Conn.Write(p)
	c.wrote = time.Now()
	return n, err
}

// Close reads on for a moment where the client may still be sending: closing with unread bytes resets the connection, and the client would
// lose the answer that says why.
func (c *conn) Close() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.linger && half.CloseWrite() == nil {
		_ = c.Conn.SetReadDeadline(time.Now().Add(writeTimeout))
		_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes)
	}
	return c.Conn.Close()
}
