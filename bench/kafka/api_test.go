package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"waypost/bench/receiver"
)

// tokenOf is the API's token of a tenant.
func tokenOf(tenant int) string { return fmt.Sprintf("00000000-0000-0000-0000-%012d", tenant) }

// ask makes a request of a sink's API, for a tenant.
func (p *sinkProcess) ask(ctx context.Context, tenant int, method, path, body string) (int, string) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, p.api+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("X-Postmark-Server-Token", tokenOf(tenant))
	r.Header.Set("Content-Type", "application/json")
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(r)
	if err != nil {
		p.t.Fatalf("%s %s: %v; %s", method, path, err, p.log())
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}

// postmarks is what came to each path, by Postmark's id of the mail: in these tests every mail has one link.
type postmarks struct {
	mu  sync.Mutex
	got map[string]map[string]int
}

func (m *postmarks) deliver(d receiver.Delivery) int {
	var document struct{ MessageID string }
	if err := json.Unmarshal(d.Body, &document); err != nil || document.MessageID == "" {
		return http.StatusBadRequest
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got[d.Path][document.MessageID]++
	return http.StatusOK
}

func (m *postmarks) mails(path string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.got[path])
}

// personsOf is how many firsts of persons a tenant has.
func (s *sinks) personsOf(tenant int) (n int) {
	for _, id := range s.persons() {
		_, sequence, _ := strings.Cut(id, "-")
		number, err := strconv.ParseUint(sequence, 10, 64)
		if err != nil {
			s.t.Fatal(err)
		}
		if 1+int(number%3) == tenant {
			n++
		}
	}
	return n
}

// made makes a webhook and gives its path in the API.
func (p *sinkProcess) made(ctx context.Context, tenant int, url string) string {
	p.t.Helper()
	code, answer := p.ask(ctx, tenant, "POST", "/webhooks", fmt.Sprintf(`{"Url":%q,"Triggers":{"Click":{"Enabled":true}}}`, url))
	var webhook struct{ ID int }
	if err := json.Unmarshal([]byte(answer), &webhook); err != nil || code != http.StatusOK {
		p.t.Fatalf("%d %s; %s", code, answer, p.log())
	}
	return fmt.Sprintf("/webhooks/%d", webhook.ID)
}

func (p *sinkProcess) want(ctx context.Context, tenant int, method, path string, status int) {
	p.t.Helper()
	if code, answer := p.ask(ctx, tenant, method, path, ""); code != status {
		p.t.Fatalf("%s %s: %d %s, want %d", method, path, code, answer, status)
	}
}

// Webhooks that are made at one sink are told by both, for as long as they are there, also after one was killed and both were started anew.
func TestWebhooksOfTheAPIOnKafka(t *testing.T) {
	long(t)
	s := newSinks(t, 1, 4)
	s.api = true
	ctx := deadline(t, 8*time.Minute)
	m := &postmarks{got: map[string]map[string]int{"/one": {}, "/two": {}}}
	here, err := receiver.Start(receiver.Options{Addr: "127.0.0.1:0", Answer: m.deliver, Endpoints: []receiver.Endpoint{{Path: "/one"}, {Path: "/two"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		closing, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = here.Close(closing)
	})
	dirs := []string{t.TempDir(), t.TempDir()}
	first, second := s.sink(dirs[0]), s.sink(dirs[1])
	both := func() {
		t.Helper()
		first.awaitLevel(ctx, 2)
		second.awaitLevel(ctx, 2)
	}
	both()
	one, two := first.made(ctx, 1, here.URL()+"/one"), second.made(ctx, 2, here.URL()+"/two")
	if one == two {
		t.Fatalf("two webhooks are %s", one)
	}
	known := func(status int) { // an answer of GET comes when what it says is in force
		t.Helper()
		for _, p := range []*sinkProcess{first, second} {
			p.want(ctx, 1, "GET", one, status)
			p.want(ctx, 2, "GET", two, http.StatusOK)
		}
	}
	known(http.StatusOK)
	came := func(path string, tenant int) {
		t.Helper()
		second.await(ctx, fmt.Sprintf("%s: the webhook of each mail of tenant %d", path, tenant), func() bool { return m.mails(path) == s.personsOf(tenant) })
	}
	s.click(ctx, 1000)
	came("/one", 1)
	came("/two", 2)

	first.kill()
	second.stop()
	first, second = s.sink(dirs[0]), s.sink(dirs[1])
	s.click(ctx, 1000)
	known(http.StatusOK)
	came("/one", 1)
	came("/two", 2)

	second.want(ctx, 1, "DELETE", one, http.StatusOK)
	known(http.StatusNotFound)
	before := m.mails("/one")
	s.click(ctx, 1000)
	came("/two", 2)
	both()
	if n := m.mails("/one"); n != before || s.personsOf(1) == n {
		t.Errorf("a webhook that was removed was told of %d mails more", n-before)
	}
	first.noAlarms(ctx)
	second.noAlarms(ctx)
	first.stop()

	if err := s.cluster.Kill(1); err != nil {
		t.Fatal(err)
	}
	if code, answer := second.ask(ctx, 2, "GET", two, ""); code != http.StatusServiceUnavailable || !strings.Contains(answer, "waypost.endpoints cannot be read") {
		t.Errorf("without a broker: %d %s", code, answer)
	}
	second.await(ctx, "/readyz to say that the topic cannot be read", func() bool {
		code, why := second.get(ctx, "/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(why, "webhooks of the API: waypost.endpoints cannot be read")
	})
	if err := s.cluster.Start(ctx, 1); err != nil {
		t.Fatal(err)
	}
	second.await(ctx, "an answer, with the broker back", func() bool {
		code, _ := second.ask(ctx, 2, "GET", two, "")
		return code == http.StatusOK
	})
	second.stop()
}

// From one machine to Kafka: webhooks keep their numbers, and those that were removed are not given theirs again.
func TestWebhooksOfTheAPIMigrate(t *testing.T) {
	long(t)
	s := newSinks(t, 1, 2)
	s.api = true
	ctx := deadline(t, 8*time.Minute)
	dir := t.TempDir()
	settings := s.configure(dir)
	for name, text := range map[string]string{
		"journal/.keep": "", "old.yaml": "admin: 127.0.0.1:0\ntenants: tenants.yaml\njournals: [journal]\nstore: old\napi: {listen: 127.0.0.1:0}\ndispatch: {allow: [127.0.0.0/8]}\n",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	old := s.start(dir, filepath.Join(dir, "old.yaml"))
	url := "http://127.0.0.1:1/"
	kept, removed := old.made(ctx, 1, url), old.made(ctx, 1, url)
	old.want(ctx, 1, "DELETE", removed, http.StatusOK)
	old.stop()
	migrate := func() (string, error) {
		out, err := exec.Command(s.program, "migrate", "--config", settings, "--from", filepath.Join(dir, "old")).CombinedOutput()
		return string(out), err
	}
	for range 2 { // it can be repeated
		if out, err := migrate(); err != nil || !strings.Contains(out, " 1 webhooks of the API are in Kafka") {
			t.Fatalf("%v: %s", err, out)
		}
	}
	p := s.sink(dir)
	p.want(ctx, 1, "GET", kept, http.StatusOK)
	p.want(ctx, 1, "GET", removed, http.StatusNotFound)
	if made := p.made(ctx, 2, url); made == kept || made == removed {
		t.Errorf("%s is given again", made)
	}
	p.stop()
	if out, err := migrate(); err == nil || !strings.Contains(out, "waypost.endpoints holds a webhook already") {
		t.Errorf("a migration beside webhooks that were made in the topic: %v: %s", err, out)
	}
}
