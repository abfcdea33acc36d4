package load

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"waypost/bench/kafka"
)

// withKafka runs a command that starts a broker, and reads its report.
func withKafka(t *testing.T, report any, args ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("left out by -short: it measures programs, which the race detector does not see")
	}
	jars, err := filepath.Abs("../../var/kafka/jars") // all tests share them
	if err != nil {
		t.Fatal(err)
	}
	err = benchReport(t, report, append(args, "--jars="+jars)...)
	if (errors.Is(err, kafka.ErrNoJava) || errors.Is(err, kafka.ErrNoMaven)) && os.Getenv("CI") == "" {
		t.Skipf("NOT TESTED ON A REAL BROKER: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The command itself holds what was shipped and decided to what it put into the journal. So few events may be decided before the sink is first asked:
// then their rate is 0, not measured.
func TestKafkaCommandOverARealBroker(t *testing.T) {
	var report KafkaReport
	withKafka(t, &report, "load", "kafka", "--sink="+buildProgram(t, "sink"), "--events=20000", "--rounds=1", "--repeats=0.3")
	if len(report.Turns) != 1 {
		t.Fatalf("%d turns", len(report.Turns))
	}
	if turn := report.Turns[0]; turn.Firsts >= turn.Events || turn.Shipped <= 0 || turn.BytesPerEvent < 50 || turn.BytesPerEvent > 1000 {
		t.Errorf("%+v", turn)
	}
}

func TestOutageCommandOverARealBroker(t *testing.T) {
	for _, how := range []string{"kill", "pause"} {
		t.Run(how, func(t *testing.T) {
			var report OutageReport
			withKafka(t, &report, "load", "outage", "--edge="+buildProgram(t, "edge"), "--how="+how, "--rate=300", "--duration=1s", "--warmup=0s", "--rounds=1", "--before=2")
			names := map[string]int{}
			for _, turn := range report.Turns {
				names[turn.Contestant]++
				if turn.Answered == 0 || turn.Lost > 0 {
					t.Errorf("%+v", turn)
				}
			}
			if names["before"] != 2 || names["outage"] != 1 || names["backlog"] < 1 || len(report.Shipped) != 1 {
				t.Errorf("turns %v, shipped %v", names, report.Shipped)
			}
			for i, name := range []string{"before", "outage", "backlog"} {
				if len(report.Phases) != 3 || report.Phases[i].Phase != name || report.Phases[i].Turns != names[name] || report.Phases[i].Latency["p99"] <= 0 {
					t.Errorf("phases %+v", report.Phases)
				}
			}
		})
	}
}
