package journal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPositionRoundTrip(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		p := Position{Run(rapid.Uint64().Draw(t, "run")), rapid.Uint64Range(0, maxSequence-1).Draw(t, "sequence")}
		if err := PublishPosition(dir, "c", p); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadPosition(dir, "c"); err != nil || got != p {
			t.Fatalf("%v, %v, want %v", got, err, p)
		}
	})
}

func TestPositionDamaged(t *testing.T) {
	good := positionText(Position{0x0123456789abcdef, 42})
	tests := map[string]string{
		"empty": "", "cut": good[:len(good)-2], "no newline": good[:len(good)-1], "doubled": good + good,
		"bit": strings.Replace(good, "42", "43", 1), "version": strings.Replace(good, " 1 ", " 2 ", 1),
		"zeros": string(make([]byte, len(good))), "words": "a b c d e\n", "spaces": strings.Replace(good, " ", "  ", 1),
	}
	for name, text := range tests {
		if p, err := parsePosition(text); err != ErrPosition {
			t.Errorf("%s: %v, %v, want %v", name, p, err, ErrPosition)
		}
	}
	if _, err := parsePosition(good); err != nil {
		t.Error(err)
	}
}

func TestConsumerNames(t *testing.T) {
	for name, ok := range map[string]bool{"sink": true, "a.b-c_9": true, "": false, ".": false, "..": false, "a/b": false, "a.new": false,
		"a b": false, strings.Repeat("x", 64): true, strings.Repeat("x", 65): false, "é": false} {
		if err := CheckConsumer(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
		if err := PublishPosition(t.TempDir(), name, Position{}); (err == nil) != ok {
			t.Errorf("publish as %q: %v", name, err)
		}
	}
	if _, err := ReadPosition(t.TempDir(), "sink"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("never published: %v", err)
	}
}

// TestGarbagePositionHoldsAll: a consumer whose file is damaged stands at the beginning, and what it may not have read stays.
func TestGarbagePositionHoldsAll(t *testing.T) {
	o := small(t)
	o.KeepBytes, o.Budget, o.Consumers = -1, 512<<10, []string{"c"}
	w := mustOpen(t, o)
	defer mustClose(t, w)
	appendMany(t, w, "first", 1000)
	r := newReading(t, ReaderOptions{Dir: o.Dir}).drain(t)
	if err := PublishPosition(o.Dir, "c", r.Position()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "position", func() bool { return w.Stats().ConsumerLag["c"] == 0 })
	if err := os.WriteFile(filepath.Join(o.Dir, consumersDir, "c"), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "garbage seen", func() bool { return w.Stats().ConsumerLag["c"] > 0 })
	before := w.Stats().Recycled
	for {
		if _, err := w.Append(make([]byte, 1000)); err == ErrFull {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if st := w.Stats(); st.Recycled > before+uint64(ahead(o)) || st.UsedBytes < 300<<10 {
		t.Errorf("recycled %d more under a consumer that stands at the beginning; %+v", st.Recycled-before, st)
	}
}

func TestOldSegmentsLeave(t *testing.T) {
	o := small(t)
	o.KeepAge = time.Millisecond
	w := mustOpen(t, o)
	defer mustClose(t, w)
	appendMany(t, w, "first", 3000)
	eventually(t, "old segments deleted", func() bool { return len(readAll(t, o.Dir).payloads) == 0 })
	if used := w.Stats().UsedBytes; used != 0 {
		t.Errorf("%d bytes used by nothing", used)
	}
}
