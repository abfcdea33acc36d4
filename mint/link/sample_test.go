package link

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// url98 is a mail link of 98 characters, the length that benchmarks and goals name.
const url98 = "https://www.bramblewick.org/knowledge/turbine-blade-inspection?utm_source=drip&utm_campaign=owners"

func testRing(t testing.TB) *Keyring {
	t.Helper()
	var key [64]byte
	for i := range key {
		key[i] = byte(i * 7)
	}
	ring, err := NewKeyring(5, key)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func mustToken(t testing.TB, ring *Keyring, l *Link) []byte {
	t.Helper()
	token, err := ring.AppendToken(nil, l)
	if err != nil {
		t.Fatalf("AppendToken: %v", err)
	}
	return token
}

func usualLink() *Link {
	return &Link{
		Place: PlaceHTML, Tenant: 1, Minted: 1_000_000, Number: 2,
		Message: id("4815162342"), Prospect: id("123456789"), User: id("654321"),
		Destination: []byte(url98),
	}
}

func fullLink() *Link {
	l := usualLink()
	l.Number, l.Tenant = 31, 1<<32-1
	l.Message, l.Prospect, l.User = id("0b0e7f3a-52c1-4c55-9c1e-5f7d2a3b4c5d"), id("<20261123@mail.example.org>"), id("0042")
	l.Original = []byte("https://www.acme-analytics.com/p?x=1")
	l.Recipient = []byte("abc@prospect.com")
	l.Stream, l.Tag = []byte("outbound"), []byte("renewal")
	l.Metadata = AppendMetadata(AppendMetadata(nil, "campaign", "q3"), "empty", "")
	return l
}

func id(text string) ID { return ParseID([]byte(text)) }

// sameLink compares what travels; absent is nil or empty.
var sameLink = cmp.Options{cmpopts.IgnoreUnexported(Link{}), cmpopts.EquateEmpty()}

// anyLink draws a link that can be minted.
func anyLink(t *rapid.T) *Link {
	bytesUpTo := func(n int, label string) []byte { return rapid.SliceOfN(rapid.Byte(), 0, n).Draw(t, label) }
	l := &Link{
		Tenant:    rapid.Uint32Range(1, 1<<32-1).Draw(t, "tenant"),
		Minted:    rapid.Uint32Range(0, MaxMinutes).Draw(t, "minted"),
		Number:    rapid.OneOf(rapid.Uint32Range(0, 40), rapid.Uint32()).Draw(t, "number"),
		Message:   anyID(t, "message"),
		Prospect:  anyID(t, "prospect"),
		User:      anyID(t, "user"),
		Recipient: bytesUpTo(40, "recipient"),
		Stream:    bytesUpTo(10, "stream"),
		Tag:       bytesUpTo(10, "tag"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "pairs") {
		l.Metadata = AppendMetadata(l.Metadata, bytesUpTo(8, "key"), bytesUpTo(8, "value"))
	}
	if rapid.Bool().Draw(t, "open") {
		l.Kind = Open
		return l
	}
	l.Place = Place(rapid.IntRange(0, 2).Draw(t, "place"))
	scheme := rapid.SampledFrom([]string{"https://h/", "http://h?", "HTTPS://h#"}).Draw(t, "scheme")
	l.Destination = append([]byte(scheme), makeSafe(bytesUpTo(200, "destination"))...)
	if rapid.Bool().Draw(t, "has original") {
		l.Original = bytesUpTo(80, "original")
	}
	return l
}

func anyID(t *rapid.T, label string) ID {
	uuid := rapid.SliceOfN(rapid.Byte(), 16, 16)
	return rapid.OneOf(
		rapid.Just(ID{}),
		rapid.Custom(func(t *rapid.T) ID { return ParseID(binaryDecimal(rapid.Uint64().Draw(t, label))) }),
		rapid.Custom(func(t *rapid.T) ID {
			raw := [16]byte(uuid.Draw(t, label))
			return ParseID(appendUUID(nil, &raw))
		}),
		rapid.Custom(func(t *rapid.T) ID { return ParseID(rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, label)) }),
	).Draw(t, label)
}

func binaryDecimal(n uint64) []byte { return ID{kind: idNumber, number: n}.AppendTo(nil) }

// makeSafe replaces what cannot stand in a destination, in place.
func makeSafe(url []byte) []byte {
	for i, c := range url {
		if c <= ' ' || c == 0x7F {
			url[i] = 'a' + c%26
		}
	}
	return url
}

// sealPlain makes a token of any plaintext, also of one that AppendToken would never write.
func sealPlain(ring *Keyring, plain []byte) []byte {
	raw := append(make([]byte, overhead), plain...)
	raw[0] = header(ring.primary)
	var w work
	ring.slots[ring.primary].seal(&w, raw[overhead:])
	copy(raw[1:], w.sum[:])
	return []byte(encodeRaw(raw))
}

// plainOf is the plaintext of a token that opens.
func plainOf(t testing.TB, ring *Keyring, token []byte) []byte {
	t.Helper()
	raw := make([]byte, decodedLen(len(token)))
	if !decodeToken(raw, token) {
		t.Fatalf("token %s is not base64url", token)
	}
	var w work
	if !ring.slots[raw[0]&(Slots-1)].open(&w, raw[1:overhead], raw[overhead:]) {
		t.Fatalf("token %s does not open", token)
	}
	return raw[overhead:]
}

func uvarint(n uint64) []byte { return binary.AppendUvarint(nil, n) }
