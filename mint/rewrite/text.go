package rewrite

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// AppendText appends the text body src to dst, with the links replaced that replace gives a URL for. dst and src must not overlap.
func AppendText(dst, src []byte, replace Replace) []byte {
	done := 0 // src has been copied up to here
	for at := 0; ; {
		begin, end, next := nextURL(src, at)
		if begin < 0 {
			return append(dst, src[done:]...)
		}
		at = next
		url := string(src[begin:end])
		if begin == end || hasPlaceholder(url) {
			continue
		}
		if replacement, ok := replace(Link{URL: url, Place: Text, Position: begin}); ok {
			dst = append(dst, src[done:begin]...)
			dst = append(dst, replacement...)
			done = end
		}
	}
}

var slashes = []byte("://")

// nextURL finds the first URL from at on, and from where to go on. begin is -1 where there is none; begin and end are the same where what was found has to be left alone.
func nextURL(src []byte, at int) (begin, end, next int) {
	for from := at; ; {
		i := bytes.Index(src[from:], slashes)
		if i < 0 {
			return -1, -1, len(src)
		}
		colon := from + i
		from = colon + len(slashes)
		if begin = schemeBefore(src, at, colon); begin < 0 || !hostBegins(src[from:]) {
			continue
		}
		between, broken := angles(src, begin, from)
		if between > 0 {
			return begin, between, between
		}
		whole := plainEnd(src, from)
		if broken || whole == from || goesOn(src, begin, whole) {
			return begin, begin, whole
		}
		return begin, trimmed(src, begin, from, whole), whole
	}
}

// schemeBefore finds where the http or https begins that ends at colon; -1 where it is none, or part of another word. It looks no further back than at.
func schemeBefore(src []byte, at, colon int) int {
	for _, scheme := range [...]string{"https", "http"} {
		begin := colon - len(scheme)
		if begin < at || !equalFold(src[begin:colon], scheme) {
			continue
		}
		if begin == 0 {
			return begin
		}
		if c := src[begin-1]; !letter(c) && !digit(c) && c != '+' && c != '-' && c != '.' {
			return begin
		}
	}
	return -1
}

// angles gives where a URL ends that stands between < and >; 0 where it does not. Broken says that one begins so and has a blank or a line break before its end.
func angles(src []byte, begin, from int) (end int, broken bool) {
	before := src[:begin]
	if n := len(before) - len("url:"); n >= 0 && equalFold(before[n:], "url:") {
		before = before[:n]
	}
	if len(before) == 0 || before[len(before)-1] != '<' {
		return 0, false
	}
	for i := from; i < len(src); i++ {
		switch c := src[i]; {
		case c == '>':
			return i, false
		case c <= ' ' || c == 0x7F:
			return 0, true
		case c == '<' || c == '"':
			return 0, false
		}
	}
	return 0, false
}

func hostBegins(rest []byte) bool {
	return len(rest) > 0 && (letter(rest[0]) || digit(rest[0]) || rest[0] == '[' || rest[0] >= utf8.RuneSelf)
}

// plainEnd is where the characters of RFC 3986 end, or before that a closing bracket that nothing opened.
func plainEnd(src []byte, from int) int {
	round, square := 0, 0
	for i := from; i < len(src); i++ {
		switch c := src[i]; {
		case c == '(':
			round++
		case c == '[':
			square++
		case c == ')':
			round--
		case c == ']':
			square--
		case !urlByte(c):
			return i
		}
		if round < 0 || square < 0 {
			return i
		}
	}
	return len(src)
}

// urlByte says whether RFC 3986 has a use for c.
func urlByte(c byte) bool {
	return letter(c) || digit(c) || strings.IndexByte("-._~:/?#[]@!$&'()*+,;=%", c) >= 0
}

// trimmed takes off the end of a URL what belongs to the sentence around it. from is where its host begins. A bracket that is open at the end is never closed: plainEnd
// would have stopped there.
func trimmed(src []byte, begin, from, end int) int {
	emphasis := byte(0)
	if begin > 0 {
		emphasis = src[begin-1]
	}
	for ; end > from+1; end-- {
		switch c := src[end-1]; c {
		case '.', ',', ':', ';', '!', '?', '\'', '(', '[':
		case '*', '_', '~':
			if c != emphasis {
				return end
			}
		default:
			return end
		}
	}
	return end
}

// goesOn says whether what follows a URL may be part of it: a letter, mark or digit beyond ASCII, or a placeholder.
func goesOn(src []byte, begin, end int) bool {
	rest := src[end:]
	if len(rest) == 0 {
		return false
	}
	switch rest[0] {
	case '{':
		return true
	case '<':
		return len(rest) > 1 && rest[1] == '%'
	case '|':
		return src[end-1] == '*' && end-1 > begin
	}
	if rest[0] < utf8.RuneSelf {
		return false
	}
	r, size := utf8.DecodeRune(rest)
	if r == utf8.RuneError && size == 1 {
		return true // another character set: it may be a letter
	}
	return unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r)
}
