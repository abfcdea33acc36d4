package event

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"strings"
	"unicode/utf8"
)

// AppendKey appends the Kafka key of an event that a Decoder filled: the same key that stands beside its document.
func AppendKey(dst []byte, e *Event) []byte { return appendKey(dst, e, &decodedLimits) }

func appendKey(dst []byte, e *Event, l *limits) []byte {
	dst = strconv.AppendUint(dst, uint64(e.Tenant), 10)
	dst = append(dst, '/')
	dst = appendKeyText(dst, cutTo(e.Message, l.id), '/')
	dst = append(dst, '/')
	start := len(dst)
	if len(e.Prospect) > 0 {
		return appendKeyText(dst, cutTo(e.Prospect, l.id), '%')
	}
	dst = appendKeyText(dst, cutTo(e.Recipient, l.id), '%')
	LowerAddress(dst[start:])
	return dst
}

// appendKeyText percent-encodes control characters, '%' and the byte special. A byte that is no UTF-8 becomes its Latin-1 character, as in
// the document, so that the key can be computed from the document again.
func appendKeyText(dst, s []byte, special byte) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			size := runeBytes(s[i:])
			if size == 0 {
				dst = utf8.AppendRune(dst, rune(c))
				size = 1
			} else {
				dst = append(dst, s[i:i+size]...)
			}
			i += size
			continue
		}
		if c < 0x20 || c == 0x7f || c == '%' || c == special {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		} else {
			dst = append(dst, c)
		}
		i++
	}
	return dst
}

// KeyMessage appends the message that a Kafka key names, as the event of that key has it; false where the bytes are no such key.
func KeyMessage(dst, key []byte) ([]byte, bool) {
	_, rest, ok := bytes.Cut(key, []byte{'/'})
	text, _, ok2 := bytes.Cut(rest, []byte{'/'})
	if !ok || !ok2 {
		return dst, false
	}
	for {
		plain, escaped, more := bytes.Cut(text, []byte{'%'})
		dst = append(dst, plain...)
		if !more {
			return dst, true
		}
		if len(escaped) < 2 {
			return dst, false
		}
		high, low := strings.IndexByte(upperHex, escaped[0]), strings.IndexByte(upperHex, escaped[1])
		if high < 0 || low < 0 {
			return dst, false
		}
		dst, text = append(dst, byte(high<<4|low)), escaped[2:]
	}
}

// LowerAddress turns A to Z of a recipient into lower case in place, as in the Kafka key. The hash of an address is left alone: '#' and no '@'. Letters beyond ASCII stay: their
// lower case depends on tables that change, and a key must not.
func LowerAddress(s []byte) {
	if len(s) > 0 && s[0] == '#' && bytes.IndexByte(s, '@') < 0 {
		return
	}
	for i, c := range s {
		if c >= 'A' && c <= 'Z' {
			s[i] = c | 0x20
		}
	}
}

// UniqueKey is the 128-bit hash of what two events have in common that compete for being first: see Event.Unique.
type UniqueKey [16]byte

// Unique gives the unique key of an event that a Decoder filled; false when it lacks message or recipient, and so is never unique. What a provider told needs a message
// alone: some name nobody in clicks and opens, and a message of theirs is one mail.
//
// The key is the first half of SHA-256 over the Kafka key, the type and the original link, the first two followed by a zero byte, which
// neither can hold. It is the same for ever: stores keep it. What can happen to a mail more than once without a link that tells one time from the other (a bounce, a
// deferral, a failure) also has its provider and the provider's id of the event, each after a zero byte: a delivery that is repeated is one event, two bounces are two.
func (e *Event) Unique() (UniqueKey, bool) {
	if len(e.Message) == 0 || len(e.Prospect) == 0 && len(e.Recipient) == 0 && e.Report == nil {
		return UniqueKey{}, false
	}
	var room [1024]byte
	text := append(AppendKey(room[:0], e), 0)
	text = append(text, e.Type...)
	text = append(text, 0)
	if len(e.Original) > 0 {
		text = append(text, e.Original...)
	} else {
		text = append(text, e.Destination...)
	}
	switch e.Type {
	case Bounced, Deferred, Failed:
		if e.Report != nil {
			text = append(append(text, 0), e.Report.Provider...)
			text = append(append(text, 0), e.Report.ProviderEvent...)
		}
	}
	sum := sha256.Sum256(text)
	return UniqueKey(sum[:16]), true
}

// PartitionHash is Kafka's murmur2 of the event's Kafka key, as Java's default partitioner computes it (sign bit cleared). The partition is
// its remainder by the number of partitions.
func PartitionHash(key []byte) uint32 { return murmur2(key) & 0x7fffffff }

func murmur2(data []byte) uint32 {
	const m = 0x5bd1e995
	h := uint32(0x9747b28c) ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := binary.LittleEndian.Uint32(data) * m
		k ^= k >> 24
		h = h*m ^ k*m
	}
	switch len(data) {
	case 3:
		h ^= uint32(data[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(data[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(data[0])) * m
	}
	h = (h ^ h>>13) * m
	return h ^ h>>15
}
