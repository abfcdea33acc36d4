package soak

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"waypost/bench/stack/stacktest"
)

// programs is the folder of the real programs.
var programs string

func TestMain(m *testing.M) { stacktest.Main(m, &programs) }

// command is a run of seconds: too short for a verdict on growth, long enough for clicks, webhooks, samples and restarts.
func command(minutes float64) *Command {
	return &Command{Minutes: minutes, Rate: 300, Connections: 8, RestartEvery: 300 * time.Millisecond, SampleEvery: 30 * time.Millisecond, Bin: programs}
}

func TestSoakOverTheRealPrograms(t *testing.T) {
	c := command(2.0 / 60)
	var progress bytes.Buffer
	r, err := c.soak(t.Context(), t.TempDir(), &progress)
	if err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	if len(r.Faults) > 0 || !strings.HasPrefix(r.Verdict, "no verdict") {
		t.Errorf("%s: %q", r.Verdict, r.Faults)
	}
	if k := r.Clicks; k.Answered == 0 || k.Sent < k.Answered+k.Excused || k.Uniques == 0 || k.Uniques > k.Answered+k.Excused || k.Latency["max"] <= 0 {
		t.Errorf("clicks %+v", k)
	}
	restarts := map[string]int{}
	for _, restart := range r.Restarts {
		restarts[restart.Program]++
	}
	for _, name := range programNames {
		if restarts[name] == 0 || !strings.Contains(progress.String(), "restarted "+name) {
			t.Errorf("%s was never restarted: %v\n%s", name, restarts, progress.String())
		}
	}
	sampled := map[string]int{}
	for _, s := range r.Samples {
		sampled[s.Program]++
		if s.Anonymous <= 0 || s.Resident < s.Anonymous || s.Descriptors < 3 || s.Goroutines < 2 || s.Threads < 2 || s.Life < 1 {
			t.Errorf("%+v", s)
		}
	}
	if len(sampled) != 3 || len(r.Disk) == 0 || r.Disk[len(r.Disk)-1].Journal < segmentBytes {
		t.Errorf("samples %v, disk %+v", sampled, r.Disk)
	}
}

// begun is a soak whose load runs.
func begun(ctx context.Context, t *testing.T, minutes float64) *soak {
	t.Helper()
	s := newSoak(command(minutes), &bytes.Buffer{})
	s.RestartEvery = -1
	dir := t.TempDir() // emptied after the end of what runs there
	t.Cleanup(s.end)
	if err := s.start(ctx, dir); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAProgramThatDiesEndsTheSoak(t *testing.T) {
	s := begun(t.Context(), t, 10)
	if err := s.crowd.mint.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.crowd.start(t.Context()); err == nil {
		t.Error("mails go out without mint")
	}
	if err := s.crowd.mint.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(300*time.Millisecond, func() { _ = s.programs[1].Kill() })
	if err := s.last(t.Context()); err == nil || !strings.Contains(err.Error(), "sink ended (signal: killed)") {
		t.Errorf("error %v", err)
	}
}

func TestAnInterruptedSoakHasNoVerdict(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := begun(ctx, t, 10)
	time.AfterFunc(300*time.Millisecond, cancel)
	if err := s.last(ctx); !errors.Is(err, errInterrupted) {
		t.Errorf("error %v", err)
	}
}

func TestWhatARestartExcuses(t *testing.T) {
	p := &program{}
	before := p.watch()
	p.changes.Add(1)
	during := p.watch()
	if life, resting := p.life(); life != 1 || !resting {
		t.Errorf("life %d, resting %v", life, resting)
	}
	p.changes.Add(1)
	after := p.watch()
	if !before.excuses() || !during.excuses() || after.excuses() {
		t.Errorf("before %v, during %v, after %v", before.excuses(), during.excuses(), after.excuses())
	}
	if life, resting := p.life(); life != 2 || resting {
		t.Errorf("life %d, resting %v", life, resting)
	}
}
