package link

import (
	"bytes"
	"encoding/hex"
	"strconv"
)

// ID is an id of the sender's: a plain decimal number, a uuid, or any other text. The zero ID is absent.
type ID struct {
	kind   idKind
	number uint64
	uuid   [16]byte
	text   []byte
}

// idKind is also the two bits that stand for the id in a description byte; see the package comment.
type idKind uint8

const (
	idAbsent idKind = iota
	idNumber
	idUUID
	idText
)

// uuidLen is the length of a uuid as text.
const uuidLen = 36

// ParseID takes an id as the sender wrote it and keeps it so that AppendTo gives the same bytes again: a decimal number without leading zeros
// that fits 64 bits as a number, a uuid in lower case as 16 bytes, all else as text. No text is no id. The ID may keep text.
func ParseID(text []byte) ID {
	if len(text) == 0 {
		return ID{}
	}
	if n, ok := parseDecimal(text); ok {
		return ID{kind: idNumber, number: n}
	}
	if uuid, ok := parseUUID(text); ok {
		return ID{kind: idUUID, uuid: uuid}
	}
	return ID{kind: idText, text: text}
}

// IsZero says that there is no id.
func (id ID) IsZero() bool { return id.kind == idAbsent }

// Equal says whether both ids have the same text.
func (id ID) Equal(other ID) bool {
	return id.kind == other.kind && id.number == other.number && id.uuid == other.uuid && bytes.Equal(id.text, other.text)
}

// AppendTo appends the id's text, byte for byte as ParseID took it; nothing for the zero ID.
func (id ID) AppendTo(dst []byte) []byte {
	switch id.kind {
	case idNumber:
		return strconv.AppendUint(dst, id.number, 10)
	case idUUID:
		return appendUUID(dst, &id.uuid)
	default:
		return append(dst, id.text...)
	}
}

// String is AppendTo as a string.
func (id ID) String() string { return string(id.AppendTo(nil)) }

// parseDecimal accepts exactly what strconv.AppendUint writes.
func parseDecimal(text []byte) (n uint64, ok bool) {
	if len(text) == 0 || len(text) > 20 || text[0] == '0' && len(text) > 1 {
		return 0, false
	}
	for _, c := range text {
		digit := uint64(c - '0')
		if digit > 9 {
			return 0, false
		}
		next := n*10 + digit
		if n > (1<<64-1)/10 || next < digit {
			return 0, false
		}
		n = next
	}
	return n, true
}

// parseUUID accepts exactly what appendUUID writes: lower-case hex in groups of 8, 4, 4, 4 and 12.
func parseUUID(text []byte) (uuid [16]byte, ok bool) {
	if len(text) != uuidLen {
		return uuid, false
	}
	digits := 0
	for i, c := range text {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return uuid, false
			}
			continue
		}
		value, ok := hexDigit(c)
		if !ok {
			return uuid, false
		}
		uuid[digits/2] |= value << (4 * (1 - digits&1))
		digits++
	}
	return uuid, true
}

func hexDigit(c byte) (value byte, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}

func appendUUID(dst []byte, uuid *[16]byte) []byte {
	for i, group := range [...][]byte{uuid[:4], uuid[4:6], uuid[6:8], uuid[8:10], uuid[10:]} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, group)
	}
	return dst
}
