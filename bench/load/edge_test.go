package load

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"waypost/edge/journal"
)

// builtPrograms is where buildProgram leaves them for the tests that follow. TestMain removes it.
var builtPrograms string

// buildProgram compiles one of the module's programs, if no test did before. Tests of this package do not run in parallel.
func buildProgram(t *testing.T, name string) string {
	t.Helper()
	if builtPrograms == "" {
		var err error
		if builtPrograms, err = os.MkdirTemp("", "waypost-load-"); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(builtPrograms, name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if text, err := exec.Command("go", "build", "-o", path, "waypost/"+name).CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", name, err, text)
	}
	return path
}

func TestEdgeCommandOverTheRealEdge(t *testing.T) {
	var report Report
	orVoid(t, benchReport(t, &report, "load", "edge", "--edge="+buildProgram(t, "edge"),
		"--open", "--rate=500", "--rounds=2", "--duration=200ms", "--warmup=50ms", "--connections=4", "--segment-bytes=262144"))
	if !report.Setup.Steady || report.Setup.SegmentBytes != 256<<10 {
		t.Errorf("%+v", report.Setup)
	}
	if len(report.Turns) != 4 || len(report.Summary) != 2 {
		t.Fatalf("%d turns, %d summaries; want 4, 2", len(report.Turns), len(report.Summary))
	}
	for _, turn := range report.Turns {
		if turn.Answered != 100 || faulty(turn) {
			t.Errorf("%+v; want 100 answered", turn)
		}
	}
}

func TestEveryAnswerOfTheRealEdgeIsInItsJournal(t *testing.T) {
	f := testField(t)
	dir := t.TempDir()
	e, err := startEdge(t.Context(), dir, buildProgram(t, "edge"), f.serverCore, edgeOptions{segmentBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer e.stop()
	f.seal = func(r *requests, m *linkMaker, n int) error { return r.seal(e.keys, m, n) }
	turn, err := f.turn(t.Context(), &contestant{name: "edge", addr: e.addr, pid: e.pid(), metrics: e.metrics}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if faulty(turn) || turn.Answered != 200 {
		t.Errorf("%+v; want 200 answered", turn)
	}
	e.stop()
	reader, err := journal.NewReader(journal.ReaderOptions{Dir: filepath.Join(dir, "journal"), Resume: func(journal.Run) uint64 { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	records := 0
	for ; ; records++ {
		if _, err := reader.Next(); err == journal.ErrWait {
			break
		} else if err != nil && err != io.EOF {
			t.Fatal(err)
		}
	}
	if want := 1 + 20 + 200; records != want { // meeting, warm-up, window
		t.Errorf("%d records, want %d", records, want)
	}
}
