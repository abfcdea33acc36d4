package server

import (
	"bytes"
	"image/gif"
	"testing"

	"waypost/edge/event"
	"waypost/mint/link"
)

func openLink() *link.Link {
	return &link.Link{Kind: link.Open, Tenant: 1, Minted: demoMinted, Message: link.ParseID([]byte("123")), Recipient: []byte("abc@prospect.com")}
}

// Whatever the token is, a picture comes. Only GET with a token of an open is an event.
func TestPicture(t *testing.T) {
	r := newRig(t, nil)
	token := r.token(openLink())
	foreign := openLink()
	foreign.Tenant = 2
	for _, c := range []struct {
		name   string
		q      request
		events int
	}{
		{"open", request{uri: "/o/" + token + ".gif"}, 1},
		{"without the suffix", request{uri: "/o/" + token}, 1},
		{"query", request{uri: "/o/" + token + ".gif?x=1"}, 1},
		{"again", request{uri: "/o/" + token + ".gif"}, 1},
		{"head", request{method: "HEAD", uri: "/o/" + token + ".gif"}, 0},
		{"a link's token", request{uri: "/o/" + r.token(demoLink()) + ".gif"}, 0},
		{"another tenant's host", request{uri: "/o/" + r.token(foreign) + ".gif"}, 0},
		{"cut", request{uri: "/o/" + token[:40] + ".gif"}, 0},
		{"no token", request{uri: "/o/"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(r.events())
			a := r.do(c.q)
			if a.StatusCode() != 200 || string(a.Header.ContentType()) != "image/gif" || string(a.Header.Peek("Cache-Control")) != "no-store" {
				t.Errorf("%d, %s", a.StatusCode(), &a.Header)
			}
			if picture, err := gif.DecodeConfig(bytes.NewReader(a.Body())); err != nil || picture.Width != 1 || picture.Height != 1 || len(a.Body()) != 43 {
				t.Errorf("%d bytes, %+v, %v", len(a.Body()), picture, err)
			}
			if got := len(r.events()) - before; got != c.events {
				t.Errorf("%d events, want %d", got, c.events)
			}
		})
	}
	if a := r.do(request{method: "POST", uri: "/o/" + token}); a.StatusCode() != 405 {
		t.Errorf("POST: %d", a.StatusCode())
	}
	c := r.Counts()
	if c.Requests["opened"] != 5 || c.Requests["refused"] != 4 || c.Refusals["kind"] != 1 || c.Refusals["host"] != 1 || c.Tenants["demo"].Opens != 4 {
		t.Errorf("%+v", c)
	}
	e := r.events()[0]
	if e.Type != event.Opened || string(e.Message) != "123" || string(e.Recipient) != "abc@prospect.com" || len(e.Destination)+len(e.Original) > 0 || !e.Minted.Equal(openLink().MintedTime()) {
		t.Errorf("%+v", e)
	}
}

func TestThePictureIsTransparent(t *testing.T) {
	p, err := gif.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, alpha := p.At(0, 0).RGBA(); alpha != 0 {
		t.Errorf("alpha %d", alpha)
	}
}
