package server

import (
	"bytes"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
)

func gzipped(t testing.TB, parts ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, part := range parts {
		w := gzip.NewWriter(&out)
		if _, err := io.WriteString(w, part); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func TestGzip(t *testing.T) {
	s := newStack(t, nil)
	whole := gzipped(t, oneLink)
	damaged := bytes.Clone(whole)
	damaged[len(damaged)-6] ^= 1 // of the checksum
	tests := []struct {
		name   string
		sent   []byte
		signed string
		coding string
		status int
		want   string
	}{
		{"signed as sent", whole, string(whole), "gzip", 200, `{"data":{"https://a.example/1"`},
		{"signed before compression", whole, oneLink, "gzip", 200, `{"data":{"https://a.example/1"`},
		{"coding in upper case", whole, oneLink, "GZIP", 200, `{"data":{"https://a.example/1"`},
		{"two members", gzipped(t, oneLink[:9], oneLink[9:]), oneLink, "gzip", 200, `{"data":{"https://a.example/1"`},
		{"signature of something else", whole, oneLink + " ", "gzip", 401, "missing or wrong"},
		{"cut", whole[:len(whole)-4], string(whole[:len(whole)-4]), "gzip", 400, "damaged"},
		{"damaged", damaged, string(damaged), "gzip", 400, "damaged"},
		{"damaged and signed before", damaged, oneLink, "gzip", 401, "missing or wrong"},
		{"not gzip at all", []byte(oneLink), oneLink, "gzip", 400, "damaged"},
		{"empty", nil, "", "gzip", 400, "damaged"},
		{"gzip that says nothing", whole, string(whole), "", 400, "not JSON"},
		{"twice", gzipped(t, string(whole)), oneLink, "gzip, gzip", 415, "Content-Encoding"},
		{"bomb", gzipped(t, strings.Repeat(" ", 32<<20)), "", "gzip", 413, "too long"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s.t = t
			r, err := http.NewRequest("POST", "http://"+s.addr+"/outreach/demo", bytes.NewReader(test.sent))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Encoding", test.coding)
			r.Header.Set(SignatureHeader, Sign([]byte(test.signed), testSecret))
			status, body, _ := s.do(r)
			if status != test.status || !strings.Contains(body, test.want) {
				t.Errorf("%d %s, want %d and %q", status, body, test.status, test.want)
			}
		})
	}
}

// TestGzipBomb unpacks no more than a body may have.
func TestGzipBomb(t *testing.T) {
	const limit = 1 << 20
	bomb := gzipped(t, strings.Repeat("\x00", 32<<20))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	plain, err := appendInflated(nil, bomb, limit)
	runtime.ReadMemStats(&after)
	if err != errTooLong || len(plain) != limit+1 {
		t.Errorf("%d bytes, %v", len(plain), err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 8*limit {
		t.Errorf("%d bytes allocated for a body of at most %d", grown, limit)
	}
}

// TestLength has bodies at the limit and one byte beyond, announced and chunked, packed and not.
func TestLength(t *testing.T) {
	const limit = 4096
	s := newStack(t, func(s *stack) { s.settings.MaxBody = limit })
	fill := func(n int) string { return oneLink + strings.Repeat(" ", n-len(oneLink)) }
	for _, test := range []struct {
		name    string
		length  int
		chunked bool
		packed  bool
		status  int
	}{
		{"at the limit", limit, false, false, 200},
		{"beyond", limit + 1, false, false, 413},
		{"far beyond", 8 << 20, false, false, 413},
		{"chunked, at the limit", limit, true, false, 200},
		{"chunked, beyond", limit + 1, true, false, 413},
		{"chunked, far beyond", 8 << 20, true, false, 413},
		{"gzip, at the limit", limit, false, true, 200},
		{"gzip, beyond", limit + 1, false, true, 413},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.t = t
			body := fill(test.length)
			r := s.request(body)
			if test.packed {
				packed := gzipped(t, body)
				r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(packed)), int64(len(packed))
				r.Header.Set("Content-Encoding", "gzip")
			}
			if test.chunked {
				r.ContentLength = -1
			}
			if status, answer, _ := s.do(r); status != test.status {
				t.Errorf("%d %s, want %d", status, answer, test.status)
			}
		})
	}
}
