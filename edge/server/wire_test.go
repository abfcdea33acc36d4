package server

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"

	"waypost/edge/journal"
	"waypost/mint/link"
)

// drawURL draws an http URL of any bytes that may stand in a Location: all but controls and space.
func drawURL(t *rapid.T, longest int) []byte {
	url := []byte(rapid.SampledFrom([]string{"http://", "https://", "HTTP://"}).Draw(t, "scheme"))
	url = append(url, rapid.SampledFrom([]string{"a", "example.com", "127.0.0.1:81", "[::1]", "u:p@h", "xn--bcher-kva.example", "b\xfccher.example"}).Draw(t, "host")...)
	rest := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) byte {
		return rapid.OneOf(rapid.SampledFrom([]byte("/?#&=%+.;,:@!'()*[]<>\"\\^`{|}~")), rapid.ByteRange(0x21, 0x7e), rapid.ByteRange(0x80, 0xff)).Draw(t, "byte")
	}), 0, longest).Draw(t, "rest")
	if len(rest) > 0 {
		url = append(url, '/')
	}
	return append(url, rest...)
}

// Any destination that mint takes comes out of Location as the same bytes, over a real connection, also with every byte there is.
func TestLocationIsByteForByte(t *testing.T) {
	r := newRig(t, func(_ *Options, j *journal.Options) { j.SegmentBytes = 16 << 20 })
	addr := r.listen()
	c := dial(t, addr)
	follow := func(t interface{ Fatalf(string, ...any) }, url []byte) {
		l := &link.Link{Tenant: 3, Minted: demoMinted, Destination: url}
		c.send("GET /" + r.token(l) + " HTTP/1.1\r\nHost: any\r\n\r\n")
		status, headers := c.head()
		if status != "HTTP/1.1 302 Found" || headers["Location"] != string(url) {
			t.Fatalf("%q came out as %s, %q", url, status, headers["Location"])
		}
	}
	all := []byte("https://example.com/")
	for b := 0x21; b < 0x100; b++ {
		if b != 0x7f {
			all = append(all, byte(b))
		}
	}
	for _, url := range []string{string(all), "http://a", "http://a?", "http://a#", "http://a//..//./%2e%2E/%zz/%", "https://EXAMPLE.com:443/A B"[:24],
		"https://example.com/\\..\\x", "http://a/?q=" + strings.Repeat("%41", 200)} {
		if err := link.CheckDestination([]byte(url)); err != nil {
			t.Fatalf("%q: %v", url, err)
		}
		follow(t, []byte(url))
	}
	rapid.Check(t, func(t *rapid.T) {
		url := drawURL(t, 690) // with 690 bytes the whole link reaches the budget of 998
		if err := link.CheckDestination(url); err != nil {
			t.Skip("no destination:", err)
		}
		follow(t, url)
	})
}

// What a broken or hostile client sends gets one short answer or none, and the next client is served.
func TestHostileRequests(t *testing.T) {
	r := newRig(t, nil)
	addr := r.listen()
	token := r.token(demoLink())
	const host = "Host: links.example.com\r\n"
	for _, c := range []struct{ name, request, want string }{
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", "HTTP/1.1 400"},
		{"TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x5a", 100) + "\r\n\r\n", "HTTP/1.1 400"},
		{"no HTTP", "hello\r\n\r\n", "HTTP/1.1 400"},
		{"HTTP/0.9", "GET /\r\n\r\n", "HTTP/1.1 400"},
		{"control byte in the line", "GET /a\x01b HTTP/1.1\r\n" + host + "\r\n", "HTTP/1.1 400"},
		{"null byte in a header", "GET / HTTP/1.1\r\n" + host + "X: a\x00b\r\n\r\n", "HTTP/1.1 400"},
		{"folded header", "GET / HTTP/1.1\r\n" + host + "Connection: close\r\nX: a\r\n b\r\n\r\n", "HTTP/1.1 404"},
		{"space before the colon", "GET / HTTP/1.1\r\n" + host + "X : a\r\n\r\n", "HTTP/1.1 400"},
		{"two hosts", "GET / HTTP/1.1\r\n" + host + host + "\r\n", "HTTP/1.1 400"},
		{"bad host", "GET / HTTP/1.1\r\nHost: a b<script>\r\n\r\n", "HTTP/1.1 4"},
		{"no host", "GET /" + token + " HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 4"},
		{"two lengths", "GET / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 400"},
		{"length and chunks", "POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 4"},
		{"bad chunk", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 405"},
		{"body of a link", "GET /" + token + " HTTP/1.1\r\n" + host + "Connection: close\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 302"},
		{"large body", "POST /" + token + " HTTP/1.1\r\n" + host + "Content-Length: 100000000\r\n\r\nx", "HTTP/1.1 405"},
		{"large body of a GET", "GET /" + token + " HTTP/1.1\r\n" + host + "Content-Length: 100000000\r\n\r\nx", "HTTP/1.1 413"},
		{"long line", "GET /" + strings.Repeat("a", 20000) + " HTTP/1.1\r\n" + host + "\r\n", "HTTP/1.1 431"},
		{"large header", "GET / HTTP/1.1\r\n" + host + "Cookie: " + strings.Repeat("a", 20000) + "\r\n\r\n", "HTTP/1.1 431"},
		{"many headers", "GET / HTTP/1.1\r\n" + host + strings.Repeat("X: y\r\n", 5000) + "\r\n", "HTTP/1.1 431"},
		{"CONNECT", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nConnection: close\r\n\r\n", "HTTP/1.1 405"},
		{"OPTIONS *", "OPTIONS * HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", "HTTP/1.1 405"},
		{"absolute form", "GET http://links.example.com/" + token + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 302"},
		{"absolute form of another's host", "GET http://other.example.com/" + token + " HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", "HTTP/1.1 404"},
		{"other scheme", "GET ftp://links.example.com/" + token + " HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", "HTTP/1.1 404"},
		{"expectation", "GET /" + token + " HTTP/1.1\r\n" + host + "Expect: 100-continue\r\nConnection: close\r\nContent-Length: 1\r\n\r\na", "HTTP/1.1 "},
		{"HTTP/1.0", "GET /" + token + " HTTP/1.0\r\n" + host + "\r\n", "HTTP/1.1 302"},
		{"pipelined", "GET /" + token + " HTTP/1.1\r\n" + host + "\r\nHEAD /" + token + " HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", "HTTP/1.1 302"},
		{"percent garbage", "GET /%zz%%% HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", "HTTP/1.1 404"},
		{"high bytes", "GET /\xff\xfe HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", "HTTP/1.1 404"},
		{"markup", "GET /<script>alert(1)</script> HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", "HTTP/1.1 404"},
		{"upgrade", "GET /" + token + " HTTP/1.1\r\n" + host + "Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n", "HTTP/1.1 302"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := dial(t, addr)
			client.send(c.request)
			got := client.rest()
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("answer %.200q, want %s", got, c.want)
			}
			for _, echo := range []string{"script", "\x5a\x5a", "aaaa", "hello"} {
				if strings.Contains(got, echo) {
					t.Errorf("the answer repeats %q: %.300q", echo, got)
				}
			}
			good := dial(t, addr)
			good.send("GET /" + token + " HTTP/1.1\r\n" + host + "\r\n")
			if status, _ := good.head(); status != "HTTP/1.1 302 Found" {
				t.Errorf("the next request: %s", status)
			}
		})
	}
	if r.Counts().Requests["malformed"] == 0 {
		t.Error("no malformed request was counted")
	}
}

