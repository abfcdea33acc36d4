package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mrz1836/postmark"

	"waypost/edge/event"
	"waypost/edge/journal"
)

// folder is a sink's world: settings, a journal, a receiver.
type folder struct {
	t        *testing.T
	dir      string
	receiver *httptest.Server

	mu     sync.Mutex
	bodies []string
}

const settings = `admin: 127.0.0.1:0
tenants: tenants.yaml
journals: [journal]
store: store
print_decisions: true
dispatch:
  mark_every: 5ms
  allow: [127.0.0.0/8]
`

func newFolder(t *testing.T) *folder {
	f := &folder{t: t, dir: t.TempDir()}
	f.receiver = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.bodies = append(f.bodies, r.URL.Path+" "+r.Header.Get("webhook-id")+" "+string(body))
	}))
	t.Cleanup(f.receiver.Close)
	f.write("sink.yaml", settings)
	f.write("tenants.yaml", fmt.Sprintf(`tenants:
  - number: 1
    name: demo
    hosts: [http://127.0.0.1:8080]
    endpoints:
      - {id: one, url: %[1]s/standard, format: standard, secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}
      - {id: two, url: %[1]s/postmark, format: postmark}
`, f.receiver.URL))
	return f
}

func (f *folder) write(name, text string) {
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *folder) received() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.bodies...)
}

// click writes one click of the recipient into the journal.
func (f *folder) click(w *journal.Writer, recipient string, labels event.Labels, change ...func(*event.Event)) {
	f.t.Helper()
	if err := appendClick(w, recipient, labels, change...); err != nil {
		f.t.Fatal(err)
	}
}

func appendClick(w *journal.Writer, recipient string, labels event.Labels, change ...func(*event.Event)) error {
	now := time.Now().UTC()
	e := event.Event{
		ID: event.ID{Run: uint64(w.Run())}, Type: event.Clicked, Time: now, Tenant: 1, Message: []byte("123"), Prospect: []byte(recipient),
		Destination: []byte("https://bit.ly/33zYFqH"), Original: []byte("https://www.google.com/"), Minted: now.Add(-time.Minute).Truncate(time.Minute),
		RetentionDays: 45, Method: []byte("GET"), Labels: labels,
	}
	if strings.Contains(recipient, "@") { // an address, of a mail without a prospect
		e.Prospect, e.Recipient = nil, []byte(recipient)
	}
	for _, c := range change {
		c(&e)
	}
	payload, offsets := event.AppendRecord(nil, &e)
	_, err := w.Append(payload, offsets[:]...)
	return err
}

func (f *folder) journal() *journal.Writer {
	w, err := openJournal(filepath.Join(f.dir, "journal"))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = w.Close() })
	return w
}

func openJournal(dir string) (*journal.Writer, error) {
	return journal.Open(journal.Options{Dir: dir, SegmentBytes: 64 << 10, Budget: 1 << 20, Patience: time.Minute, Consumers: []string{"sink"}})
}

// sink is a running program.
type runningSink struct {
	signals chan os.Signal
	lines   *bufio.Reader
	exit    chan int
	stderr  strings.Builder
	admin   string // its URL
	api     string // likewise, where it is on
}

func (f *folder) start() *runningSink {
	r, w := io.Pipe()
	s := &runningSink{signals: make(chan os.Signal, 2), lines: bufio.NewReader(r), exit: make(chan int, 1)}
	go func() {
		s.exit <- run(s.signals, []string{"--config", filepath.Join(f.dir, "sink.yaml")}, nil, w, &s.stderr)
		_ = w.Close()
	}()
	line := s.line(f.t)
	if !strings.HasPrefix(line, "sink ready admin http://127.0.0.1:") {
		f.t.Fatalf("first line %q\n%s", line, s.stderr.String())
	}
	s.admin, s.api, _ = strings.Cut(strings.TrimPrefix(line, "sink ready admin "), " api ")
	return s
}

func (s *runningSink) line(t *testing.T) string {
	t.Helper()
	line, err := s.lines.ReadString('\n')
	if err != nil {
		t.Fatalf("%v\n%s", err, s.stderr.String())
	}
	return strings.TrimSpace(line)
}

