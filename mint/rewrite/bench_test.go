package rewrite

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// newsletter is a mail of about that many bytes and links as newsletters have them: nested tables, styles in each cell, buttons for Outlook.
func newsletter(size, links int) []byte {
	var b bytes.Buffer
	b.WriteString("<!doctype html><html xmlns:v=\"urn:schemas-microsoft-com:vml\"><head><base href=\"https://example.com/\"><style>a{color:#c00}</style></head><body>\n")
	row := func(n int) string {
		url := fmt.Sprintf("https://shop.example.com/products/%d?utm_source=newsletter&amp;utm_medium=email&amp;utm_campaign=autumn&amp;item=%d", n, n*7919)
		return fmt.Sprintf(`<table role="presentation" width="600" cellpadding="0" cellspacing="0" border="0" style="border-collapse:collapse;mso-table-lspace:0pt"><tr><td align="center" style="padding:10px 20px;font-family:Arial,sans-serif;font-size:14px">
<a href="%s" target="_blank" style="color:#333333;text-decoration:none"><img src="https://cdn.example.com/%d.png" srcset="https://cdn.example.com/%d@2x.png 2x" width="280" alt="Item &amp; more"></a>
<!--[if mso]><v:roundrect href="%s" style="height:40px"><w:anchorlock/><![endif]--><b>Item %d</b><!--[if mso]></v:roundrect><![endif]--></td></tr></table>
`, url, n, n, url, n)
	}
	filler := func(n int) string {
		return "<p style=\"margin:0 0 12px 0;font-family:Arial,sans-serif;line-height:20px\">" + strings.Repeat("Something that people read in a mail of ours. ", n/46+1) + "</p>\n"
	}
	for n := range links {
		b.WriteString(row(n))
		if room := (size-b.Len())/(links-n) - 80; room > 0 {
			b.WriteString(filler(room))
		}
	}
	b.WriteString("</body></html>\n")
	return b.Bytes()
}

func BenchmarkHTML(b *testing.B) {
	for _, size := range []int{100_000, 2_000_000} {
		src := newsletter(size, size/2000)
		b.Run(fmt.Sprintf("size=%d/links=%d", size, size/2000), func(b *testing.B) {
			dst := make([]byte, 0, 2*len(src))
			found := 0
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			for b.Loop() {
				found = 0
				dst = AppendHTML(dst[:0], src, "https://go.example.net/o/T.gif", func(Link) (string, bool) {
					found++
					return marker, true
				})
			}
			if found != size/2000 {
				b.Fatalf("%d links", found)
			}
		})
	}
}

func BenchmarkText(b *testing.B) {
	src := []byte(strings.Repeat("Something that people read in a mail of ours, at https://shop.example.com/products/7919?utm_source=newsletter.\n\n"+strings.Repeat("And more of it. ", 120), 50))
	dst := make([]byte, 0, 2*len(src))
	b.Run(fmt.Sprintf("size=%d/links=50", len(src)), func(b *testing.B) {
		b.SetBytes(int64(len(src)))
		for b.Loop() {
			dst = AppendText(dst[:0], src, func(Link) (string, bool) { return marker, true })
		}
	})
}

// A mail of 2 MB with a thousand links, byte for byte.
func TestTwoMegabytes(t *testing.T) {
	src := newsletter(2<<20, 1000)
	if len(src) < 2<<20 {
		t.Fatalf("%d bytes only", len(src))
	}
	var want strings.Builder
	rest := string(src)
	for n := range 1000 {
		begin := fmt.Sprintf(`<a href="https://shop.example.com/products/%d?`, n)
		before, after, found := strings.Cut(rest, begin)
		if !found {
			t.Fatalf("no %s", begin)
		}
		_, rest, _ = strings.Cut(after, `"`)
		want.WriteString(before + `<a href="` + marker + `"`)
	}
	want.WriteString(rest)
	if got := string(AppendHTML(nil, src, "", func(Link) (string, bool) { return marker, true })); got != want.String() {
		t.Error("more or less than the links has changed")
	}
}

// Bodies that are made to cost much cost no more than their length: the bound is for hangs only.
func TestHostileBodies(t *testing.T) {
	const size = 1 << 20
	fill := func(s string) []byte { return []byte(strings.Repeat(s, size/len(s))) }
	begun := time.Now()
	for _, unit := range []string{"<", "<a ", "<a href=", "<!--", "<!--[if mso]>", "<!--[if mso]><a href=x><![endif]-->", "&", "<a href='https://a/&", "</body>", "<noscript>", "<title>", "<script><!--<script>"} {
		src := fill(unit)
		if out := AppendHTML(nil, src, "", func(Link) (string, bool) { return "", false }); !bytes.Equal(out, src) {
			t.Errorf("%q: changed", unit)
		}
	}
	for _, unit := range []string{"http://", "http:///", "<http://a", "<http://", "://", "http://a(", "http://a)", "https://%a", "http://[", "http://a{"} {
		src := fill(unit)
		if out := AppendText(nil, src, func(Link) (string, bool) { return "", false }); !bytes.Equal(out, src) {
			t.Errorf("%q: changed", unit)
		}
	}
	if took := time.Since(begun); took > 2*time.Minute {
		t.Errorf("took %v", took)
	}
}
