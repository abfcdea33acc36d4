package server

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// inboundPrefix is where providers' deliveries come in: /in/TENANT/PROVIDER, and behind it a secret where the provider signs nothing.
var inboundPrefix = []byte("in/")

// deliver answers what is for providers; false when it is not.
func (s *Server) deliver(ctx *fasthttp.RequestCtx, t target) bool {
	if s.inbound == nil {
		return false
	}
	var name []byte
	rest, ok := bytes.CutPrefix(t.path, inboundPrefix)
	if ok {
		name, rest, _ = bytes.Cut(rest, []byte{'/'})
	} else if name, rest, ok = s.rules.Load().nexoDelivery(t); !ok {
		return false
	}
	provider, secret, _ := bytes.Cut(rest, []byte{'/'})
	s.counts.request(outcomeDelivery)
	s.inbound.Take(ctx, name, provider, secret)
	return true
}