func (s *runningSink) stop(t *testing.T) {
	t.Helper()
	s.signals <- syscall.SIGTERM
	go func() { _, _ = io.Copy(io.Discard, s.lines) }()
	select {
	case code := <-s.exit:
		if code != 0 {
			t.Errorf("exit code %d\n%s", code, s.stderr.String())
		}
	case <-time.After(within):
		t.Fatal("still running")
	}
}

// Clicks in a journal become one webhook a format; repeats, HEAD and machines become none; a restart repeats nothing.
func TestFromJournalToWebhooks(t *testing.T) {
	f := newFolder(t)
	w := f.journal()
	s := f.start()
	f.click(w, "a", event.Head)
	f.click(w, "a", event.Machine)
	f.click(w, "a", 0)
	f.click(w, "a", 0)
	for i, want := range []string{"repeat", "first", "repeat"} {
		if line := s.line(t); !strings.HasPrefix(line, "click "+w.Run().String()) || !strings.HasSuffix(line, " "+want) {
			t.Errorf("line %d: %q, want %s", i, line, want)
		}
	}
	f.await(2)
	s.stop(t)

	s = f.start()
	f.click(w, "a", 0)
	f.click(w, "b", 0)
	if line := s.line(t); !strings.HasSuffix(line, " repeat") {
		t.Errorf("after the restart: %q", line)
	}
	f.await(4)
	s.stop(t)
	for _, path := range []string{"/standard " + w.Run().String(), `/postmark  {"RecordType":"Click"`} {
		count := 0
		for _, body := range f.received() {
			if strings.HasPrefix(body, path) {
				count++
			}
		}
		if count != 2 {
			t.Errorf("%d webhooks begin with %q, want 2", count, path)
		}
	}
	f.stored(t)
}

func (f *folder) await(n int) {
	f.t.Helper()
	for deadline := time.Now().Add(within); len(f.received()) < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("%d webhooks, want %d", len(f.received()), n)
		}
	}
	if got := len(f.received()); got > n {
		f.t.Fatalf("%d webhooks, want %d", got, n)
	}
}

// stored checks what the store commands show after TestFromJournalToWebhooks.
func (f *folder) stored(t *testing.T) {
	for command, want := range map[string]int{"cat": 2, "floors": 1, "positions": 1, "due": 0, "dead": 0, "attempts": 4} {
		var out strings.Builder
		if code := run(nil, []string{"--config", filepath.Join(f.dir, "sink.yaml"), "store", command}, nil, &out, os.Stderr); code != 0 {
			t.Fatalf("store %s: exit code %d", command, code)
		}
		if got := strings.Count(out.String(), "\n"); got != want {
			t.Errorf("store %s: %d lines, want %d:\n%s", command, got, want, out.String())
		}
	}
}

// A receiver that hangs does not keep the sink from ending: drain_timeout cuts it off, and the delivery stays due.
func TestDrainTimeout(t *testing.T) {
	f := newFolder(t)
	hang, reached := make(chan struct{}), make(chan struct{}, 2)
	f.receiver.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		reached <- struct{}{}
		<-hang
	})
	t.Cleanup(func() { close(hang) })
	f.write("sink.yaml", settings+"drain_timeout: 10ms\n")
	w := f.journal()
	s := f.start()
	f.click(w, "a", 0)
	s.line(t)
	<-reached
	<-reached
	s.stop(t)
	var out strings.Builder
	if code := run(nil, []string{"--config", filepath.Join(f.dir, "sink.yaml"), "store", "due"}, nil, &out, os.Stderr); code != 0 || strings.Count(out.String(), `"failed_attempts":0`) != 2 {
		t.Errorf("exit code %d, due:\n%s", code, out.String())
	}
}

// A second signal ends the drain.
func TestSecondSignal(t *testing.T) {
	f := newFolder(t)
	hang, reached := make(chan struct{}), make(chan struct{}, 2)
	f.receiver.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		reached <- struct{}{}
		<-hang
	})
	t.Cleanup(func() { close(hang) })
	w := f.journal()
	s := f.start()
	f.click(w, "a", 0)
	s.line(t)
	<-reached
	go func() { _, _ = io.Copy(io.Discard, s.lines) }()
	s.signals <- syscall.SIGTERM
	s.signals <- syscall.SIGTERM
	select {
	case code := <-s.exit:
		if code != 1 {
			t.Errorf("exit code %d, want 1", code)
		}
	case <-time.After(within):
		t.Fatal("still running")
	}
}

