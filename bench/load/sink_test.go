package load

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"waypost/bench/result"
	"waypost/edge/event"
	"waypost/edge/journal"
)

func TestSinkCommandOverTheRealSink(t *testing.T) {
	var report SinkReport
	// The command itself holds the sink's counts to what it put into the journal.
	err := benchReport(t, &report, "load", "sink", "--sink="+buildProgram(t, "sink"), "--events=2000", "--webhook-events=300", "--repeats=0.3", "--rounds=2")
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Turns) != 4 {
		t.Fatalf("%d turns, want 4", len(report.Turns))
	}
	for i, turn := range report.Turns {
		if want := []int{2000, 300}[i%2]; turn.Events != want || turn.Firsts >= want || turn.Webhooks != (i%2 == 1) || turn.PerSecond <= 0 {
			t.Errorf("turn %d: %+v", i, turn)
		}
	}
}

func TestKeysCommandOverTheRealSink(t *testing.T) {
	var report KeysReport
	// The command itself holds the sink's counts to what it wrote.
	err := benchReport(t, &report, "load", "keys", "--sink="+buildProgram(t, "sink"), "--keys=100,3000", "--window=1s")
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Windows) != 2 || report.Windows[0].Ratio != 1 || len(report.Samples) < 2 {
		t.Fatalf("windows %+v, %d samples", report.Windows, len(report.Samples))
	}
	if last := report.Samples[len(report.Samples)-1]; last.Keys < 3000 || last.Store == 0 || last.Anonymous == 0 {
		t.Errorf("last sample: %+v", last)
	}
}

// A window is the seconds from when its keys are there; starved ones do not count.
func TestKeysWindows(t *testing.T) {
	r := &KeysReport{}
	var ended int
	for i := range 8 {
		r.Samples = append(r.Samples, KeysSample{Seconds: float64(i), Keys: i * 100, PerSecond: float64(1000 - i*50), Starved: i == 3})
		ended = r.settle([]int{100, 500}, 2*time.Second)
		want := 0
		switch {
		case i >= 7:
			want = 2
		case i >= 3:
			want = 1
		}
		if ended != want {
			t.Errorf("second %d: %d windows have ended, want %d", i, ended, want)
		}
	}
	want := []KeysWindow{
		{Keys: 100, PerSecond: result.Spread{Min: 900, Median: 900, Max: 900}, Ratio: 1, Starved: 1},
		{Keys: 500, PerSecond: result.Spread{Min: 650, Median: 675, Max: 700}, Ratio: 0.75},
	}
	if diff := cmp.Diff(want, r.Windows); diff != "" {
		t.Error(diff)
	}
}

func TestAFilledJournalHoldsTheClicks(t *testing.T) {
	dir := t.TempDir()
	last, firsts, err := prefill(dir, 1000, 0.5, 3)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := journal.NewReader(journal.ReaderOptions{Dir: dir, Resume: func(journal.Run) uint64 { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	seen := map[event.UniqueKey]bool{}
	records := 0
	var decoder event.Decoder
	for ; ; records++ {
		record, err := reader.Next()
		if err == journal.ErrWait {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		_, document, err := event.SplitRecord(record.Payload)
		if err != nil {
			t.Fatal(err)
		}
		var e event.Event
		if err := decoder.Decode(&e, document); err != nil {
			t.Fatal(err)
		}
		key, ok := e.Unique()
		if !ok || e.ID.Sequence != record.Sequence {
			t.Fatalf("record %d: unique %v, id %v", records, ok, e.ID)
		}
		seen[key] = true
	}
	if records != 1000 || len(seen) != firsts || firsts < 400 || firsts > 600 {
		t.Errorf("%d records, %d distinct, %d firsts", records, len(seen), firsts)
	}
	if p := reader.Position(); p.Sequence <= last.Sequence {
		t.Errorf("the end is at %d, the last record at %d", p.Sequence, last.Sequence)
	}
}

func TestSinkFlagsThatMakeNoSense(t *testing.T) {
	refuses(t, []string{"load", "sink"}, map[string]string{
		"--events=0":          "--events",
		"--webhook-events=-1": "--webhook-events",
		"--repeats=1":         "--repeats",
		"--rounds=0":          "--rounds",
		"--sink=/nowhere":     "/nowhere",
	})
}
