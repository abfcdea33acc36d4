package server

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestDrain shuts down with a request half sent: it is answered, its connection closed, and no new one is taken.
func TestDrain(t *testing.T) {
	s := newStack(t, nil)
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	whole := rawRequest(oneLink)
	answers := bufio.NewReader(c)
	send(t, c, whole)
	readAnswer(t, answers, 200) // the connection is being served, so that what follows is under way
	send(t, c, whole[:50])
	waitActive(t, s)

	drained := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		drained <- s.server.Shutdown(ctx)
	}()
	waitRefused(t, s.addr)
	send(t, c, whole[50:])
	if response := readAnswer(t, answers, 200); !response.Close {
		t.Error("the connection is kept")
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if _, err := answers.ReadByte(); err != io.EOF {
		t.Errorf("after the answer: %v", err)
	}
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func readAnswer(t *testing.T, answers *bufio.Reader, want int) *http.Response {
	t.Helper()
	response, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != want {
		t.Fatalf("%d %s (%v), want %d", response.StatusCode, body, err, want)
	}
	return response
}

// poll asks until is true.
func poll(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
		time.Sleep(time.Millisecond)
	}
}

func waitRefused(t *testing.T, addr string) {
	t.Helper()
	poll(t, "listener closed", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
}

// waitActive waits until the server has seen the second request's first byte.
func waitActive(t *testing.T, s *stack) {
	t.Helper()
	poll(t, "second request begun", func() bool { return s.begun.Load() == 2 })
}

// TestDrainEnds gives up on a client that never finishes.
func TestDrainEnds(t *testing.T) {
	s := newStack(t, nil)
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	whole := rawRequest(oneLink)
	send(t, c, whole+whole[:50])
	readAnswer(t, bufio.NewReader(c), 200)
	waitActive(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.server.Shutdown(ctx); err != context.Canceled {
		t.Errorf("shutdown: %v", err)
	}
	c.Close()
}

// TestBug has a panic in a request: that one is answered 500, those beside it are not touched.
func TestBug(t *testing.T) {
	s := newStack(t, nil)
	s.demo().keys = nil
	for range 2 {
		status, body, _ := s.do(s.request(oneLink))
		if status != 500 || body != `{"error":"internal error"}` {
			t.Errorf("%d %s", status, body)
		}
	}
	if n := s.counter("waypost_mint_panics_total"); n != 2 {
		t.Errorf("counted %v", n)
	}
	if n := s.counter("waypost_mint_requests_total", "tenant", "demo", "status", "500"); n != 2 {
		t.Errorf("requests counted: %v", n)
	}
	if !strings.Contains(s.log.String(), "bug in a request") || strings.Contains(s.log.String(), "a.example") {
		t.Errorf("log: %s", s.log)
	}
}

// TestManyClients posts from many connections at once; every answer belongs to its request.
func TestManyClients(t *testing.T) {
	s := newStack(t, nil)
	_, want, _ := s.do(s.request(oneLink))
	_, other, _ := s.do(s.request(vector(t)))
	var clients sync.WaitGroup
	for i := range 16 {
		clients.Go(func() {
			body, expected := oneLink, want
			if i%2 == 1 {
				body, expected = vector(t), other
			}
			for range 20 {
				if status, answer, _ := s.do(s.request(body)); status != 200 || answer != expected {
					t.Errorf("%d %s", status, answer)
				}
			}
		})
	}
	clients.Wait()
}

// TestRefusedLog has one line for many wrong signatures, with nothing of the request in it.
func TestRefusedLog(t *testing.T) {
	s := newStack(t, nil)
	for range 5 {
		r := s.request(oneLink)
		r.Header.Set(SignatureHeader, vectorSignature)
		s.do(r)
	}
	log := s.log.String()
	if strings.Count(log, "signature refused") != 1 || !strings.Contains(log, "tenant=demo") || strings.Contains(log, vectorSignature) {
		t.Errorf("log:\n%s", log)
	}
}

// TestREADME holds the README's table of metrics to the code.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range definitions {
		if !strings.Contains(string(readme), "| `"+d.name+"` |") {
			t.Errorf("README.md has no row for %s", d.name)
		}
	}
	for _, names := range [][]string{leftNames[:], memberNames[:], shedNames[:]} {
		for _, name := range names {
			if !strings.Contains(string(readme), "`"+name+"`") {
				t.Errorf("README.md does not explain %s", name)
			}
		}
	}
}
