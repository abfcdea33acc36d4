package urlcode

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What a workspace remembers of the texts before changes nothing: each stream is that of a workspace never used.
func TestRememberedTexts(t *testing.T) {
	texts := []string{"a@example.com", "b@example.com", "outbound", strings.Repeat("long", longText), "a", ""}
	rapid.Check(t, func(t *rapid.T) {
		var w Workspace
		other := NewEncoder(embedded(model1))
		for range 20 {
			all, kinds := [][]byte{[]byte("https://example.com/1")}, []Kind{URL}
			for _, n := range rapid.SliceOfN(rapid.IntRange(0, len(texts)-1), 0, 6).Draw(t, "texts") {
				all, kinds = append(all, []byte(texts[n])), append(kinds, Text)
			}
			e := Encoder1()
			if rapid.Bool().Draw(t, "other encoder") {
				e = other
			}
			got, want := e.Append(nil, &w, all, kinds), e.Append(nil, new(Workspace), all, kinds)
			if !bytes.Equal(got, want) {
				t.Fatalf("%q: %x, want %x", all, got, want)
			}
		}
	})
}

// The model of codec 1 never changes: links that it wrote must open for ever.
func TestModelOfCodec1IsTheOneThatLinksWereMintedWith(t *testing.T) {
	sum := sha256.Sum256(model1)
	if got := hex.EncodeToString(sum[:]); got != model1Hash {
		t.Errorf("model1.bin has SHA-256 %s, want %s; a new model needs a new codec number", got, model1Hash)
	}
}

