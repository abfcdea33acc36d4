package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"waypost/bench/stack"
	"waypost/edge/event"
	"waypost/edge/journal"
)

// forgetting is a sink with an endpoint that is down, and a journal to which clicks are written in an edge's place.
type forgetting struct {
	*stack.Stack
	t       *testing.T
	journal *journal.Writer

	mu   sync.Mutex
	up   bool
	took []string // bodies that were accepted
}

const forgetWithin = 2 * time.Minute

func newForgetting(t *testing.T) *forgetting {
	t.Helper()
	f := &forgetting{t: t}
	dir := t.TempDir()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(logs(dir))
		}
	})
	receiver := httptest.NewServer(f)
	t.Cleanup(receiver.Close)
	var err error
	f.Stack, err = stack.New(stack.Config{Dir: dir, Bin: programs, Sink: stack.Keys{"dispatch": stack.Keys{"retries": []string{"1h", "1h"}, "mark_every": "5ms"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	f.Tenants = []stack.Tenant{{Number: 1, Name: "demo", Endpoints: []stack.Endpoint{{ID: "crm", URL: receiver.URL, Format: "postmark"}}}}
	if err := f.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.journal, err = journal.Open(journal.Options{Dir: f.JournalDir(0), SegmentBytes: 64 << 10, Budget: 4 << 20, Patience: time.Minute, Consumers: []string{"sink"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.journal.Close() })
	return f
}

func (f *forgetting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.up {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	f.took = append(f.took, string(body))
}

func (f *forgetting) click(recipient, link string) {
	f.t.Helper()
	now := time.Now().UTC()
	e := event.Event{
		ID: event.ID{Run: uint64(f.journal.Run())}, Type: event.Clicked, Time: now, Tenant: 1, Message: []byte("123"), Recipient: []byte(recipient),
		Destination: []byte("https://example.com/" + link), Minted: now.Add(-time.Minute).Truncate(time.Minute), RetentionDays: 45, Method: []byte("GET"),
	}
	payload, offsets := event.AppendRecord(nil, &e)
	if _, err := f.journal.Append(payload, offsets[:]...); err != nil {
		f.t.Fatal(err)
	}
}

// command runs a command of the sink.
func (f *forgetting) command(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(f.t.Context(), forgetWithin)
	defer cancel()
	text, err := f.Run(ctx, "sink", append([]string{"--config", f.Settings(f.Sinks[0])}, args...)...)
	return string(text), err
}

func (f *forgetting) start(env ...string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), forgetWithin)
	defer cancel()
	f.Sinks[0].SetEnv(env...)
	if err := f.Sinks[0].Start(ctx); err != nil {
		f.t.Fatal(err)
	}
}

func (f *forgetting) await(what string, done func() bool) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), forgetWithin)
	defer cancel()
	waitUntil(ctx, f.t, what, done)
}

// attempts counts those of the log with an outcome.
func (f *forgetting) attempts(outcome string) int {
	f.t.Helper()
	text, err := f.command("hooks", "attempts", "--json", "--limit", "1000", "--outcome", outcome)
	if err != nil {
		f.t.Fatal(err)
	}
	return strings.Count(text, `"webhook_id"`)
}

// A sink is killed in the middle of forgetting somebody, wherever: once the command is said again, nothing of the person is sent or found in the store's files, everything of the others is sent, and what the
// person clicks again is a repetition.
func TestForgetKilled(t *testing.T) {
	for _, point := range []string{"forget.begun", "forget.buried", "forget.deliveries", "forget.removed", "forget.scrubbed"} {
		t.Run(point, func(t *testing.T) {
			f := newForgetting(t)
			f.start("WAYPOST_FAULT=" + point + ":1:KILL")
			for _, link := range []string{"a", "b", "c"} {
				f.click("gone@example.com", link)
				f.click("stays@example.com", link)
			}
			f.await("every delivery has failed", func() bool { return f.attempts("retry") == 6 })
			if out, err := f.command("forget", "--tenant", "demo", "--recipient", "gone@example.com"); err == nil {
				t.Fatalf("answered: %s", out)
			}
			<-f.Sinks[0].Exited()
			f.start()
			text, err := f.command("forget", "--tenant", "demo", "--recipient", "GONE@example.com", "--json")
			if err != nil {
				t.Fatal(err)
			}
			var answer struct{ Removed map[string]int }
			if err := json.Unmarshal([]byte(text), &answer); err != nil || len(answer.Removed) != 5 {
				t.Errorf("%v: %s", err, text)
			}
			f.click("gone@example.com", "a")
			f.click("gone@example.com", "new")
			f.await("what is new has failed", func() bool { return f.attempts("retry") == 4 })
			f.mu.Lock()
			f.up = true
			f.mu.Unlock()
			if out, err := f.command("hooks", "replay", "--waiting"); err != nil || !strings.Contains(out, "4 deliveries will be sent again") {
				t.Errorf("%v: %s", err, out)
			}
			f.await("what waited is accepted", func() bool { return f.attempts("delivered") == 4 })
			f.mu.Lock()
			defer f.mu.Unlock()
			var got []string
			for _, body := range f.took {
				var click struct{ Recipient, OriginalLink string }
				if err := json.Unmarshal([]byte(body), &click); err != nil {
					t.Error(err)
				}
				got = append(got, click.Recipient+" "+strings.TrimPrefix(click.OriginalLink, "https://example.com/"))
			}
			slices.Sort(got)
			if want := []string{"gone@example.com new", "stays@example.com a", "stays@example.com b", "stays@example.com c"}; !slices.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
			if _, err := f.command("forget", "--tenant", "demo", "--recipient", "gone@example.com"); err != nil {
				t.Error(err)
			}
			f.nowhere("gone@example.com")
			if strings.Contains(f.Sinks[0].Log(), "gone@") {
				t.Error("the log names the person")
			}
		})
	}
}

// nowhere looks into the store's files.
func (f *forgetting) nowhere(text string) {
	f.t.Helper()
	err := filepath.WalkDir(f.StoreDir(0), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if strings.Contains(strings.ToLower(string(content)), text) {
			err = fmt.Errorf("%s stands in %s", text, filepath.Base(path))
		}
		return err
	})
	if err != nil {
		f.t.Error(err)
	}
}
