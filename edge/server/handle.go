package server

import (
	"errors"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"waypost/configs/fault"
	"waypost/edge/event"
	"waypost/edge/internal/blocks"
	"waypost/edge/internal/repair"
	"waypost/mint/link"
)

// Header names and values, as fasthttp keeps them: in canonical case.
var (
	headerLocation     = []byte("Location")
	headerCacheControl = []byte("Cache-Control")
	headerRobots       = []byte("X-Robots-Tag")
	headerAllow        = []byte("Allow")
	noStore            = []byte("no-store")
	noIndex            = []byte("noindex")
	allowed            = []byte("GET, HEAD")
	typeHTML           = []byte("text/html; charset=utf-8")
	typeText           = []byte("text/plain; charset=utf-8")
)

var (
	robots = []byte("User-agent: *\nDisallow: /\n")

	// The pages say nothing of the request: nothing of it can come back as markup.
	pageNotFound  = page("Not found", "This link does not lead anywhere. It may have been cut short or changed on its way.")
	pageCut       = page("Incomplete link", "The end of this link is missing. Copy the whole link from the message, or ask its sender.")
	pageFolded    = page("Changed link", "This link was changed on its way: its capital and small letters are no longer what they were. Use the link in the message itself, or ask its sender.")
	pageRotated   = page("Changed link", "This link was changed on its way: its letters are not those of the message. Use the link in the message itself, or ask its sender.")
	pageMethod    = page("Method not allowed", "Links are followed with GET.")
	pageMalformed = page("Bad request", "This request could not be understood.")
	pageTooLarge  = page("Request too large", "This request is longer than any link.")
	pageTimeout   = page("Request timeout", "This request took too long.")
)

func page(title, text string) []byte {
	return []byte("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>" + title +
		"</title></head>\n<body><h1>" + title + "</h1><p>" + text + "</p></body></html>\n")
}

// Handle answers one request.
func (s *Server) Handle(ctx *fasthttp.RequestCtx) {
	if s.draining.Load() {
		ctx.SetConnectionClose()
	}
	method := event.Labels(0)
	switch {
	case ctx.IsGet():
	case ctx.IsHead():
		method = event.Head
	default:
		if s.deliver(ctx, parseTarget(ctx.Request.Header.RequestURI(), ctx.Request.Header.Host())) {
			return
		}
		s.counts.request(outcomeMethod)
		refuseMethod(ctx)
		return
	}
	if ctx.Request.Header.ContentLength() > maxBody {
		s.counts.request(outcomeMalformed)
		answer(ctx, fasthttp.StatusRequestEntityTooLarge, typeHTML, pageTooLarge)
		ctx.SetConnectionClose() // its body is not waited for
		return
	}
	t := parseTarget(ctx.Request.Header.RequestURI(), ctx.Request.Header.Host())
	if string(t.path) == "robots.txt" {
		s.counts.request(outcomeRobots)
		answer(ctx, fasthttp.StatusOK, typeText, robots)
		return
	}
	v := s.visits.Get().(*visit)
	if token, ok := pictureToken(t.path); ok {
		s.show(ctx, v, token, t.host, method)
	} else if r := s.rules.Load(); r.nexo == nil || !s.answerNexoMailer(ctx, v, r, t, method) {
		s.follow(ctx, v, t, method)
	}
	if v.handled++; v.handled%sampleEvery == 0 {
		s.counts.latency.observe(time.Since(ctx.Time()))
	}
	s.visits.Put(v)
}

// follow opens the token, records the hit, and answers with the destination; or says that there is none.
func (s *Server) follow(ctx *fasthttp.RequestCtx, v *visit, t target, labels event.Labels) {
	r, token := s.rules.Load(), t.path
	o, err := s.open(v, r.keys, token)
	if err != nil {
		var class repair.Class
		if token, class = s.mend(v, r.keys, token, err); !class.Followed() {
			s.refuse(ctx, reasonOf(err), pageFor(class))
			return
		}
		o, labels = &v.opened, labels|event.Repaired
	}
	owner, why, ok := r.owner(o, link.Click, t.host)
	if !ok {
		s.refuse(ctx, why, pageNotFound)
		return
	}
	if r.blocks != nil {
		if by := o.blockedBy(r.blocks, token); by != blocks.None {
			s.withhold(ctx, by, owner)
			return
		}
	}
	s.lead(ctx, v, r, o, owner, labels)
}

// lead records the click and answers with the destination.
func (s *Server) lead(ctx *fasthttp.RequestCtx, v *visit, r *rules, o *opened, owner *tenant, labels event.Labels) {
	s.record(ctx, v, r, o, owner, labels)
	redirect(ctx, o.link.Destination)
	s.counts.request(outcomeRedirect)
	owner.counts.redirects.add(1)
}

