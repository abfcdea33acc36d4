package link

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// plainWith is control bytes, time, tenant 1 and a tail.
func plainWith(first, second byte, tail ...string) []byte {
	plain := []byte{first, second, 0, 0, 9, 1}
	for _, part := range tail {
		plain = append(plain, part...)
	}
	return plain
}

// What was sealed under our key and yet says something that AppendToken never writes.
func TestContentsThatAreRefused(t *testing.T) {
	ring := testRing(t)
	const url = "http://a/"
	twoStrings := new(sealer).appendCoded(nil, &[6][]byte{0: []byte(url), 2: []byte("a@b")})
	for _, test := range []struct {
		name  string
		plain []byte
		want  error
	}{
		{"sound", plainWith(1<<5, 0, url), nil},
		{"reserved kind 4", plainWith(4<<5, 0, url), ErrContent},
		{"reserved kind 7", plainWith(7<<5, 0, url), ErrContent},
		{"codec 2", plainWith(1<<5|2<<3, 0, url), ErrContent},
		{"codec 3", plainWith(1<<5|3<<3, 0, url), ErrContent},
		{"codec 1 for no string", plainWith(3<<5|1<<3, 0), ErrContent},
		{"codec 1 with two strings for one", plainWith(1<<5|1<<3, 0, string(twoStrings)), ErrContent},
		{"codec 1 with two strings", plainWith(1<<5|1<<3, hasRecipient, string(twoStrings)), nil},
		{"no tenant", slices.Concat([]byte{1 << 5, 0, 0, 0, 9, 0}, []byte(url)), ErrContent},
		{"tenant over 32 bits", slices.Concat([]byte{1 << 5, 0, 0, 0, 9}, uvarint(1<<32), []byte(url)), ErrContent},
		{"tenant longer than needed", slices.Concat([]byte{1 << 5, 0, 0, 0, 9, 0x81, 0}, []byte(url)), ErrContent},
		{"tenant without end", []byte{1 << 5, 0, 0, 0, 9, 0x81}, ErrContent},
		{"no destination", plainWith(1<<5, 0), ErrContent},
		{"line break in destination", plainWith(1<<5, 0, "http://a/\nb"), ErrDestination},
		{"open with a string too many", plainWith(3<<5, 0, url), ErrContent},
		{"open with original", plainWith(3<<5, hasOriginal, url), ErrContent},
		{"open", plainWith(3<<5, 0), nil},
		{"original equal to destination", plainWith(1<<5, hasOriginal, "\x09", url, url), ErrContent},
		{"empty original", plainWith(1<<5, hasOriginal, "\x09", url), ErrContent},
		{"empty destination", plainWith(1<<5, hasRecipient, "\x00", "a@b"), ErrContent},
		{"length past the end", plainWith(1<<5, hasRecipient, "\x7f", url), ErrContent},
		{"length of 64 bits", plainWith(1<<5, hasRecipient, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", url), ErrContent},
		{"length of more than 64 bits", plainWith(1<<5, hasRecipient, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", url), ErrContent},
		{"number cut", plainWith(1<<5|shapeNumbers, 0, "\x80"), ErrContent},
		{"number longer than needed", plainWith(1<<5|shapePair, 0, "\x80\x00\x01", url), ErrContent},
		{"shape byte cut", plainWith(1<<5|shapeMixed, 0), ErrContent},
		{"shape byte for none", plainWith(1<<5|shapeMixed, 0, "\x00", url), ErrContent},
		{"shape byte for three numbers", plainWith(1<<5|shapeMixed, 0, "\x15\x01\x01\x01", url), ErrContent},
		{"shape byte for two numbers", plainWith(1<<5|shapeMixed, 0, "\x05\x01\x01", url), ErrContent},
		{"shape byte with reserved bit", plainWith(1<<5|shapeMixed, 0, "\x41\x01", url), ErrContent},
		{"one number", plainWith(1<<5|shapeMixed, 0, "\x01\x01", url), nil},
		{"uuid cut", plainWith(1<<5|shapeMixed, 0, "\x02", "123456789012345"), ErrContent},
		{"text that is a number", plainWith(1<<5|shapeMixed, 0, "\x03\x0212", url), ErrContent},
		{"text that is a uuid", plainWith(1<<5|shapeMixed, 0, "\x03\x2400000000-0000-0000-0000-000000000000", url), ErrContent},
		{"text that is empty", plainWith(1<<5|shapeMixed, 0, "\x03\x00", url), ErrContent},
		{"metadata not in pairs", slices.Concat([]byte{1 << 5, hasExtras, extraMetadata, 0, 0, 9, 1}, []byte("\x09"+url+"\x01k")), ErrContent},
		{"metadata", slices.Concat([]byte{1 << 5, hasExtras, extraMetadata, 0, 0, 9, 1}, []byte("\x09"+url+"\x01k\x00")), nil},
		{"reserved extra", slices.Concat([]byte{1 << 5, hasExtras, 0x10, 0, 0, 9, 1}, []byte(url)), ErrContent},
		{"empty extras", slices.Concat([]byte{1 << 5, hasExtras, 0, 0, 0, 9, 1}, []byte(url)), nil},
		{"empty extras with tweak", slices.Concat([]byte{1<<5 | 4, hasExtras, 0, 0, 0, 9, 1}, []byte(url)), ErrContent},
		{"pad alone", slices.Concat([]byte{1 << 5, hasExtras, extraPad, 0, 0, 0, 9, 1}, []byte(url)), ErrContent},
		{"pad not zero", slices.Concat([]byte{1 << 5, hasExtras, extraPad | extraTag, 1, 0, 0, 9, 1}, []byte("\x09"+url+"tag")), ErrContent},
		{"pad", slices.Concat([]byte{1 << 5, hasExtras, extraPad | extraTag, 0, 0, 0, 9, 1}, []byte("\x09"+url+"tag")), nil},
		{"pad with tweak", slices.Concat([]byte{1<<5 | 4, hasExtras, extraPad | extraTag, 0, 0, 0, 9, 1}, []byte("\x09"+url+"tag")), ErrContent},
		{"link number over 32 bits", slices.Concat([]byte{1 << 5, 31 << 3}, uvarint(1<<32-31), []byte{0, 0, 9, 1}, []byte(url)), ErrContent},
		{"greatest link number", slices.Concat([]byte{1 << 5, 31 << 3}, uvarint(1<<32-32), []byte{0, 0, 9, 1}, []byte(url)), nil},
		{"time cut", []byte{1 << 5, 31 << 3, 0, 0, 0, 9}, ErrContent},
	} {
		t.Run(test.name, func(t *testing.T) {
			var l Link
			token := sealPlain(ring, test.plain)
			if got := ring.Open(&l, token); got != test.want {
				t.Fatalf("Open = %v, want %v", got, test.want)
			}
			if test.want != nil && (l.Tenant != 0 || l.Destination != nil || l.Message.kind != idAbsent) {
				t.Errorf("a refused link is not empty: %+v", l)
			}
		})
	}
}

// Every byte of a plaintext replaced by every value: what opens is minted as the same plaintext, up to tweak and length.
func TestDecoderTakesOnlyWhatTheEncoderWrites(t *testing.T) {
	ring := testRing(t)
	for _, minted := range []*Link{usualLink(), fullLink(), {Kind: Open, Tenant: 3, User: id("x")}} {
		plain := bytes.Clone(plainOf(t, ring, mustToken(t, ring, minted)))
		for at := range plain {
			for value := at % thorough; value < 256; value += thorough {
				changed := bytes.Clone(plain)
				changed[at] = byte(value)
				checkCanonical(t, changed)
			}
		}
	}
}

// checkCanonical: if plain is taken, it is one of the spellings of what it says.
func checkCanonical(t *testing.T, plain []byte) {
	t.Helper()
	var l Link
	if l.decodePlain(bytes.Clone(plain)) != nil {
		return
	}
	for _, try := range []spelling{{}, {tweak: 1}, {longer: true}} {
		if try.codec = plain[0] >> 3 & 3; bytes.Equal(spell(&l, try), plain) {
			return
		}
	}
	if plain[0]>>3&3 == codecStored {
		t.Fatalf("%x is no spelling of %+v", plain, l)
	}
	// A stream can be readable though it is not the one that the encoder finds.
	var again Link
	if err := again.decodePlain(spell(&l, spelling{codec: codecURL})); err != nil {
		t.Fatalf("%x is %+v, which cannot be coded again: %v", plain, l, err)
	}
	if diff := cmp.Diff(&l, &again, sameLink); diff != "" {
		t.Fatal(diff)
	}
}

// spell is the plaintext of l in a spelling.
func spell(l *Link, s spelling) []byte {
	strings := l.strings()
	section := appendStored(nil, &strings)
	if s.codec == codecURL {
		section = new(sealer).appendCoded(nil, &strings)
	}
	return l.appendPlain(nil, &strings, section, s)
}
