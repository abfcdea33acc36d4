package repair

import "bytes"

// alphabet is base64url, in the order of its values.
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

var letters = func() (table [256]bool) {
	for i := range len(alphabet) {
		table[alphabet[i]] = true
	}
	return table
}()

func inToken(c byte) bool { return letters[c] }

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
func isLower(c byte) bool { return 'a' <= c && c <= 'z' }

// rotate rotates letters by thirteen; twice is the beginning.
func rotate(token []byte) {
	for i, c := range token {
		switch base := c &^ 0x20; {
		case !isUpper(base):
		case base < 'N':
			token[i] = c + 13
		default:
			token[i] = c - 13
		}
	}
}

// invisible are the characters, in UTF-8, that nobody sees within a word: no-break space, soft hyphen, zero-width space and its kin, word joiner, byte order mark.
var invisible = [...]string{"\u00a0", "\u00ad", "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff"}

// skipped is how many bytes at the begin of p a joined reading passes over, and what they are; 0 when p goes on with something else.
func skipped(p []byte) (n int, class Class) {
	switch p[0] {
	case ' ', '\t', '\r', '\n', '\v', '\f', '+', '\\':
		return 1, Inserted
	case '=':
		return 1, SoftBreak
	}
	for _, s := range invisible {
		if bytes.HasPrefix(p, []byte(s)) {
			return len(s), Inserted
		}
	}
	return 0, None
}

// recognise says what is known of a token that does not open, and of what stood behind it. Each of its signs is rare or impossible in a whole token.
func recognise(token, behind []byte) Class {
	if folded(token) {
		return Folded
	}
	if len(token) < minToken || len(behind) > 0 && isMark(behind[0]) || bytes.HasPrefix(behind, []byte("...")) ||
		bytes.HasPrefix(behind, []byte("…")) || string(behind) == "=" || !ends(token) {
		return Truncated
	}
	return None
}

func isMark(c byte) bool { return c == '-' || c == '_' }

// foldedTail is how many letters of one case, digits between them, are no chance: in a token (26/52)^24 is one in 17 million.
const foldedTail = 24

// folded says that the token's last letters are all small, or all capital.
func folded(token []byte) bool {
	var upper, lower int
	for i := len(token) - 1; i >= 0 && upper+lower < foldedTail; i-- {
		switch c := token[i]; {
		case isUpper(c):
			upper++
		case isLower(c):
			lower++
		}
		if upper > 0 && lower > 0 {
			return false
		}
	}
	return upper+lower >= foldedTail
}

// ends says whether the bits of the last character fit the length: those that belong to no byte are zero in a whole token.
func ends(token []byte) bool {
	last := bytes.IndexByte([]byte(alphabet), token[len(token)-1])
	switch len(token) % 4 {
	case 1:
		return false
	case 2:
		return last&0x0F == 0
	case 3:
		return last&0x03 == 0
	}
	return true
}
