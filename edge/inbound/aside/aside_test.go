package aside

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var errTest = errors.New("type: \"snet\" is none of the words in types")

func open(t *testing.T, dir string, bound int64) *Store {
	t.Helper()
	s, err := Open(dir, bound)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func keep(t *testing.T, s *Store, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		if err := s.Keep("demo", "acmemail", time.Now(), nil, []byte(body), errTest); err != nil {
			t.Fatal(err)
		}
	}
}

// bodies are what is kept.
func bodies(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := Read(dir, func(e *Entry, damaged error) error {
		if damaged != nil {
			all = append(all, "(damaged)")
		} else {
			all = append(all, string(e.Body))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func want(t *testing.T, dir string, bodiesKept ...string) {
	t.Helper()
	if diff := cmp.Diff(bodiesKept, bodies(t, dir)); diff != "" {
		t.Errorf("(-want +kept):\n%s", diff)
	}
}

// A body comes out byte for byte, whatever it is.
func TestBodies(t *testing.T) {
	for _, body := range []string{
		`{"a":1}`, `{ "a" : 1.0 }`, "{\n\"a\":1}", `{"a":1} `, ` {"a":1}`, `{"a":1,"a":2}`, `[]`, `7`, `"text"`, "null", "", "event=sent&id=1", "\xff\x00", `{"a":"\ud800"}`, `{"a":"` + "\xff" + `"}`,
		`{"a":"` + "\u2028\u0085" + `"}`,
	} {
		e := &Entry{"demo", "acmemail", time.Date(2026, 11, 30, 7, 20, 0, 123456000, time.UTC), errTest.Error(), []Header{{Name: "user-agent", Value: "acme/1 \"x\""}, {Name: "x", Value: "\xff"}}, []byte(body)}
		line := AppendLine(nil, e)
		if bytes.Count(line, []byte("\n")) != 1 || line[len(line)-1] != '\n' {
			t.Errorf("%q: %q is no line", body, line)
		}
		got, err := parseLine(trimmed(line))
		if err != nil {
			t.Errorf("%q: %v in %q", body, err, line)
			continue
		}
		e.Headers[1].Value = "\ufffd"
		if diff := cmp.Diff(e, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", body, diff)
		}
	}
}

func TestKeepAndReplay(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "aside")
	s := open(t, dir, 1<<20)
	keep(t, s, `1`, `2`, `3`)
	_, before := s.Size()
	var tried []string
	damaged, err := s.Replay(func(e *Entry) (bool, error) {
		tried = append(tried, string(e.Body))
		keep(t, s, `4`) // while it replays
		return string(e.Body) != "2", nil
	})
	if damaged != 0 || err != nil {
		t.Fatal(damaged, err)
	}
	if diff := cmp.Diff([]string{"1", "2", "3"}, tried); diff != "" {
		t.Error(diff)
	}
	want(t, dir, `2`, `4`, `4`, `4`)
	if n, size := s.Size(); n != 4 || size != before/3*4 {
		t.Errorf("%d deliveries, %d bytes; want 4, %d", n, size, before/3*4)
	}
	if _, err := s.Replay(func(*Entry) (bool, error) { return true, nil }); err != nil {
		t.Fatal(err)
	}
	want(t, dir)
	if n, size := s.Size(); n != 0 || size != 0 {
		t.Errorf("%d deliveries, %d bytes", n, size)
	}
	keep(t, s, `5`)
	want(t, dir, `5`)
}

// What was done before an error is taken out, the rest stays.
func TestReplayEnds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "aside")
	s := open(t, dir, 1<<20)
	keep(t, s, `1`, `2`, `3`)
	failure := errors.New("the journal is full")
	_, err := s.Replay(func(e *Entry) (bool, error) {
		if string(e.Body) == "2" {
			return false, failure
		}
		return true, nil
	})
	if !errors.Is(err, failure) {
		t.Errorf("%v", err)
	}
	want(t, dir, `2`, `3`)
}

func TestFull(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "aside")
	s := open(t, dir, 300)
	keep(t, s, `1`, `2`)
	if err := s.Keep("demo", "acmemail", time.Now(), nil, []byte(`3`), errTest); !errors.Is(err, ErrFull) {
		t.Errorf("%v; want ErrFull", err)
	}
	want(t, dir, `1`, `2`)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, 300) // it counts what is there
	if err := s.Keep("demo", "acmemail", time.Now(), nil, []byte(`3`), errTest); !errors.Is(err, ErrFull) {
		t.Errorf("%v; want ErrFull", err)
	}
}

