package event

import (
	"bytes"
	"math"
	"time"
	"unicode/utf8"
)

// cursor walks over a document in AppendRecord's own form. Its methods say whether the document goes on as they expect.
type cursor struct {
	b []byte // what is left
}

// decodeOwn reads d.text when it is in AppendRecord's form. False says nothing about the document but that the general parser is to read it;
// e and d.text are then spoiled.
func (d *Decoder) decodeOwn(e *Event) bool {
	// Checked once for the whole document, so that strings need no check.
	if !utf8.Valid(d.text) {
		return false
	}
	c := cursor{d.text}
	return d.ownAttributes(&c, e) && d.ownIdentity(&c, e) && d.ownLink(&c, e) && d.ownSettings(&c, e) && d.ownRequest(&c, e) &&
		string(c.b) == "}}"
}

func (d *Decoder) ownAttributes(c *cursor, e *Event) bool {
	if !c.take(`{"specversion":"1.0","id":"`) || len(c.b) < IDBytes {
		return false
	}
	text := c.b[:IDBytes]
	c.b = c.b[IDBytes:]
	id, err := ParseID(text)
	if err != nil || !c.take(`","source":"`+Source+`","type":"`) {
		return false
	}
	kind, ok := c.text()
	if !ok || len(kind) == 0 || !c.take(`,"time":"`) {
		return false
	}
	e.ID, e.Type = id, Type(d.name(kind))
	if e.Time, ok = c.time(timeBytes); !ok || !c.take(`","datacontenttype":"application/json","run":"`) {
		return false
	}
	return c.takeBytes(text[:RunDigits]) && c.take(`","sequence":"`) && c.takeBytes(text[RunDigits+1:]) && c.take(`","data":{"tenant":`)
}

func (d *Decoder) ownIdentity(c *cursor, e *Event) bool {
	tenant, ok := c.number(math.MaxUint32)
	e.Tenant = uint32(tenant)
	var name []byte
	ok = ok && c.member(`,"tenant_name":"`, &name)
	if len(name) > 0 {
		e.TenantName = d.name(name)
	}
	return ok && c.member(`,"message":"`, &e.Message) && c.member(`,"prospect":"`, &e.Prospect) &&
		c.member(`,"user":"`, &e.User) && c.member(`,"recipient":"`, &e.Recipient)
}

func (d *Decoder) ownLink(c *cursor, e *Event) bool {
	if !c.take(`,"link":{"number":`) {
		return true
	}
	number, ok := c.number(math.MaxUint32)
	e.LinkNumber = uint32(number)
	switch {
	case c.take(`,"place":"html"`):
		e.Place = "html"
	case c.take(`,"place":"text"`):
		e.Place = "text"
	}
	if !ok || !c.member(`,"destination":"`, &e.Destination) || !c.member(`,"original":"`, &e.Original) || !c.take(`,"minted":"`) {
		return false
	}
	e.Minted, ok = c.time(mintedBytes)
	return ok && c.take(`"}`)
}

func (d *Decoder) ownSettings(c *cursor, e *Event) bool {
	if !c.member(`,"stream":"`, &e.Stream) || !c.member(`,"tag":"`, &e.Tag) || !d.ownMetadata(c) || !c.take(`,"retention_days":`) {
		return false
	}
	days, ok := c.number(math.MaxUint16)
	e.RetentionDays = uint16(days)
	e.UniqueAny = c.take(`,"unique":"any"`)
	return ok && (e.UniqueAny || c.take(`,"unique":"person"`))
}

func (d *Decoder) ownMetadata(c *cursor) bool {
	if !c.take(`,"metadata":{`) {
		return true
	}
	for {
		if !c.take(`"`) {
			return false
		}
		key, ok := c.text()
		if !ok || !c.take(`:"`) {
			return false
		}
		value, ok := c.text()
		if !ok {
			return false
		}
		name := d.name(key)
		for i := range d.metadata { // a repeated name is for the general parser to refuse
			if d.metadata[i][0] == name {
				return false
			}
		}
		d.metadata = append(d.metadata, [2]string{name, d.name(value)})
		if c.take("}") {
			return true
		}
		if !c.take(",") {
			return false
		}
	}
}

