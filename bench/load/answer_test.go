package load

import (
	"strings"
	"testing"
)

func TestScanAnswer(t *testing.T) {
	for _, c := range []struct {
		name           string
		text           string
		status, length int
		err            error
	}{
		{"redirect", "HTTP/1.1 302 Found\r\nDate: x\r\nContent-Length: 0\r\nLocation: https://a/\r\n\r\n", 302, -1, nil},
		{"body", "HTTP/1.1 404 Not Found\r\ncontent-length:5\r\n\r\nhello", 404, -1, nil},
		{"body under way", "HTTP/1.1 404 Not Found\r\nContent-Length: 50\r\n\r\nhello", 404, 96, nil},
		{"old", "HTTP/1.0 200 OK\r\nCONTENT-LENGTH: 0 \r\n\r\n", 200, -1, nil},
		{"no reason", "HTTP/1.1 204\r\nContent-Length: 0\r\n\r\n", 204, -1, nil},
		{"head under way", "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n", 0, 0, nil},
		{"empty", "", 0, 0, nil},
		{"no length", "HTTP/1.1 302 Found\r\nX-Content-Length: 0\r\n\r\n", 0, 0, errNoLength},
		{"status line only", "HTTP/1.1 302 Found\r\n\r\n", 0, 0, errNoLength},
		{"chunked", "HTTP/1.1 302 Found\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 0, errNoLength},
		{"negative length", "HTTP/1.1 302 Found\r\nContent-Length: -1\r\n\r\n", 0, 0, errNoLength},
		{"huge length", "HTTP/1.1 302 Found\r\nContent-Length: 99999999999\r\n\r\n", 0, 0, errNoLength},
		{"http 2", "HTTP/2 302 Found\r\nContent-Length: 0\r\n\r\n", 0, 0, errNotHTTP},
		{"status of letters", "HTTP/1.1 3x2 Found\r\nContent-Length: 0\r\n\r\n", 0, 0, errNotHTTP},
		{"status 0", "HTTP/1.1 000 Found\r\nContent-Length: 0\r\n\r\n", 0, 0, errNotHTTP},
		{"another protocol", "220 mail.example.com ESMTP\r\n\r\n", 0, 0, errNotHTTP},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := c.length
			if want < 0 {
				want = len(c.text)
			}
			status, length, err := scanAnswer([]byte(c.text), false)
			if status != c.status || length != want || err != c.err {
				t.Errorf("scanAnswer = %d, %d, %v; want %d, %d, %v", status, length, err, c.status, want, c.err)
			}
		})
	}
}

// The answer to a HEAD ends with its head, and may tell a length or none.
func TestScanBodilessAnswer(t *testing.T) {
	for _, text := range []string{"HTTP/1.1 302 Found\r\nLocation: https://a/\r\n\r\n", "HTTP/1.1 404 Not Found\r\nContent-Length: 300\r\n\r\n"} {
		if status, length, err := scanAnswer([]byte(text), true); status == 0 || length != len(text) || err != nil {
			t.Errorf("scanAnswer(%q) = %d, %d, %v", text, status, length, err)
		}
	}
}

func FuzzScanAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 302\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\ncontent-length: 3\r\nX: y\r\n\r\nabc"))
	f.Fuzz(func(t *testing.T, text []byte) {
		status, length, err := scanAnswer(text, false)
		switch {
		case err != nil && (status != 0 || length != 0):
			t.Errorf("%d, %d beside %v", status, length, err)
		case err == nil && (length == 0) == strings.Contains(string(text), "\r\n\r\n"):
			t.Errorf("length %d", length)
		case err == nil && length != 0 && (status < 100 || status > 999):
			t.Errorf("status %d", status)
		}
	})
}
