// Package ops is the admin listener that every program has: /metrics, /healthz, /readyz and pprof.
//
// It belongs on an address that only operators reach: pprof tells much, and nothing here asks who comes.
package ops

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Limits of the listener. Writing has none of its own, because a CPU profile takes as long as it was asked to; what hangs there is bounded by idleness of the peer and by Close.
const (
	readTimeout   = 10 * time.Second
	idleTimeout   = 60 * time.Second
	maxHeader     = 16 << 10
	metricsWithin = 10 * time.Second
)

// Starting is why a program is not ready before its first SetReady.
const Starting = "starting"

// Server is an admin listener. It serves from its start on; it is not ready until SetReady.
type Server struct {
	// Registry holds the program's metrics; Go's and the process's own are there from the start.
	Registry *prometheus.Registry

	listener net.Listener
	mux      *http.ServeMux
	http     *http.Server
	reasons  atomic.Pointer[[]string] // never nil; replaced as a whole
	trouble  atomic.Pointer[[]string] // likewise
	served   chan struct{}            // closed when the accept loop has ended
}

// Start listens on addr (host:port; port 0 takes a free one). The error is net's, and names the address.
func Start(addr string, log *slog.Logger) (*Server, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return Serve(listener, log), nil
}

// Serve is Start on a listener that is there already. Close closes it.
func Serve(listener net.Listener, log *slog.Logger) *Server {
	s := &Server{Registry: prometheus.NewRegistry(), listener: listener, mux: http.NewServeMux(), served: make(chan struct{})}
	s.Registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	s.SetTrouble()
	s.SetReady(Starting)
	s.routes(log)
	s.http = &http.Server{
		Handler:           s.mux,
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	go s.serve(log)
	return s
}

func (s *Server) serve(log *slog.Logger) {
	defer close(s.served)
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		log.Error("admin listener ended", "error", err)
	}
}

func (s *Server) routes(log *slog.Logger) {
	mux := s.mux
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		// One broken metric does not hide the others.
		ErrorHandling: promhttp.ContinueOnError,
		Timeout:       metricsWithin,
	}))
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}

// Handle adds what a program answers to its operators beside the rest; pattern is http.ServeMux's. Safe while it serves.
func (s *Server) Handle(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// healthz says that the process answers: who restarts on it must not restart for what readyz names.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, health{Status: "ok"})
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	trouble := *s.trouble.Load()
	if reasons := *s.reasons.Load(); len(reasons) > 0 {
		answer(w, http.StatusServiceUnavailable, health{Status: "not ready", Reasons: slices.Concat(reasons, trouble)})
		return
	}
	answer(w, http.StatusOK, health{Status: "ready", Reasons: trouble})
}

// health is the JSON of /healthz and /readyz.
type health struct {
	Status  string   `json:"status"`
	Reasons []string `json:"reasons,omitempty"`
}

func answer(w http.ResponseWriter, status int, h health) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(h)
}

// Addr is where it listens: host:port, with the real port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// SetReady names why the program is not ready; no reason means ready. /readyz answers 200 or 503 with the reasons as JSON. Safe to call from anywhere; the last call counts.
func (s *Server) SetReady(reasons ...string) {
	reasons = slices.Clone(reasons)
	s.reasons.Store(&reasons)
}

// SetTrouble names what somebody should look at, but what is no reason to send requests elsewhere: /readyz lists it among its reasons and answers 200 all the same.
func (s *Server) SetTrouble(trouble ...string) {
	trouble = slices.Clone(trouble)
	s.trouble.Store(&trouble)
}

// Close ends it: requests under way may finish until ctx ends, then they are cut, and ctx's error is returned.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
	}
	<-s.served
	return err
}
