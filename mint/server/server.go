// Package server is the HTTP side of mint: Outreach posts the links of a mail, other programs its bodies, and they get them back with links of ours.
package server

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"waypost/configs"
	"waypost/configs/ops"
	"waypost/configs/throttle"
	"waypost/mint/internal/gate"
	"waypost/mint/link"
)

// maxHeader is the most that a request's line and header may have.
const maxHeader = 8 << 10

// Options are what a Server is made of. All but Now are needed.
type Options struct {
	Settings *configs.Mint
	Tenants  *configs.Tenants
	Keys     *link.Keyring
	Registry prometheus.Registerer
	Log      *slog.Logger
	Now      func() time.Time // the clock of minting times; time.Now where nil
}

// Server answers mint's requests. It keeps nothing of them.
type Server struct {
	http         fasthttp.Server
	stopped      atomic.Bool
	answerWithin time.Duration
	maxBody      int
	maxBodies    int64
	bodies       atomic.Int64 // bytes of large requests under way
	gate         *gate.Gate
	now          func() time.Time
	log          *slog.Logger
	metrics      *metrics
	refused      throttle.Every // log lines of wrong signatures
	unknownKeys  throttle.Every // log lines of wrong API keys
	unfiltered   throttle.Every // log lines of links of which a filter does not say whether to replace them
	none         *tenantMetrics
	rules        atomic.Pointer[rules]
}

// New prepares a server; Serve starts it.
func New(o Options) (*Server, error) {
	s := &Server{
		answerWithin: o.Settings.AnswerWithin,
		maxBody:      int(o.Settings.MaxBody),
		maxBodies:    o.Settings.BodyMemory,
		gate:         gate.New(runtime.GOMAXPROCS(0)),
		now:          o.Now,
		log:          o.Log,
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.metrics = newMetrics(o.Registry, s)
	s.none = s.metrics.forTenant(noTenant)
	if err := s.Reload(o.Keys, o.Tenants); err != nil {
		return nil, err
	}
	s.http = fasthttp.Server{
		Handler:                      s.handle,
		ErrorHandler:                 s.handleUnread,
		ConnState:                    s.connState,
		ReadBufferSize:               maxHeader,
		MaxRequestBodySize:           s.maxBody,
		WriteTimeout:                 writeTimeout,
		DisablePreParseMultipartForm: true, // whatever the content type says, the body is JSON
		NoDefaultServerHeader:        true,
		CloseOnShutdown:              true,
		Logger:                       silent{}, // what it would say is counted, and may hold addresses
	}
	return s, nil
}

// Serve answers requests from l until Shutdown.
func (s *Server) Serve(l net.Listener) error {
	return s.http.Serve(listener{ops.NewListener(l, s.log), s})
}

// Shutdown takes no more connections, answers the requests under way, and returns when all are answered, or with ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopped.Store(true)
	return s.http.ShutdownWithContext(ctx)
}

type silent struct{}

func (silent) Printf(string, ...any) {}

// handle answers one request that has been read.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	c := ctx.Conn().(*conn)
	counters := s.none
	defer func() {
		if bug := recover(); bug != nil {
			s.metrics.panics.Inc()
			s.log.Error("bug in a request", "panic", fmt.Sprint(bug), "stack", string(debug.Stack()))
			ctx.Response.Reset()
			s.refuse(ctx, refuseBug)
		}
		counters.count(ctx.Response.StatusCode())
		c.answers(counters)
	}()
	t, which, refused := s.route(ctx)
	if t != nil {
		counters = t.tenantMetrics
	}
	if refused == nil && which != endpointOutreach {
		refused = s.authorised(ctx, t)
	}
	if refused == nil {
		refused = s.admitted(ctx, t, which, c)
	}
	if refused != nil {
		s.refuse(ctx, refused)
	}
}

// handleUnread answers what could not be read as a request.
func (s *Server) handleUnread(ctx *fasthttp.RequestCtx, err error) {
	c := ctx.Conn().(*conn)
	if c.first.IsZero() {
		return // nothing was sent, and nothing will be (conn.Write)
	}
	c.linger = true
	refused := refuseRead(err)
	switch {
	case c.crowded:
		refused = s.shed(shedMemory)
	case c.unseen:
		refused = s.shed(shedUnseen)
	}
	s.refuse(ctx, refused)
	s.none.count(refused.status)
	c.answers(s.none)
}

func (s *Server) refuse(ctx *fasthttp.RequestCtx, r *refusal) {
	ctx.SetStatusCode(r.status)
	switch r.status {
	case fasthttp.StatusUnauthorized:
		if r == refuseKey {
			ctx.Response.Header.Set("WWW-Authenticate", "Bearer")
		}
	case fasthttp.StatusMethodNotAllowed:
		ctx.Response.Header.Set("Allow", "POST")
	case fasthttp.StatusServiceUnavailable:
		ctx.Response.Header.Set("Retry-After", "1")
	}
	ctx.SetContentType("application/json")
	ctx.SetBody(r.body)
}

// endpoint is what a path asks for.
type endpoint uint8

const (
	endpointOutreach endpoint = iota
	endpointMessages
	endpointLinks
	endpointFilter
)

// endpoints are the paths; the tenant's name follows.
var endpoints = [...][]byte{endpointOutreach: []byte("/outreach"), endpointMessages: []byte("/v1/messages"), endpointLinks: []byte("/v1/links"),
	endpointFilter: []byte("/v1/filter/test")}

