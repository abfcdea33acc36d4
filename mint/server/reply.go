package server

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/valyala/fasthttp"

	"waypost/mint/rewrite"
)

// message reads and answers a request to /v1/messages or /v1/links, or says why not.
func (s *Server) message(ctx *fasthttp.RequestCtx, t *tenant, which endpoint, first time.Time) *refusal {
	body, refused := s.content(ctx)
	if refused != nil {
		return refused
	}
	m, err := parseMessage(body, which)
	if err != nil {
		return refuseContent(body, err)
	}
	if m.id == "" {
		m.id = uuid.Must(uuid.NewV7()).String()
	}
	by := s.workBy(first)
	r := newReplacer(m, t, s.now(), func() bool { return time.Now().After(by) })
	ctx.SetContentType("application/json")
	ctx.Response.SetBodyRaw(r.appendReply(make([]byte, 0, len(body)+len(body)/2)))
	s.countLinks(t, r.minted, &r.left)
	return nil
}

// content gives the body, decompressed. What it says of its type must be JSON: whoever sends a form by mistake is told so, and not that its first letter is no brace.
func (s *Server) content(ctx *fasthttp.RequestCtx) ([]byte, *refusal) {
	kind, _, _ := bytes.Cut(ctx.Request.Header.ContentType(), []byte(";"))
	if kind = bytes.TrimSpace(kind); len(kind) > 0 && !bytes.EqualFold(kind, []byte("application/json")) {
		return nil, refuseType
	}
	body := ctx.Request.Body()
	coding := ctx.Request.Header.ContentEncoding()
	switch {
	case len(coding) == 0 || bytes.EqualFold(coding, []byte("identity")):
		return body, nil
	case !bytes.EqualFold(coding, []byte("gzip")):
		return nil, refuseCoding
	}
	switch plain, err := appendInflated(nil, body, s.maxBody); err {
	case nil:
		return plain, nil
	case errTooLong:
		return nil, refuseLength
	default:
		return nil, refuseGzip
	}
}

// appendReply replaces the links and appends the answer.
func (r *replacer) appendReply(dst []byte) []byte {
	dst = append(dst, `{"message":`...)
	dst = appendQuoted(dst, r.id)
	if r.html != nil {
		dst = append(dst, `,"html":`...)
		picture := r.picture()
		dst = appendQuoted(dst, r.body(*r.html, func(src []byte) []byte { return rewrite.AppendHTML(nil, src, picture, r.inBody) }))
		dst = append(dst, `,"opens":`...)
		dst = strconv.AppendBool(dst, picture != "")
	}
	if r.text != nil {
		dst = append(dst, `,"text":`...)
		dst = appendQuoted(dst, r.body(*r.text, func(src []byte) []byte { return rewrite.AppendText(nil, src, r.inBody) }))
	}
	if r.hasLinks {
		dst = append(dst, `,"links":`...)
		dst = r.appendLinks(dst)
	}
	dst = append(dst, `,"replaced":`...)
	dst = strconv.AppendInt(dst, int64(r.minted), 10)
	dst = append(dst, `,"left":`...)
	dst = r.appendLeft(dst)
	return append(appendSendAlong(dst, r.id), '}')
}

func (r *replacer) body(src string, rewritten func([]byte) []byte) string {
	if !r.track {
		return src
	}
	return string(rewritten([]byte(src)))
}

// appendLinks appends the map of those URLs of the list that have a link.
func (r *replacer) appendLinks(dst []byte) []byte {
	dst = append(dst, '{')
	begin, told := len(dst), map[string]bool{}
	for _, url := range r.links {
		if told[url] || !r.track {
			continue
		}
		told[url] = true
		replacement := r.replace(url, r.place)
		if replacement == "" {
			continue
		}
		if len(dst) > begin {
			dst = append(dst, ',')
		}
		dst = appendQuoted(dst, url)
		dst = append(dst, ':')
		dst = appendQuoted(dst, replacement)
	}
	return append(dst, '}')
}

// appendLeft appends how many links stay for each reason that there is.
func (r *replacer) appendLeft(dst []byte) []byte {
	dst = append(dst, '{')
	begin := len(dst)
	for reason, n := range r.left {
		if n == 0 {
			continue
		}
		if len(dst) > begin {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = append(dst, leftNames[reason]...)
		dst = append(dst, `":`...)
		dst = strconv.AppendInt(dst, int64(n), 10)
	}
	return append(dst, '}')
}

// What the providers take: a Resend tag is 1 to 256 of A-Z, a-z, 0-9, _ and -; a value of Postmark's metadata at most 80 characters; a Maileroo reference id 24 hex digits.
const (
	maxResendTag    = 256
	maxPostmark     = 80
	lenMailerooHex  = 24
	lowerHexDigits  = "0123456789abcdef"
	resendTagLetter = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
)

// appendSendAlong appends what each provider has to be given with the mail, so that its own webhooks name our message. What a provider would refuse is left out.
func appendSendAlong(dst []byte, id string) []byte {
	quoted := appendQuoted(nil, id)
	if len(id) <= maxResendTag && only(id, resendTagLetter) {
		dst = append(dst, `,"resend_tag":{"name":"waypost","value":`...)
		dst = append(append(dst, quoted...), '}')
	}
	if utf8.RuneCountInString(id) <= maxPostmark {
		dst = append(dst, `,"postmark_metadata":{"waypost":`...)
		dst = append(append(dst, quoted...), '}')
	}
	dst = append(dst, `,"maileroo_tags":{"waypost":`...)
	dst = append(append(dst, quoted...), '}')
	if len(id) == lenMailerooHex && only(id, lowerHexDigits) {
		dst = append(dst, `,"maileroo_reference_id":`...)
		dst = append(dst, quoted...)
	}
	return dst
}

func only(s, letters string) bool {
	for i := range len(s) {
		if strings.IndexByte(letters, s[i]) < 0 {
			return false
		}
	}
	return true
}

// appendQuoted appends s as a JSON string. All that comes here is UTF-8: the decoder has seen to it, and links are ASCII.
func appendQuoted(dst []byte, s string) []byte {
	dst, err := jsontext.AppendQuote(dst, s)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return dst
}
