package traffic

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// answerWithin bounds one visit: what takes longer counts as not answered.
const answerWithin = 20 * time.Second

// Visitor follows links of one edge, on as many connections as visits are under way. Unlike net/http's client it never sends a request a second time, and it knows whether
// a request was written. Its methods may be called from several goroutines.
type Visitor struct {
	Addr     string       // host:port
	InFlight atomic.Int64 // requests written and not answered

	mu   sync.Mutex
	idle []*connection
}

// Visit is one request for a link.
type Visit struct {
	Method    string // GET, HEAD
	Path      string
	UserAgent string
	Prefetch  bool // announced as one
}

type connection struct {
	net.Conn
	in *bufio.Reader
}

// NewVisitor makes a Visitor of the edge at a URL without path.
func NewVisitor(url string) *Visitor { return &Visitor{Addr: strings.TrimPrefix(url, "http://")} }

// Drop closes the idle connections: those of a process that has ended would only waste visits.
func (v *Visitor) Drop() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, conn := range v.idle {
		conn.Close()
	}
	v.idle = nil
}

func (v *Visitor) take() (*connection, error) {
	v.mu.Lock()
	if len(v.idle) > 0 {
		conn := v.idle[0] // the one that waits longest: under a steady load none waits so long that the edge closes it
		v.idle = v.idle[1:]
		v.mu.Unlock()
		return conn, nil
	}
	v.mu.Unlock()
	conn, err := net.DialTimeout("tcp", v.Addr, answerWithin)
	if err != nil {
		return nil, err
	}
	return &connection{conn, bufio.NewReader(conn)}, nil
}

func (v *Visitor) give(conn *connection) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.idle = append(v.idle, conn)
}

// Follow makes one request. answered says whether a whole answer came back; wrong says what is not right with it: it must redirect to the destination.
func (v *Visitor) Follow(visit Visit, destination string) (answered bool, wrong string) {
	conn, err := v.take()
	if err != nil {
		return false, ""
	}
	a, err := v.exchange(conn, visit)
	if err != nil || a.last {
		conn.Close()
	} else {
		v.give(conn)
	}
	switch {
	case err != nil:
		return false, ""
	case a.status != http.StatusFound:
		return true, fmt.Sprint("status ", a.status)
	case a.location != destination:
		return true, fmt.Sprintf("Location %q, not %q", a.location, destination)
	}
	return true, ""
}

// answer is what matters of a response.
type answer struct {
	status   int
	location string
	last     bool // the connection ends after it
}

func (v *Visitor) exchange(conn *connection, visit Visit) (answer, error) {
	if err := conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return answer{}, err
	}
	if _, err := conn.Write(visit.request(v.Addr)); err != nil {
		return answer{}, err
	}
	v.InFlight.Add(1)
	defer v.InFlight.Add(-1)
	response, err := http.ReadResponse(conn.in, &http.Request{Method: visit.Method})
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return answer{response.StatusCode, response.Header.Get("Location"), response.Close}, err
}

func (v Visit) request(host string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\n", v.Method, v.Path, host, v.UserAgent)
	if v.Prefetch {
		b.WriteString("Sec-Purpose: prefetch\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}
