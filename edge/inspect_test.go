package main

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"waypost/edge/event"
	"waypost/edge/journal"
)

// written is a journal with n events, numbered in their user agents.
func written(t *testing.T, n int) (dir string, writer *journal.Writer) {
	t.Helper()
	dir = t.TempDir()
	writer, err := journal.Open(journal.Options{Dir: dir, SegmentBytes: 1 << 20, Patience: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = writer.Close() }) // closed by most tests
	for i := range n {
		appendEvent(t, writer, i)
	}
	return dir, writer
}

func appendEvent(t *testing.T, writer *journal.Writer, i int) {
	t.Helper()
	record, at := event.AppendRecord(nil, &event.Event{ID: event.ID{Run: uint64(writer.Run())}, Type: event.Clicked, Time: time.Now(), Tenant: 1,
		Destination: []byte("http://a"), UserAgent: []byte("agent " + string(rune('a'+i)))})
	if _, err := writer.Append(record, at[:]...); err != nil {
		t.Fatal(err)
	}
}

// agents gives the letters of the events in the lines of out.
func agents(out string) (letters string) {
	for line := range strings.Lines(out) {
		_, rest, _ := strings.Cut(line, `"user_agent":"agent `)
		letters += rest[:1]
	}
	return letters
}

func TestVerifyTellsDamage(t *testing.T) {
	dir, writer := written(t, 5)
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(dir, "*.segment"))
	if err != nil || len(segments) == 0 {
		t.Fatal(segments, err)
	}
	data, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(data, []byte("agent c"))
	if at < 0 {
		t.Fatal("no event in the segment")
	}
	data[at+6] = 'X'
	if err := os.WriteFile(segments[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := run(nil, []string{"journal", "verify", dir}, nil, &out, &errs); code != 1 {
		t.Errorf("verify: exit %d", code)
	}
	if !strings.Contains(errs.String(), "damaged: run "+writer.Run().String()+", segment 1, byte ") || !strings.Contains(errs.String(), "edge: journal damaged at 1 places") {
		t.Errorf("verify says:\n%s", errs.String())
	}
	out.Reset()
	if code := run(nil, []string{"journal", "cat", dir}, nil, &out, io.Discard); code != 1 {
		t.Errorf("cat: exit %d", code)
	}
	if got := agents(out.String()); got != "abde" {
		t.Errorf("cat passes over to %s", got)
	}
}

// A record that the journal holds whole but that is no event of its place is damage too.
func TestVerifyReadsTheEvents(t *testing.T) {
	dir, writer := written(t, 1)
	record, _ := event.AppendRecord(nil, &event.Event{ID: event.ID{Run: 1}, Type: event.Clicked, Time: time.Now(), Destination: []byte("http://a")})
	for _, payload := range []string{"", "\x00\x00{}", string(record)} {
		if _, err := writer.Append([]byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := run(nil, []string{"journal", "verify", dir}, nil, &out, &errs); code != 1 || strings.Count(errs.String(), "damaged: ") != 3 {
		t.Errorf("exit %d, %s%s", code, out.String(), errs.String())
	}
}

func TestTail(t *testing.T) {
	dir, writer := written(t, 5)
	signals := make(chan os.Signal, 1)
	out := new(lines)
	ended := make(chan int, 1)
	go func() { ended <- run(signals, []string{"journal", "tail", "-n", "2", dir}, nil, out, io.Discard) }()
	wait := func(want string) {
		t.Helper()
		poll := time.NewTicker(5 * time.Millisecond)
		defer poll.Stop()
		for end := time.Now().Add(patience); agents(out.String()) != want; <-poll.C {
			if time.Now().After(end) {
				t.Fatalf("tail shows %q, want events %s", out.String(), want)
			}
		}
	}
	wait("de")
	appendEvent(t, writer, 5)
	wait("def")
	signals <- syscall.SIGTERM
	if code := <-ended; code != 0 {
		t.Errorf("exit %d", code)
	}
}
