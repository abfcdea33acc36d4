package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestRawRequests has requests as no HTTP library sends them. Whatever comes, the answer is HTTP with a JSON body, and mint goes on.
func TestRawRequests(t *testing.T) {
	s := newStack(t, nil)
	whole := rawRequest(oneLink)
	tests := []struct {
		name, request string
		status        int
		closes        bool
	}{
		{"HTTP/1.0", strings.Replace(whole, "HTTP/1.1", "HTTP/1.0", 1), 200, true},
		{"connection: close", strings.Replace(whole, "Host: x", "Host: x\r\nConnection: close", 1), 200, true},
		{"absolute form", strings.Replace(whole, "/outreach", "http://mint.example/outreach", 1), 200, false},
		{"header names in other cases", strings.NewReplacer(SignatureHeader, strings.ToUpper(SignatureHeader), "Content-Length", "content-length").Replace(whole), 200, false},
		{"slashes and dots", strings.Replace(whole, "/outreach/demo", "//x/../outreach/./demo", 1), 200, false},
		{"percent in the path", strings.Replace(whole, "/outreach/demo", "/outreach/%64emo", 1), 200, false},
		{"NUL in the path", strings.Replace(whole, "/outreach/demo", "/outreach/demo%00", 1), 404, false},
		{"no length", strings.Replace(whole, "Content-Length", "X-Length", 1), 401, false},
		{"length that is none", strings.Replace(whole, fmt.Sprint(len(oneLink)), "many", 1), 400, true},
		{"negative length", strings.Replace(whole, fmt.Sprint(len(oneLink)), "-1", 1), 400, true},
		{"CONNECT", "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n", 404, false},
		{"no HTTP", "hello\r\n\r\n", 400, true},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, true},
		{"a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, true},
		{"broken chunks", strings.Replace(strings.Split(whole, "\r\n\r\n")[0], "Content-Length: "+fmt.Sprint(len(oneLink)), "Transfer-Encoding: chunked", 1) + "\r\n\r\nzz\r\n", 400, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			send(t, c, test.request)
			response, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != test.status || response.Close != test.closes {
				t.Errorf("%d %s, close %v (%v); want %d, close %v", response.StatusCode, body, response.Close, err, test.status, test.closes)
			}
			if !strings.HasPrefix(string(body), `{"data":`) && !strings.HasPrefix(string(body), `{"error":`) {
				t.Errorf("body %q", body)
			}
		})
	}
}

// TestAnyDestination mints URLs of any bytes that may stand in one, written with any escapes: the link leads to these bytes.
func TestAnyDestination(t *testing.T) {
	s := newStack(t, nil)
	demo := s.demo()
	urlByte := rapid.OneOf(
		rapid.ByteRange(0x21, 0x7E),
		rapid.ByteRange(0x80, 0xFF),
	)
	rapid.Check(t, func(t *rapid.T) {
		url := append([]byte(rapid.SampledFrom([]string{"http://", "https://", "HtTpS://"}).Draw(t, "scheme")+"h"), rapid.SliceOfN(urlByte, 0, 300).Draw(t, "rest")...)
		raw := []byte{'"'}
		for _, c := range url {
			switch {
			case c < 0x80 && (c == '"' || c == '\\' || rapid.IntRange(0, 9).Draw(t, "escape") == 0):
				raw = fmt.Appendf(raw, `\u%04x`, c)
			default:
				raw = append(raw, c)
			}
		}
		raw = append(raw, '"')
		m := new(minter)
		if err := m.parse(append(append([]byte(`{"data":[`), raw...), "]}"...)); err != nil {
			t.Fatal(err)
		}
		answer := string(s.server.mint(m, demo, testNow, func() bool { return false }))
		switch {
		case m.left[leftHost] == 1: // the rest began with ':' or '@' and left no host
			return
		case m.left[leftBudget] == 1:
			return
		}
		head := `{"data":{` + string(raw) + `:"https://links.example.com/`
		token, ok := strings.CutPrefix(answer, head)
		if !ok {
			t.Fatalf("answer %q", answer)
		}
		if err := s.keys.Open(&m.opened, []byte(strings.TrimSuffix(token, `"}}`))); err != nil {
			t.Fatal(err)
		}
		if got := string(m.opened.Destination); got != string(url) {
			t.Fatalf("leads to %q, want %q", got, url)
		}
	})
}
