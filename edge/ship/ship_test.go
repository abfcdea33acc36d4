package ship

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"waypost/edge/event"
	"waypost/edge/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tester is what *testing.T and *rapid.T share.
type tester interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
	Errorf(string, ...any)
}

// source is a journal with the values that each partition must get.
type source struct {
	dir    string
	writer *journal.Writer
	want   [][]string
	count  int
}

func newSource(t tester, dir string, partitions int) *source {
	s := &source{dir: dir, want: make([][]string, partitions)}
	s.open(t)
	return s
}

// open begins a run.
func (s *source) open(t tester) {
	t.Helper()
	var err error
	s.writer, err = journal.Open(journal.Options{Dir: s.dir, SegmentBytes: 64 << 10, Budget: 64 << 20, KeepBytes: 1, Sync: -1, Patience: time.Minute, Consumers: []string{"ship"}})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *source) close(t tester) {
	t.Helper()
	if err := s.writer.Close(); err != nil {
		t.Fatal(err)
	}
}

// padding makes segments fill up, so that those which the shipper has published are used again under it.
var padding = strings.Repeat("-", 150)

// add appends events: each value is the event's id and its number.
func (s *source) add(t tester, n int) {
	t.Helper()
	for range n {
		s.count++
		key := fmt.Appendf(nil, "1/%d/%d", s.count%17, s.count%7)
		payload := append([]byte{0, byte(len(key))}, key...)
		at := len(payload) + event.RunDigits + 1
		payload = fmt.Appendf(payload, "%s-%016d %s number %d", s.writer.Run(), 0, padding, s.count)
		sequence, err := s.writer.Append(payload, at)
		if err != nil {
			t.Fatal(err)
		}
		p := event.PartitionHash(key) % uint32(len(s.want))
		s.want[p] = append(s.want[p], fmt.Sprintf("%s-%016d %s number %d", s.writer.Run(), sequence, padding, s.count))
	}
}

func testOptions(s *source, dir string, b broker) Options {
	return Options{
		Connection: Connection{Topic: "t"}, Journal: s.dir, Consumer: "ship", Dir: dir, broker: b, BatchBytes: 1 << 10, Delay: time.Millisecond,
		SaveEvery: 2 * time.Millisecond, Drain: time.Minute, stallAfter: 5 * time.Millisecond,
		pauses: pauses{first: 10 * time.Microsecond, last: 100 * time.Microsecond, stuck: time.Millisecond},
	}
}

func newShipper(t tester, o Options) *Shipper {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shipAll runs until the journal's end.
func shipAll(t tester, o Options) Stats {
	t.Helper()
	o.UntilEnd = true
	s := newShipper(t, o)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Run(ctx); err != nil || ctx.Err() != nil {
		t.Fatalf("%v, %v; trouble: %v", err, ctx.Err(), s.Stats().Trouble)
	}
	return s.Stats()
}

// check holds what a reader sees to what the journal holds: every event once, in order.
func check(t tester, f *fakeBroker, s *source) (repeated int) {
	t.Helper()
	got, repeated := f.read()
	for p := range got {
		if !slices.Equal(got[p], s.want[p]) {
			t.Errorf("partition %d: read %d events, want %d; they differ first at %s", p, len(got[p]), len(s.want[p]), firstDifference(got[p], s.want[p]))
		}
	}
	f.set(func() {
		if len(f.violations) > 0 {
			t.Errorf("violations: %v", f.violations)
		}
	})
	return repeated
}

func firstDifference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("%d: %q, want %q", i, got[i], want[i])
		}
	}
	return fmt.Sprint(min(len(got), len(want)))
}

// eventually polls until ok, or fails.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// Brokers fail in every way, the shipper is ended and begun again, crashes take its state back to an earlier one, the edge restarts between: a reader by the rule sees
// every event once and in order.
func TestEveryEventOnceInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base, err := os.MkdirTemp("", "ship-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(base)
		partitions := rapid.IntRange(1, 5).Draw(t, "partitions")
		f := newFakeBroker(partitions, rapid.Uint64().Draw(t, "seed"))
		f.faults = rapid.Float64Range(0, 0.5).Draw(t, "faults")
		s := newSource(t, filepath.Join(base, "journal"), partitions)
		o := testOptions(s, filepath.Join(base, "ship"), f)
		o.Compression = rapid.SampledFrom(compressions).Draw(t, "compression")
		state := filepath.Join(o.Dir, "state")
		for range rapid.IntRange(0, 4).Draw(t, "lives") {
			before, _ := os.ReadFile(state)
			life := o
			crash := rapid.Bool().Draw(t, "crash")
			if crash {
				life.Consumer = "" // a state that was not written was not published either
			}
			live(t, s, life, rapid.IntRange(1, 500).Draw(t, "events"), time.Duration(rapid.IntRange(0, 8000).Draw(t, "microseconds"))*time.Microsecond)
			if crash {
				if err := os.WriteFile(state, before, 0o644); err != nil {
					t.Fatal(err)
				}
				if before == nil {
					os.Remove(state)
				}
			}
			if rapid.Bool().Draw(t, "edge restarts") {
				s.close(t)
				s.open(t)
			}
		}
		s.add(t, 10)
		s.close(t)
		shipAll(t, o)
		check(t, f, s)
	})
}

