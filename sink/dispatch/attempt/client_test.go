package attempt

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"waypost/configs"
	"waypost/configs/outbound"
	"waypost/edge/event"
	"waypost/sink/internal/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// long ends a test that hangs. Where an attempt must end before it, nothing but the timeout of a phase can end it.
const long = time.Hour

func usual() configs.Dispatch {
	return configs.Dispatch{
		Timeout: long, ConnectTimeout: long, TLSTimeout: long, HeadersTimeout: long, BodyTimeout: long, Concurrency: 1, Retries: []time.Duration{time.Second}, Allow: outbound.ThisMachine(),
	}
}

// post makes one attempt.
func post(t *testing.T, settings configs.Dispatch, url string) Outcome {
	t.Helper()
	s := NewSender(settings, metrics.Discard(), slog.New(slog.DiscardHandler), nil, time.Now)
	defer s.Close()
	target, err := NewTarget(&configs.Tenant{Number: 1, Name: "demo"}, configs.Endpoint{ID: "a", URL: url, Format: "standard", Secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
	if err != nil {
		t.Fatal(err)
	}
	minted := time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)
	e := event.Event{
		ID: event.ID{Run: 7, Sequence: 9}, Type: event.Clicked, Time: minted, Tenant: 1, TenantName: "demo", Message: []byte("123"), Prospect: []byte("456"),
		Destination: []byte("https://example.com/"), Minted: minted, RetentionDays: 45, Method: []byte("GET"),
	}
	return s.Attempt(context.Background(), target, Delivery{ID: e.ID, Created: minted, Document: event.AppendDocument(nil, &e)})
}

// raw is a receiver that answers as it likes, below HTTP.
func raw(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			answer(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-done })
	return listener.Addr().String()
}

// drain waits until the other side has had enough.
func drain(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// readRequest reads the head of a request; the body is left where it is.
func readRequest(conn net.Conn) {
	reader := bufio.NewReader(conn)
	for {
		if line, err := reader.ReadString('\n'); err != nil || strings.TrimSpace(line) == "" {
			return
		}
	}
}

// dribble writes text byte by byte, over and over, until the other side has had enough.
func dribble(conn net.Conn, text string) {
	for i := 0; ; i = (i + 1) % len(text) {
		if _, err := io.WriteString(conn, text[i:i+1]); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// Each phase has its own end, however the receiver holds us.
func TestPhases(t *testing.T) {
	const short = 300 * time.Millisecond
	for name, test := range map[string]struct {
		scheme string
		answer func(net.Conn)
		set    func(*configs.Dispatch)
		reason string
	}{
		"no handshake": {"https", drain, func(s *configs.Dispatch) { s.TLSTimeout = short }, "timeout: tls"},
		"no TLS":       {"https", func(c net.Conn) { fmt.Fprint(c, "SSH-2.0-x\r\n"); drain(c) }, func(*configs.Dispatch) {}, "failed: tls"},
		"no answer":    {"http", drain, func(s *configs.Dispatch) { s.HeadersTimeout = short }, "timeout: headers"},
		"a header without end": {"http", func(c net.Conn) {
			readRequest(c)
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\n")
			dribble(c, "X-Pad: x\r\n")
		}, func(s *configs.Dispatch) { s.HeadersTimeout = short }, "timeout: headers"},
		"a header too long": {"http", func(c net.Conn) {
			readRequest(c)
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nX-Pad: ", strings.Repeat("x", 2*maxHeader), "\r\n\r\n")
			drain(c)
		}, func(*configs.Dispatch) {}, "failed: "},
		"hangs up":  {"http", readRequest, func(*configs.Dispatch) {}, "connection closed: "},
		"all of it": {"http", drain, func(s *configs.Dispatch) { s.Timeout = short }, "timeout: "},
	} {
		t.Run(name, func(t *testing.T) {
			settings := usual()
			test.set(&settings)
			o := post(t, settings, test.scheme+"://"+raw(t, test.answer)+"/")
			if !strings.HasPrefix(o.Reason, test.reason) || o.Word != Again || o.Status != 0 || o.Cut {
				t.Errorf("%+v, want %q", o, test.reason)
			}
		})
	}
}

// The status says everything: a body that never ends is left alone, and its first bytes are kept.
func TestBodyWithoutEnd(t *testing.T) {
	settings := usual()
	settings.BodyTimeout = 200 * time.Millisecond
	address := raw(t, func(c net.Conn) {
		readRequest(c)
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
		dribble(c, "answer ")
	})
	if o := post(t, settings, "http://"+address); o.Word != Delivered || o.Status != http.StatusOK || o.Reason != "" {
		t.Errorf("%+v", o)
	}
}

func TestAnswerIsKeptInPart(t *testing.T) {
	for _, size := range []int{0, 1, maxKept, maxKept + 1, 3 * maxAnswer} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, strings.Repeat("x", size))
		}))
		if o := post(t, usual(), server.URL); len(o.Answer) != min(size, maxKept) || o.Status != http.StatusBadRequest || o.Word != Again {
			t.Errorf("%d bytes: %d kept, %+v", size, len(o.Answer), o)
		}
		server.Close()
	}
}
