package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"

	"waypost/configs"
	"waypost/configs/fault"
	"waypost/configs/ops"
	"waypost/configs/throttle"
	"waypost/edge/inbound"
	"waypost/edge/internal/blocks"
	"waypost/edge/internal/machines"
	"waypost/edge/journal"
	"waypost/mint/link"
)

// Limits of a connection. They bound what a hostile client can hold: 12 KiB of buffers (more with link budgets beyond 4 KiB), and the
// times below.
const (
	minHeader    = 8 << 10          // request line and headers together, at least
	otherHeaders = 4 << 10          // room for headers beside the longest link
	maxBody      = 4 << 10          // no request for a link has one
	readTimeout  = 10 * time.Second // a request's headers
	writeTimeout = 10 * time.Second // an answer
	idleTimeout  = 75 * time.Second // between requests: longer than the proxies' own, so that they close first

	// lingerTimeout is how long a drain waits for the next request of a kept connection, to answer it with "Connection: close".
	lingerTimeout = 500 * time.Millisecond
	lingerTick    = time.Millisecond

	// ownFiles is how many open files are not for connections: the journal's next segment must never fail because of them.
	ownFiles = 256
)

// Options of a Server.
type Options struct {
	Keys           *link.Keyring
	Tenants        *configs.Tenants
	Blocks         *blocks.Set   // nil: nothing is blocked
	Machines       *machines.Set // nil: none is known
	Journal        *journal.Writer
	TrustedProxies []netip.Prefix   // whose X-Forwarded-For and Forwarded are believed
	ProxyProtocol  bool             // whether connections of trusted proxies begin with a header that names the client
	CacheBytes     int64            // opened links kept in memory; 0: none
	Inbound        *inbound.Handler // takes providers' deliveries; nil: nobody does

	// Connections open at once: in all (0: as many as the limit of open files leaves, which is never exceeded), and of one client (0: any number).
	MaxConnections, MaxPerAddress int

	Log *slog.Logger
}

// Server answers requests for links. Handle may be called by any number of goroutines.
type Server struct {
	rules   atomic.Pointer[rules]
	journal *journal.Writer
	inbound *inbound.Handler // nil: none
	run     uint64
	trusted []netip.Prefix
	proxied bool   // Options.ProxyProtocol
	most    int    // connections of one client; 0: any number
	cache   *cache // nil: none
	visits  sync.Pool
	counts  counts
	log     *slog.Logger
	lost    throttle.Every // log lines
	http    *fasthttp.Server
	once    *fasthttp.Server // ends each connection after its answer: for HandOver

	draining  atomic.Bool
	listeners []net.Listener
	mu        sync.Mutex // guards listeners

	answerFirst bool           // a fault: see late
	late        sync.WaitGroup // appends that answerFirst put off
}

// New makes a server. Close it when it was never served, else Drain it.
func New(o Options) (*Server, error) {
	s := &Server{
		journal:     o.Journal,
		inbound:     o.Inbound,
		run:         uint64(o.Journal.Run()),
		trusted:     o.TrustedProxies,
		proxied:     o.ProxyProtocol,
		most:        o.MaxPerAddress,
		log:         o.Log,
		answerFirst: fault.On("edge.answer-first"),
	}
	s.Reload(o.Keys, o.Tenants, o.Blocks, o.Machines)
	s.visits.New = func() any { return new(visit) }
	if o.CacheBytes > 0 {
		var err error
		if s.cache, err = newCache(o.CacheBytes); err != nil {
			return nil, err
		}
	}
	s.http, s.once = s.newHTTP(&o, true), s.newHTTP(&o, false)
	return s, nil
}

// newHTTP makes a server of HTTP. Without keep, every connection ends after one answer.
func (s *Server) newHTTP(o *Options, keep bool) *fasthttp.Server {
	return &fasthttp.Server{
		Handler:        s.Handle,
		ErrorHandler:   s.handleError,
		ReadBufferSize: headerBuffer(o.Tenants),
		// Bodies are left where they are, but for a byte: only deliveries are read, by their own handler, within its memory. What nobody has read fasthttp passes over, or ends the
		// connection. It costs a request without a body nothing.
		StreamRequestBody:     true,
		MaxRequestBodySize:    1,
		Concurrency:           maxConnections(o.MaxConnections),
		ReadTimeout:           readTimeout,
		WriteTimeout:          writeTimeout,
		IdleTimeout:           idleTimeout,
		DisableKeepalive:      !keep,
		NoDefaultServerHeader: true,
		NoDefaultContentType:  true,
		CloseOnShutdown:       true,
		Logger:                silence{},
		SecureErrorLogMessage: true,
		// ReduceMemoryUsage stays off: it gives an idle connection's buffer back, and pays with one more read(2) for each request.
		DisablePreParseMultipartForm: true,
	}
}

