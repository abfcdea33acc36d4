package load

import (
	"bytes"
	"strings"
	"sync"
	"testing"
)

func TestE2ECommandOverTheRealPrograms(t *testing.T) {
	var report E2EReport
	err := benchReport(t, &report, "load", "e2e", "--edge="+buildProgram(t, "edge"), "--sink="+buildProgram(t, "sink"),
		"--rate=600", "--rounds=2", "--duration=100ms", "--warmup=50ms", "--connections=4", "--segment-bytes=262144")
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Turns) != 2 || report.Versions["sink"] == "" || report.Versions["edge"] == "" {
		t.Fatalf("%d turns, versions %v", len(report.Turns), report.Versions)
	}
	for _, turn := range report.Turns {
		if turn.Clicks != 60 || turn.Answered != 60 || turn.Delivered != 60 || turn.Latency["p50"] <= turn.Redirect["p50"] || turn.EdgeCPU <= 0 || turn.SinkCPU <= 0 || turn.ReceiverCPU <= 0 {
			t.Errorf("%+v; want 60 clicks, each told of", turn)
		}
	}
	var text bytes.Buffer
	if err := report.writeTable(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "120 clicks, 120 redirected, 120 told of; 0 not told of, 0 told of again") {
		t.Errorf("report:\n%s", &text)
	}
}

func TestE2EFaults(t *testing.T) {
	right := E2ETurn{Round: 1, Clicks: 5, Answered: 5, Delivered: 5}
	lost, twice, refused := right, right, right
	lost.Missing, twice.Repeated, refused.Answered, refused.Wrong = 2, 1, 3, 2
	for want, r := range map[string]E2EReport{
		"":                          {Turns: []E2ETurn{right}},
		"2 were not told of within": {Turns: []E2ETurn{right, lost}},
		"1 again":                   {Turns: []E2ETurn{twice}},
		"2 were answered wrongly":   {Turns: []E2ETurn{refused}},
		"3 webhooks came after all": {Turns: []E2ETurn{right}, Repeated: 3},
	} {
		err := r.fault()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("fault %v, want %q", err, want)
		}
	}
}

func TestE2EFlagsThatMakeNoSense(t *testing.T) {
	refuses(t, []string{"load", "e2e"}, map[string]string{
		"--rate=0":        "--rate",
		"--rate=1e9":      "at most 50000000 clicks",
		"--rounds=0":      "--rounds",
		"--edge=/nowhere": "/nowhere",
	})
}

func TestSpareCores(t *testing.T) {
	l := &lineup{field: &field{serverCore: 3, generatorCore: 0}}
	for _, c := range []struct {
		cores          []int
		sink, receiver int
	}{{[]int{0, 3}, 3, 0}, {[]int{0, 1, 3}, 1, 0}, {[]int{0, 1, 2, 3, 4}, 1, 2}} {
		if sink, receiver := l.spareCores(c.cores); sink != c.sink || receiver != c.receiver {
			t.Errorf("of cores %v: %d and %d, want %d and %d", c.cores, sink, receiver, c.sink, c.receiver)
		}
	}
}

func TestABookIsSharedByItsFile(t *testing.T) {
	path := t.TempDir() + "/book"
	ours, err := makeBook(path, 1000)
	if err != nil {
		t.Fatal(err)
	}
	defer ours.close()
	theirs, err := openBook(path)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.close()
	var writers sync.WaitGroup
	for w := range uint64(4) {
		writers.Go(func() {
			for i := range uint64(300) {
				theirs.add(1+w*300+i, int64(7*(1+w*300+i)))
			}
		})
	}
	seen := map[uint64]bool{}
	look := func(from int) int {
		return ours.read(from, func(message uint64, at int64) {
			if at != int64(7*message) || seen[message] {
				t.Errorf("message %d at %d, seen before: %v", message, at, seen[message])
			}
			seen[message] = true
		})
	}
	at := look(0)
	writers.Wait()
	if at = look(at); at != 1000 || len(seen) != 1000 || ours.count() != 1200 {
		t.Errorf("%d places read, %d messages, count %d; want 1000, 1000, 1200", at, len(seen), ours.count())
	}
	if _, err := openBook(t.TempDir() + "/none"); err == nil {
		t.Error("a book that is not there was opened")
	}
}

func TestMessageOf(t *testing.T) {
	for event, want := range map[string]uint64{
		`{"data":{"tenant":1,"message":"4000000007","prospect":"1"}}`: 4_000_000_007,
		`{"data":{"tenant":1}}`:      0,
		`{"data":{"message":"abc"}}`: 0,
		``:                           0,
	} {
		if got, err := messageOf([]byte(event)); got != want || (err == nil) != (want > 0) {
			t.Errorf("%s: %d, %v; want %d", event, got, err, want)
		}
	}
}
