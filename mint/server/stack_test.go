package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"waypost/configs"
	"waypost/mint/link"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp's: the clock of the Date header lives as long as the process, a pool's sweeper sees within 10 s that its pool has stopped.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

const (
	testSecret  = configs.Secret("test-secret")
	otherSecret = configs.Secret("the secret before")
)

// testNow is when everything is minted in tests.
var testNow = time.Date(2026, 11, 23, 18, 14, 40, 0, time.UTC)

// stack is a mint over real HTTP, on a free port.
type stack struct {
	t        testing.TB
	server   *Server
	keys     *link.Keyring
	registry *prometheus.Registry
	tenant   *configs.Tenant // demo, number 1
	settings *configs.Mint
	log      *bytes.Buffer
	addr     string
	client   *http.Client
	begun    *atomic.Int64 // requests whose first byte has been seen
}

// newStack starts a mint with the tenants demo and other; change may alter what it is made of.
func newStack(t testing.TB, change func(*stack)) *stack {
	t.Helper()
	settings := configs.DefaultMint()
	settings.AnswerWithin = time.Minute // a busy machine must not change what a test finds
	s := &stack{t: t, settings: &settings, tenant: demoTenant(), log: new(bytes.Buffer), registry: prometheus.NewRegistry(), begun: new(atomic.Int64)}
	s.keys = testKeys(t)
	if change != nil {
		change(s)
	}
	server, err := New(Options{
		Settings: s.settings,
		Tenants:  &configs.Tenants{List: []*configs.Tenant{s.tenant, otherTenant()}},
		Keys:     s.keys,
		Registry: s.registry,
		Log:      slog.New(slog.NewTextHandler(s.log, nil)),
		Now:      func() time.Time { return testNow },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.server = server
	server.http.ConnState = func(c net.Conn, state fasthttp.ConnState) {
		server.connState(c, state)
		if state == fasthttp.StateActive {
			s.begun.Add(1)
		}
	}
	s.serve()
	return s
}

func (s *stack) serve() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- s.server.Serve(l) }()
	transport := &http.Transport{DisableCompression: true}
	s.client = &http.Client{Transport: transport, Timeout: 2 * time.Minute}
	s.t.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.server.Shutdown(ctx); err != nil {
			s.t.Errorf("shutdown: %v", err)
		}
		if err := <-done; err != nil {
			s.t.Errorf("serve: %v", err)
		}
	})
}

// demo is the server's own of the tenant demo.
func (s *stack) demo() *tenant { return s.server.rules.Load().byName["demo"] }

func testKeys(t testing.TB) *link.Keyring {
	t.Helper()
	keys, err := link.NewKeyring(0, [64]byte{1, 2, 3, 4, 5, 6, 7, 8, 63: 9})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func demoTenant() *configs.Tenant {
	t := configs.DefaultTenant()
	t.Number, t.Name = 1, "demo"
	t.Hosts = []string{"links.example.com", "http://127.0.0.1:8080"}
	t.Outreach.Secrets = []configs.Secret{testSecret, otherSecret}
	t.Outreach.Orgs = []string{"4711"}
	return &t
}

func otherTenant() *configs.Tenant {
	t := configs.DefaultTenant()
	t.Number, t.Name = 2, "other"
	t.Hosts = []string{"go.other.example"}
	t.Outreach.Secrets = []configs.Secret{"something else"}
	return &t
}

// request is a POST to /outreach/demo, signed with the first secret.
func (s *stack) request(body string) *http.Request {
	r, err := http.NewRequest(http.MethodPost, "http://"+s.addr+"/outreach/demo", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set(SignatureHeader, Sign([]byte(body), testSecret))
	return r
}

func (s *stack) do(r *http.Request) (int, string, http.Header) {
	s.t.Helper()
	response, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if got := response.Header.Get("Content-Type"); got != "application/json" {
		s.t.Errorf("Content-Type = %q", got)
	}
	return response.StatusCode, string(body), response.Header
}

// answer posts body, wants 200, and opens every link: value of data to what its link holds.
func (s *stack) answer(body string) map[string]*link.Link {
	s.t.Helper()
	status, text, _ := s.do(s.request(body))
	if status != http.StatusOK {
		s.t.Fatalf("status %d: %s", status, text)
	}
	return s.open(text)
}

func (s *stack) open(answer string) map[string]*link.Link {
	s.t.Helper()
	var document struct{ Data map[string]string }
	if err := json.Unmarshal([]byte(answer), &document); err != nil {
		s.t.Fatalf("answer %q: %v", answer, err)
	}
	links := map[string]*link.Link{}
	for value, url := range document.Data {
		token, ok := strings.CutPrefix(url, s.tenant.MintOrigin()+"/")
		if !ok {
			s.t.Fatalf("link %q does not begin with the tenant's origin", url)
		}
		l := new(link.Link)
		if err := s.keys.Open(l, []byte(token)); err != nil {
			s.t.Fatalf("link %q: %v", url, err)
		}
		links[value] = l
	}
	return links
}

// counter is the value of a counter or a gauge, or of a histogram's count; labels are name, value, name, value.
func (s *stack) counter(name string, labels ...string) float64 {
	s.t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
	series:
		for _, series := range family.GetMetric() {
			have := map[string]string{}
			for _, pair := range series.GetLabel() {
				have[pair.GetName()] = pair.GetValue()
			}
			for i := 0; i < len(labels); i += 2 {
				if have[labels[i]] != labels[i+1] {
					continue series
				}
			}
			if h := series.GetHistogram(); h != nil {
				return float64(h.GetSampleCount())
			}
			if g := series.GetGauge(); g != nil {
				return g.GetValue()
			}
			return series.GetCounter().GetValue()
		}
	}
	s.t.Fatalf("no series %s %v", name, labels)
	return 0
}

func vector(t testing.TB) string {
	t.Helper()
	body, err := os.ReadFile("testdata/outreach-request.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
