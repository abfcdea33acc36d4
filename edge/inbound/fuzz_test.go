package inbound

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/valyala/fasthttp"

	"waypost/edge/event"
)

// documented are all documents of the seeds, for a start.
func documented(f *testing.F) (bodies [][]byte) {
	names, err := filepath.Glob("../../sink/dispatch/formats/testdata/documented/*.json")
	if err != nil || len(names) == 0 {
		f.Fatal(names, err)
	}
	for _, name := range names {
		body, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		bodies = append(bodies, body)
	}
	return append(bodies, []byte(resendBounce), []byte(`{"type":"email.clicked","created_at":"2026-11-23 18:14:10+00","data":{"email_id":"1","to":"a@b.c","tags":[{"name":"waypost","value":"x"}],"click":{"link":"http://a"}}}`))
}

// fuzzMapper: whatever a provider sends, what is mapped is an event with a type, a message and a time, that reads back as it was written, and is the same when it comes again.
func fuzzMapper(f *testing.F, m Mapper) {
	for _, body := range documented(f) {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		kept := bytes.Clone(body)
		all, err := m.Map(body)
		if err != nil {
			return
		}
		if !bytes.Equal(kept, body) {
			t.Fatal("the body was changed")
		}
		again, err := m.Map(body)
		if diff := cmp.Diff(all, again); diff != "" || err != nil {
			t.Fatalf("again: %v\n%s", err, diff)
		}
		clear(body) // nothing may point into it
		if diff := cmp.Diff(again, all); diff != "" {
			t.Fatalf("points into the body: %s", diff)
		}
		tenant := testTenants().List[0]
		for i := range all {
			all[i].settle(tenant, time.Unix(1795457650, 0))
			e := all[i].Event
			e.Report = &all[i].Report
			record, _ := event.AppendRecord(nil, &e)
			key, document, err := event.SplitRecord(record)
			if err != nil {
				t.Fatal(err)
			}
			var got event.Event
			if err := new(event.Decoder).Decode(&got, document); err != nil {
				t.Fatalf("%v: %s", err, document)
			}
			if !bytes.Equal(event.AppendKey(nil, &got), key) {
				t.Fatalf("the key of %s is %s", document, key)
			}
			if _, ok := got.Unique(); !ok || got.Type == "" || len(got.Message) == 0 || got.Minted.IsZero() || got.Type == event.Clicked && len(got.Destination) == 0 {
				t.Fatalf("%s", document)
			}
		}
	})
}

func FuzzResend(f *testing.F)     { fuzzMapper(f, resend{}) }
func FuzzPostmark(f *testing.F)   { fuzzMapper(f, postmark{}) }
func FuzzMaileroo(f *testing.F)   { fuzzMapper(f, maileroo{}) }
func FuzzNexoMailer(f *testing.F) { fuzzMapper(f, nexomailer{}) }

// FuzzTake: whatever comes over a connection, the answer is whole, no delivery is taken that is not proven, and none of the memory stays held.
func FuzzTake(f *testing.F) {
	r := newRig(f, nil)
	s := &fasthttp.Server{StreamRequestBody: true, MaxRequestBodySize: 1, SecureErrorLogMessage: true, Logger: silence{}, Handler: r.handle}
	for _, seed := range []string{
		"POST /in/demo/maileroo HTTP/1.1\r\nHost: a\r\nX-Maileroo-Signature: " + strings.Repeat("0", 64) + "\r\nContent-Length: 2\r\n\r\n{}",
		"POST /in/demo/maileroo HTTP/1.1\r\nHost: a\r\nX-Maileroo-Signature: " + strings.Repeat("0", 64) + "\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"POST /in/demo/resend HTTP/1.1\r\nHost: a\r\nsvix-id: 1\r\nsvix-timestamp: 1795457650\r\nsvix-signature: v1,AAAA v1,\r\nContent-Length: 2\r\n\r\n{}",
		"POST /in/demo/postmark HTTP/1.1\r\nHost: a\r\nAuthorization: Basic cG9zdG1hcms6\r\nContent-Length: 2000000\r\n\r\n{}",
		"POST /in/demo/postmark/0123456789abcde HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
		"GET /in/demo/postmark HTTP/1.0\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.Contains(data, []byte(pathSecret)) || bytes.Contains(data, []byte("cG9zdG1hcms6cGFzczp3b3Jk")) {
			return // it would be right
		}
		out := &answers{in: bytes.NewReader(data)}
		_ = s.ServeConn(out) // the client's faults are its own
		if got := out.String(); got != "" && !strings.HasPrefix(got, "HTTP/1.1 ") || strings.Contains(got, `{"result":`) {
			t.Fatalf("answer %q", got)
		}
		if n := r.bodies.Load(); n != 0 {
			t.Fatalf("%d bytes of bodies are held", n)
		}
		if n := r.count("postmark", "recorded") + r.count("resend", "recorded") + r.count("maileroo", "recorded"); n != 0 {
			t.Fatalf("%d deliveries were taken", n)
		}
	})
}

type silence struct{}

func (silence) Printf(string, ...any) {}

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