// live runs a shipper for a while, with events coming meanwhile.
func live(t *rapid.T, s *source, o Options, events int, length time.Duration) {
	shipper := newShipper(t, o)
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- shipper.Run(ctx) }()
	s.add(t, events)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestAPartitionThatFailsHoldsUpNobody(t *testing.T) {
	const partitions = 4
	f := newFakeBroker(partitions, 1)
	s := newSource(t, t.TempDir(), partitions)
	defer s.close(t)
	o := testOptions(s, t.TempDir(), f)
	f.set(func() { f.down[2] = true })
	shipper := newShipper(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- shipper.Run(ctx) }()
	for range 20 { // far more than three batches hold
		s.add(t, 500)
	}
	eventually(t, "the other partitions have everything", func() bool {
		got, _ := f.read()
		return len(got[0]) == len(s.want[0]) && len(got[1]) == len(s.want[1]) && len(got[3]) == len(s.want[3])
	})
	if got, _ := f.read(); len(got[2]) != 0 {
		t.Errorf("a partition without a leader took %d events", len(got[2]))
	}
	if trouble := shipper.Stats().Trouble; len(trouble) != 1 || !strings.HasPrefix(trouble[0], "partition 2: ") {
		t.Errorf("trouble: %q", trouble)
	}
	f.set(func() { f.down[2] = false })
	eventually(t, "the partition that was away has everything", func() bool {
		got, _ := f.read()
		return len(got[2]) == len(s.want[2])
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if repeated := check(t, f, s); repeated != 0 {
		t.Errorf("%d events were stored twice; nothing failed that would need it", repeated)
	}
	if st := shipper.Stats(); st.Returns == 0 || st.Retries["Leader Not Available"] == 0 || st.Records != uint64(s.count) || len(st.Trouble) != 0 {
		t.Errorf("stats %+v", st)
	}
}

// A partition that is away when the shipper ends must get what it missed in the next life.
func TestWhatWasMissedIsShippedInTheNextLife(t *testing.T) {
	f := newFakeBroker(3, 1)
	s := newSource(t, t.TempDir(), 3)
	o := testOptions(s, t.TempDir(), f)
	o.Drain = time.Millisecond
	f.set(func() { f.down[1] = true })
	s.add(t, 3000)
	ctx, cancel := context.WithCancel(t.Context())
	shipper := newShipper(t, o)
	ended := make(chan error, 1)
	go func() { ended <- shipper.Run(ctx) }()
	eventually(t, "the others have everything", func() bool {
		got, _ := f.read()
		return len(got[0]) == len(s.want[0]) && len(got[2]) == len(s.want[2])
	})
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	s.close(t)
	f.set(func() { f.down[1] = false })
	before := len(f.logs[0]) + len(f.logs[2])
	shipAll(t, o)
	if repeated := check(t, f, s); repeated != 0 || len(f.logs[0])+len(f.logs[2]) != before {
		t.Errorf("%d events repeated: the state holds each partition's own place", repeated)
	}
}

func TestShippingTwiceShipsNothing(t *testing.T) {
	f := newFakeBroker(2, 1)
	s := newSource(t, t.TempDir(), 2)
	s.add(t, 1000)
	s.close(t)
	o := testOptions(s, t.TempDir(), f)
	if st := shipAll(t, o); st.Records != 1000 || st.LastAck.IsZero() || st.SentBytes == 0 || st.Bytes < st.SentBytes || st.OutstandingBytes != 0 {
		t.Errorf("first: %+v", st)
	}
	if st := shipAll(t, o); st.Records != 0 {
		t.Errorf("second: %+v", st)
	}
	check(t, f, s)
	if p, err := journal.ReadPosition(s.dir, "ship"); err != nil || p.Run != s.writer.Run() || p.Sequence < 512 {
		t.Errorf("published %+v, %v", p, err)
	}
}

func TestARecordThatNobodyTakesGoesToTheSideFile(t *testing.T) {
	f := newFakeBroker(1, 1)
	f.poison = "number 123"
	s := newSource(t, t.TempDir(), 1)
	s.add(t, 300)
	s.close(t)
	o := testOptions(s, t.TempDir(), f)
	if st := shipAll(t, o); st.Refused != 1 || st.Records != 299 || len(st.Trouble) != 0 {
		t.Errorf("%+v", st)
	}
	s.want[0] = slices.DeleteFunc(s.want[0], func(v string) bool { return strings.HasSuffix(v, "number 123") })
	check(t, f, s)
	text, err := os.ReadFile(filepath.Join(o.Dir, "refused.jsonl"))
	if err != nil || strings.Count(string(text), "\n") != 1 || !strings.Contains(string(text), "number 123") || !strings.Contains(string(text), "Invalid Record") {
		t.Errorf("side file %q, %v", text, err)
	}
}

func TestABatchThatIsTooLargeIsHalved(t *testing.T) {
	f := newFakeBroker(2, 1)
	f.largest = 1000
	s := newSource(t, t.TempDir(), 2)
	s.add(t, 500)
	s.close(t)
	o := testOptions(s, t.TempDir(), f)
	o.Compression, o.BatchBytes = None, 4<<10
	if st := shipAll(t, o); st.Refused != 0 || st.Records != 500 || st.Retries["Message Size Too Large"] == 0 {
		t.Errorf("%+v", st)
	}
	if repeated := check(t, f, s); repeated != 0 {
		t.Errorf("%d repeated", repeated)
	}
}

func TestWhatOnlyAPersonCanMendWaitsVisibly(t *testing.T) {
	f := newFakeBroker(1, 1)
	f.answers[0] = kafka.TopicAuthorizationFailed
	s := newSource(t, t.TempDir(), 1)
	s.add(t, 2000)
	s.close(t)
	o := testOptions(s, t.TempDir(), f)
	o.UntilEnd = true
	shipper := newShipper(t, o)
	ended := make(chan error, 1)
	go func() { ended <- shipper.Run(t.Context()) }()
	eventually(t, "the trouble is told", func() bool {
		trouble := shipper.Stats().Trouble
		return len(trouble) == 1 && strings.Contains(trouble[0], "Topic Authorization Failed")
	})
	eventually(t, "what waits is counted", func() bool { return shipper.Stats().OutstandingBytes > 0 })
	if p, err := journal.ReadPosition(s.dir, "ship"); err == nil && p.Sequence > 4096/8+8 {
		t.Errorf("published %+v while nothing is acknowledged", p)
	}
	f.set(func() { delete(f.answers, 0) })
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	check(t, f, s)
}

func TestStartsThatAreRefused(t *testing.T) {
	f := newFakeBroker(2, 1)
	s := newSource(t, t.TempDir(), 2)
	s.add(t, 10)
	s.close(t)
	o := testOptions(s, t.TempDir(), f)
	shipAll(t, o)
	for name, c := range map[string]struct {
		change func(*Options)
		want   error
	}{
		"partitions grew": {func(o *Options) { o.broker = newFakeBroker(3, 1) }, ErrPartitions},
		"partitions set":  {func(o *Options) { o.Partitions = 16 }, ErrPartitions},
		"another topic":   {func(o *Options) { o.Topic = "u" }, ErrTopic},
	} {
		o := o
		c.change(&o)
		if err := newShipper(t, o).Run(t.Context()); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	lock, err := takeLock(filepath.Join(o.Dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := newShipper(t, o).Run(t.Context()); !errors.Is(err, ErrBusy) {
		t.Errorf("beside another: %v", err)
	}
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	good := Options{Connection: Connection{Brokers: []string{"127.0.0.1:1"}, Topic: "t"}, Journal: "j", Dir: "d"}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Options){
		"Journal is required": func(o *Options) { o.Journal = "" },
		"Dir is required":     func(o *Options) { o.Dir = "" },
		"Topic is required":   func(o *Options) { o.Topic = "" },
		"Brokers is required": func(o *Options) { o.Brokers = nil },
		"holds spaces":        func(o *Options) { o.Topic = "a b" },
		"BatchBytes = 5":      func(o *Options) { o.BatchBytes = 5 },
		`compression "gzip"`:  func(o *Options) { o.Compression = "gzip" },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// Finish ends a shipper that is running, once everything is acknowledged.
func TestFinishShipsWhatIsThere(t *testing.T) {
	f := newFakeBroker(2, 1)
	f.faults = 0.2
	s := newSource(t, t.TempDir(), 2)
	shipper := newShipper(t, testOptions(s, t.TempDir(), f))
	ended := make(chan error, 1)
	go func() { ended <- shipper.Run(context.Background()) }()
	s.add(t, 500)
	s.close(t)
	shipper.Finish()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	check(t, f, s)
	if st := shipper.Stats(); st.Records < 500 {
		t.Errorf("%+v", st)
	}
}

// While Kafka is away from the start, Run waits and says so; ending it is no error.
func TestKafkaAwayFromTheStart(t *testing.T) {
	o := Options{Connection: Connection{Brokers: []string{"127.0.0.1:1"}, Topic: "t", Timeout: 100 * time.Millisecond}, Journal: t.TempDir(), Dir: t.TempDir()}
	shipper := newShipper(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- shipper.Run(ctx) }()
	eventually(t, "the trouble is told", func() bool {
		trouble := shipper.Stats().Trouble
		return len(trouble) == 1 && strings.Contains(trouble[0], "topic t: ") && shipper.Stats().Retries["connection"] > 0
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
