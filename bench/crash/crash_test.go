package crash

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"waypost/bench/kafka"
	"waypost/bench/stack/stacktest"
)

// programs is the folder of the real programs, built with fault points.
var programs string

func TestMain(m *testing.M) { stacktest.Main(m, &programs, "faults") }

// TestScenarios is the crash test, short: `bench crash` runs it in any length.
func TestScenarios(t *testing.T) {
	for i, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			o := options{bin: programs, dir: t.TempDir(), rate: cmp.Or(s.rate, 600), kills: 3, seed: uint64(i + 1), say: t.Logf}
			f, r, err := play(t.Context(), s, o)
			if err != nil {
				t.Fatalf("%v\n%s", err, logs(o.dir))
			}
			t.Logf("%d clicks, %d answered, %d in the log, %d unique, %d webhooks, %d kills, points %v, %.0f segments recycled",
				len(r.book.clicks), f.answered, f.logged, f.uniques, f.deliveries, r.kills, r.points, r.recycled)
			if s.fails {
				checkControl(t, f)
				return
			}
			if f.count > 0 {
				t.Errorf("%d faults:\n%s\n%s", f.count, strings.Join(f.faults, "\n"), logs(o.dir))
			}
			if r.mostAgain > 0 {
				checkAgain(t, f)
				return
			}
			if f.uniques < 50 || f.logged < 4*f.uniques {
				t.Errorf("%d unique of %d events: too few to prove anything", f.uniques, f.logged)
			}
		})
	}
}

// TestKafka is the crash test on a real Kafka of three nodes: three rounds, in which each fault point has its turn, one of deliveries, and the control.
func TestKafka(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it kills programs, which the race detector does not see")
	}
	jars, err := filepath.Abs("../../var/kafka/jars") // all tests share them
	if err != nil {
		t.Fatal(err)
	}
	points := map[string]int{}
	for i, s := range []scenario{kafkaScenarios[0], kafkaScenarios[0], kafkaScenarios[0], kafkaScenarios[1], kafkaScenarios[2]} {
		o := options{bin: programs, dir: filepath.Join(t.TempDir(), "round"), rate: cmp.Or(s.rate, 600), kills: 3, seed: uint64(i + 1), say: t.Logf, kafka: true, jars: jars, outage: 5 * time.Second, number: i, brief: true}
		f, r, err := play(t.Context(), s, o)
		if (errors.Is(err, kafka.ErrNoJava) || errors.Is(err, kafka.ErrNoMaven)) && os.Getenv("CI") == "" {
			t.Skipf("NOT TESTED ON A REAL BROKER: %v", err)
		}
		if err != nil {
			t.Fatalf("round %d: %v\n%s", i, err, logs(o.dir))
		}
		t.Logf("round %d: %d clicks, %d answered, %d in the log, %d unique, %d webhooks, %d disturbances, %d kills, points %v, %d records repeated",
			i, len(r.book.clicks), f.answered, f.logged, f.uniques, f.deliveries, r.disturbed, r.kills, r.points, r.repeats)
		if s.fails {
			checkControl(t, f)
			continue
		}
		if f.count > 0 {
			t.Fatalf("round %d: %d faults:\n%s\n%s", i, f.count, strings.Join(f.faults, "\n"), logs(o.dir))
		}
		if r.mostAgain > 0 {
			t.Logf("round %d: came again %v", i, f.again)
			if f.deliveries < r.kills*deliveredBetween {
				t.Errorf("round %d: %d webhooks: too few to prove anything", i, f.deliveries)
			}
		} else if f.uniques < 50 || f.logged < 4*f.uniques {
			t.Errorf("round %d: %d unique of %d events: too few to prove anything", i, f.uniques, f.logged)
		}
		for point, n := range r.points {
			points[point] += n
		}
	}
	for _, p := range kafkaPoints {
		if points[p.name] == 0 {
			t.Errorf("the fault point %s was never hit", p.name)
		}
	}
}

// checkControl: an edge that answers before it appends must be caught at exactly that.
func checkControl(t *testing.T, f *findings) {
	t.Helper()
	if f.count == 0 {
		t.Fatal("an edge that answers first lost nothing: the crash test proves nothing")
	}
	for _, fault := range f.faults {
		if !strings.Contains(fault, "was answered and stands 0 times in the log") {
			t.Errorf("another fault than a lost click: %s", fault)
		}
	}
}

// checkAgain: where nothing ever comes again, the sink was not killed while it delivered.
func checkAgain(t *testing.T, f *findings) {
	t.Helper()
	t.Logf("came again, by life of the sink: %v", f.again)
	if slices.Max(f.again) == 0 {
		t.Error("no delivery came again after any kill: the scenario proves nothing")
	}
}

// logs is the end of what each program said.
func logs(dir string) string {
	var all strings.Builder
	names, _ := filepath.Glob(filepath.Join(dir, "log", "*.log")) // the pattern is right
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			text = []byte(err.Error())
		}
		fmt.Fprintf(&all, "--- %s\n%s\n", filepath.Base(name), text[max(0, len(text)-3000):])
	}
	return all.String()
}
