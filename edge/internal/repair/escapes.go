package repair

import "bytes"

// unescape writes path without %xx and HTML's character references into r.plain, and without those that come to light by it. It gives the greatest class of
// what it undid.
func (r *Repairer) unescape(path []byte) (undone Class) {
	r.plain = append(r.plain[:0], path...)
	for range passes {
		if bytes.IndexByte(r.plain, '%') < 0 && bytes.IndexByte(r.plain, '&') < 0 {
			break
		}
		var found Class
		r.plain, found = unescapeOnce(r.plain)
		if found == None {
			break
		}
		undone = max(undone, found)
	}
	return undone
}

// unescapeOnce works in place: nothing gets longer.
func unescapeOnce(b []byte) (plain []byte, found Class) {
	plain = b[:0]
	for len(b) > 0 {
		c, n, class := b[0], 1, None
		switch c {
		case '%':
			if len(b) > 2 && isHex(b[1]) && isHex(b[2]) {
				c, n, class = hexValue(b[1])<<4|hexValue(b[2]), 3, Percent
			}
		case '&':
			if value, length := reference(b); length > 0 {
				c, n, class = value, length, Entity
			}
		}
		plain, b, found = append(plain, c), b[n:], max(found, class)
	}
	return plain, found
}

// reference reads a character reference of one ASCII character at the begin of b: "&amp;", "&lowbar;", "&#45;", "&#x2d;". Length 0: there is none. Other names end a
// token, as they would when undone.
func reference(b []byte) (value byte, length int) {
	for _, known := range [...]struct {
		name  string
		value byte
	}{{"&amp;", '&'}, {"&lowbar;", '_'}} {
		if bytes.HasPrefix(b, []byte(known.name)) {
			return known.value, len(known.name)
		}
	}
	if len(b) < 4 || b[1] != '#' {
		return 0, 0
	}
	begin, base := 2, 10
	if b[2]|0x20 == 'x' {
		begin, base = 3, 16
	}
	number := 0
	for i := begin; i < len(b) && i < begin+6; i++ {
		c := b[i]
		if c == ';' && i > begin && number < 0x80 {
			return byte(number), i + 1
		}
		if !isHex(c) || base == 10 && c > '9' {
			break
		}
		number = number*base + int(hexValue(c))
	}
	return 0, 0
}

// quoted reads "=xx" at the begin of p.
func quoted(p []byte) (value byte, ok bool) {
	if len(p) < 3 || p[0] != '=' || !isHex(p[1]) || !isHex(p[2]) {
		return 0, false
	}
	return hexValue(p[1])<<4 | hexValue(p[2]), true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// hexValue is the value of a hexadecimal digit.
func hexValue(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}
