package link

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tink-crypto/tink-go/v2/daead/subtle"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestSIVVectorsOfTheRFC(t *testing.T) {
	for _, test := range []struct {
		name, key  string
		associated []string
		plain, out string
	}{
		{
			name:       "A.1",
			key:        "fffefdfc fbfaf9f8 f7f6f5f4 f3f2f1f0 f0f1f2f3 f4f5f6f7 f8f9fafb fcfdfeff",
			associated: []string{"10111213 14151617 18191a1b 1c1d1e1f 20212223 24252627"},
			plain:      "11223344 55667788 99aabbcc ddee",
			out:        "85632d07 c6e8f37f 950acd32 0a2ecc93 40c02b96 90c4dc04 daef7f6a fe5c",
		},
		{
			name: "A.2",
			key:  "7f7e7d7c 7b7a7978 77767574 73727170 40414243 44454647 48494a4b 4c4d4e4f",
			associated: []string{
				"00112233 44556677 8899aabb ccddeeff deaddada deaddada ffeeddcc bbaa9988 77665544 33221100",
				"10203040 50607080 90a0",
				"09f91102 9d74e35b d84156c5 635688c0",
			},
			plain: "74686973 20697320 736f6d65 20706c61 696e7465 78742074 6f20656e 63727970 74207573 696e6720 5349562d 414553",
			out: "7bdb6e3b 432667eb 06f4d14b ff2fbd0f cb900f2f ddbe4043 26601965 c889bf17 dba77ceb 094fa663 b7a3f748 ba8af829" +
				"ea64ad54 4a272e9c 485b62a3 fd5c0d",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var associated [][]byte
			for _, data := range test.associated {
				associated = append(associated, unhex(t, data))
			}
			s, err := newSIV(unhex(t, test.key), associated...)
			if err != nil {
				t.Fatal(err)
			}
			data := unhex(t, test.plain)
			w := new(work)
			s.seal(w, data)
			got := append(w.sum[:], data...)
			if want := unhex(t, test.out); !bytes.Equal(got, want) {
				t.Fatalf("sealed\n%x, want\n%x", got, want)
			}
			if !s.open(new(work), bytes.Clone(got[:blockSize]), data) || !bytes.Equal(data, unhex(t, test.plain)) {
				t.Fatalf("opened %x", data)
			}
		})
	}
}

func TestSIVAgreesWithTink(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	for length := range 200 {
		key, associated, plain := make([]byte, 64), make([]byte, 1+length%40), make([]byte, length)
		random.Read(key)
		random.Read(associated)
		random.Read(plain)
		tink, err := subtle.NewAESSIV(key)
		if err != nil {
			t.Fatal(err)
		}
		want, err := tink.EncryptDeterministically(plain, associated)
		if err != nil {
			t.Fatal(err)
		}
		s, err := newSIV(key, associated)
		if err != nil {
			t.Fatal(err)
		}
		w := new(work)
		data := bytes.Clone(plain)
		s.seal(w, data)
		if got := append(bytes.Clone(w.sum[:]), data...); !bytes.Equal(got, want) {
			t.Fatalf("length %d: sealed %x, Tink %x", length, got, want)
		}
		if !s.open(w, want[:blockSize], data) || !bytes.Equal(data, plain) {
			t.Fatalf("length %d: opened %x", length, data)
		}
		data = bytes.Clone(want)
		data[length%len(data)] ^= 1 << (length % 8)
		if s.open(w, data[:blockSize], data[blockSize:]) {
			t.Fatalf("length %d: a changed byte opened", length)
		}
	}
}

func TestSIVRefusesOtherKeyLengths(t *testing.T) {
	for _, length := range []int{0, 16, 31, 33, 63, 65, 128} {
		if _, err := newSIV(make([]byte, length)); err == nil {
			t.Errorf("a key of %d bytes was taken", length)
		}
	}
}
