package load

import (
	"bytes"
	"fmt"
	"strings"
)

// mangle is one way in which links change before they are followed, written as in the table of vectors of edge/internal/repair; a test holds it to that.
type mangle struct {
	class string
	path  string
	parts []string // of path, in turn: text, the name of a part of the token, text ...
}

// mangles are of each class that the edge mends.
var mangles = compiled([]mangle{
	{class: "around", path: "{token}."},
	{class: "around", path: "({token})"},
	{class: "around", path: "{token}%3E"},
	{class: "around", path: "{token}&amp;utm_medium=mail"},
	{class: "percent", path: "{percent}"},
	{class: "percent", path: "{percent2}"},
	{class: "entity", path: "{entity}"},
	{class: "quoted", path: "{quoted}"},
	{class: "soft_break", path: "{head}=%0D%0A{tail}"},
	{class: "soft_break", path: "{head}={tail}"},
	{class: "inserted", path: "{head}%20{tail}"},
	{class: "inserted", path: "{head}%0D%0A{tail}"},
})

func compiled(all []mangle) []mangle {
	for i := range all {
		all[i].parts = strings.FieldsFunc(strings.ReplaceAll(all[i].path, "{", "}\x00"), func(r rune) bool { return r == '}' })
	}
	return all
}

// append appends the changed token. One in which there is nothing to escape gets a full stop, so that each is changed.
func (m *mangle) append(dst, token []byte) []byte {
	begin := len(dst)
	for _, part := range m.parts {
		switch part {
		case "\x00token":
			dst = append(dst, token...)
		case "\x00head":
			dst = append(dst, token[:len(token)/2]...)
		case "\x00tail":
			dst = append(dst, token[len(token)/2:]...)
		case "\x00percent":
			dst = appendEscaped(dst, token, "%%%02X")
		case "\x00percent2":
			dst = appendEscaped(dst, token, "%%25%02X")
		case "\x00quoted":
			dst = appendEscaped(dst, token, "=%02X")
		case "\x00entity":
			dst = appendEscaped(dst, token, "&%%23%d;") // whoever follows a link sends nothing from a bare # on
		default:
			dst = append(dst, part...)
		}
	}
	if bytes.Equal(dst[begin:], token) {
		dst = append(dst, '.')
	}
	return dst
}

// appendEscaped appends the token with its marks as the format has them.
func appendEscaped(dst, token []byte, format string) []byte {
	for _, c := range token {
		if c == '-' || c == '_' {
			dst = fmt.Appendf(dst, format, c)
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}