// Half a line, as a crash in the middle of a write would leave it, costs nothing but itself.
func TestHalfALine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "aside")
	s := open(t, dir, 1<<20)
	keep(t, s, `1`)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path(dir, 1), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"tenant":"demo","prov`); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), os.WriteFile(path(dir, 1)+unfinished, []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, 1<<20)
	keep(t, s, `2`)
	want(t, dir, `1`, "(damaged)", `2`)
	damaged, err := s.Replay(func(*Entry) (bool, error) { return true, nil })
	if damaged != 1 || err != nil {
		t.Errorf("%d damaged, %v", damaged, err)
	}
	want(t, dir, "(damaged)")
	if _, err := os.Stat(path(dir, 1) + unfinished); err == nil {
		t.Error("an unfinished file was left")
	}
}

func TestOneWriter(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "aside")
	s := open(t, dir, 1<<20)
	if _, err := Open(dir, 1<<20); !errors.Is(err, ErrInUse) {
		t.Errorf("%v; want ErrInUse", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Keep("demo", "acmemail", time.Now(), nil, nil, errTest); err == nil {
		t.Error("kept after Close")
	}
	open(t, dir, 1<<20)
	if _, err := Open(filepath.Join(dir, "no", "such"), 1); err == nil {
		t.Error("opened below a directory that is not there")
	}
	if err := Read(filepath.Join(dir, "none"), nil); err != nil {
		t.Errorf("nothing was ever kept: %v", err)
	}
}

// Many keep while others replay: each is tried until it is done, and none is lost.
func TestConcurrent(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "aside")
	s := open(t, dir, 1<<30)
	const workers, each = 4, 200
	var group, replays sync.WaitGroup
	stop := make(chan struct{})
	seen := map[string]int{}
	for range 2 {
		replays.Go(func() {
			for {
				_, err := s.Replay(func(e *Entry) (bool, error) { seen[string(e.Body[:min(20, len(e.Body))])]++; return true, nil }) // one replay at a time
				if err != nil {
					t.Error(err)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	padding := strings.Repeat("x", 60_000) // so that files end
	for w := range workers {
		group.Go(func() {
			for i := range each {
				body := fmt.Sprintf("%d-%d %20s%s", w, i, "", padding)
				if err := s.Keep("demo", "acmemail", time.Now(), nil, []byte(body), errTest); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	close(stop)
	replays.Wait()
	if _, err := s.Replay(func(e *Entry) (bool, error) { seen[string(e.Body[:20])]++; return true, nil }); err != nil {
		t.Error(err)
	}
	want(t, dir)
	if len(seen) != workers*each {
		t.Errorf("%d deliveries, want %d", len(seen), workers*each)
	}
	for body, n := range seen {
		if n != 1 {
			t.Errorf("%s: %d times", body, n)
		}
	}
}

func FuzzParseLine(f *testing.F) {
	f.Add(AppendLine(nil, &Entry{"demo", "acmemail", time.Now(), "why", []Header{{Name: "a", Value: "b"}}, []byte(`{"a":1}`)}))
	f.Add([]byte(`{"tenant":"demo","provider":"p","body_base64":"AA=="}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := parseLine(line)
		if err != nil {
			return
		}
		again, err := parseLine(trimmed(AppendLine(nil, e)))
		if err != nil || !bytes.Equal(again.Body, e.Body) || again.Provider != e.Provider || again.Tenant != e.Tenant {
			t.Errorf("%q: %v: %+v", line, err, again)
		}
	})
}
