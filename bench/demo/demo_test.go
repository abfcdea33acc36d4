package demo

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"waypost/bench/stack"
)

// The signature is that of Outreach's documented request.
func TestSign(t *testing.T) {
	body := strings.Replace(request, "MAILING", "123", 1)
	if got, want := Sign(OutreachSecret, []byte(body)), "c39fbd5ab8b26388897aedc978d78010a25cb173b9114b3f452bcb59747552c0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWelcomeTakesANewMailing(t *testing.T) {
	s, err := stack.New(stack.Config{Dir: t.TempDir(), Bin: t.TempDir(), Base: 18080})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mailing := func(now time.Time) string {
		text := welcome(s, "http://127.0.0.1:18090", nil, now)
		_, rest, _ := strings.Cut(text, "-d '")
		body, _, _ := strings.Cut(rest, "'")
		var q struct {
			Meta struct{ Mailing struct{ ID string } }
		}
		if err := json.Unmarshal([]byte(body), &q); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		if !strings.Contains(text, Sign(OutreachSecret, []byte(body))) {
			t.Error("the signature is not that of the request")
		}
		return q.Meta.Mailing.ID
	}
	now := time.Now()
	if first, second := mailing(now), mailing(now.Add(time.Second)); first == second || first == "" {
		t.Errorf("mailings %q and %q", first, second)
	}
}

func TestPorts(t *testing.T) {
	s, err := stack.New(stack.Config{Dir: t.TempDir(), Bin: t.TempDir(), Base: DefaultPorts})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want := map[string]int{"edge": 8080, "mint": 8081, "edge admin": 9080, "mint admin": 9081, "sink admin": 9082}
	if d := cmp.Diff(want, s.Ports()); d != "" {
		t.Error(d)
	}
	if got := (&Command{Ports: DefaultPorts}).receiverPort(); got != 8090 {
		t.Errorf("receiver at %d", got)
	}
}

func TestCheckKeys(t *testing.T) {
	state := t.TempDir()
	if err := checkKeys(state); err != nil {
		t.Errorf("an empty folder: %v", err)
	}
	if err := os.Mkdir(filepath.Join(state, "journal"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := checkKeys(state); err == nil || !strings.Contains(err.Error(), "is missing") {
		t.Errorf("a journal without a key: %v", err)
	}
	if err := os.WriteFile(filepath.Join(state, "link.keys"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := checkKeys(state); err != nil {
		t.Errorf("journal and key: %v", err)
	}
}

func TestLock(t *testing.T) {
	state := filepath.Join(t.TempDir(), "var")
	unlock, err := lock(state)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock(state); err == nil {
		t.Error("locked twice")
	}
	unlock()
	unlock, err = lock(state)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}