func (d *Decoder) ownRequest(c *cursor, e *Event) bool {
	ok := c.member(`,"method":"`, &e.Method) && c.member(`,"user_agent":"`, &e.UserAgent) && c.member(`,"address":"`, &e.Address) &&
		c.member(`,"referrer":"`, &e.Referrer) && c.member(`,"language":"`, &e.Language)
	if ok && c.take(`,"labels":[`) {
		ok = c.list(func(name []byte) { e.Labels |= parseLabel(name) })
	}
	if ok && c.take(`,"cut":[`) {
		ok = c.list(func(name []byte) { d.cut = append(d.cut, d.name(name)) })
	}
	return ok
}

func (c *cursor) take(want string) bool {
	if len(c.b) < len(want) || string(c.b[:len(want)]) != want {
		return false
	}
	c.b = c.b[len(want):]
	return true
}

func (c *cursor) takeBytes(want []byte) bool {
	if !bytes.HasPrefix(c.b, want) {
		return false
	}
	c.b = c.b[len(want):]
	return true
}

// member reads an optional member into field. False is a string that does not end, not an absent member.
func (c *cursor) member(begin string, field *[]byte) bool {
	if !c.take(begin) {
		return true
	}
	text, ok := c.text()
	if len(text) > 0 {
		*field = text
	}
	return ok
}

// text reads a string whose opening quote is behind, and its closing quote. It unescapes in place: no text gets longer by that.
func (c *cursor) text() (text []byte, ok bool) {
	n := 0
	for {
		n += plainPrefix(c.b[n:])
		if n == len(c.b) || c.b[n] < 0x20 {
			return nil, false
		}
		switch c.b[n] {
		case '"':
			text, c.b = c.b[:n:n], c.b[n+1:]
			return text, true
		case '\\':
			return c.escapedText(n)
		}
		n++ // a byte of a longer UTF-8 sequence, or DEL
	}
}

// escapedText goes on where text met its first backslash.
func (c *cursor) escapedText(n int) (text []byte, ok bool) {
	b, to := c.b, n
	for n < len(b) {
		switch ch := b[n]; {
		case ch == '"':
			text, c.b = b[:to:to], b[n+1:]
			return text, true
		case ch < 0x20:
			return nil, false
		case ch != '\\':
			b[to] = ch
			to, n = to+1, n+1
		default:
			decoded, size := unescape(b[n:])
			if size == 0 {
				return nil, false
			}
			b[to] = decoded
			to, n = to+1, n+size
		}
	}
	return nil, false
}

// unescape reads the escapes that appendControl writes; size 0 for others.
func unescape(b []byte) (decoded byte, size int) {
	if len(b) >= 2 && (b[1] == '"' || b[1] == '\\') {
		return b[1], 2
	}
	if len(b) < 6 || string(b[:4]) != `\u00` || b[4] > '7' {
		return 0, 0
	}
	high, ok := parseHexDigit(b[4])
	low, ok2 := parseHexDigit(b[5])
	if !ok || !ok2 {
		return 0, 0
	}
	return high<<4 | low, 6
}

func parseHexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}

func (c *cursor) number(limit uint64) (uint64, bool) {
	n := 0
	for n < len(c.b) && n < 11 && c.b[n]-'0' <= 9 {
		n++
	}
	value, _ := parseDigits(c.b[:n])
	if n == 0 || n > 1 && c.b[0] == '0' || value > limit {
		return 0, false
	}
	c.b = c.b[n:]
	return value, true
}

func (c *cursor) time(width int) (time.Time, bool) {
	if len(c.b) < width {
		return time.Time{}, false
	}
	t, ok := parseTime(c.b[:width])
	c.b = c.b[width:]
	return t, ok
}

// list reads the strings of an array whose opening bracket is behind.
func (c *cursor) list(each func([]byte)) bool {
	for c.take(`"`) {
		name, ok := c.text()
		if !ok {
			return false
		}
		each(name)
		if c.take("]") {
			return true
		}
		if !c.take(",") {
			return false
		}
	}
	return false
}
