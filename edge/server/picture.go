package server

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"waypost/edge/event"
	"waypost/edge/internal/blocks"
	"waypost/mint/link"
)

// Where the picture that tells of an open stands: /o/TOKEN.gif, and without the suffix, which some mail programs take off.
var (
	picturePrefix = []byte("o/")
	pictureSuffix = []byte(".gif")
)

var typeGIF = []byte("image/gif")

// picture is a GIF of one transparent point, 43 bytes: header, screen of 1 by 1 with two colours, the first of them transparent, one point, end.
var picture = []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff" +
	"!\xf9\x04\x01\x00\x00\x00\x00" +
	",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")

// pictureToken gives the token of a picture's path.
func pictureToken(path []byte) (token []byte, ok bool) {
	if token, ok = bytes.CutPrefix(path, picturePrefix); ok {
		token = bytes.TrimSuffix(token, pictureSuffix)
	}
	return token, ok
}

// show answers with the picture, whatever the token is: a broken one in a mail helps nobody. The open is recorded when the token is one of an open, and somebody asks for the
// picture itself.
func (s *Server) show(ctx *fasthttp.RequestCtx, v *visit, token, host []byte, labels event.Labels) {
	answer(ctx, fasthttp.StatusOK, typeGIF, picture)
	r := s.rules.Load()
	o, err := s.open(v, r.keys, token)
	if err != nil {
		s.turnDown(reasonOf(err))
		return
	}
	owner, why, ok := r.owner(o, link.Open, host)
	if !ok {
		s.turnDown(why)
		return
	}
	if r.blocks != nil {
		if by := o.blockedBy(r.blocks, token); by != blocks.None {
			s.countBlocked(by, owner)
			return
		}
	}
	s.look(ctx, v, r, o, owner, labels)
}

// look records the open, if somebody asked for the picture itself.
func (s *Server) look(ctx *fasthttp.RequestCtx, v *visit, r *rules, o *opened, owner *tenant, labels event.Labels) {
	s.counts.request(outcomeOpened)
	if labels&event.Head != 0 {
		return
	}
	s.record(ctx, v, r, o, owner, labels)
	owner.counts.opens.add(1)
}
