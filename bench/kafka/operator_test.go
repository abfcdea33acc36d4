package kafka

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// attemptsAnswer is what `sink hooks attempts --json` prints.
type attemptsAnswer struct {
	Attempts []struct {
		At        time.Time
		WebhookID string `json:"webhook_id"`
		Endpoint  string
		Type      string
		Message   string
		Outcome   string
		Status    int
	}
	Next string
}

// What operators ask of one machine's store they ask of the topics too: the state of each endpoint, attempts in pages and by what they were, letters that are sent again.
func TestOperatorsCommandsOnKafka(t *testing.T) {
	long(t)
	s := newSinks(t, 1, 3)
	ctx := deadline(t, 8*time.Minute)
	var mended atomic.Bool
	here := newHooks(t, "127.0.0.1:0", func(path string) int {
		if path == "/gone" && !mended.Load() {
			return http.StatusForbidden
		}
		return http.StatusOK
	}, "/good", "/gone")
	s.endpoints = strings.Join([]string{endpointYAML("good", here.server.URL()), forbiddenYAML("gone", here.server.URL())}, ", ")
	dir := t.TempDir()
	p := s.sink(dir)
	run := func(args ...string) (string, error) {
		out, err := exec.Command(s.program, append([]string{"hooks", "--config", filepath.Join(dir, "sink.yaml")}, append(args, "--admin", p.admin)...)...).CombinedOutput()
		return string(out), err
	}
	ask := func(into any, args ...string) {
		t.Helper()
		out, err := run(append(args, "--json")...)
		if err == nil {
			err = json.Unmarshal([]byte(out), into)
		}
		if err != nil {
			t.Fatalf("hooks %v: %v: %.2000s; %s", args, err, out, p.log())
		}
	}
	s.click(ctx, 300)
	s.awaitHooks(ctx, here, "/good")
	persons := len(s.persons())
	p.await(ctx, "every attempt and letter in its topic", func() bool {
		return len(s.records(ctx, "waypost.deliveries")) >= 2*persons && len(s.deadLetters(ctx)) == persons
	})
	all := len(s.records(ctx, "waypost.deliveries"))

	var found attemptsAnswer
	ask(&found, "attempts", "--limit", "100000")
	// A group that is divided anew may send again what it had sent, so there may be more by now.
	if n := len(found.Attempts); n < all || n > len(s.records(ctx, "waypost.deliveries")) || found.Next != "" {
		t.Fatalf("%d of %d attempts, next %q", n, all, found.Next)
	}
	if a := found.Attempts[0]; a.Type != "email.clicked" || a.Message == "" {
		t.Errorf("the newest is %+v", a)
	}
	one := found.Attempts[all/2]
	found = attemptsAnswer{}
	ask(&found, "attempts", "--endpoint", "gone", "--status", "403", "--outcome", "stopped", "--since", "1h", "--limit", "100000")
	if len(found.Attempts) < persons {
		t.Errorf("%d attempts at gone, want %d", len(found.Attempts), persons)
	}
	for i := range found.Attempts {
		if a := &found.Attempts[i]; a.Endpoint != "gone" || a.Status != 403 {
			t.Fatalf("%+v was not asked for", a)
		}
	}
	found = attemptsAnswer{}
	ask(&found, "attempts", "--id", one.WebhookID)
	if len(found.Attempts) < 2 {
		t.Errorf("%d attempts at %s", len(found.Attempts), one.WebhookID)
	}
	found = attemptsAnswer{}
	ask(&found, "attempts", "--limit", "7")
	if len(found.Attempts) != 7 || found.Next == "" {
		t.Errorf("a page of 7 has %d, next %q", len(found.Attempts), found.Next)
	}
	if out, err := run("attempts", "--until", "2020-01-01T00:00:00Z"); err != nil || out != "none\n" {
		t.Errorf("%v: %s", err, out)
	}

	var states struct {
		Endpoints []struct {
			Endpoint     string
			Pending      int
			DeadLetters  int        `json:"dead_letters"`
			LastSuccess  *time.Time `json:"last_success"`
			FailingSince *time.Time `json:"failing_since"`
		}
	}
	letters := 0
	p.await(ctx, "nothing pending", func() bool {
		ask(&states, "list")
		pending := 0
		for _, e := range states.Endpoints {
			pending += e.Pending
		}
		return pending == 0
	})
	for _, e := range states.Endpoints {
		letters += e.DeadLetters
		if (e.Endpoint == "good") != (e.LastSuccess != nil) || (e.Endpoint == "gone") != (e.FailingSince != nil) {
			t.Errorf("%+v", e)
		}
	}
	if len(states.Endpoints) != 6 || letters < persons {
		t.Errorf("%d endpoints, %d letters", len(states.Endpoints), letters)
	}

	if out, err := run("replay", "--waiting"); err == nil || !strings.Contains(out, "cannot be sent early") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := run("replay", "--list"); err != nil || !strings.HasSuffix(out, fmt.Sprintf("\n%d deliveries would be sent again\n", persons)) {
		t.Errorf("%v: %.2000s", err, out)
	}
	mended.Store(true)
	if out, err := run("replay", "--endpoint", "gone", "--type", "clicked"); err != nil || !strings.HasSuffix(out, fmt.Sprintf("\n%d deliveries will be sent again\n", persons)) {
		t.Errorf("%v: %.2000s", err, out)
	}
	s.awaitHooks(ctx, here, "/gone")
	p.stop()
}
