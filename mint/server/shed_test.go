package server

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"waypost/configs"
	"waypost/mint/internal/gate"
)

// hold takes every slot of small requests, as if the machine were busy with others', until the function that it gives is called.
func (s *stack) hold() (release func()) {
	var held []gate.Pass
	for {
		now := time.Now()
		p, err := s.server.gate.Enter(1, now, now, false) // no time to wait: ErrWaited instead
		if err != nil {
			break
		}
		held = append(held, p)
	}
	return func() {
		for _, p := range held {
			s.server.gate.Leave(p)
		}
	}
}

// wantShed checks a 503 and its counters, n in all.
func (s *stack) wantShed(status int, body string, header http.Header, reason string, n float64) {
	s.t.Helper()
	if status != 503 || body != `{"error":"too much to do to answer in time"}` || header.Get("Retry-After") != "1" {
		s.t.Errorf("%d %s, Retry-After %q; want 503", status, body, header.Get("Retry-After"))
	}
	if got := s.counter("waypost_mint_shed_total", "reason", reason); got != n {
		s.t.Errorf("%v shed for %s, want %v", got, reason, n)
	}
}

// TestShed has no slot come free: the request is told so within its time, and its connection stays good for the next.
func TestShed(t *testing.T) {
	bubble(t, func(t *testing.T, s *stack) {
		release := s.hold()
		c := dial(t, s)
		for n := range 2 {
			began := time.Now()
			c.send(rawRequest(oneLink))
			response, err := http.ReadResponse(c.answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			s.wantShed(response.StatusCode, string(body), response.Header, "waited", float64(n+1))
			if took, want := time.Since(began), configs.DefaultMint().AnswerWithin*3/4; took != want {
				t.Errorf("after %v, want %v", took, want)
			}
		}
		release()
		c.send(rawRequest(oneLink))
		if status, body := c.answer(); status != 200 {
			t.Errorf("%d %s once there was room", status, body)
		}
		if n := s.counter("waypost_mint_requests_total", "tenant", "demo", "status", "503"); n != 2 {
			t.Errorf("%v requests counted", n)
		}
		c.close()
	})
}

// TestShedSlow has a request that took its time to come find no slot: it may wait for half of what it has left.
func TestShedSlow(t *testing.T) {
	bubble(t, func(t *testing.T, s *stack) {
		release := s.hold()
		whole := rawRequest(oneLink)
		c := dial(t, s)
		first := time.Now()
		c.send(whole[:len(whole)-1])
		time.Sleep(answerBy - 100*time.Millisecond)
		c.send(whole[len(whole)-1:])
		if status, body := c.answer(); status != 503 || time.Since(first) != answerBy-50*time.Millisecond {
			t.Errorf("%d %s after %v", status, body, time.Since(first))
		}
		release()
		c.close()
	})
}

// TestShedAtOnce has more wait than can be worked off in time: the next request is told without waiting.
func TestShedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, s *stack) {
		release := s.hold()
		var crowd sync.WaitGroup
		for {
			if small, _ := s.server.gate.Queues(); small.Wait > time.Second {
				break
			}
			crowd.Go(func() {
				now := time.Now()
				p, err := s.server.gate.Enter(gate.Large, now, now.Add(time.Hour), false)
				if err != nil {
					t.Error(err)
					return
				}
				s.server.gate.Leave(p)
			})
			synctest.Wait()
		}
		if wait, n := s.counter("waypost_mint_queue_seconds", "size", "large"), s.counter("waypost_mint_queue_requests", "size", "small"); wait < 1 || n < 2 {
			t.Errorf("queue: %v requests, %v s", n, wait)
		}
		c := dial(t, s)
		began := time.Now()
		c.send(rawRequest(oneLink))
		if status, body := c.answer(); status != 503 || time.Since(began) != 0 {
			t.Errorf("%d %s after %v, want 503 at once", status, body, time.Since(began))
		}
		if n := s.counter("waypost_mint_shed_total", "reason", "expected"); n != 1 {
			t.Errorf("%v shed, want 1", n)
		}
		release()
		crowd.Wait()
		c.close()
	})
}

