package link

import (
	"testing"

	"pgregory.net/rapid"
)

func TestExplainAccountsForEveryBit(t *testing.T) {
	ring := testRing(t)
	rapid.Check(t, func(t *rapid.T) {
		l := anyLink(t)
		token, err := ring.AppendToken(nil, l)
		if err != nil {
			t.Fatal(err)
		}
		parts, err := ring.Explain(l)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0
		for _, part := range parts {
			sum += part.Bits
			if part.Field == "fill" && part.Bits > 15 { // a pad byte and seven bits of a stream
				t.Errorf("%d bits are not explained", part.Bits)
			}
			for _, piece := range part.Pieces {
				if piece.Bits <= 0 {
					t.Errorf("piece %q of %s in %d bits", piece.Text, part.Field, piece.Bits)
				}
			}
		}
		if want := 8 * decodedLen(len(token)); sum != want {
			t.Errorf("%d bits, the token has %d: %+v", sum, want, parts)
		}
	})
}

func TestExplainNamesTheFields(t *testing.T) {
	parts, err := testRing(t).Explain(fullLink())
	if err != nil {
		t.Fatal(err)
	}
	bits := map[string]int{}
	for _, part := range parts {
		bits[part.Field] = part.Bits
	}
	for field, want := range map[string]int{
		"version and key slot": 8, "seal": 128, "control": 16, "link number": 8, "extras": 8, "time": 24, "tenant": 40, "id shape": 8,
		"message": 128, "prospect": 8 * 28, "user": 8 * 5,
	} {
		if bits[field] != want {
			t.Errorf("%s: %d bits, want %d", field, bits[field], want)
		}
	}
	for _, field := range stringNames {
		if bits[field] == 0 {
			t.Errorf("%s is not there", field)
		}
	}
	if _, err := testRing(t).Explain(&Link{}); err != ErrField {
		t.Errorf("a link that cannot be minted: %v", err)
	}
}
