package inbound

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"waypost/configs"
	"waypost/configs/fault"
	"waypost/configs/throttle"
	"waypost/edge/internal/machines"
	"waypost/edge/journal"
	"waypost/mint/link"
)

// Options of a Handler.
type Options struct {
	Keys     *link.Keyring // of links: a provider may tell of a click on one of ours
	Tenants  *configs.Tenants
	Machines *machines.Set // nil: none is known
	Journal  *journal.Writer
	Asides   Asides
	Memory   int64 // bytes of bodies under way, in all
	Log      *slog.Logger
}

// Handler answers deliveries. Any number of goroutines may call Take.
type Handler struct {
	rules   atomic.Pointer[rules]
	journal *journal.Writer
	asides  Asides
	memory  int64
	bodies  atomic.Int64 // bytes of bodies under way
	counts  counts
	log     *slog.Logger
	now     func() time.Time

	// Log lines, held back each for itself.
	unproven, unmapped, lost, bugs throttle.Every
}

// New makes a handler. Nothing has to be closed: what it appends to is its owner's.
func New(o Options) *Handler {
	h := &Handler{journal: o.Journal, asides: o.Asides, memory: o.Memory, log: o.Log, now: time.Now}
	h.Reload(o.Keys, o.Tenants, o.Machines)
	return h
}

// Take answers a delivery of a provider to a tenant. secret is what stands in the path behind them. The body is read here: ctx must come from a server that streams bodies
// (fasthttp's StreamRequestBody).
func (h *Handler) Take(ctx *fasthttp.RequestCtx, tenant, provider, secret []byte) {
	s := h.rules.Load().sources[string(tenant)][string(provider)]
	if s == nil {
		h.counts.unknown.Add(1)
		answer(ctx, refuseUnknown.status, refuseUnknown.body)
		return
	}
	if !ctx.IsPost() {
		answer(ctx, refuseMethod.status, refuseMethod.body)
		ctx.Response.Header.Set("Allow", "POST")
		return
	}
	done, refused := h.takeSafely(ctx, s, secret)
	if refused == nil {
		s.counts.results[done].Add(1)
		answer(ctx, fasthttp.StatusOK, taken[done])
		return
	}
	s.counts.results[refused.result].Add(1)
	if refused == refuseLogin {
		ctx.Response.Header.Set("WWW-Authenticate", `Basic realm="deliveries"`)
	}
	passOver(ctx)
	answer(ctx, refused.status, refused.body)
}

// passedOver bounds what is read of a body and thrown away.
const passedOver = 16 << 20

// passOver reads what is left of a body: who is cut off while sending does not read the answer that says why.
func passOver(ctx *fasthttp.RequestCtx) {
	if stream := ctx.RequestBodyStream(); stream != nil {
		_, _ = io.CopyN(io.Discard, stream, passedOver) // what it ends by, the server sees too
	}
}

// takeSafely is take, of which a bug takes no more down than the delivery: other people's redirects are under way beside it.
func (h *Handler) takeSafely(ctx *fasthttp.RequestCtx, s *source, secret []byte) (done result, refused *refusal) {
	defer func() {
		if bug := recover(); bug != nil {
			if held, ok := h.bugs.Allow(time.Now()); ok {
				h.log.Error("bug in a delivery", "tenant", s.tenant.Name, "provider", s.provider, "panic", fmt.Sprintf("%T", bug), "stack", string(debug.Stack()), "held_back", held)
			}
			done, refused = broken, refuseBug
		}
	}()
	return h.take(ctx, s, secret)
}

// take is the way of a delivery: see the package comment.
func (h *Handler) take(ctx *fasthttp.RequestCtx, s *source, secret []byte) (result, *refusal) {
	d := delivery{header: ctx.Request.Header.Peek, secret: secret, at: h.now()}
	if refused := s.verifier.admits(&d); refused != nil {
		h.tellUnproven(s, refused)
		return 0, refused
	}
	if coding := ctx.Request.Header.ContentEncoding(); len(coding) > 0 && string(coding) != "identity" {
		return 0, refuseCoding
	}
	b := body{handler: h}
	defer b.release()
	if refused := b.read(ctx); refused != nil {
		return 0, refused
	}
	if !s.verifier.signed(&d, b.bytes) {
		h.tellUnproven(s, refuseUnsigned)
		return 0, refuseUnsigned
	}
	fault.Point("inbound.verified")
	all, err := s.told(b.bytes)
	switch {
	case errors.Is(err, ErrIgnored):
		return ignored, nil
	case err != nil:
		return h.setAside(ctx, s, &d, b.bytes, err)
	}
	if err := h.record(s, &d, b.bytes, all); err != nil {
		if held, ok := h.lost.Allow(time.Now()); ok {
			h.log.Warn("delivery not recorded, its provider is to send it again", "tenant", s.tenant.Name, "provider", s.provider, "error", err, "held_back", held)
		}
		return 0, refuseJournal
	}
	fault.Point("inbound.appended")
	return recorded, nil
}

// setAside keeps what cannot be mapped, until somebody has mended the mapping.
func (h *Handler) setAside(ctx *fasthttp.RequestCtx, s *source, d *delivery, body []byte, why error) (result, *refusal) {
	held, ok := h.unmapped.Allow(time.Now())
	if err := h.asides.Keep(s.tenant.Name, s.provider, d.at, keptHeaders(ctx), body, why); err != nil {
		if ok {
			h.log.Error("delivery cannot be mapped, nor kept", "tenant", s.tenant.Name, "provider", s.provider, "why", why, "error", err, "held_back", held)
		}
		return 0, refuseKeep
	}
	if ok {
		h.log.Warn("delivery cannot be mapped, kept aside", "tenant", s.tenant.Name, "provider", s.provider, "why", why, "held_back", held)
	}
	return aside, nil
}

// keptNames are the headers that an aside keeps: what the body is, and which delivery it was.
var keptNames = [...]string{"Content-Type", "User-Agent", "Svix-Id", "Webhook-Id"}

func keptHeaders(ctx *fasthttp.RequestCtx) (kept []Header) {
	for _, name := range keptNames {
		if value := ctx.Request.Header.Peek(name); len(value) > 0 {
			kept = append(kept, Header{name, string(value)})
		}
	}
	return kept
}

func (h *Handler) tellUnproven(s *source, why *refusal) {
	if held, ok := h.unproven.Allow(time.Now()); ok {
		h.log.Warn("delivery refused", "tenant", s.tenant.Name, "provider", s.provider, "reason", resultNames[why.result], "held_back", held)
	}
}

func answer(ctx *fasthttp.RequestCtx, status int, body []byte) {
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/json")
	ctx.Response.Header.Set("Cache-Control", "no-store")
	ctx.SetBody(body)
}
