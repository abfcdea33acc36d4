package server

import (
	"html"

	"github.com/valyala/fasthttp"

	"waypost/mint/link"
)

// Headers of the page that asks: it runs nothing, loads nothing, stands in no frame, and the place that a person goes on to does not learn where from.
var (
	headerSecurityPolicy = []byte("Content-Security-Policy")
	headerReferrerPolicy = []byte("Referrer-Policy")
	headerSniff          = []byte("X-Content-Type-Options")
	nothingButText       = []byte("default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	noReferrer           = []byte("no-referrer")
	noSniff              = []byte("nosniff")
)

// ask answers with a page that names the destination and lets the person decide. It is 200, because browsers and proxies put pages of their own in the place of an error's. It is no click: where the
// person goes from it, the edge does not see, and a link back here that redirects would be the open redirect again.
func ask(ctx *fasthttp.RequestCtx, destination []byte) {
	answer(ctx, fasthttp.StatusOK, typeHTML, pageAsking(destination))
	h := &ctx.Response.Header
	h.SetCanonical(headerSecurityPolicy, nothingButText)
	h.SetCanonical(headerReferrerPolicy, noReferrer)
	h.SetCanonical(headerSniff, noSniff)
}

func pageAsking(destination []byte) []byte {
	url, host := html.EscapeString(plainText(destination)), html.EscapeString(plainText(link.DestinationHost(destination)))
	return []byte(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="robots" content="noindex,nofollow"><meta name="viewport" content="width=device-width"><title>Where this link leads</title></head>
<body><h1>Where this link leads</h1><p>This link leads to another site, which the sender of your message has not confirmed: <strong>` + host + `</strong></p>
<p>If you know it and trust it, go on:<br><a href="` + url + `" rel="noreferrer noopener nofollow">` + url + `</a></p></body></html>
`)
}

// plainText is a URL in ASCII: what is not becomes %XX, which leads to the same place. So no letter looks like another, and none turns the direction of writing.
func plainText(url []byte) string {
	const digits = "0123456789ABCDEF"
	text := make([]byte, 0, len(url)+16)
	for _, c := range url {
		if c < 0x80 {
			text = append(text, c)
			continue
		}
		text = append(text, '%', digits[c>>4], digits[c&15])
	}
	return string(text)
}
