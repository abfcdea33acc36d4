package link

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func encodeRaw(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

func TestRoundTrip(t *testing.T) {
	ring := testRing(t)
	for name, minted := range map[string]*Link{
		"usual": usualLink(), "full": fullLink(),
		"open":       {Kind: Open, Tenant: 9, Message: id("1"), Prospect: id("2")},
		"open empty": {Kind: Open, Tenant: 1},
		"shortest":   {Tenant: 1, Destination: []byte("http://a")},
	} {
		t.Run(name, func(t *testing.T) {
			var opened Link
			if err := ring.Open(&opened, mustToken(t, ring, minted)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(minted, &opened, sameLink); diff != "" {
				t.Fatalf("opened other contents (-minted +opened):\n%s", diff)
			}
		})
	}
}

// Whatever can be minted opens as it was, has one token, and that ends in a letter or a digit. One Link opens all, so nothing of an earlier
// one may shine through.
func TestRoundTripProperty(t *testing.T) {
	ring := testRing(t)
	var opened Link
	rapid.Check(t, func(t *rapid.T) {
		minted := anyLink(t)
		token, err := ring.AppendToken(nil, minted)
		if err != nil {
			t.Fatalf("AppendToken: %v", err)
		}
		if err := ring.Open(&opened, token); err != nil {
			t.Fatalf("Open(%s): %v", token, err)
		}
		if bytes.Equal(minted.Original, minted.Destination) {
			minted.Original = nil
		}
		if diff := cmp.Diff(minted, &opened, sameLink); diff != "" {
			t.Fatalf("opened other contents (-minted +opened):\n%s", diff)
		}
		again, err := ring.AppendToken([]byte("https://l.example/"), &opened)
		if want := "https://l.example/" + string(token); err != nil || string(again) != want {
			t.Fatalf("minted again: %s, %v; want %s", again, err, want)
		}
		if last := token[len(token)-1]; last == '-' || last == '_' {
			t.Fatalf("token %s ends in punctuation", token)
		}
	})
}

// All three spellings occur, so that the property above has seen them.
func TestEveryTokenEndsInALetterOrDigit(t *testing.T) {
	ring := testRing(t)
	var spellings [3]int
	for i := range 30_000 {
		minted := usualLink()
		if i%2 == 1 {
			minted.Tag = []byte("tag")
		}
		minted.Minted = uint32(i)
		minted.Destination = append(minted.Destination, "xx"[:i/2%3]...)
		token := mustToken(t, ring, minted)
		if last := token[len(token)-1]; last == '-' || last == '_' {
			t.Fatalf("token %s ends in punctuation", token)
		}
		switch plain := plainOf(t, ring, token); {
		case plain[0]&4 != 0:
			spellings[1]++
		case plain[1]&hasExtras != 0 && (minted.Tag == nil || plain[2]&extraPad != 0):
			spellings[2]++
		default:
			spellings[0]++
		}
	}
	if spellings[1] == 0 || spellings[2] == 0 {
		t.Errorf("spellings %v: each should have been needed", spellings)
	}
}

func TestOverheadOfAUsualLinkIsSevenBytes(t *testing.T) {
	ring := testRing(t)
	minted := &Link{Place: PlaceText, Tenant: 127, Minted: MaxMinutes, Number: 30, Destination: []byte(url98)}
	token := mustToken(t, ring, minted)
	if got := decodedLen(len(token)) - blockSize - len(url98); got > 7 {
		t.Errorf("header, control, time, tenant and link number take %d bytes, want at most 7", got)
	}
}

func TestEqualOriginalDoesNotTravel(t *testing.T) {
	ring := testRing(t)
	minted := usualLink()
	plain := mustToken(t, ring, minted)
	minted.Original = bytes.Clone(minted.Destination)
	if got := mustToken(t, ring, minted); !bytes.Equal(got, plain) {
		t.Errorf("an original equal to the destination gives token %s, want %s", got, plain)
	}
}

func TestOnlySlotsOfTheRingOpen(t *testing.T) {
	ring := testRing(t)
	other, err := NewKeyring(6, [64]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	same, err := NewKeyring(5, [64]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	token := mustToken(t, ring, usualLink())
	var l Link
	if err := other.Open(&l, token); err != ErrKey {
		t.Errorf("a slot that is not in the ring: %v, want ErrKey", err)
	}
	if err := same.Open(&l, token); err != ErrForged {
		t.Errorf("another key in the slot: %v, want ErrForged", err)
	}
	if _, err := NewKeyring(64, [64]byte{1}); err == nil {
		t.Error("slot 64 was taken")
	}
	if ring.Primary() != 5 || !ring.Has(5) || ring.Has(6) || ring.Has(200) {
		t.Error("the ring does not know its slot")
	}
}

func TestSlot(t *testing.T) {
	for _, slot := range []uint8{0, 3, Slots - 1} {
		keys, err := NewKeyring(slot, [64]byte{1})
		if err != nil {
			t.Fatal(err)
		}
		token, err := keys.AppendToken(nil, &Link{Tenant: 1, Destination: []byte("https://example.com/")})
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := Slot(token); !ok || got != slot {
			t.Errorf("slot %d, %v; want %d", got, ok, slot)
		}
		wrong := append([]byte("_"), token[1:]...) // another version
		for _, no := range []string{"", string(token[:minTokenLen-1]), string(token) + ".", string(wrong)} {
			if _, ok := Slot([]byte(no)); ok {
				t.Errorf("%q has a slot", no)
			}
		}
	}
}

func TestRefusalsOfAppendToken(t *testing.T) {
	ring := testRing(t)
	for _, test := range []struct {
		name   string
		change func(*Link)
		want   error
	}{
		{"no tenant", func(l *Link) { l.Tenant = 0 }, ErrField},
		{"minutes over 24 bits", func(l *Link) { l.Minted = MaxMinutes + 1 }, ErrField},
		{"unknown kind", func(l *Link) { l.Kind = 2 }, ErrField},
		{"unknown place", func(l *Link) { l.Place = 3 }, ErrField},
		{"open with a place", func(l *Link) { l.Kind, l.Destination = Open, nil }, ErrField},
		{"open with a destination", func(l *Link) { l.Kind, l.Place = Open, PlaceUnknown }, ErrField},
		{"metadata cut", func(l *Link) { l.Metadata = AppendMetadata(nil, "key", "value")[:6] }, ErrField},
		{"metadata without value", func(l *Link) { l.Metadata = []byte{1, 'k'} }, ErrField},
		{"no destination", func(l *Link) { l.Destination = nil }, ErrScheme},
		{"line break", func(l *Link) { l.Destination = []byte("https://a/\r\nb") }, ErrControl},
		{"no host", func(l *Link) { l.Destination = []byte("https:///path") }, ErrHost},
		{"long tag", func(l *Link) { l.Tag = make([]byte, MaxContents) }, ErrTooLong},
		{"long id", func(l *Link) { l.User = id(strings.Repeat("x", MaxContents)) }, ErrTooLong},
		{"just too long", func(l *Link) { l.Recipient = make([]byte, MaxContents-len(l.Destination)) }, ErrTooLong},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := usualLink()
			test.change(l)
			if got, err := ring.AppendToken([]byte("before"), l); err != test.want || string(got) != "before" {
				t.Errorf("AppendToken = %q, %v; want %v", got, err, test.want)
			}
		})
	}
}

func TestLongestToken(t *testing.T) {
	ring := testRing(t)
	minted := &Link{Tenant: 1, Destination: []byte("http://a/")}
	var opened Link
	longest := 0
	for length := MaxContents - 20; length <= MaxContents; length++ {
		minted.Destination = append([]byte("http://a/"), bytes.Repeat([]byte{0xFE}, length-9)...)
		token, err := ring.AppendToken(nil, minted)
		if err == ErrTooLong {
			break
		}
		if err := ring.Open(&opened, token); err != nil || !bytes.Equal(opened.Destination, minted.Destination) {
			t.Fatalf("destination of %d bytes: %v", length, err)
		}
		longest = len(token)
	}
	if longest > MaxToken || longest < MaxToken-10 {
		t.Errorf("the longest token has %d characters; MaxToken is %d", longest, MaxToken)
	}
	if err := ring.Open(&opened, make([]byte, MaxToken+1)); err != ErrTooLong {
		t.Errorf("a longer one: %v", err)
	}
}

func TestMinutes(t *testing.T) {
	for text, want := range map[string]uint32{
		"2024-12-31T23:59:59Z":      0,
		"2025-01-01T00:00:59Z":      0,
		"2025-01-01T00:01:00Z":      1,
		"2025-01-02T01:00:00+01:00": 1440,
		"2056-11-23T00:00:00Z":      16_774_560,
		"2999-01-01T00:00:00Z":      MaxMinutes,
	} {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		if got := Minutes(at); got != want {
			t.Errorf("Minutes(%s) = %d, want %d", text, got, want)
		}
		if l := (Link{Minted: want}); want != 0 && want != MaxMinutes && !l.MintedTime().Equal(at) {
			t.Errorf("MintedTime of %d = %v, want %s", want, l.MintedTime(), text)
		}
	}
}

func TestHashRecipient(t *testing.T) {
	got := HashRecipient(1, []byte("Abc@Prospect.COM"))
	if want := HashRecipient(1, []byte("abc@prospect.com")); !bytes.Equal(got, want) {
		t.Errorf("case changes the hash: %s, %s", got, want)
	}
	if want := "#aSGy36yCy25FRJ1zkhuFzg"; string(got) != want {
		t.Errorf("hash is %s, want %s", got, want)
	}
	if other := HashRecipient(2, []byte("abc@prospect.com")); bytes.Equal(got, other) {
		t.Error("two tenants have the same hash")
	}
}

func TestMetadata(t *testing.T) {
	var got []string
	metadata := AppendMetadata(AppendMetadata(nil, "a", "1"), strings.Repeat("k", 200), "")
	for key, value, rest, ok := NextMetadata(metadata); ok; key, value, rest, ok = NextMetadata(rest) {
		got = append(got, fmt.Sprintf("%s=%s", key, value))
	}
	if diff := cmp.Diff([]string{"a=1", strings.Repeat("k", 200) + "="}, got); diff != "" {
		t.Error(diff)
	}
}

// A million random changes of tokens, fewer where that takes long: none opens, unless it came out as a token that was minted.
func TestChangedTokensDoNotOpen(t *testing.T) {
	rounds := 1_000_000 / thorough
	if testing.Short() {
		rounds = min(rounds, 30_000)
	}
	ring := testRing(t)
	minted := []*Link{usualLink(), fullLink(), {Kind: Open, Tenant: 1}}
	var tokens [][]byte
	for minute := range uint32(30) {
		l := *minted[minute%3]
		l.Minted = minute
		tokens = append(tokens, mustToken(t, ring, &l))
	}
	random := rand.New(rand.NewPCG(1, 2))
	var l Link
	refusals := map[error]int{}
	for range rounds {
		token := tokens[random.IntN(len(tokens))]
		changed := mangle(random, bytes.Clone(token), tokens)
		if slices.ContainsFunc(tokens, func(known []byte) bool { return bytes.Equal(changed, known) }) {
			continue
		}
		err := ring.Open(&l, changed)
		if err == nil {
			t.Fatalf("%s\nchanged from\n%s\nopened: %+v", changed, token, l)
		}
		refusals[err]++
	}
	for _, err := range []error{ErrVersion, ErrKey, ErrForged, ErrTruncated, ErrEncoding} {
		if refusals[err] == 0 {
			t.Errorf("no change led to %v: %v", err, refusals)
		}
	}
	if refusals[ErrContent] > 0 || refusals[ErrDestination] > 0 {
		t.Errorf("a changed token passed the seal: %v", refusals)
	}
}

// mangle changes token in one random way, which may change nothing.
func mangle(random *rand.Rand, token []byte, others [][]byte) []byte {
	at := random.IntN(len(token))
	switch random.IntN(7) {
	case 0: // a bit of the characters
		token[at] ^= 1 << random.IntN(8)
	case 1: // a bit of the bytes below
		raw := make([]byte, decodedLen(len(token)))
		decodeToken(raw, token)
		raw[random.IntN(len(raw))] ^= 1 << random.IntN(8)
		return []byte(encodeRaw(raw))
	case 2:
		return token[:at]
	case 3:
		other := random.IntN(len(token))
		token[at], token[other] = token[other], token[at]
	case 4:
		for range 1 + random.IntN(4) {
			token = append(token, alphabet[random.IntN(64)])
		}
	case 5:
		return bytes.Map(func(r rune) rune {
			if 'a' <= r|0x20 && r|0x20 <= 'z' && random.IntN(8) == 0 {
				return r ^ 0x20
			}
			return r
		}, token)
	case 6: // the head of one, the tail of another
		other := others[random.IntN(len(others))]
		if len(other) != len(token) || at == 0 {
			return token[at:]
		}
		return append(token[:at], other[at:]...)
	}
	return token
}