// The stream at the API's address is for who has a token, and shows the events of its tenant only.
func TestStreamOfATenant(t *testing.T) {
	f := newFolder(t)
	f.write("sink.yaml", settings+"api: {listen: 127.0.0.1:0}\n")
	f.write("tenants.yaml", `tenants:
  - {number: 1, name: demo, hosts: ["http://127.0.0.1:8080"], api_tokens: [00000000-0000-0000-0000-000000000001]}
  - {number: 2, name: other, hosts: ["http://127.0.0.1:8081"], api_tokens: [00000000-0000-0000-0000-000000000002]}
`)
	w := f.journal()
	s := f.start()
	f.click(w, "a", 0)
	s.line(t)
	for _, c := range []struct {
		name, value, query string
		status             int
		want               string
	}{
		{"X", "x", "", 401, `{"error":"Authorization: must be Bearer and one of the api_tokens`},
		{"Authorization", "Bearer 00000000-0000-0000-0000-000000000003", "", 401, `{"error":`},
		{"Authorization", "00000000-0000-0000-0000-000000000001", "", 401, `{"error":`},
		{"Authorization", "Bearer 00000000-0000-0000-0000-000000000002", "?tenant=demo", 403, `{"error":"tenant = \"demo\": the token is of another tenant"}`},
		{"Authorization", "Bearer 00000000-0000-0000-0000-000000000001", "?since=oldest", 200, "retry: 2000"},
		{"X-Postmark-Server-Token", "00000000-0000-0000-0000-000000000001", "?since=oldest&tenant=demo", 200, "retry: 2000"},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.api+"/v1/events/stream"+c.query, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set(c.name, c.value)
		request.Close = true
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(response.Body)
		lines.Scan()
		if response.StatusCode != c.status || !strings.HasPrefix(lines.Text(), c.want) {
			t.Errorf("%s: %s%s: %s %s", c.name, c.value, c.query, response.Status, lines.Text())
		}
		for c.status == http.StatusOK && lines.Text() != "event: email.clicked" {
			if !lines.Scan() {
				t.Fatalf("%s: no event: %v", c.name, lines.Err())
			}
		}
		_ = response.Body.Close()
	}
	s.stop(t)
}

// A webhook that is made through the API while the sink runs is told of the next click, also after a restart, until it is removed.
func TestWebhookThroughTheAPI(t *testing.T) {
	f := newFolder(t)
	f.write("sink.yaml", settings+"api: {listen: 127.0.0.1:0}\n")
	f.write("tenants.yaml", "tenants:\n  - {number: 1, name: demo, hosts: [\"http://127.0.0.1:8080\"], api_tokens: [00000000-0000-0000-0000-000000000001]}\n")
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client := postmark.NewClient("00000000-0000-0000-0000-000000000001", "")
	client.HTTPClient = &http.Client{Timeout: within, Transport: transport}
	w := f.journal()
	s := f.start()
	client.BaseURL = s.api
	f.click(w, "before", 0)
	s.line(t)
	hook := postmark.Webhook{URL: f.receiver.URL + "/made", Triggers: postmark.WebhookTrigger{Click: postmark.WebhookTriggerEnabled{Enabled: true}}}
	made, err := client.CreateWebhook(t.Context(), hook)
	if err != nil {
		t.Fatal(err)
	}
	f.click(w, "a", 0)
	s.line(t)
	f.await(1)
	hook.URL = f.receiver.URL + "/changed"
	if _, err := client.EditWebhook(t.Context(), made.ID, hook); err != nil {
		t.Fatal(err)
	}
	f.click(w, "b", 0)
	s.line(t)
	f.await(2)
	s.stop(t)

	s = f.start()
	client.BaseURL = s.api
	f.click(w, "c", 0)
	s.line(t)
	f.await(3)
	if err := client.DeleteWebhook(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	f.click(w, "d", 0)
	s.line(t)
	s.stop(t)
	for i, path := range []string{"/made", "/changed", "/changed"} {
		if got := f.received()[i]; !strings.HasPrefix(got, path+` `) || !strings.Contains(got, `"RecordType":"Click"`) {
			t.Errorf("webhook %d: %s", i, got)
		}
	}
	f.await(3)
}
