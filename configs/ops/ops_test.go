package ops

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T) (*Server, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	s, err := Start("127.0.0.1:0", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s, &log
}

// ask makes one request on a connection of its own, so that nothing idle is left behind.
func ask(t *testing.T, method, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestReadiness(t *testing.T) {
	s, _ := start(t)
	url := "http://" + s.Addr()
	for _, c := range []struct {
		reasons []string
		status  int
		body    string
	}{
		{nil, 200, `{"status":"ready"}` + "\n"},
		{[]string{"journal full", `a "quoted" one`}, 503, `{"status":"not ready","reasons":["journal full","a \"quoted\" one"]}` + "\n"},
	} {
		if status, body := ask(t, "GET", url+"/readyz"); c.reasons == nil && (status != 503 || body != `{"status":"not ready","reasons":["starting"]}`+"\n") {
			t.Errorf("before SetReady: %d %s", status, body)
		}
		s.SetReady(c.reasons...)
		if status, body := ask(t, "GET", url+"/readyz"); status != c.status || body != c.body {
			t.Errorf("%v: %d %s", c.reasons, status, body)
		}
		if status, body := ask(t, "GET", url+"/healthz"); status != 200 || body != `{"status":"ok"}`+"\n" {
			t.Errorf("healthz: %d %s", status, body)
		}
	}
}

func TestRoutes(t *testing.T) {
	s, _ := start(t)
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "waypost_test_total", Help: "x"})
	s.Registry.MustRegister(counter)
	counter.Add(3)
	for _, c := range []struct {
		method, path string
		status       int
		part         string
	}{
		{"GET", "/metrics", 200, "waypost_test_total 3"},
		{"GET", "/metrics", 200, "go_goroutines"},
		{"GET", "/metrics", 200, "process_resident_memory_bytes"},
		{"GET", "/debug/pprof/", 200, "goroutine"},
		{"GET", "/debug/pprof/goroutine?debug=1", 200, "goroutine profile"},
		{"GET", "/debug/pprof/cmdline", 200, "ops.test"},
		{"GET", "/", 404, ""},
		{"POST", "/metrics", 405, ""},
		{"POST", "/readyz", 405, ""},
	} {
		if status, body := ask(t, c.method, "http://"+s.Addr()+c.path); status != c.status || !strings.Contains(body, c.part) {
			t.Errorf("%s %s: %d, want %d with %q", c.method, c.path, status, c.status, c.part)
		}
	}
}

func TestTakenPortIsAnError(t *testing.T) {
	s, _ := start(t)
	if _, err := Start(s.Addr(), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), s.Addr()) {
		t.Errorf("error %v, want one that names %s", err, s.Addr())
	}
}

func TestSetReadyFromManyGoroutines(t *testing.T) {
	s, _ := start(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				s.SetReady("a")
				s.SetReady()
			}
		})
	}
	for range 10 {
		if status, _ := ask(t, "GET", "http://"+s.Addr()+"/readyz"); status != 200 && status != 503 {
			t.Errorf("status %d", status)
		}
	}
	wg.Wait()
}

// A client that hangs must not hold up the end of the program.
func TestCloseCutsWhoHangs(t *testing.T) {
	s, err := Start("127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET /debug/pprof/profile?seconds=60 HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	// A second connection, answered: the first has been accepted.
	if status, _ := ask(t, "GET", "http://"+s.Addr()+"/healthz"); status != 200 {
		t.Fatal(status)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Close(ctx); err != context.Canceled {
		t.Errorf("Close: %v, want %v", err, context.Canceled)
	}
}

// What is only told keeps nobody away.
func TestTroubleStaysReady(t *testing.T) {
	s, _ := start(t)
	url := "http://" + s.Addr() + "/readyz"
	for _, c := range []struct {
		reasons, trouble []string
		code             int
		body             string
	}{
		{nil, []string{"kafka: away"}, http.StatusOK, `{"status":"ready","reasons":["kafka: away"]}`},
		{[]string{"draining"}, []string{"kafka: away"}, http.StatusServiceUnavailable, `{"status":"not ready","reasons":["draining","kafka: away"]}`},
		{nil, nil, http.StatusOK, `{"status":"ready"}`},
	} {
		s.SetTrouble(c.trouble...)
		s.SetReady(c.reasons...)
		if code, body := ask(t, http.MethodGet, url); code != c.code || strings.TrimSpace(body) != c.body {
			t.Errorf("%v, %v: %d %s", c.reasons, c.trouble, code, body)
		}
	}
}
