package load

import (
	"context"
	"strings"
	"testing"
	"time"

	"waypost/bench/stack"
)

// measured runs a command and reads its report.
func measured(t *testing.T, args ...string) *Report {
	t.Helper()
	report := &Report{}
	args = append(args, "--edge="+buildProgram(t, "edge"), "--duration=200ms", "--warmup=50ms", "--connections=4", "--segment-bytes=262144")
	orVoid(t, benchReport(t, report, args...))
	return report
}

func TestSyncCommandOverRealEdges(t *testing.T) {
	report := measured(t, "load", "sync", "--rounds=2", "--rate=300")
	turns := map[string]int{}
	for _, turn := range report.Turns {
		turns[turn.Contestant]++
		if turn.Answered != 60 || faulty(turn) {
			t.Errorf("%+v; want 60 answered", turn)
		}
	}
	if turns[syncNever] != 2 || turns[syncUsual] != 2 || turns[syncBusy] != 2 || report.Setup.Baselines[0] != syncNever {
		t.Errorf("turns %v, ratios to %v", turns, report.Setup.Baselines)
	}
	if len(report.Notes) != 1 || strings.Contains(report.Notes[0], " 0 MiB") {
		t.Errorf("the disk was not busy: %q", report.Notes)
	}
}

func TestSyncVerdict(t *testing.T) {
	var turns []Turn
	for round := 1; round <= 3; round++ {
		for name, p := range map[string]float64{syncNever: 100, syncUsual: 150, syncBusy: 900} {
			turns = append(turns, Turn{Contestant: name, Round: round, Offered: 7, Answered: 1, Latency: map[string]float64{"p99": p, "p99.9": 2 * p}})
		}
	}
	r := &Report{Summary: summarize(turns, syncNever)}
	var text strings.Builder
	if err := r.writeSync(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"100ms: p99 is 1.50 times that without a syncer: within 2 times\n", "busy-disk: p99.9 is 9.00 times that without a syncer: NOT within 2 times\n"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
}

// counted are metrics that never change.
func counted(recycled, segments float64) func(context.Context) (stack.Metrics, error) {
	return func(context.Context) (stack.Metrics, error) {
		return stack.Metrics{metricRecycled: recycled, metricSegments: segments}, nil
	}
}

func TestAJournalThatIsNeverUsedAgainIsAnError(t *testing.T) {
	f := testField(t)
	b, err := startBare(t.Context(), t.TempDir(), f.serverCore, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.stop()
	addr, err := b.addr()
	if err != nil {
		t.Fatal(err)
	}
	f.duration = 10 * time.Millisecond
	c := &contestant{name: "edge", addr: addr, pid: b.pid(), metrics: counted(3, 4)}
	if err := f.cycle(t.Context(), c, 30*time.Millisecond); err == nil || !strings.Contains(err.Error(), "does not use its segments again") {
		t.Errorf("error %v", err)
	}
	c.metrics = counted(4, 4)
	if err := f.cycle(t.Context(), c, 30*time.Millisecond); err != nil {
		t.Error(err)
	}
}
