package link

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata/vectors.json anew")

const vectorFile = "testdata/vectors.json"

// vectors is testdata/vectors.json. Byte strings are JSON strings whose characters U+0000 to U+00FF stand for one byte each; keys and plaintexts
// are hex.
type vectors struct {
	About    string          `json:"about"`
	Keys     []vectorKey     `json:"keys"`
	Tokens   []vectorToken   `json:"tokens"`
	Refusals []vectorRefusal `json:"refusals"`
}

type vectorKey struct {
	Slot uint8  `json:"slot"`
	Key  string `json:"key"`
}

type vectorToken struct {
	Name      string     `json:"name"`
	Token     string     `json:"token"`
	Plaintext string     `json:"plaintext"`
	Minted    bool       `json:"minted"` // AppendToken writes this token; the others only have to open
	Link      vectorLink `json:"link"`
}

type vectorLink struct {
	Kind        string      `json:"kind"`
	Place       string      `json:"place"`
	Tenant      uint32      `json:"tenant"`
	Minutes     uint32      `json:"minted_minutes"`
	Number      uint32      `json:"number"`
	Message     string      `json:"message"`
	Prospect    string      `json:"prospect"`
	User        string      `json:"user"`
	Destination string      `json:"destination"`
	Original    string      `json:"original"`
	Recipient   string      `json:"recipient"`
	Stream      string      `json:"stream"`
	Tag         string      `json:"tag"`
	Metadata    [][2]string `json:"metadata"`
}

type vectorRefusal struct {
	Name  string `json:"name"`
	Token string `json:"token"`
	Error string `json:"error"`
}

var errorNames = map[error]string{
	ErrVersion: "ErrVersion", ErrKey: "ErrKey", ErrForged: "ErrForged", ErrTruncated: "ErrTruncated", ErrTooLong: "ErrTooLong",
	ErrEncoding: "ErrEncoding", ErrContent: "ErrContent", ErrDestination: "ErrDestination",
}

var (
	kindNames  = map[Kind]string{Click: "click", Open: "open"}
	placeNames = map[Place]string{PlaceUnknown: "", PlaceHTML: "html", PlaceText: "text"}
)

func latin1(data []byte) string {
	runes := make([]rune, len(data))
	for i, c := range data {
		runes[i] = rune(c)
	}
	return string(runes)
}

func describeLink(l *Link) vectorLink {
	v := vectorLink{
		Kind: kindNames[l.Kind], Place: placeNames[l.Place], Tenant: l.Tenant, Minutes: l.Minted, Number: l.Number,
		Message: latin1(l.Message.AppendTo(nil)), Prospect: latin1(l.Prospect.AppendTo(nil)), User: latin1(l.User.AppendTo(nil)),
		Destination: latin1(l.Destination), Original: latin1(l.Original), Recipient: latin1(l.Recipient),
		Stream: latin1(l.Stream), Tag: latin1(l.Tag), Metadata: [][2]string{},
	}
	for key, value, rest, ok := NextMetadata(l.Metadata); ok; key, value, rest, ok = NextMetadata(rest) {
		v.Metadata = append(v.Metadata, [2]string{latin1(key), latin1(value)})
	}
	return v
}

func readVectors(t testing.TB) (v vectors) {
	t.Helper()
	data, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func ringOfVectors(t testing.TB, v *vectors) *Keyring {
	t.Helper()
	ring := new(Keyring)
	for _, entry := range v.Keys {
		if err := ring.add(entry.Slot, (*[64]byte)(unhex(t, entry.Key))); err != nil {
			t.Fatal(err)
		}
	}
	return ring
}

func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	v := readVectors(t)
	ring := ringOfVectors(t, &v)
	for _, vector := range v.Tokens {
		t.Run(vector.Name, func(t *testing.T) {
			var l Link
			if err := ring.Open(&l, []byte(vector.Token)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(vector.Link, describeLink(&l)); diff != "" {
				t.Error(diff)
			}
			plain := plainOf(t, ring, []byte(vector.Token))
			if want := unhex(t, vector.Plaintext); !bytes.Equal(plain, want) {
				t.Errorf("plaintext %x, want %x", plain, want)
			}
			if !vector.Minted {
				return
			}
			ring.primary = slotOf(t, vector.Token)
			if again := mustToken(t, ring, &l); string(again) != vector.Token {
				t.Errorf("minted again: %s, want %s", again, vector.Token)
			}
		})
	}
	for _, vector := range v.Refusals {
		t.Run("refused "+vector.Name, func(t *testing.T) {
			var l Link
			if err := ring.Open(&l, []byte(vector.Token)); errorNames[err] != vector.Error {
				t.Errorf("Open = %v, want %s", err, vector.Error)
			}
		})
	}
}

func slotOf(t *testing.T, token string) uint8 {
	var first [1]byte
	if !decodeToken(first[:], []byte(token[:1]+string("AQgw"[decodeValue[token[1]]>>4]))) {
		t.Fatalf("token %s has no header", token)
	}
	return first[0] & (Slots - 1)
}

func TestVectorsNameEveryRefusal(t *testing.T) {
	named := map[string]bool{}
	for _, vector := range readVectors(t).Refusals {
		named[vector.Error] = true
	}
	for _, name := range errorNames {
		if !named[name] {
			t.Errorf("no vector shows %s", name)
		}
	}
}

// writeVectors keeps the tokens that are in the file already: they must open for ever. It adds those of the list that are missing.
func writeVectors(t *testing.T) {
	v := vectors{
		About: "Links and refusals of package link; see doc.go. In strings, U+0000 to U+00FF stand for one byte each; key and plaintext are hex. " +
			"Entries with minted are what the encoder writes today, the others are older or unusual spellings that open for ever.",
		Keys: []vectorKey{{0, sequentialKey(1)}, {5, sequentialKey(77)}, {63, sequentialKey(200)}},
	}
	known := map[string]bool{}
	if data, err := os.ReadFile(vectorFile); err == nil {
		var old vectors
		if err := json.Unmarshal(data, &old); err != nil {
			t.Fatal(err)
		}
		for _, vector := range old.Tokens {
			known[vector.Name] = true
			v.Tokens = append(v.Tokens, vector)
		}
	}
	ring := ringOfVectors(t, &v)
	for _, vector := range vectorList(t, ring) {
		if !known[vector.Name] {
			v.Tokens = append(v.Tokens, vector)
		}
	}
	v.Refusals = refusalList(t, ring)
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorFile, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func sequentialKey(first byte) string {
	key := make([]byte, 64)
	for i := range key {
		key[i] = first + byte(i*3)
	}
	return hex.EncodeToString(key)
}
