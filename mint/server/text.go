package server

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// text gives what a JSON string says, without a copy where it holds no escape. Bytes that are no UTF-8 stay as they are: a URL may hold them, and the
// person is to come out where the mail said. Half a surrogate pair has no bytes; U+FFFD stands for it, and whole is false.
func (r *request) text(raw []byte) (value []byte, whole bool) {
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner, true
	}
	start := len(r.arena)
	r.arena, whole = appendUnescaped(r.arena, inner)
	return r.arena[start:len(r.arena):len(r.arena)], whole
}

// appendUnescaped resolves the escapes of s, the inside of a JSON string that the decoder has let pass: every escape in it is complete.
func appendUnescaped(dst, s []byte) (_ []byte, whole bool) {
	whole = true
	for {
		plain := bytes.IndexByte(s, '\\')
		if plain < 0 {
			return append(dst, s...), whole
		}
		dst = append(dst, s[:plain]...)
		letter := s[plain+1]
		s = s[plain+2:]
		if letter != 'u' {
			dst = append(dst, unescaped(letter))
			continue
		}
		c := hex4(s)
		s = s[4:]
		if utf16.IsSurrogate(c) {
			var low rune
			if len(s) >= 6 && s[0] == '\\' && s[1] == 'u' {
				low = hex4(s[2:])
			}
			if c = utf16.DecodeRune(c, low); c == utf8.RuneError {
				whole = false
			} else {
				s = s[6:]
			}
		}
		dst = utf8.AppendRune(dst, c)
	}
}

func unescaped(letter byte) byte {
	switch letter {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return letter // " \ /
}

func hex4(s []byte) rune {
	c, err := strconv.ParseUint(string(s[:4]), 16, 16)
	if err != nil {
		return utf8.RuneError
	}
	return rune(c)
}
