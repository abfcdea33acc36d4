package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"

	"waypost/configs"
)

// client is one connection to a server, both in a bubble of fake time: what takes a second and a half there takes no time here, and is exact.
type client struct {
	t       *testing.T
	conn    net.Conn
	answers *bufio.Reader
	ended   chan error
}

// dial opens a connection to s within the bubble, in the way of fasthttp's accept loop.
func dial(t *testing.T, s *stack) *client {
	ours, theirs := net.Pipe()
	c := &client{t, ours, bufio.NewReader(ours), make(chan error, 1)}
	accepted := s.server.newConn(theirs)
	s.server.connState(accepted, fasthttp.StateNew)
	go func() { c.ended <- s.server.http.ServeConn(accepted) }()
	return c
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Error(err)
	}
}

func (c *client) answer() (int, string) {
	c.t.Helper()
	response, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func (c *client) close() {
	_ = c.conn.Close()
	c.t.Log("connection ended:", <-c.ended)
}

// rawRequest is a signed request as it goes over the wire.
func rawRequest(body string) string {
	return fmt.Sprintf("POST /outreach/demo HTTP/1.1\r\nHost: x\r\n%s: %s\r\nContent-Length: %d\r\n\r\n%s",
		SignatureHeader, Sign([]byte(body), testSecret), len(body), body)
}

// bubble runs test with fake time. The stack is made outside of it: fasthttp's clock for the Date header would never end inside.
func bubble(t *testing.T, test func(t *testing.T, s *stack)) {
	s := newStack(t, func(s *stack) { s.settings.AnswerWithin = configs.DefaultMint().AnswerWithin })
	s.do(s.request(oneLink))
	synctest.Test(t, func(t *testing.T) {
		inner := *s
		inner.t = t
		test(t, &inner)
	})
}

// answerBy is when the answer to a request that does not come to its end goes out, by the default settings.
const answerBy = 1425 * time.Millisecond

func TestSlowRequest(t *testing.T) {
	whole := rawRequest(oneLink)
	for _, test := range []struct {
		name  string
		parts []string // sent with pauses between them; nothing follows the last
		pause time.Duration
		wait  time.Duration // before the first
	}{
		{"one byte", []string{"P"}, 0, 0},
		{"half the header", []string{whole[:40]}, 0, 0},
		{"no body", []string{whole[:len(whole)-len(oneLink)]}, 0, 0},
		{"all but a byte", []string{whole[:len(whole)-1]}, 0, 0},
		{"drop by drop", strings.Split(whole[:100], ""), 10 * time.Millisecond, 0},
		{"drop by drop, after a pause", strings.Split(whole[:100], ""), 10 * time.Millisecond, time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *stack) {
				c := dial(t, s)
				time.Sleep(test.wait)
				first := time.Now()
				for _, part := range test.parts {
					c.send(part)
					time.Sleep(test.pause)
				}
				status, body := c.answer()
				if took := time.Since(first); status != 408 || took != answerBy {
					t.Errorf("%d %s after %v, want 408 after %v", status, body, took, answerBy)
				}
				c.close()
			})
		})
	}
}

// TestKeptConnection has pauses longer than the time for an answer before and between requests, and two requests in one packet.
func TestKeptConnection(t *testing.T) {
	bubble(t, func(t *testing.T, s *stack) {
		c := dial(t, s)
		time.Sleep(idleTimeout - time.Second)
		for range 3 {
			go c.send(rawRequest(oneLink) + rawRequest(oneLink))
			for range 2 {
				if status, body := c.answer(); status != 200 || !strings.Contains(body, "links.example.com") {
					t.Errorf("%d %s", status, body)
				}
			}
			time.Sleep(idleTimeout - time.Second)
		}
		c.close()
	})
}

// TestIdleConnection is closed without a word, with or without a request before: a proxy takes a late 408 for the next answer.
func TestIdleConnection(t *testing.T) {
	for _, requests := range []int{0, 1} {
		bubble(t, func(t *testing.T, s *stack) {
			c := dial(t, s)
			for range requests {
				go c.send(rawRequest(oneLink))
				c.answer()
			}
			began := time.Now()
			rest, err := io.ReadAll(c.answers)
			if took := time.Since(began); len(rest) > 0 || err != nil || took != idleTimeout {
				t.Errorf("after %d requests and %v: %q, %v", requests, took, rest, err)
			}
			c.close()
		})
	}
}

// TestLateBody comes whole, but at the last moment: what is not minted by then stays out, and the answer is in time.
func TestLateBody(t *testing.T) {
	whole := rawRequest(`{"data":["https://a.example/1","https://b.example/2"]}`)
	bubble(t, func(t *testing.T, s *stack) {
		c := dial(t, s)
		first := time.Now()
		c.send(whole[:len(whole)-1])
		time.Sleep(answerBy - time.Millisecond)
		c.send(whole[len(whole)-1:])
		status, body := c.answer()
		if took := time.Since(first); status != 200 || len(s.open(body)) != 2 || took >= answerBy {
			t.Errorf("%d %s after %v", status, body, took)
		}
		c.close()
	})
}

// TestStalledReader takes no answer: its connection ends.
func TestStalledReader(t *testing.T) {
	bubble(t, func(t *testing.T, s *stack) {
		c := dial(t, s)
		began := time.Now()
		c.send(rawRequest(oneLink))
		err := <-c.ended
		if took := time.Since(began); err == nil || took != writeTimeout {
			t.Errorf("ended after %v: %v", took, err)
		}
		_ = c.conn.Close()
	})
}
