package stack

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

func TestStartStopOrder(t *testing.T) {
	var mu sync.Mutex
	var said []string
	s := fakeStack(t, Config{Edges: 2, OnLine: func(name, line string) {
		mu.Lock()
		defer mu.Unlock()
		word := strings.Fields(line)[1]
		said = append(said, name+" "+word)
	}})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	want := []string{
		"edge ready", "edge-2 ready", "mint ready", "sink ready",
		"mint ends", "edge ends", "edge-2 ends", "sink ends",
	}
	if d := cmp.Diff(want, said); d != "" {
		t.Error(d)
	}
}

func TestLives(t *testing.T) {
	s := fakeStack(t, Config{})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	edge := s.Edges[0]
	first := edge.PID()
	if err := edge.Start(t.Context()); !errors.Is(err, ErrRunning) {
		t.Errorf("second Start: %v, want ErrRunning", err)
	}
	if err := edge.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := edge.Kill(); !errors.Is(err, ErrStopped) {
		t.Errorf("second Kill: %v, want ErrStopped", err)
	}
	if edge.Running() || edge.PID() != 0 {
		t.Error("runs after Kill")
	}
	if got, want := edge.Epitaph(), "ended (signal: killed)"; !strings.HasPrefix(got, want) {
		t.Errorf("epitaph %q, want it to begin with %q", got, want)
	}
	if err := edge.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if edge.PID() == first {
		t.Error("the same process after Start")
	}
	if err := edge.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(edge.Log(), "edge ready"); n != 3 {
		t.Errorf("log holds %d lives, want 3:\n%s", n, edge.Log())
	}
}

func TestPauseContinue(t *testing.T) {
	s := fakeStack(t, Config{})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Mint.Pause(); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus // the parent hears of a stop only when it asks so
	if _, err := syscall.Wait4(s.Mint.PID(), &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("not stopped: %v %v", status, err)
	}
	if err := s.Mint.Continue(); err != nil {
		t.Fatal(err)
	}
	if err := s.Mint.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestFailures(t *testing.T) {
	t.Run("refuses to start", func(t *testing.T) {
		s := fakeStack(t, Config{})
		s.Mint.SetEnv("FAKE=mint:refuse")
		err := s.Start(t.Context())
		want := "mint ended (exit status 1): mint: cannot run today"
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if s.Edges[0].Running() {
			t.Error("the edge still runs")
		}
	})
	t.Run("bad exit status", func(t *testing.T) {
		s := fakeStack(t, Config{})
		s.Sinks[0].SetEnv("FAKE=sink:sulk")
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := s.Stop()
		if want := "sink ended (exit status 3): sink ends"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	})
	t.Run("port taken", func(t *testing.T) {
		s := fakeStack(t, Config{})
		l, err := net.Listen("tcp", s.Sinks[0].Admin[len("http://"):])
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "address already in use") {
			t.Errorf("got %v, want the address in use", err)
		}
	})
	t.Run("no program", func(t *testing.T) {
		s := fakeStack(t, Config{})
		if err := os.Remove(s.Program("sink")); err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v, want no such file", err)
		}
	})
	t.Run("fixed ports of two edges", func(t *testing.T) {
		if _, err := New(Config{Base: 8080, Edges: 2}); err != errFixed {
			t.Errorf("got %v, want errFixed", err)
		}
	})
}

func TestSettings(t *testing.T) {
	s := fakeStack(t, Config{
		Edges:     2,
		Edge:      Keys{"journal": Keys{"segment_bytes": 65536}},
		Sink:      Keys{"print_decisions": true},
		Consumers: []string{"copy"},
	})
	s.Tenants = []Tenant{{
		Number: 7, Name: "seven", Secrets: []string{"s"}, RetentionDays: 9, Keys: Keys{"unique": "any"},
		Endpoints: []Endpoint{{ID: "e", URL: "http://r/", Format: "standard", Secret: "whsec_"}},
	}}
	if err := s.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	read := func(name string) (keys map[string]any) {
		text, err := os.ReadFile(filepath.Join(s.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(text, &keys); err != nil {
			t.Fatal(err)
		}
		return keys
	}
	journal := map[string]any{
		"dir": s.JournalDir(1), "segment_bytes": uint64(65536), "consumers": []any{"sink", "copy"},
	}
	if d := cmp.Diff(journal, read("edge-2.yaml")["journal"]); d != "" {
		t.Error(d)
	}
	sink := map[string]any{
		"admin": s.Sinks[0].Admin[7:], "tenants": filepath.Join(s.Dir, "tenants.yaml"), "store": s.StoreDir(0), "consumer": "sink",
		"journals": []any{s.JournalDir(0), s.JournalDir(1)}, "print_decisions": true,
		"dispatch": map[string]any{"allow": []any{"127.0.0.0/8", "::1"}},
	}
	if d := cmp.Diff(sink, read("sink.yaml")); d != "" {
		t.Error(d)
	}
	tenant := map[string]any{
		"number": uint64(7), "name": "seven", "retention_days": uint64(9), "unique": "any",
		"hosts": []any{s.Edges[0].URL, s.Edges[1].URL}, "outreach": map[string]any{"secrets": []any{"s"}},
		"endpoints": []any{map[string]any{"id": "e", "url": "http://r/", "format": "standard", "secret": "whsec_"}},
	}
	if d := cmp.Diff([]any{tenant}, read("tenants.yaml")["tenants"]); d != "" {
		t.Error(d)
	}
}

func TestPortsDiffer(t *testing.T) {
	seen := map[int]string{}
	for range 5 {
		s := fakeStack(t, Config{Edges: 2, Sinks: 2})
		for name, port := range s.Ports() {
			if other := seen[port]; other != "" {
				t.Errorf("%s and %s have port %d", name, other, port)
			}
			seen[port] = name
		}
	}
}

func TestMetrics(t *testing.T) {
	s := fakeStack(t, Config{})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	m, err := s.Edges[0].Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		pairs []string
		want  float64
		found bool
	}{
		{nil, 42, true},
		{[]string{`of="edge"`}, 2, true},
		{[]string{`of="edge"`, `to="a b"`}, 2, true},
		{[]string{`of="mint"`}, 0, false},
	} {
		if got, found := m.Sum("fake_total", c.pairs...); got != c.want || found != c.found {
			t.Errorf("Sum(%v) = %v %v, want %v %v", c.pairs, got, found, c.want, c.found)
		}
	}
	for _, bad := range []string{"lonely", "x notanumber"} {
		if _, err := parseMetrics(bufio.NewScanner(strings.NewReader(bad))); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestOutput(t *testing.T) {
	var log strings.Builder
	var lines []string
	o := &output{log: &log, onLine: func(line string) { lines = append(lines, line) }}
	long := strings.Repeat("x", maxLine+10)
	for _, p := range []string{"a", "b\nc\n\nd", "e\n", long, "\nend"} {
		fmt.Fprint(o, p)
	}
	o.flush()
	if d := cmp.Diff([]string{"ab", "c", "", "de", long[:maxLine], "end"}, lines); d != "" {
		t.Error(d)
	}
	if want := "ab\nc\n\nde\n" + long + "\nend"; log.String() != want {
		t.Error("the log differs from what was printed")
	}
	for range 2 * tailLines {
		fmt.Fprint(o, "again\n\n")
	}
	if got := o.tail(); len(got) != tailLines || o.lastLine() != "again" || !slices.Contains(got, "") {
		t.Errorf("tail %d %q, last %q", len(got), got, o.lastLine())
	}
}
