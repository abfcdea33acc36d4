package rewrite

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// marker is no part of any body that the properties are checked on, and needs no escape.
const marker = "https://go.example.net/0123456789"

// pieces checks an output whose links all became marker: cut at the markers, its pieces are those of the source between the links, byte for byte.
func pieces(t *testing.T, src, out []byte, positions []int) {
	t.Helper()
	cut := bytes.Split(out, []byte(marker))
	if len(cut) != len(positions)+1 {
		t.Fatalf("%d links, %d pieces in %q", len(positions), len(cut), out)
	}
	before := 0 // where the link before begins
	for i, position := range positions {
		if position < before || !bytes.HasSuffix(src[before:position], cut[i]) || i == 0 && len(cut[0]) != position {
			t.Fatalf("piece %d is %q, which does not end at byte %d of %q", i, cut[i], position, src)
		}
		before = position
	}
	last := cut[len(cut)-1]
	if !bytes.HasSuffix(src[before:], last) || len(positions) == 0 && len(last) != len(src) {
		t.Fatalf("the last piece is %q, which does not end %q", last, src)
	}
}

func check(t *testing.T, src []byte, rewrite func(Replace) []byte) (out []byte) {
	t.Helper()
	if bytes.Contains(src, []byte(marker)) {
		t.Skip()
	}
	kept := bytes.Clone(src)
	if unchanged := rewrite(func(Link) (string, bool) { return marker, false }); !bytes.Equal(unchanged, src) {
		t.Fatalf("changed though nothing was replaced: %q of %q", unchanged, src)
	}
	var positions []int
	out = rewrite(func(l Link) (string, bool) {
		if !hasScheme(l.URL) {
			t.Fatalf("%q is no link", l.URL)
		}
		positions = append(positions, l.Position)
		return marker, true
	})
	pieces(t, src, out, positions)
	if !bytes.Equal(kept, src) {
		t.Fatal("the source was written to")
	}
	return out
}

func FuzzHTML(f *testing.F) {
	for _, c := range constructs(f) {
		f.Add(c.body())
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		out := check(t, src, func(r Replace) []byte { return AppendHTML(nil, src, "", r) })
		sameTokens(t, src, out)
		pixel := AppendHTML(nil, src, marker, func(Link) (string, bool) { return "", false })
		if before, after, found := bytes.Cut(pixel, []byte(`<img src="`+marker)); !found || !bytes.HasPrefix(src, before) || !bytes.HasSuffix(src, after[bytes.IndexByte(after, '>')+1:]) {
			t.Fatalf("a pixel put in wrong: %q", pixel)
		}
	})
}

// sameTokens holds the output to the tokenizer: the same tokens as before, but for the replaced hrefs, conditional comments and what is inside of noscript. It also compares our
// attributes with the tokenizer's.
func sameTokens(t *testing.T, src, out []byte) {
	t.Helper()
	before, after := html.NewTokenizer(bytes.NewReader(src)), html.NewTokenizer(bytes.NewReader(out))
	for {
		kind := before.Next()
		if got := after.Next(); got != kind {
			t.Fatalf("a token became %v, was %v", got, kind)
		}
		if kind == html.ErrorToken {
			return
		}
		raw := bytes.Clone(before.Raw())
		was, is := before.Token(), after.Token()
		if was.Type == html.StartTagToken || was.Type == html.SelfClosingTagToken {
			wantAttributes(t, raw, was.Attr)
		}
		if len(was.Attr) != len(is.Attr) {
			t.Fatalf("%q became %q", was, is)
		}
		for i, a := range was.Attr {
			if b := is.Attr[i]; a != b && (a.Key != "href" || b.Key != "href" || b.Val != marker) {
				t.Fatalf("the attribute %q became %q", a, b)
			}
		}
		if was.Data != is.Data && was.Type != html.CommentToken && !strings.Contains(is.Data, marker) {
			t.Fatalf("%q became %q", was.Data, is.Data)
		}
		if was.Data == "noscript" {
			before.NextIsNotRawText()
			after.NextIsNotRawText()
		}
	}
}

func wantAttributes(t *testing.T, tag []byte, attributes []html.Attribute) {
	t.Helper()
	for _, a := range attributes {
		if strings.ContainsRune(a.Key, '\uFFFD') {
			continue // the tokenizer's word for a NUL
		}
		from, to, ok := valueOf(tag, a.Key)
		if !ok {
			t.Fatalf("attribute %q of %q not found", a.Key, tag)
		}
		if raw := tag[from:to]; !bytes.ContainsAny(raw, "&\r\x00") && string(raw) != a.Val {
			t.Fatalf("attribute %q of %q is %q, want %q", a.Key, tag, raw, a.Val)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, c := range constructs(f) {
		f.Add(c.body())
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		check(t, src, func(r Replace) []byte { return AppendText(nil, src, r) })
	})
}