// Links as long as any tenant's budget allows are followed.
func TestLongLinks(t *testing.T) {
	r := newRig(t, func(o *Options, j *journal.Options) { o.Tenants.List[2].LinkBudget = 8000 })
	addr := r.listen()
	c := dial(t, addr)
	for _, n := range []int{600, 3000, 5800} {
		url := "https://example.com/" + strings.Repeat("x", n)
		token := r.token(&link.Link{Tenant: 3, Minted: demoMinted, Destination: []byte(url)})
		if len(token) > 8000 {
			t.Fatalf("token of %d characters", len(token))
		}
		c.send(fmt.Sprintf("GET /%s HTTP/1.1\r\nHost: x\r\nCookie: %s\r\n\r\n", token, strings.Repeat("c", 3000)))
		if status, headers := c.head(); status != "HTTP/1.1 302 Found" || headers["Location"] != url {
			t.Errorf("%d: %s", n, status)
		}
	}
}

func TestErrors(t *testing.T) {
	r := newRig(t, nil)
	for _, c := range []struct {
		name   string
		err    error
		status int
	}{
		{"timeout", &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, 408},
		{"wrapped timeout", fmt.Errorf("reading: %w", &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}), 408},
		{"small buffer", &fasthttp.ErrSmallBuffer{}, 431},
		{"other", errors.New("anything"), 400},
	} {
		ctx := request{uri: "/"}.context()
		r.handleError(ctx, c.err)
		if got := ctx.Response.StatusCode(); got != c.status {
			t.Errorf("%s: %d, want %d", c.name, got, c.status)
		}
	}
}

// FuzzConnection: whatever bytes a client sends, the edge answers with whole HTTP/1.1 answers or nothing, and redirects only for the token.
func FuzzConnection(f *testing.F) {
	r := newRig(f, nil)
	token := r.token(demoLink())
	for _, seed := range []string{"GET /T HTTP/1.1\r\nHost: links.example.com\r\n\r\n", "HEAD http://links.example.com/T HTTP/1.0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", "GET / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		data = bytes.ReplaceAll(data, []byte("/T"), []byte("/"+token)) // so that links are reached
		out := &answers{in: bytes.NewReader(data)}
		_ = r.http.ServeConn(out) // the client's faults are its own
		got := out.String()
		if got != "" && !strings.HasPrefix(got, "HTTP/1.1 ") {
			t.Fatalf("answer %q", got)
		}
		if strings.Contains(got, "\r\nLocation: ") && !bytes.Contains(data, []byte(token)) {
			t.Fatalf("a redirect without a link: %q", got)
		}
	})
}

// answers is a connection that reads from bytes and keeps what is written.
type answers struct {
	bytes.Buffer
	in *bytes.Reader
}

func (a *answers) Read(p []byte) (int, error)       { return a.in.Read(p) }
func (a *answers) Close() error                     { return nil }
func (a *answers) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (a *answers) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
func (a *answers) SetDeadline(time.Time) error      { return nil }
func (a *answers) SetReadDeadline(time.Time) error  { return nil }
func (a *answers) SetWriteDeadline(time.Time) error { return nil }
