package reload

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestSignature(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	none := Look(path)
	if !none.Same(Look(path)) {
		t.Error("a file that is not there changed")
	}
	write := func(text string, at time.Time) Signature {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		return Look(path)
	}
	day := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	first := write("one", day)
	if first.Same(none) || none.Same(first) || !first.Same(Look(path)) {
		t.Error("that it is there now does not show, or shows twice")
	}
	if longer := write("longer", day); longer.Same(first) {
		t.Error("another size does not show")
	}
	if later := write("one", day.Add(time.Second)); later.Same(first) {
		t.Error("another time does not show")
	}
	old := write("one", day)
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if other := write("one", day); other.Same(old) {
		t.Error("another file of the same size and time does not show")
	}
}

func TestAttempts(t *testing.T) {
	var log bytes.Buffer
	a := NewAttempts(slog.New(slog.NewTextHandler(&log, nil)), func() []any { return []any{"tenants", 3} })
	begun := time.Now()
	a.Try("signal", func() error { return errors.New("line 7 is wrong") })
	if reasons := a.Reasons(); len(reasons) != 1 || reasons[0] != "reload refused: line 7 is wrong" {
		t.Errorf("reasons %q", reasons)
	}
	if done, refused, last := a.Stats(); done != 0 || refused != 1 || last.After(begun) {
		t.Errorf("%d done, %d refused, last %v", done, refused, last)
	}
	a.Try("files changed", func() error { return nil })
	if reasons := a.Reasons(); reasons != nil {
		t.Errorf("reasons %q after all is well", reasons)
	}
	if done, refused, last := a.Stats(); done != 1 || refused != 1 || last.Before(begun) {
		t.Errorf("%d done, %d refused, last %v", done, refused, last)
	}
	if text := log.String(); !strings.Contains(text, `why=signal error="line 7 is wrong"`) || !strings.Contains(text, `msg=reloaded why="files changed" tenants=3`) {
		t.Errorf("log:\n%s", text)
	}
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangup, stop := make(chan os.Signal, 1), make(chan struct{})
		hangups, looks := 0, 0
		go Watch(hangup, stop, func() { hangups++ }, func() { looks++ })
		hangup <- os.Interrupt
		time.Sleep(time.Second + time.Millisecond)
		close(stop)
		synctest.Wait()
		if hangups != 1 || looks != 4 {
			t.Errorf("%d hangups, %d looks in a second, want 1 and 4", hangups, looks)
		}
	})
}
