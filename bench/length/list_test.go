package length

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"waypost/mint/link"
)

func TestReadList(t *testing.T) {
	l, err := readList(strings.NewReader("\uFEFFhttps://a.example/1\r\n\n  http://b.example \nftp://c.example/\nmailto:d@e.example\nhttps:///f\nhttps://g.example/\xff\nhttps://h.example/i j\nhttps://k.example"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"https://a.example/1", "http://b.example", "https://g.example/\xff", "https://k.example"}, l.urls); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want := []Refusal{{link.ErrScheme.Error(), 2}, {link.ErrHost.Error(), 1}, {link.ErrControl.Error(), 1}}
	if diff := cmp.Diff(want, l.refused.reasons()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReadListFails(t *testing.T) {
	_, err := readList(strings.NewReader("https://a.example\nhttps://b.example/" + strings.Repeat("x", maxLine)))
	if err == nil || err.Error() != "line 2: more than 1048575 bytes" {
		t.Errorf("a long line: %v", err)
	}
	broken := errors.New("disk gone")
	if _, err := readList(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("a broken disk: %v", err)
	}
}

// Every line is empty, refused or a URL that can be a link's destination, none twice and none left out.
func FuzzReadList(f *testing.F) {
	f.Add("\uFEFFhttps://a.example/1\r\n\r\nftp://b.example")
	f.Add("https://a.example/\xff\x00\n \t \n\uFEFF\nhttps://")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := readList(strings.NewReader(text))
		if err != nil {
			if len(text) < maxLine {
				t.Fatalf("%d bytes: %v", len(text), err)
			}
			return
		}
		for _, url := range l.urls {
			if err := link.CheckDestination([]byte(url)); err != nil {
				t.Fatalf("%q: %v", url, err)
			}
		}
		filled := 0
		for line := range strings.SplitSeq(strings.TrimPrefix(text, "\uFEFF"), "\n") {
			if strings.TrimSpace(line) != "" {
				filled++
			}
		}
		if got := len(l.urls) + l.refused.total(); got != filled {
			t.Fatalf("%d of %d lines", got, filled)
		}
	})
}