// route finds the tenant that the path names, or the organisation's header.
//
// An unknown tenant is answered at once, with less work than a wrong signature: the status tells the two apart anyway, tenants' names are
// in URLs and no secret, and a flood is refused cheaply.
func (s *Server) route(ctx *fasthttp.RequestCtx) (*tenant, endpoint, *refusal) {
	which, name, ok := splitPath(ctx.Path())
	if !ok {
		return nil, which, refusePath
	}
	if !ctx.IsPost() {
		return nil, which, refuseMethod
	}
	rules := s.rules.Load()
	if len(name) == 0 {
		if t := rules.byOrg[string(ctx.Request.Header.Peek("outreach-org-id"))]; t != nil {
			return t, which, nil
		}
		return nil, which, refuseOrg
	}
	if t := rules.byName[string(name)]; t != nil {
		return t, which, nil
	}
	return nil, which, refuseTenant
}

// splitPath finds the endpoint of a path and the tenant's name in it. Only Outreach's may leave it out.
func splitPath(path []byte) (which endpoint, name []byte, ok bool) {
	for i, prefix := range endpoints {
		rest, begins := bytes.CutPrefix(path, prefix)
		if !begins || len(rest) > 0 && rest[0] != '/' {
			continue
		}
		which, name = endpoint(i), bytes.Trim(rest, "/")
		return which, name, which == endpointOutreach || len(name) > 0
	}
	return 0, nil, false
}

// authorised looks at the key before anything is done for the request.
func (s *Server) authorised(ctx *fasthttp.RequestCtx, t *tenant) *refusal {
	if t.apiKeys.admits(ctx.Request.Header.Peek("Authorization")) {
		return nil
	}
	if held, ok := s.unknownKeys.Allow(time.Now()); ok {
		s.log.Warn("API key refused", "tenant", t.settings.Name, "held_back", held)
	}
	return refuseKey
}

// unpacks is how many bytes one of a gzip body is taken for: lists of URLs shrink to a fifth or less.
const unpacks = 6

// admitted has a request's turn come, or refuses it: rather at once than too late.
func (s *Server) admitted(ctx *fasthttp.RequestCtx, t *tenant, which endpoint, c *conn) *refusal {
	if c.unseen {
		return s.shed(shedUnseen)
	}
	bytes := len(ctx.Request.Body())
	if len(ctx.Request.Header.ContentEncoding()) > 0 {
		bytes = min(unpacks*bytes, s.maxBody)
	}
	now := time.Now()
	pass, err := s.gate.Enter(bytes, now, s.startBy(c.first, now), c.behind)
	switch err {
	case nil:
	case gate.ErrBusy:
		return s.shed(shedExpected)
	default:
		return s.shed(shedWaited)
	}
	defer s.gate.Leave(pass)
	switch which {
	case endpointOutreach:
		return s.outreach(ctx, t, c.first)
	case endpointFilter:
		return s.testFilter(ctx, t, c.first)
	}
	return s.message(ctx, t, which, c.first)
}

func (s *Server) shed(why shed) *refusal {
	s.metrics.shed[why].Inc()
	return refuseBusy
}

// outreach verifies, reads and answers Outreach's request, or says why not.
func (s *Server) outreach(ctx *fasthttp.RequestCtx, t *tenant, first time.Time) *refusal {
	m := minters.Get().(*minter)
	defer m.release()
	body, refused := s.verified(ctx, t, m)
	if refused != nil {
		return refused
	}
	if err := m.parse(body); err != nil {
		return refuseContent(body, err)
	}
	by := s.workBy(first)
	answer := s.mint(m, t, s.now(), func() bool { return time.Now().After(by) })
	ctx.SetContentType("application/json")
	ctx.SetBody(answer)
	s.count(m, t)
	return nil
}

// verified gives the body, decompressed, once its signature is found right.
//
// With a content coding, "the raw body" could be what was sent or what was meant, and Outreach does not say which. Both are accepted: neither can be
// made without the secret. What was sent is tried first; decompressing for a stranger is bounded by the limit of a body.
func (s *Server) verified(ctx *fasthttp.RequestCtx, t *tenant, m *minter) ([]byte, *refusal) {
	signature := ctx.Request.Header.Peek(SignatureHeader)
	body := ctx.Request.Body()
	coding := ctx.Request.Header.ContentEncoding()
	gzipped := bytes.EqualFold(coding, []byte("gzip"))
	if !gzipped && len(coding) > 0 && !bytes.EqualFold(coding, []byte("identity")) {
		return nil, refuseCoding
	}
	good := len(signature) > 0 && verifyAny(t.secrets, body, signature)
	if gzipped && len(signature) > 0 {
		plain, err := appendInflated(m.plain[:0], body, s.maxBody)
		m.plain = plain
		switch {
		case err == errTooLong:
			return nil, refuseLength
		case err != nil && good:
			return nil, refuseGzip
		}
		good = good || err == nil && verifyAny(t.secrets, plain, signature)
		body = plain
	}
	if !good {
		if held, ok := s.refused.Allow(time.Now()); ok {
			s.log.Warn("signature refused", "tenant", t.settings.Name, "held_back", held)
		}
		return nil, refuseSignature
	}
	return body, nil
}

func (s *Server) count(m *minter, t *tenant) {
	s.countLinks(t, m.minted, &m.left)
	for which, n := range m.ignored {
		if n > 0 {
			s.metrics.ignored[which].Add(float64(n))
		}
	}
}

func (s *Server) countLinks(t *tenant, minted int, left *[leftCount]int) {
	if left[leftUnfiltered] > 0 {
		if held, ok := s.unfiltered.Allow(time.Now()); ok {
			s.log.Warn("the filter does not say of links whether to replace them: they are left", "tenant", t.settings.Name, "links", left[leftUnfiltered], "held_back", held)
		}
	}
	t.links.Add(float64(minted))
	for reason, n := range left {
		if n > 0 {
			s.metrics.left[reason].Add(float64(n))
		}
	}
}