func TestModelFileRoundTrip(t *testing.T) {
	m := embedded(model1)
	file, err := m.Append([]byte("before"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseModel(file[len("before"):])
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(again.Fragments, "\n") != strings.Join(m.Fragments, "\n") || !bytes.Equal(again.Class, m.Class) {
		t.Error("the model changed")
	}
}

func TestDamagedModelsAreRefused(t *testing.T) {
	for at := 0; at < len(model1); at += 97 {
		damaged := bytes.Clone(model1)
		damaged[at] ^= 0x10
		if _, err := ParseModel(damaged); err == nil {
			t.Fatalf("a changed byte %d was not noticed", at)
		}
	}
	for _, length := range []int{0, 5, 12, 100, len(model1) - 1} {
		if _, err := ParseModel(model1[:length]); err == nil {
			t.Errorf("the first %d bytes were taken", length)
		}
	}
}

func TestUnusableModelsAreRefused(t *testing.T) {
	for name, change := range map[string]func(*Model){
		"end shorter than a code": func(m *Model) { m.Lengths[3][End]-- },
		"special without code":    func(m *Model) { m.Lengths[2][Digits] = 0 },
		"codes not complete":      func(m *Model) { m.Lengths[2][Specials+50]++ },
		"class not a state":       func(m *Model) { m.Class[99] = uint8(m.States) },
		"fragments out of order":  func(m *Model) { m.Fragments[7], m.Fragments[8] = m.Fragments[8], m.Fragments[7] },
		"fragment too long":       func(m *Model) { m.Fragments[len(m.Fragments)-1] = strings.Repeat("~", 17) },
		"a state too few":         func(m *Model) { m.Lengths = m.Lengths[1:] },
		"a character missing":     func(m *Model) { m.Fragments = m.Fragments[1:]; m.Class = m.Class[1:] },
	} {
		m := embedded(model1)
		change(m)
		if _, err := m.Append(nil); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func code(list ...string) (stream []byte, kinds []Kind) {
	var w Workspace
	var all [][]byte
	for i, s := range list {
		all = append(all, []byte(s))
		kinds = append(kinds, Kind(min(i/2, 1)))
	}
	return Encoder1().Append(nil, &w, all, kinds), kinds
}

func decode(t testing.TB, stream []byte, kinds []Kind) []string {
	t.Helper()
	ends := make([]int, len(kinds))
	out, err := Decoder1().Decode(nil, ends, stream, kinds, 1<<16)
	if err != nil {
		t.Fatalf("Decode(%x): %v", stream, err)
	}
	list := make([]string, len(kinds))
	begin := 0
	for i, end := range ends {
		list[i] = string(out[begin:end])
		begin = end
	}
	return list
}

func expectRoundTrip(t testing.TB, list ...string) {
	t.Helper()
	stream, kinds := code(list...)
	for i, got := range decode(t, stream, kinds) {
		if got != list[i] {
			t.Fatalf("string %d of %q came out as %q", i, list, got)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, list := range [][]string{
		{""},
		{"a"},
		{"", "", "", ""},
		{"https://www.example.com/"},
		{"https://www.example.com/a?b=c&d=%20%C3%BC%2f", "http://x", "abc@prospect.com", "tag", "\x01k\x00"},
		{string(every), string(every)},
		{strings.Repeat("0123456789abcdef", 9), strings.Repeat("ABCDEF0123", 9)},
		{strings.Repeat("9", 4) + "x" + strings.Repeat("0", 5) + "x" + strings.Repeat("1", 6) + "x" + strings.Repeat("2", 19) + "x" + strings.Repeat("3", 40)},
		{"6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6BA7B810-9dad-11d1-80b4-00c04fd430c8", "6ba7b810-9dad-11d1-80b4-00c04fd430c"},
		{strings.Repeat("%C3%A9", 30), "%c3%a9%", "%C", "%"},
		{strings.Repeat("\u00e9", 100), "\x00", "\x00\x00", "\x00\x00\x00"},
		{"Zm9vYmFyLV9iYXo-_QuuxABCdef0123456789"},
	} {
		expectRoundTrip(t, list...)
	}
}

// Whatever room the caller's buffer has, specials behind fragments find theirs.
func TestDecodeIntoBuffersOfEverySize(t *testing.T) {
	text := "https://www.example.com/resources/6ba7b810-9dad-11d1-80b4-00c04fd430c8/https://www." + strings.Repeat("%C3%A9", 9) +
		"/https://www./blog/https://" + strings.Repeat("\u00e9", 20) + "/www.about.com/" + strings.Repeat("0123456789abcdef", 3)
	stream, kinds := code(text)
	ends := make([]int, 1)
	for size := range 2 * len(text) {
		out, err := Decoder1().Decode(make([]byte, 0, size), ends, stream, kinds, len(text))
		if err != nil || string(out) != text {
			t.Fatalf("into %d bytes: %q, %v", size, out, err)
		}
	}
}

func TestRoundTripProperty(t *testing.T) {
	anyString := rapid.OneOf(
		rapid.StringMatching(`https?://[a-z0-9.-]{1,20}/[a-zA-Z0-9/._~%-]{0,40}(\?[a-z_]{1,9}=[0-9a-f]{0,50}(&[a-z]{1,4}=[A-Za-z0-9_-]{0,60})?)?`),
		rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) }),
		rapid.StringMatching(`([0-9]{1,30}|%[0-9A-F]{2}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9A-F]{1,60}|.){0,8}`),
	)
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(anyString, 1, 6).Draw(t, "strings")
		stream, kinds := code(list...)
		ends := make([]int, len(kinds))
		out, err := Decoder1().Decode(nil, ends, stream, kinds, 1<<16)
		if err != nil || string(out) != strings.Join(list, "") {
			t.Fatalf("%q came out as %q, %v", list, out, err)
		}
	})
}

// Whatever bits come: no panic, nothing over the limit, no reading past the end.
func TestHostileStreams(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	kinds := []Kind{URL, Text, Text}
	ends := make([]int, 3)
	taken := 0
	for range 30_000 {
		stream := make([]byte, random.IntN(60), 100)
		for i := range stream {
			stream[i] = byte(random.Uint32())
		}
		n := 1 + random.IntN(3)
		first, err := Decoder1().Decode(nil, ends, stream, kinds[:n], 300)
		if err == nil {
			taken++
			if len(first) > 300 || ends[n-1] != len(first) {
				t.Fatalf("%d bytes, ends %v", len(first), ends)
			}
		}
		behind := stream[len(stream):cap(stream)]
		for i := range behind {
			behind[i] = 0xA5
		}
		second, again := Decoder1().Decode(nil, ends, stream, kinds[:n], 300)
		if again != err || !bytes.Equal(first, second) {
			t.Fatalf("%x: what lies behind the stream changes what it says: %v, %v", stream, err, again)
		}
	}
	if taken == 0 {
		t.Error("no random stream was readable: this test looks at nothing")
	}
}

func TestRefusedStreams(t *testing.T) {
	stream, kinds := code("https://www.example.com/12345678901", "x@example.com")
	ends := make([]int, 9)
	for name, test := range map[string]struct {
		stream []byte
		kinds  []Kind
		limit  int
	}{
		"a string too few":  {stream, append(kinds, Text), 1 << 16},
		"a string too many": {stream, kinds[:1], 1 << 16},
		"over the limit":    {stream, kinds, 40},
		"cut":               {stream[:len(stream)-1], kinds, 1 << 16},
		"end written":       {append(bytes.Clone(stream), 0xFF), kinds, 1 << 16},
		"end written twice": {append(bytes.Clone(stream), 0xFF, 0xFF, 0xFF, 0xFF), kinds, 1 << 16},
	} {
		if _, err := Decoder1().Decode(nil, ends, test.stream, test.kinds, test.limit); err != ErrStream {
			t.Errorf("%s: %v", name, err)
		}
	}
	var w writer
	w.code(Encoder1().codes[URL][Digits])
	w.put(0, 4)
	w.put(0, 10)
	w.put(1000>>6, 4) // what is left of 10 bits is one digit: 15
	if _, err := Decoder1().Decode(nil, ends, w.finish(), []Kind{URL}, 100); err != ErrStream {
		t.Errorf("a digit of 15: %v", err)
	}
}

func TestExplainAccountsForEveryBit(t *testing.T) {
	const link = "https://www.acme-analytics.com/p/6ba7b810-9dad-11d1-80b4-00c04fd430c8?x=123456789&h=Zm9vYmFyLV9iYXo"
	sum, text := 0, ""
	stream, kinds := code(link, "", "abc@prospect.com")
	for _, costs := range Encoder1().Explain([][]byte{[]byte(link), nil, []byte("abc@prospect.com")}, kinds) {
		for _, cost := range costs {
			sum += cost.Bits
			text += string(cost.Text)
		}
	}
	if text != link+"abc@prospect.com" || (sum+7)/8 != len(stream) {
		t.Errorf("%q in %d bits; the stream has %d bytes", text, sum, len(stream))
	}
}

func FuzzDecode(f *testing.F) {
	stream, _ := code("https://www.example.com/a/b?c=d")
	f.Add(stream, uint8(1))
	stream, _ = code("https://www.example.com/a/b?c=d", "http://y", "abc@prospect.com")
	f.Add(stream, uint8(3))
	f.Fuzz(func(t *testing.T, stream []byte, n uint8) {
		kinds := []Kind{URL, URL, Text, Text}[:n%4+1]
		ends := make([]int, len(kinds))
		out, err := Decoder1().Decode(nil, ends, stream, kinds, 4096)
		if err != nil {
			return
		}
		var list []string
		begin := 0
		for _, end := range ends {
			list = append(list, string(out[begin:end]))
			begin = end
		}
		again, _ := code(list...)
		if len(list) > 1 || len(again) <= len(stream) {
			expectRoundTrip(t, list...)
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add("https://www.example.com/a/b?c=d", "abc@prospect.com")
	f.Fuzz(func(t *testing.T, a, b string) { expectRoundTrip(t, a, b) })
}