// TestShedLarge has huge requests hold their slots: mails go on, further huge ones wait.
func TestShedLarge(t *testing.T) {
	bubble(t, func(t *testing.T, s *stack) {
		var held []gate.Pass
		for {
			now := time.Now()
			p, err := s.server.gate.Enter(gate.Large+1, now, now, false)
			if err != nil {
				break
			}
			held = append(held, p)
		}
		small, large := dial(t, s), dial(t, s)
		go large.send(rawRequest(oneLink + strings.Repeat(" ", 2*gate.Large)))
		small.send(rawRequest(oneLink))
		if status, body := small.answer(); status != 200 {
			t.Errorf("%d %s beside huge requests", status, body)
		}
		if status, body := large.answer(); status != 503 {
			t.Errorf("a huge request without a slot: %d %s", status, body)
		}
		for _, p := range held {
			s.server.gate.Leave(p)
		}
		small.close()
		large.close()
	})
}

// TestBodyMemory has large requests that come slowly fill what they may take: the next is told so while it still sends, small ones do not notice, and the memory comes back.
func TestBodyMemory(t *testing.T) {
	s := newStack(t, func(s *stack) { s.settings.MaxBody, s.settings.BodyMemory = 1<<20, 1<<20+headroom })
	long := rawRequest(oneLink + strings.Repeat(" ", 1<<20-len(oneLink)))
	slow, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	send(t, slow, long[:len(long)-1])
	poll(t, "nearly all of a large request has come", func() bool { return s.counter("waypost_mint_large_bytes") >= 1<<20-headroom })

	status, body, header := s.do(s.request(oneLink + strings.Repeat(" ", 1<<20-len(oneLink))))
	s.wantShed(status, body, header, "memory", 1)
	if status, body, _ := s.do(s.request(oneLink)); status != 200 {
		t.Errorf("a small request: %d %s", status, body)
	}
	send(t, slow, long[len(long)-1:])
	readAnswer(t, bufio.NewReader(slow), 200)
	poll(t, "the memory is given back", func() bool { return s.counter("waypost_mint_large_bytes") == 0 })
}

const headroom = 64 << 10

// TestArrival asks the kernel how long a request lay there unread.
func TestArrival(t *testing.T) {
	onLinux(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	send(t, client, "P")
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	s := &Server{answerWithin: time.Second}
	c := s.newConn(accepted)
	poll(t, "a twentieth of a second without bytes", func() bool { return c.ago() > 50*time.Millisecond })
	long := c.ago()
	poll(t, "bytes that came just now", func() bool {
		send(t, client, "P") // each time: a test that stands still after it would find the byte old
		return c.ago() < long
	})
}

func onLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells when a request came")
	}
}

// TestUnseen has a request lie in the kernel until its time is over: it is told so, and nothing is minted for it.
func TestUnseen(t *testing.T) {
	onLinux(t)
	s := newStack(t, func(s *stack) { s.settings.AnswerWithin = 10 * time.Millisecond })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for n, request := range []string{rawRequest(oneLink), rawRequest(oneLink)[:100]} {
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		send(t, client, request)
		accepted, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c := s.server.newConn(accepted)
		poll(t, "it is too late", func() bool { return c.ago() > 20*time.Millisecond })
		go func() { _ = s.server.http.ServeConn(c) }()
		response, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		s.wantShed(response.StatusCode, string(body), response.Header, "unseen", float64(n+1))
		_ = client.Close()
	}
}

// TestLateAnswer counts an answer that its client did not take in time.
func TestLateAnswer(t *testing.T) {
	bubble(t, func(t *testing.T, s *stack) {
		c := dial(t, s)
		c.send(rawRequest(oneLink))
		time.Sleep(configs.DefaultMint().AnswerWithin + time.Millisecond)
		if status, _ := c.answer(); status != 200 {
			t.Error(status)
		}
		c.send(rawRequest(oneLink))
		c.answer()
		c.close()
		if n := s.counter("waypost_mint_late_answers_total", "tenant", "demo"); n != 1 {
			t.Errorf("%v late answers, want 1", n)
		}
		if n := s.counter("waypost_mint_request_seconds"); n < 2 { // bubble's own is the third, when its connection has come to it
			t.Errorf("%v answers measured", n)
		}
	})
}
