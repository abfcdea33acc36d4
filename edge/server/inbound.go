package server

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// inboundPrefix is where providers' deliveries come in: /in/TENANT/PROVIDER, and behind it a secret where the provider signs nothing.
var inboundPrefix = []byte("in/")

// deliver answers what is for providers; false when it is not.
func (s *Server) deliver(ctx *fasthttp.RequestCtx, path []byte) bool {
	rest, ok := bytes.CutPrefix(path, inboundPrefix)
	if !ok || s.inbound == nil {
		return false
	}
	name, rest, _ := bytes.Cut(rest, []byte{'/'})
	provider, secret, _ := bytes.Cut(rest, []byte{'/'})
	s.counts.request(outcomeDelivery)
	s.inbound.Take(ctx, name, provider, secret)
	return true
}
