package enrich

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// AppendTo appends an event's document with what is known added at the end of its data: client, os, platform and geo. A member that is there
// already stays as it is. With nothing to add it is the document byte for byte. document must be valid JSON, as all that was decoded is.
func (d *Details) AppendTo(dst, document []byte) []byte {
	if *d == (Details{}) {
		return append(dst, document...)
	}
	data, ok := findData(document)
	if !ok {
		return append(dst, document...)
	}
	dst = append(dst, document[:data.end]...)
	o := object{dst, !data.empty}
	if !data.has[0] {
		o.nested("client", d.Client.members())
	}
	if !data.has[1] {
		o.nested("os", d.OS.members())
	}
	if !data.has[2] {
		o.text("platform", d.Platform)
	}
	if !data.has[3] {
		o.nested("geo", d.Place.members())
	}
	return append(o.dst, document[data.end:]...)
}

// added are the members that AppendTo adds.
var added = [...]string{"client", "os", "platform", "geo"}

type member struct{ name, value string }

func (p *Program) members() []member {
	return []member{{"name", p.Name}, {"company", p.Company}, {"family", p.Family}}
}

func (p *Place) members() []member {
	return []member{
		{"country_iso_code", p.CountryISOCode}, {"country", p.Country}, {"region_iso_code", p.RegionISOCode}, {"region", p.Region}, {"city", p.City}, {"zip", p.Zip}, {"coords", p.Coords},
	}
}

// object is one that is being written.
type object struct {
	dst   []byte
	comma bool // stands before the next member
}

// text writes a member, unless it is empty.
func (o *object) text(name, value string) {
	if value != "" {
		o.dst = appendText(o.name(name), value)
	}
}

// nested writes an object of members, unless all of them are empty.
func (o *object) nested(name string, members []member) {
	before, comma := len(o.dst), o.comma
	inner := object{dst: append(o.name(name), '{')}
	for _, m := range members {
		inner.text(m.name, m.value)
	}
	if !inner.comma {
		o.dst, o.comma = inner.dst[:before], comma
		return
	}
	o.dst = append(inner.dst, '}')
}

func (o *object) name(name string) []byte {
	if o.comma {
		o.dst = append(o.dst, ',')
	}
	o.comma = true
	o.dst = append(o.dst, '"')
	o.dst = append(o.dst, name...)
	return append(o.dst, '"', ':')
}

// appendText appends a JSON string. Nearly all are plain.
func appendText(dst []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, _ := json.Marshal(text) // of a string it cannot fail
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, text...)
	return append(dst, '"')
}

// data is where an event's document has its data.
type data struct {
	end   int // of its last member
	empty bool
	has   [len(added)]bool
}

// EndOfData is where the last member of a document's data ends, for who adds another; empty: there is no member yet. False: the document has no data.
func EndOfData(document []byte) (end int, empty, ok bool) {
	d, ok := findData(document)
	return d.end, d.empty, ok
}

// findData walks over a document: only the names at the top and in data are looked at.
func findData(document []byte) (d data, ok bool) {
	d.empty = true
	depth, in := 0, false
	for i := 0; i < len(document); i++ {
		switch document[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; in && depth == 1 {
				d.end = i
				return d, true
			}
		case '"':
			text, end := textAt(document, i)
			i = end - 1
			if depth > 2 || !isName(document[end:]) {
				continue
			}
			if depth == 1 {
				in = string(text) == "data"
				continue
			}
			if d.empty = d.empty && !in; in {
				for n, name := range added {
					d.has[n] = d.has[n] || name == string(text)
				}
			}
		}
	}
	return d, false
}

// textAt is the string that begins at a quote, and where it ends.
func textAt(document []byte, at int) (text []byte, end int) {
	for end = at + 1; ; end++ {
		n := bytes.IndexByte(document[end:], '"')
		if n < 0 {
			return nil, len(document)
		}
		end += n
		escapes := end - 1
		for document[escapes] == '\\' { // the quote before the string ends this
			escapes--
		}
		if (end-1-escapes)%2 == 0 {
			return document[at+1 : end], end + 1
		}
	}
}

// isName says whether a string that ended here is the name of a member.
func isName(rest []byte) bool {
	for _, c := range rest {
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			return c == ':'
		}
	}
	return false
}
