package kafka

import (
	"context"
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

// commands are `sink hooks` against a sink that runs.
type commands struct {
	t                 *testing.T
	program, settings string
	p                 *sinkProcess
}

func (c *commands) run(args ...string) (string, error) {
	out, err := exec.Command(c.program, append([]string{"hooks", "--config", c.settings}, append(args, "--admin", c.p.admin)...)...).CombinedOutput()
	return string(out), err
}

func (c *commands) ask(into any, args ...string) {
	c.t.Helper()
	out, err := c.run(append(args, "--json")...)
	if err == nil {
		err = json.Unmarshal([]byte(out), into)
	}
	if err != nil {
		c.t.Fatalf("hooks %v: %v: %.2000s; %s", args, err, out, c.p.log())
	}
}

// attempts looks for attempts in all the ways that there are.
func (c *commands) attempts(ctx context.Context, s *sinks, all, persons int) {
	c.t.Helper()
	var found attemptsAnswer
	c.ask(&found, "attempts", "--limit", "100000")
	// A group that is divided anew may send again what it had sent, so there may be more by now.
	if n := len(found.Attempts); n < all || n > len(s.records(ctx, "waypost.deliveries")) || found.Next != "" {
		c.t.Fatalf("%d of %d attempts, next %q", n, all, found.Next)
	}
	if a := found.Attempts[0]; a.Type != "email.clicked" || a.Message == "" {
		c.t.Errorf("the newest is %+v", a)
	}
	one := found.Attempts[all/2]
	found = attemptsAnswer{}
	c.ask(&found, "attempts", "--endpoint", "gone", "--status", "403", "--outcome", "stopped", "--since", "1h", "--limit", "100000")
	if len(found.Attempts) < persons {
		c.t.Errorf("%d attempts at gone, want %d", len(found.Attempts), persons)
	}
	for i := range found.Attempts {
		if a := &found.Attempts[i]; a.Endpoint != "gone" || a.Status != 403 {
			c.t.Fatalf("%+v was not asked for", a)
		}
	}
	found = attemptsAnswer{}
	c.ask(&found, "attempts", "--id", one.WebhookID)
	if len(found.Attempts) < 2 {
		c.t.Errorf("%d attempts at %s", len(found.Attempts), one.WebhookID)
	}
	found = attemptsAnswer{}
	c.ask(&found, "attempts", "--limit", "7")
	if len(found.Attempts) != 7 || found.Next == "" {
		c.t.Errorf("a page of 7 has %d, next %q", len(found.Attempts), found.Next)
	}
	if out, err := c.run("attempts", "--until", "2020-01-01T00:00:00Z"); err != nil || out != "none\n" {
		c.t.Errorf("%v: %s", err, out)
	}
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
	c := &commands{t, s.program, filepath.Join(dir, "sink.yaml"), p}
	s.click(ctx, 300)
	s.awaitHooks(ctx, here, "/good")
	persons := len(s.persons())
	p.await(ctx, "every attempt and letter in its topic", func() bool {
		return len(s.records(ctx, "waypost.deliveries")) >= 2*persons && len(s.deadLetters(ctx)) == persons
	})
	all := len(s.records(ctx, "waypost.deliveries"))

	c.attempts(ctx, s, all, persons)
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
		c.ask(&states, "list")
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

	if out, err := c.run("replay", "--waiting"); err == nil || !strings.Contains(out, "cannot be sent early") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := c.run("replay", "--list"); err != nil || !strings.HasSuffix(out, fmt.Sprintf("\n%d deliveries would be sent again\n", persons)) {
		t.Errorf("%v: %.2000s", err, out)
	}
	mended.Store(true)
	if out, err := c.run("replay", "--endpoint", "gone", "--type", "clicked"); err != nil || !strings.HasSuffix(out, fmt.Sprintf("\n%d deliveries will be sent again\n", persons)) {
		t.Errorf("%v: %.2000s", err, out)
	}
	s.awaitHooks(ctx, here, "/gone")
	p.stop()
}
