package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"waypost/configs"
	"waypost/configs/ops"
	"waypost/configs/ops/jsonbody"
	"waypost/configs/outbound"
	"waypost/sink/dispatch"
	"waypost/sink/enrich"
	"waypost/sink/internal/uniques"
	"waypost/sink/live"
)

// Limits of the listener.
const (
	readTimeout  = 10 * time.Second
	writeTimeout = 30 * time.Second
	idleTimeout  = 60 * time.Second
	answerWithin = 15 * time.Second // less than writeTimeout: who waits for brokers hears why
	maxHeader    = 16 << 10
	maxBody      = 128 << 10
)

// Dispatcher is what a change is told to.
type Dispatcher interface {
	Put(a dispatch.Added, commit func() error) error
	Remove(tenant uint32, id string, commit func() error) error
}

// Options of Start.
type Options struct {
	Book       *Book
	Tenants    *configs.Tenants
	Dispatcher Dispatcher
	Uniques    *uniques.Keeper  // nil: nothing can be pulled, because events come from Kafka
	Who        *enrich.Enricher // for what is pulled; nil: nobody is known
	Rules      *outbound.Rules
	Settings   configs.Dispatch                                          // of samples
	Stream     func(http.ResponseWriter, *http.Request, *configs.Tenant) // shows a tenant's events live; optional
	Logger     *slog.Logger
}

// Server is the API's listener.
type Server struct {
	Options
	tokens    []token
	listener  net.Listener
	http      *http.Server
	served    chan struct{}
	tests     tests
	searching chan struct{} // a search under way has put something into it
	patience  time.Duration // of a search that waits for its turn
}

// token is kept as its hash, so that comparing takes the same time for each length.
type token struct {
	hash   [sha256.Size]byte
	tenant *configs.Tenant
}

// Start listens on addr (host:port; port 0 takes a free one). The error is net's, and names the address.
func Start(addr string, o Options) (*Server, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &Server{Options: o, listener: listener, served: make(chan struct{}), searching: make(chan struct{}, searches), patience: patience}
	for _, tenant := range o.Tenants.List {
		for _, text := range tenant.APITokens {
			s.tokens = append(s.tokens, token{sha256.Sum256([]byte(text)), tenant})
		}
	}
	s.http = &http.Server{
		Handler: s, ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
	}
	go func() {
		defer close(s.served)
		if err := s.http.Serve(ops.NewListener(listener, o.Logger)); !errors.Is(err, http.ErrServerClosed) {
			o.Logger.Error("api listener ended", "error", err)
		}
	}()
	return s, nil
}

// Addr is where it listens: host:port, with the real port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close ends it: requests under way may finish until ctx ends, then they are cut.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
	}
	<-s.served
	return err
}

// problem is an error in Postmark's form.
type problem struct {
	status    int
	ErrorCode int
	Message   string
}

// Postmark's codes, where it has published one that fits; otherwise the status stands for it.
const (
	codeToken       = 10
	codeInvalidJSON = 402
	codeNotFitting  = 403
	codeQuery       = 700
	codeStream      = 1226
)

func (p *problem) Error() string { return p.Message }

func refuse(status int, message string) error { return &problem{status, status, message} }

// unprocessable is 422, with which Postmark refuses what it has read.
func unprocessable(code int, message string) error {
	return &problem{http.StatusUnprocessableEntity, code, message}
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Stream != nil && r.URL.Path == live.Path {
		s.stream(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	answer, err := s.serve(w, r)
	var p *problem
	switch {
	case err == nil:
		p = &problem{status: http.StatusOK}
	case errors.Is(err, dispatch.ErrEnded):
		p = &problem{http.StatusServiceUnavailable, http.StatusServiceUnavailable, "the sink is ending: try again"}
	case !errors.As(err, &p):
		s.Logger.Error("webhooks api failed", "error", err)
		p = &problem{http.StatusInternalServerError, http.StatusInternalServerError, "the sink could not do it; its log says why"}
	}
	if answer == nil || err != nil {
		answer = p
	}
	w.WriteHeader(p.status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(answer)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) (any, error) {
	kind, message, pulling := pulled(r.URL.EscapedPath())
	rest, ok := strings.CutPrefix(r.URL.Path, "/webhooks")
	number, isOne := strings.CutPrefix(rest, "/")
	number, isTest := strings.CutSuffix(number, "/test")
	if !pulling && (!ok || rest != "" && !isOne || isTest && number == "") {
		return nil, refuse(http.StatusNotFound, "no such path; there are /webhooks, /webhooks/ID, /webhooks/ID/test, and /messages/outbound/clicks and opens, each with or without /MESSAGEID")
	}
	tenant := s.tenantOf(r.Header.Get(tokenHeader))
	if tenant == nil {
		return nil, &problem{http.StatusUnauthorized, codeToken, "X-Postmark-Server-Token: must be one of the api_tokens of a tenant"}
	}
	if pulling {
		return s.pull(w, r, tenant, kind, message)
	}
	if isTest {
		return s.test(w, r, tenant, number)
	}
	body, err := s.body(w, r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	if number == "" {
		switch r.Method {
		case http.MethodGet:
			return s.list(ctx, tenant, r.URL.Query().Get("MessageStream"))
		case http.MethodPost:
			return s.create(ctx, tenant, body)
		}
		return nil, notAllowed(w, "GET, POST")
	}
	id, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return nil, noSuch(number)
	}
	switch r.Method {
	case http.MethodGet:
		return s.get(ctx, tenant, uint32(id))
	case http.MethodPut:
		return s.change(ctx, tenant, uint32(id), body)
	case http.MethodDelete:
		return s.remove(ctx, tenant, uint32(id))
	}
	return nil, notAllowed(w, "GET, PUT, DELETE")
}

// stream hands a request to the stream. It is no part of Postmark's API: the token may come as other APIs have it, and errors have another form.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	token := r.Header.Get(tokenHeader)
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && token == "" {
		token = bearer
	}
	tenant := s.tenantOf(token)
	if tenant == nil {
		w.Header().Set("WWW-Authenticate", "Bearer")
		live.Refuse(w, http.StatusUnauthorized, "Authorization: must be Bearer and one of the api_tokens of a tenant; X-Postmark-Server-Token does too")
		return
	}
	s.Stream(w, r, tenant)
}

func notAllowed(w http.ResponseWriter, methods string) error {
	w.Header().Set("Allow", methods)
	return refuse(http.StatusMethodNotAllowed, "method not allowed; allowed are "+methods)
}

func noSuch(number string) error { return refuse(http.StatusNotFound, "there is no webhook "+number) }

const tokenHeader = "X-Postmark-Server-Token"

// tenantOf finds whose token it is; nil: nobody's. It compares with all tokens, in constant time.
func (s *Server) tenantOf(text string) (tenant *configs.Tenant) {
	given := sha256.Sum256([]byte(text))
	for i := range s.tokens {
		if subtle.ConstantTimeCompare(given[:], s.tokens[i].hash[:]) == 1 {
			tenant = s.tokens[i].tenant
		}
	}
	return tenant
}

// body reads what POST and PUT send.
func (s *Server) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Method != http.MethodPost && r.Method != http.MethodPut {
		return nil, nil
	}
	if !jsonbody.Is(r.Header) {
		return nil, refuse(http.StatusUnsupportedMediaType, "Content-Type: must be application/json")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, refuse(http.StatusRequestEntityTooLarge, "the body is larger than 128 KiB")
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "the body ended early, or took too long")
	}
	return body, nil
}