// open gives the link of a token, from the cache or into the visit's own memory.
func (s *Server) open(v *visit, keys *link.Keyring, token []byte) (*opened, error) {
	if s.cache == nil {
		return &v.opened, v.opened.open(keys, token)
	}
	hash := hashToken(token)
	if s.cache.hot(hash) {
		if o := s.cache.get(hash, keys, token); o != nil {
			s.counts.cacheHits.add(1)
			return o, nil
		}
	}
	if err := v.opened.open(keys, token); err != nil {
		return nil, err
	}
	s.counts.cacheMisses.add(1)
	if s.cache.note(hash) {
		s.cache.keep(hash, token, keys)
	}
	return &v.opened, nil
}

// record writes to the journal what happened, unless the tenant or the person does not want it known.
func (s *Server) record(ctx *fasthttp.RequestCtx, v *visit, r *rules, o *opened, owner *tenant, labels event.Labels) {
	if by := owner.untracked(&ctx.Request.Header); by != tracked {
		owner.counts.untracked[by].add(1)
		return
	}
	v.describe(s, r, ctx, o, owner, labels)
	s.counts.label(v.event.Labels)
	if s.answerFirst {
		s.appendLater(v)
	} else {
		s.append(v)
	}
}

// append writes the visit's record to the journal. The redirect goes on whatever comes of it.
func (s *Server) append(v *visit) {
	if _, err := s.journal.Append(v.record, v.sequenceAt[:]...); err != nil {
		s.lose(err)
		return
	}
	fault.Point("edge.appended")
}

func (s *Server) lose(err error) {
	reason := lossOf(err)
	s.counts.lost[reason].add(1)
	if held, ok := s.lost.Allow(time.Now()); ok {
		s.log.Warn("event lost, redirect answered", "reason", lossNames[reason], "held_back", held)
	}
}

// tellHeldBack writes how many losses the log did not tell yet, so that none goes unsaid at the end.
func (s *Server) tellHeldBack() {
	if n := s.lost.HeldBack(); n > 0 {
		s.log.Warn("events lost since the last warning", "held_back", n)
	}
}

// appendLater breaks the rule that the journal comes first. The crash test switches it on to see itself fail.
func (s *Server) appendLater(v *visit) {
	later := &visit{record: append([]byte(nil), v.record...), sequenceAt: v.sequenceAt}
	s.late.Go(func() {
		time.Sleep(20 * time.Millisecond) // by then the answer has left
		s.append(later)
	})
}

// redirect answers with the destination, byte for byte. SetCanonical takes out nothing but CR and LF, which no destination holds.
func redirect(ctx *fasthttp.RequestCtx, destination []byte) {
	h := &ctx.Response.Header
	h.SetStatusCode(fasthttp.StatusFound)
	h.SetCanonical(headerLocation, destination)
	h.SetCanonical(headerCacheControl, noStore)
	h.SetCanonical(headerRobots, noIndex)
}

func (s *Server) refuse(ctx *fasthttp.RequestCtx, reason refusal, body []byte) {
	s.turnDown(reason)
	answer(ctx, fasthttp.StatusNotFound, typeHTML, body)
}

// turnDown counts a token that is not taken.
func (s *Server) turnDown(reason refusal) {
	s.counts.request(outcomeRefused)
	s.counts.refused[reason].add(1)
}

// withhold answers in place of a blocked link. It is no click, because nobody got anywhere: there is a counter, and no event.
func (s *Server) withhold(ctx *fasthttp.RequestCtx, by blocks.Kind, owner *tenant) {
	s.countBlocked(by, owner)
	answer(ctx, fasthttp.StatusGone, typeHTML, owner.blocked)
}

func (s *Server) countBlocked(by blocks.Kind, owner *tenant) {
	s.counts.request(outcomeBlocked)
	s.counts.blocked[by].add(1)
	owner.counts.blocked.add(1)
}

func refuseMethod(ctx *fasthttp.RequestCtx) {
	answer(ctx, fasthttp.StatusMethodNotAllowed, typeHTML, pageMethod)
	ctx.Response.Header.SetCanonical(headerAllow, allowed)
}

func answer(ctx *fasthttp.RequestCtx, status int, contentType, body []byte) {
	h := &ctx.Response.Header
	h.SetStatusCode(status)
	h.SetContentTypeBytes(contentType)
	h.SetCanonical(headerCacheControl, noStore)
	h.SetCanonical(headerRobots, noIndex)
	ctx.Response.SetBodyRaw(body)
}

// handleError answers what fasthttp could not read as a request. The connection ends after it.
func (s *Server) handleError(ctx *fasthttp.RequestCtx, err error) {
	var tooSmall *fasthttp.ErrSmallBuffer
	var network net.Error
	status, body := fasthttp.StatusBadRequest, pageMalformed
	switch {
	case errors.As(err, &tooSmall):
		status, body = fasthttp.StatusRequestHeaderFieldsTooLarge, pageTooLarge
	case errors.As(err, &network) && network.Timeout():
		status, body = fasthttp.StatusRequestTimeout, pageTimeout
	}
	s.counts.request(outcomeMalformed)
	answer(ctx, status, typeHTML, body)
}
