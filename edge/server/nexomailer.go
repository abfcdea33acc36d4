package server

import (
	"bytes"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"waypost/edge/event"
	"waypost/edge/internal/blocks"
	"waypost/mint/link"
)

// nexoMailer is how a tenant answers the links and pictures of mails that NexoMailer's tracking module has sent. Nothing in them comes from us: the path names a message, and the query a
// destination that anybody may have written there. So the destination decides whether anybody is redirected.
type nexoMailer struct {
	owner       *tenant
	open, click []byte // their paths up to the message's id, without the slash they begin with
	webhook     []byte // the path of providers' webhooks, up to the provider
	hosts       listedHosts
	secrets     [][]byte
	minted      uint32 // link.Link's, of all its mails
}

// noon stands for the hours of the day of sending: no time zone is far from it, and midnight, near which the sink looks up two days, is.
const noon = 12 * time.Hour

func newNexoMailer(owner *tenant) *nexoMailer {
	c := &owner.settings.NexoMailer
	prefix := strings.Trim(c.Prefix, "/")
	if prefix != "" {
		prefix += "/"
	}
	n := &nexoMailer{
		owner: owner, open: []byte(prefix + "track/open/"), click: []byte(prefix + "track/click/"), webhook: []byte(prefix + "track/webhook/"),
		hosts: newListedHosts(c.Hosts), minted: link.Minutes(c.SentUntil.Add(noon)),
	}
	for _, secret := range c.Secrets {
		n.secrets = append(n.secrets, []byte(secret))
	}
	return n
}

// addNexoMailer lets the tenant's hosts answer, and them alone even where its links open on any: nothing in such a path tells whose it is.
func (r *rules) addNexoMailer(owner *tenant) {
	if r.nexo == nil {
		r.nexo = map[string]*nexoMailer{}
	}
	n := newNexoMailer(owner)
	for _, origin := range owner.settings.Hosts {
		host, port := strings.TrimPrefix(origin, "https://"), ":443"
		if bare, ok := strings.CutPrefix(origin, "http://"); ok {
			host, port = bare, ":80"
		}
		r.nexo[host], r.nexo[host+port] = n, n
	}
}

// nexoMailerOf finds who answers on a host, in whatever letters it is written.
func (r *rules) nexoMailerOf(host []byte) *nexoMailer {
	var room [maxHostName + len(":65535")]byte
	if len(host) > len(room) {
		return nil
	}
	return r.nexo[string(appendLower(room[:0], host))]
}

// nexoDelivery reads the module's path for providers' webhooks as another name of /in/TENANT/PROVIDER: its tenant's name, and what stands behind it.
func (r *rules) nexoDelivery(t target) (tenant, rest []byte, ok bool) {
	n := r.nexoMailerOf(t.host)
	if n == nil {
		return nil, nil, false
	}
	rest, ok = bytes.CutPrefix(t.path, n.webhook)
	return viewBytes(n.owner.settings.Name), rest, ok
}

// nexoOutcome is what became of a request for such a link or picture.
type nexoOutcome uint8

const (
	nexoListed nexoOutcome = iota
	nexoSigned
	nexoAsked
	nexoForged
	nexoOpened
	nexoRefused
	nexoBlocked
	nexoOutcomes
)

// nexoNames are the values of the label outcome.
var nexoNames = [nexoOutcomes]string{"listed", "signed", "asked", "forged", "opened", "refused", "blocked"}

// answerNexoMailer answers the paths of NexoMailer's tracking module; false, and nothing done, for any other.
func (s *Server) answerNexoMailer(ctx *fasthttp.RequestCtx, v *visit, r *rules, t target, labels event.Labels) bool {
	n := r.nexoMailerOf(t.host)
	if n == nil {
		return false
	}
	if id, ok := bytes.CutPrefix(t.path, n.click); ok {
		s.followNexoMailer(ctx, v, r, n, id, labels)
		return true
	}
	if id, ok := bytes.CutPrefix(t.path, n.open); ok {
		s.showNexoMailer(ctx, v, r, n, id, labels)
		return true
	}
	return false
}

// followNexoMailer redirects where the tenant lists the destination's host, or the link is signed, and records that as any click. Else the person is told where the link leads, and decides.
func (s *Server) followNexoMailer(ctx *fasthttp.RequestCtx, v *visit, r *rules, n *nexoMailer, id []byte, labels event.Labels) {
	o, signature, ok := v.readNexoMailer(n, id, ctx.Request.Header.RequestURI())
	if !ok {
		s.counts.nexo[nexoRefused].add(1)
		s.refuse(ctx, refusedNexoMailer, pageNotFound)
		return
	}
	if by := o.blockedBy(r.blocks, nil); by != blocks.None {
		s.counts.nexo[nexoBlocked].add(1)
		s.withhold(ctx, by, n.owner)
		return
	}
	why := nexoListed
	if !n.hosts.take(o.link.Destination) {
		if why = judge(n.secrets, o.message, o.link.Destination, signature); why != nexoSigned {
			s.counts.nexo[why].add(1)
			s.counts.request(outcomeAsked)
			ask(ctx, o.link.Destination)
			return
		}
	}
	s.counts.nexo[why].add(1)
	s.lead(ctx, v, r, o, n.owner, labels)
}

// showNexoMailer answers with the picture, whatever stands in its path, as show does.
func (s *Server) showNexoMailer(ctx *fasthttp.RequestCtx, v *visit, r *rules, n *nexoMailer, id []byte, labels event.Labels) {
	answer(ctx, fasthttp.StatusOK, typeGIF, picture)
	o := v.nexoMail(n, id)
	if o == nil {
		s.counts.nexo[nexoRefused].add(1)
		s.turnDown(refusedNexoMailer)
		return
	}
	o.link.Kind, o.link.Destination = link.Open, nil
	if by := o.blockedBy(r.blocks, nil); by != blocks.None {
		s.counts.nexo[nexoBlocked].add(1)
		s.countBlocked(by, n.owner)
		return
	}
	s.counts.nexo[nexoOpened].add(1)
	s.look(ctx, v, r, o, n.owner, labels)
}

// nexoMail fills v.nexo with what a path tells of its mail; nil where that is no message's id. The id stands for the recipient too, who is not known: it is one of a single mail, so that
// the first click of each link in it is still told once.
func (v *visit) nexoMail(n *nexoMailer, written []byte) *opened {
	written = bytes.TrimSuffix(written, []byte("/"))
	id, ok := unescape(v.nexoID[:0], written)
	v.nexoID = id[:0]
	if !ok || !isMessageID(id) || bytes.IndexByte(written, '/') >= 0 {
		return nil
	}
	o := &v.nexo
	o.link.Tenant, o.link.Minted = n.owner.settings.Number, n.minted
	o.message, o.prospect = id, id
	return o
}

// readNexoMailer is nexoMail with the destination, and the signature that came with it.
func (v *visit) readNexoMailer(n *nexoMailer, id, uri []byte) (o *opened, signature []byte, ok bool) {
	if o = v.nexoMail(n, id); o == nil {
		return nil, nil, false
	}
	written, signature, ok := parameters(queryOf(uri))
	if !ok {
		return nil, nil, false
	}
	url, ok := unescape(v.nexoURL[:0], written)
	v.nexoURL = url[:0]
	if !ok || link.CheckDestination(url) != nil {
		return nil, nil, false
	}
	o.link.Kind, o.link.Destination = link.Click, url
	return o, signature, true
}
