package tail

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStream(t *testing.T) {
	for text, want := range map[string][]message{
		"":                                      nil,
		"data: lost":                            nil,
		"data: lost\n":                          nil,
		": comment\n\n":                         nil,
		"id: 1\n\n":                             {{id: "1"}},
		"retry: 20\r\nid: 1\r\n\r\n":            {{id: "1", retry: 20 * time.Millisecond}},
		"retry: x\nretry: -1\nfoo: bar\nid\n\n": {{}},
		"event: a\ndata: 1\ndata:2\n\ndata\n\n": {{event: "a", data: "1\n2"}, {}},
	} {
		heard := 0
		s := newStream(strings.NewReader(text), func() { heard++ })
		var got []message
		for {
			m, err := s.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, m)
		}
		lines := len(strings.Split(strings.TrimSuffix(text, "\n"), "\n"))
		if text == "" {
			lines = 0
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(message{})); diff != "" || heard != lines {
			t.Errorf("%q: heard %d of %d lines (-want +got):\n%s", text, heard, lines, diff)
		}
	}
}

func FuzzStream(f *testing.F) {
	f.Add("retry: 2000\nid: x\n\n: heartbeat\nid: y\n\nid: z\nevent: email.clicked\ndata: {\"data\":{\"message\":\"\\u001b[2J\"}}\n\n")
	f.Add("event: gap\ndata: {\"reason\":\"\\r\"}\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		var out, said bytes.Buffer
		f := &follower{Command: &Command{}, Screen: &Screen{Out: &out, Err: &said}}
		s := newStream(strings.NewReader(text), func() {})
		for n := 0; ; n++ {
			m, err := s.next()
			if err != nil {
				break
			}
			if n > len(text) {
				t.Fatal("more messages than bytes")
			}
			if err := f.print(&m); err != nil {
				t.Fatal(err)
			}
		}
		for _, b := range out.Bytes() {
			if b < ' ' && b != '\n' || b == 0x7f {
				t.Fatalf("%q is printed for %q", out.String(), text)
			}
		}
	})
}

func TestLines(t *testing.T) {
	for document, want := range map[string]string{
		`{"type":"email.clicked","time":"2026-11-30T07:55:06.747266Z","data":{"tenant":1,"tenant_name":"demo","message":"123","link":{"destination":"https://example.com/d","original":"https://example.com/o"},"labels":["head","machine"]}}`: "2026-11-30T07:55:06.747Z clicked    demo message=123 labels=head,machine link=https://example.com/o",
		`{"type":"email.bounced","time":"2026-11-30T07:55:06Z","data":{"tenant":7,"recipient":"a b\u001b[2J@example.com","first":"any","reason":"no such user"}}`:                                                                              `2026-11-30T07:55:06.000Z bounced    7 recipient="a b\x1b[2J@example.com" first=any reason="no such user"`,
	} {
		var e shownEvent
		if err := json.Unmarshal([]byte(document), &e); err != nil {
			t.Fatal(err)
		}
		if got := line(&e); got != want {
			t.Errorf("\ngot  %s\nwant %s", got, want)
		}
	}
}

// What is asked is what the flags say, with the token; what is refused for good ends the command, with the reason.
func TestRefused(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(secret, []byte("word\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var asked *http.Request
	status, answer := http.StatusUnauthorized, `{"error":"no\u001b such token"}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()
	c := Command{URL: server.URL + "/waypost/", Token: "file:" + secret, Type: []string{"opened", "clicked"}, Message: "1", Last: 3}
	err := c.Run(&Screen{Out: io.Discard, Err: io.Discard})
	if err == nil || err.Error() != `tail: 401 Unauthorized: "no\x1b such token"` {
		t.Errorf("%v", err)
	}
	if want := "/waypost/v1/events/stream?last=3&message=1&type=opened&type=clicked"; asked.URL.String() != want || asked.Header.Get("Authorization") != "Bearer word" {
		t.Errorf("asked %s, %v", asked.URL, asked.Header)
	}
	status, answer = http.StatusServiceUnavailable, "<html>"
	c = Command{Admin: server.URL}
	if err := c.Run(&Screen{Out: io.Discard, Err: io.Discard}); err == nil || !strings.HasSuffix(err.Error(), ": 503 Service Unavailable: \"what answers is no sink, or one of another version\"") {
		t.Errorf("%v", err)
	}
	server.Close()
	if err := c.Run(&Screen{Out: io.Discard, Err: io.Discard}); err == nil || !strings.HasSuffix(err.Error(), "connection refused: is the sink running?") {
		t.Errorf("%v", err)
	}
	for _, url := range []string{"example.com", "ftp://example.com", "http://", "%"} {
		c = Command{URL: url}
		if err := c.Run(&Screen{Out: io.Discard, Err: io.Discard}); err == nil || !strings.Contains(err.Error(), "must be a URL such as") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
