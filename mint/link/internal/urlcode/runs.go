package urlcode

// What the specials write, and where a string holds it.

const (
	lowerDigits   = "0123456789abcdef"
	upperDigits   = "0123456789ABCDEF"
	base64Letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

	minLetters, maxLetters = 6, 6 + 31
	minDigits, maxDigits   = 4, 4 + 15
	minPercent, maxPercent = 2, 2 + 15
	minBytes, maxBytes     = 3, 3 + 31
	uuidLen                = 36
)

var (
	uuidGroups = [...]int{4, 2, 2, 2, 6} // bytes
	digitBits  = [...]int{0, 4, 7, 10}
	digitLimit = [...]uint32{1, 10, 100, 1000}
)

// Classes of characters, as bits.
const (
	isDigit = 1 << iota
	isLower // a hex digit, lower or no case
	isUpper
	isBase64
	isPrintable // has a fragment of its own
)

var charClass = func() (class [256]uint8) {
	mark := func(letters string, bit uint8) {
		for _, c := range []byte(letters) {
			class[c] |= bit
		}
	}
	mark(lowerDigits[:10], isDigit)
	mark(lowerDigits, isLower)
	mark(upperDigits, isUpper)
	mark(base64Letters, isBase64)
	for c := 0x21; c <= 0x7E; c++ {
		class[c] |= isPrintable
	}
	return class
}()

// letterValue is a character's value in base64; hexValue in either hex alphabet.
var letterValue, hexValue = values(base64Letters), func() (table [256]uint8) {
	table = values(upperDigits)
	for value, c := range []byte(lowerDigits) {
		table[c] = uint8(value)
	}
	return table
}()

func values(alphabet string) (table [256]uint8) {
	for value, c := range []byte(alphabet) {
		table[c] = uint8(value)
	}
	return table
}

// runLength is how many of the first bytes of s, up to most, have a class bit.
func runLength(s []byte, bit uint8, most int) int {
	n := 0
	for n < len(s) && n < most && charClass[s[n]]&bit != 0 {
		n++
	}
	return n
}

// otherLength is how many of the first bytes of s, up to most, have no fragment of their own.
func otherLength(s []byte, most int) int {
	n := 0
	for n < len(s) && n < most && charClass[s[n]]&isPrintable == 0 {
		n++
	}
	return n
}

// percentLength is how many %XX triples s begins with, up to maxPercent.
func percentLength(s []byte) int {
	n := 0
	for n < maxPercent && len(s) >= 3 && s[0] == '%' && charClass[s[1]]&charClass[s[2]]&isUpper != 0 {
		n++
		s = s[3:]
	}
	return n
}

func startsWithUUID(s []byte) bool {
	if len(s) < uuidLen || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return false
	}
	for i, c := range s[:uuidLen] {
		if charClass[c]&isLower == 0 && i != 8 && i != 13 && i != 18 && i != 23 {
			return false
		}
	}
	return true
}

// payloadBits is how many bits follow the code of a special that covers n bytes.
func payloadBits(token, n int) int {
	switch token {
	case Byte:
		return 8
	case HexLower, HexUpper:
		return 5 + 4*n
	case Base64:
		return 5 + 6*n
	case Digits:
		return 4 + n/3*10 + digitBits[n%3]
	case UUID:
		return 128
	case Percent:
		return 4 + n/3*8
	case Bytes:
		return 5 + 8*n
	}
	return 0
}
