package event

import (
	"encoding/binary"
	"unicode/utf8"
)

// Words of eight equal bytes for the test of eight bytes at once.
const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// plainPrefix counts the leading bytes of s that stand in a JSON string as they are: printable ASCII but for '"' and '\'.
func plainPrefix(s []byte) int {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		if !plainWord(binary.LittleEndian.Uint64(s[i:])) {
			break
		}
	}
	if n := len(s) - 8; i > n && n >= 0 && plainWord(binary.LittleEndian.Uint64(s[n:])) {
		return len(s) // the last word, which begins before i
	}
	for i < len(s) && plainBytes[s[i]] {
		i++
	}
	return i
}

// plainWord says whether eight bytes are plain: no high bit is left, where one would be for a byte below 0x20, '"', '\', 0x7f and above.
func plainWord(x uint64) bool {
	return (x|(x-0x20*ones)|((x^'"'*ones)-ones)|((x^'\\'*ones)-ones)|(x+ones))&highs == 0
}

var plainBytes = func() (plain [256]bool) {
	for c := 0x20; c < 0x7f; c++ {
		plain[c] = c != '"' && c != '\\'
	}
	return plain
}()

// appendText appends s as the inside of a JSON string. A byte that is no UTF-8 becomes its Latin-1 character.
func appendText(dst, s []byte) []byte { return appendEscaped(dst, s, false) }

// appendURL is appendText for URLs: a byte that is no UTF-8 becomes %XX, which is the same URL to every program that reads it.
func appendURL(dst, s []byte) []byte { return appendEscaped(dst, s, true) }

func appendEscaped(dst, s []byte, url bool) []byte {
	for {
		n := plainPrefix(s)
		dst = append(dst, s[:n]...)
		if s = s[n:]; len(s) == 0 {
			return dst
		}
		if c := s[0]; c < utf8.RuneSelf {
			dst = appendControl(dst, c)
			s = s[1:]
			continue
		}
		size := runeBytes(s)
		switch {
		case size > 0:
			dst = append(dst, s[:size]...)
		case url:
			dst, size = append(dst, '%', upperHex[s[0]>>4], upperHex[s[0]&15]), 1
		default:
			dst, size = utf8.AppendRune(dst, rune(s[0])), 1
		}
		s = s[size:]
	}
}

// runeBytes is the length of the UTF-8 sequence that s begins with, 0 where its first byte is none.
func runeBytes(s []byte) int {
	r, size := utf8.DecodeRune(s)
	if r == utf8.RuneError && size <= 1 {
		return 0
	}
	return size
}

const upperHex = "0123456789ABCDEF"

func appendControl(dst []byte, c byte) []byte {
	if c == '"' || c == '\\' {
		return append(dst, '\\', c)
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// cutTo gives at most limit bytes of s, never a part of a UTF-8 sequence.
func cutTo(s []byte, limit int) []byte {
	if len(s) <= limit {
		return s
	}
	for n := limit; n >= 0 && n > limit-utf8.UTFMax; n-- {
		if utf8.RuneStart(s[n]) {
			if n+runeBytes(s[n:]) > limit {
				return s[:n]
			}
			break
		}
	}
	return s[:limit]
}
