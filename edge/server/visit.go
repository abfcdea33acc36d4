package server

import (
	"bytes"
	"net"
	"net/netip"
	"time"
	"unsafe"

	"github.com/valyala/fasthttp"

	"waypost/edge/event"
	"waypost/edge/internal/blocks"
	"waypost/edge/internal/client"
	"waypost/edge/internal/repair"
	"waypost/mint/link"
)

// visit is the memory of one request. It belongs to one goroutine from the pool's Get to its Put.
type visit struct {
	opened     opened
	repairer   repair.Repairer
	event      event.Event
	record     []byte
	sequenceAt [2]int
	address    []byte
	hops       []netip.Addr // what proxies say, reused
	handled    uint         // requests that this memory served: the clock of sampling

	nexo            opened // what a link of NexoMailer's tells
	nexoID, nexoURL []byte // its memory
}

// opened is a link with its texts, as an event takes them. In the cache it is read by many and never written.
type opened struct {
	link                    link.Link
	token                   []byte        // in the cache only
	keys                    *link.Keyring // in the cache only: which opened it
	message, prospect, user []byte        // in text
	text                    []byte
	metadata                [][2]string // their bytes are link's
}

// open opens token into o. o's memory is good until the next open.
func (o *opened) open(keys *link.Keyring, token []byte) error {
	if err := keys.Open(&o.link, token); err != nil {
		return err
	}
	text := o.link.Message.AppendTo(o.text[:0])
	message := len(text)
	text = o.link.Prospect.AppendTo(text)
	prospect := len(text)
	text = o.link.User.AppendTo(text)
	o.text = text
	o.message, o.prospect, o.user = text[:message:message], text[message:prospect:prospect], text[prospect:]
	o.metadata = o.metadata[:0]
	for rest := o.link.Metadata; len(rest) > 0; {
		key, value, next, ok := link.NextMetadata(rest)
		if !ok {
			break
		}
		o.metadata = append(o.metadata, [2]string{viewString(key), viewString(value)})
		rest = next
	}
	return nil
}

// blockedBy says by what the set blocks the link, whose token this is.
func (o *opened) blockedBy(set *blocks.Set, token []byte) blocks.Kind {
	return set.Blocks(&blocks.Visit{Token: token, Tenant: o.link.Tenant, Message: o.message, Prospect: o.prospect, Destination: o.link.Destination})
}

// viewString makes a string of bytes that live and stay as long as the opened link: no copy.
func viewString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// placeName is the event's word for a link's place.
func placeName(p link.Place) string {
	switch p {
	case link.PlaceHTML:
		return "html"
	case link.PlaceText:
		return "text"
	}
	return ""
}

// describe fills the visit's event and record with a hit on o.
func (v *visit) describe(s *Server, r *rules, ctx *fasthttp.RequestCtx, o *opened, owner *tenant, labels event.Labels) {
	h := &ctx.Request.Header
	if announcedPrefetch(h) {
		labels |= event.Prefetch
	}
	address := v.clientAddress(s, ctx)
	labels |= r.machines.Labels(h.UserAgent(), address, o.link.Kind == link.Open)
	at := ctx.Time()
	if at.IsZero() {
		at = time.Now()
	}
	l := &o.link
	original, kind := l.Original, event.Clicked
	if len(original) == 0 {
		original = l.Destination
	}
	if l.Kind == link.Open {
		kind = event.Opened
	}
	v.event = event.Event{
		ID:            event.ID{Run: s.run},
		Type:          kind,
		Time:          at,
		Tenant:        l.Tenant,
		TenantName:    owner.settings.Name,
		Message:       o.message,
		Prospect:      o.prospect,
		User:          o.user,
		Recipient:     l.Recipient,
		LinkNumber:    l.Number,
		Place:         placeName(l.Place),
		Destination:   l.Destination,
		Original:      original,
		Minted:        l.MintedTime(),
		Stream:        l.Stream,
		Tag:           l.Tag,
		Metadata:      o.metadata,
		RetentionDays: uint16(owner.settings.RetentionDays),
		UniqueAny:     owner.uniqueAny,
		Method:        ctx.Method(),
		UserAgent:     h.UserAgent(),
		Address:       v.recordedAddress(address, owner.privacy),
		Referrer:      h.PeekCanonical(headerReferer),
		Language:      h.PeekCanonical(headerLanguage),
		Labels:        labels,
	}
	if len(v.event.Stream) == 0 {
		v.event.Stream = viewBytes(owner.settings.Stream)
	}
	v.record, v.sequenceAt = event.AppendRecord(v.record[:0], &v.event)
}

// viewBytes views a string's bytes; nobody writes them.
func viewBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

var (
	headerReferer  = []byte("Referer")
	headerLanguage = []byte("Accept-Language")
	prefetch       = []byte("prefetch")

	// Where browsers and proxies announce that nobody looks yet.
	headersPrefetch = [...][]byte{[]byte("Sec-Purpose"), []byte("Purpose"), []byte("X-Moz"), []byte("X-Purpose")}
)

func announcedPrefetch(h *fasthttp.RequestHeader) bool {
	for _, name := range headersPrefetch {
		if value := h.PeekCanonical(name); len(value) > 0 && containsFold(value, prefetch) {
			return true
		}
	}
	return false
}

// containsFold is bytes.Contains without regard to ASCII case.
func containsFold(s, word []byte) bool {
	for ; len(s) >= len(word); s = s[1:] {
		if bytes.EqualFold(s[:len(word)], word) {
			return true
		}
	}
	return false
}

// clientAddress gives the client's address; an invalid one where it is not known.
func (v *visit) clientAddress(s *Server, ctx *fasthttp.RequestCtx) netip.Addr {
	tcp, ok := ctx.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	address := tcp.AddrPort().Addr().Unmap().WithZone("")
	if len(s.trusted) > 0 && isTrusted(s.trusted, address) {
		address = v.forwardedAddress(s.trusted, &ctx.Request.Header, address)
	}
	return address
}

// recordedAddress is the text of an address as the tenant's privacy leaves it; nothing when it is dropped or not known.
func (v *visit) recordedAddress(address netip.Addr, p privacy) []byte {
	switch p {
	case dropAddress:
		return nil
	case truncateAddress:
		address = client.Truncate(address)
	}
	if !address.IsValid() {
		return nil
	}
	v.address = address.AppendTo(v.address[:0])
	return v.address
}