// maxConnections is how many connections are served at once: as many as the limit of open files allows beside our own. More are answered
// 503 and closed. set is the setting, 0 for none.
func maxConnections(set int) int {
	most := fasthttp.DefaultConcurrency
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		most = connectionsOf(limit.Cur)
	}
	if set > 0 {
		most = min(most, set)
	}
	return most
}

func connectionsOf(files uint64) int {
	left := max(files, ownFiles) - ownFiles
	return int(min(max(left, files/4, 1), fasthttp.DefaultConcurrency))
}

// headerBuffer is what a connection's buffer must hold: the longest link of any tenant, and headers.
func headerBuffer(tenants *configs.Tenants) int {
	n := minHeader
	for _, t := range tenants.List {
		n = max(n, t.LinkBudget+otherHeaders)
	}
	return n
}

// silence is fasthttp's logger: what it would write names addresses and requests.
type silence struct{}

func (silence) Printf(string, ...any) {}

// Serve answers requests from listener until Drain or HandOver.
func (s *Server) Serve(listener net.Listener) error {
	listener = s.wrap(listener)
	s.mu.Lock()
	s.listeners = append(s.listeners, listener)
	s.mu.Unlock()
	if s.draining.Load() { // fasthttp overlooks a Shutdown that comes before Serve
		_ = listener.Close() // Drain may have closed it already
		return nil
	}
	return s.http.Serve(listener)
}

// wrap adds what the options ask of connections.
func (s *Server) wrap(listener net.Listener) net.Listener {
	listener = ops.NewListener(listener, s.log)
	if s.most > 0 {
		listener = newPerAddress(listener, s.most, s.trusted, &s.counts.crowded)
	}
	if s.proxied {
		listener = &proxyListener{listener, s.trusted}
	}
	return listener
}

// Drain takes no more connections, answers every request that was accepted, and ends the server. Kept connections get their next answer
// with "Connection: close"; those that stay silent are closed. Afterwards nothing more is appended to the journal. When ctx ends first,
// Drain returns its error and the rest is cut by the end of the process.
func (s *Server) Drain(ctx context.Context) error {
	s.draining.Store(true)
	return s.end(ctx, s.stop(ctx))
}

// HandOver is Drain while another process takes over the same socket, of which listener has a descriptor: connections that come while kept ones end are answered
// still, once each. So nobody waits for what a drain takes with silent connections, only for the moment between the last answer here and the first one there.
func (s *Server) HandOver(ctx context.Context, listener net.Listener) error {
	again, err := duplicate(listener)
	if err != nil {
		s.log.Warn("connections wait until the new edge accepts them", "error", err)
		return s.Drain(ctx)
	}
	again = s.wrap(again)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.once.Serve(again) // until it is closed
	}()
	s.draining.Store(true)
	kept := s.stop(ctx)
	_ = again.Close()
	<-ended
	return s.end(ctx, kept, shut(ctx, s.once))
}

// duplicate is another descriptor of a listener's socket.
func duplicate(listener net.Listener) (net.Listener, error) {
	l, ok := listener.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, fmt.Errorf("%T has no descriptor", listener)
	}
	f, err := l.File()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return net.FileListener(f)
}

// stop ends the listeners and the connections.
func (s *Server) stop(ctx context.Context) error {
	s.mu.Lock()
	for _, l := range s.listeners {
		_ = l.Close() // closed twice when the server ended by itself
	}
	s.mu.Unlock()
	return shut(ctx, s.http)
}

// shut ends connections that stay silent, and waits for the answers of the others.
func shut(ctx context.Context, http *fasthttp.Server) error {
	linger(ctx, http)
	return http.ShutdownWithContext(ctx)
}

// end is for when no connection is served any more, or, as one of errs says, ctx was over before.
func (s *Server) end(ctx context.Context, errs ...error) error {
	s.late.Wait()
	s.tellHeldBack()
	for _, err := range errs {
		if err != nil && err == ctx.Err() {
			return err // the cache stays: requests are still under way, and ristretto panics when they meet its end
		}
	}
	s.Close()
	return nil // what is left are listeners that were closed already
}

// linger waits until no connection is open, lingerTimeout at most. It counts its looks instead of asking the clock: on a machine that stands still for a while requests wait
// in their sockets, and when it goes on, who was about to send has had no time to.
func linger(ctx context.Context, http *fasthttp.Server) {
	tick := time.NewTicker(lingerTick)
	defer tick.Stop()
	for looks := 0; http.GetCurrentConcurrency() > 0 && looks < int(lingerTimeout/lingerTick); looks++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Close releases the cache.
func (s *Server) Close() {
	if s.cache != nil {
		s.cache.close()
	}
}
