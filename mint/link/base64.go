package link

import "encoding/binary"

// decodeValue gives a character's six bits; badCharacter for what is not base64url.
var decodeValue = func() (table [256]uint8) {
	for i := range table {
		table[i] = badCharacter
	}
	for value, c := range []byte(alphabet) {
		table[c] = uint8(value)
	}
	return table
}()

const (
	alphabet     = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	badCharacter = 0x80
)

// decodedLen is the number of bytes in n base64url characters.
func decodedLen(n int) int { return n * 6 / 8 }

// decodeToken decodes base64url without padding into dst, which has decodedLen(len(token)) bytes. It is strict, so that a token has one spelling:
// no line breaks, as encoding/base64 lets pass, and no spare bit set in the last character.
func decodeToken(dst, token []byte) bool {
	var bad uint8
	for len(token) >= 4 && len(dst) >= 4 { // writes four bytes at once, the last of them for the next round
		a, b, c, d := decodeValue[token[0]], decodeValue[token[1]], decodeValue[token[2]], decodeValue[token[3]]
		bad |= a | b | c | d
		binary.BigEndian.PutUint32(dst, uint32(a)<<26|uint32(b)<<20|uint32(c)<<14|uint32(d)<<8)
		token, dst = token[4:], dst[3:]
	}
	if len(token) >= 4 {
		a, b, c, d := decodeValue[token[0]], decodeValue[token[1]], decodeValue[token[2]], decodeValue[token[3]]
		bad |= a | b | c | d
		dst[0], dst[1], dst[2] = a<<2|b>>4, b<<4|c>>2, c<<6|d
		token, dst = token[4:], dst[3:]
	}
	switch len(token) {
	case 1:
		return false
	case 2:
		a, b := decodeValue[token[0]], decodeValue[token[1]]
		if b&0x0F != 0 {
			return false
		}
		bad |= a | b
		dst[0] = a<<2 | b>>4
	case 3:
		a, b, c := decodeValue[token[0]], decodeValue[token[1]], decodeValue[token[2]]
		if c&0x03 != 0 {
			return false
		}
		bad |= a | b | c
		dst[0] = a<<2 | b>>4
		dst[1] = b<<4 | c>>2
	}
	return bad&badCharacter == 0
}

// endsSafely says that a token of these bytes ends in a letter or digit. Mail programs take trailing punctuation off links. Only whole groups of
// three bytes can end in '-' or '_': in a shorter group the last character has zero bits below, and both have none.
func endsSafely(raw []byte) bool {
	return len(raw)%3 != 0 || raw[len(raw)-1]&0x3F < 62
}
