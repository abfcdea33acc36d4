package rewrite

import (
	"bytes"
	"strings"

	"golang.org/x/net/html"
)

// AppendHTML appends the HTML body src to dst, with the links replaced that replace gives a URL for. With a pixel, the picture at that URL is put before the last
// </body>, or else before the last </html>, or else at the end; AMP allows no such picture. dst and src must not overlap.
func AppendHTML(dst, src []byte, pixel string, replace Replace) []byte {
	w := htmlWriter{dst: dst, src: src, replace: replace, body: -1, end: -1}
	w.markup(0, len(src), true)
	w.copyTo(len(src))
	if pixel == "" {
		return w.dst
	}
	at := len(w.dst)
	switch {
	case w.body >= 0:
		at = w.body
	case w.end >= 0:
		at = w.end
	}
	return insertPixel(w.dst, at, pixel)
}

// htmlWriter copies src to dst and leaves the links out.
//
// The tokenizer works on a copy of its own, which it changes. Only the lengths of its tokens are taken, which add up to the source, so everything is copied from src.
type htmlWriter struct {
	dst, src  []byte
	done      int // src has been copied up to here
	replace   Replace
	body, end int // where in dst the last </body> and </html> begin; -1 without one
}

func (w *htmlWriter) copyTo(end int) {
	w.dst = append(w.dst, w.src[w.done:end]...)
	w.done = end
}

// markup handles src from begin to end. Whole says that it is the mail itself, not a conditional comment in it.
func (w *htmlWriter) markup(begin, end int, whole bool) {
	z := html.NewTokenizer(bytes.NewReader(w.src[begin:end]))
	for at := begin; ; {
		kind := z.Next()
		next := at + len(z.Raw())
		switch kind {
		case html.ErrorToken: // the end; an unfinished tag is none
			return
		case html.StartTagToken, html.SelfClosingTagToken:
			w.startTag(z, at, next)
		case html.EndTagToken:
			if name, _ := z.TagName(); whole {
				w.endTag(string(name), at)
			}
		case html.CommentToken:
			if from, to, ok := conditional(w.src[at:next]); ok && whole {
				w.markup(at+from, at+to, false)
			}
		}
		at = next
	}
}

func (w *htmlWriter) endTag(name string, at int) {
	switch name {
	case "body":
		w.copyTo(at)
		w.body = len(w.dst)
	case "html":
		w.copyTo(at)
		w.end = len(w.dst)
	}
}

func (w *htmlWriter) startTag(z *html.Tokenizer, at, next int) {
	name, more := z.TagName()
	switch string(name) {
	case "a", "area":
	case "noscript":
		z.NextIsNotRawText()
		return
	default:
		return
	}
	var href string
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		switch string(key) {
		case "href":
			href = string(value)
		case "data-waypost":
			if strings.EqualFold(strings.TrimSpace(string(value)), "off") {
				return
			}
		}
	}
	url := asBrowsersRead(href)
	if !hasScheme(url) || hasPlaceholder(url) {
		return
	}
	from, to, ok := valueOf(w.src[at:next], "href")
	if !ok {
		return
	}
	from, to = at+from, at+to
	if replacement, ok := w.replace(Link{URL: url, Place: HTML, Position: from}); ok {
		w.copyTo(from)
		w.dst = appendValue(w.dst, replacement)
		w.done = to
	}
}

// asBrowsersRead takes off what the URL standard does: controls and blanks at both ends, tabs and line breaks anywhere.
func asBrowsersRead(href string) string {
	url := strings.TrimFunc(href, func(c rune) bool { return c <= ' ' })
	if strings.ContainsAny(url, "\t\n\r") {
		url = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(url)
	}
	return url
}

// appendValue writes a URL so that it is read as itself between either kind of quotes, without quotes, and inside a conditional comment.
func appendValue(dst []byte, url string) []byte {
	for i := range len(url) {
		switch c := url[i]; c {
		case '&':
			dst = append(dst, "&amp;"...)
		case '"', '\'', '<', '>', '`', '=', ' ', '\t', '\n', '\f', '\r':
			dst = append(dst, '&', '#', 'x', hexDigits[c>>4], hexDigits[c&15], ';')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

const hexDigits = "0123456789ABCDEF"

// conditional finds what stands in a comment that only Outlook reads: between the first ]> and the last <![endif].
func conditional(comment []byte) (from, to int, ok bool) {
	const opens, closes = "<!--[if", "<![endif]-->"
	if len(comment) < len(opens)+len("]>")+len(closes) || !equalFold(comment[:len(opens)], opens) || !equalFold(comment[len(comment)-len(closes):], closes) {
		return 0, 0, false
	}
	to = len(comment) - len(closes)
	condition := bytes.Index(comment[:to], []byte("]>"))
	return condition + len("]>"), to, condition >= 0
}

// insertPixel puts the picture into dst at that place.
func insertPixel(dst []byte, at int, url string) []byte {
	end := len(dst)
	dst = append(dst, `<img src="`...)
	dst = appendValue(dst, url)
	dst = append(dst, `" alt="" width="1" height="1" border="0" style="width:1px;height:1px;border:0">`...)
	picture := string(dst[end:])
	copy(dst[at+len(picture):], dst[at:end])
	copy(dst[at:], picture)
	return dst
}
