package topic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/segmentio/kafka-go"
	"go.uber.org/goleak"

	"waypost/edge/event"
	"waypost/edge/ship"
	"waypost/sink/internal/kafkalog"
	"waypost/sink/internal/metrics"
	"waypost/sink/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait.
const patience = 2 * time.Minute

var day0 = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

// memory is a Kafka in memory with one partition: both topics, and a producer that can fail before or after it wrote.
type memory struct {
	mu     sync.Mutex
	topics map[string][]kafkalog.Message
	first  map[string]int64
	grown  chan struct{} // closed when a record comes

	lose  int  // produces until one fails; 0: none does
	write bool // whether that one writes first

	held func() // called before the next produce, once
}

func newMemory() *memory {
	return &memory{topics: map[string][]kafkalog.Message{}, first: map[string]int64{}, grown: make(chan struct{})}
}

// before has f called before the next produce.
func (k *memory) before(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held = f
}

func (k *memory) append(topic string, m kafkalog.Message) {
	k.mu.Lock()
	defer k.mu.Unlock()
	m.Offset = k.first[topic] + int64(len(k.topics[topic]))
	k.topics[topic] = append(k.topics[topic], m)
	close(k.grown)
	k.grown = make(chan struct{})
}

func (k *memory) spanLocked(topic string) kafkalog.Span {
	return kafkalog.Span{First: k.first[topic], End: k.first[topic] + int64(len(k.topics[topic]))}
}

func (k *memory) Span(_ context.Context, topic string, _ int) (kafkalog.Span, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.spanLocked(topic), nil
}

func (k *memory) Partitions(context.Context, string) (int, error) { return 1, nil }

func (k *memory) Fetch(ctx context.Context, topic string, _ int, offset int64) (kafkalog.Fetched, error) {
	k.mu.Lock()
	s, grown := k.spanLocked(topic), k.grown
	if offset < s.First || offset > s.End {
		k.mu.Unlock()
		return kafkalog.Fetched{}, kafka.OffsetOutOfRange
	}
	all := k.topics[topic][offset-s.First:]
	all = slices.Clone(all[:min(len(all), 7)])
	k.mu.Unlock()
	if len(all) == 0 {
		timer := time.NewTimer(5 * time.Millisecond)
		defer timer.Stop()
		select {
		case <-grown:
		case <-timer.C:
		case <-ctx.Done():
			return kafkalog.Fetched{}, ctx.Err()
		}
	}
	return kafkalog.Fetched{Messages: all, Next: offset + int64(len(all)), End: s.End}, nil
}

var errLost = errors.New("connection lost")

func (k *memory) Produce(_ context.Context, _ int, records []ship.Record) (int64, error) {
	k.mu.Lock()
	lost := false
	if k.lose > 0 {
		k.lose--
		lost = k.lose == 0
	}
	write, held := k.write, k.held
	k.held = nil
	k.mu.Unlock()
	if held != nil {
		held()
	}
	if lost && !write {
		return ship.UnknownOffset, errLost
	}
	for _, r := range records {
		m := kafkalog.Message{Key: slices.Clone(r.Key), Value: slices.Clone(r.Value), At: day0}
		for _, h := range r.Headers {
			m.Headers = append(m.Headers, kafkalog.Header{Key: []byte(h.Key), Value: slices.Clone(h.Value)})
		}
		k.append("unique", m)
	}
	if lost {
		return ship.UnknownOffset, errLost
	}
	s, _ := k.Span(context.Background(), "unique", 0)
	return s.End, nil
}

// click appends an event, minted and taken in on a day.
func (k *memory) click(sequence uint64, mail, day int, labels event.Labels) {
	minted := day0.AddDate(0, 0, day)
	e := event.Event{
		ID: event.ID{Run: 7, Sequence: sequence}, Type: event.Clicked, Time: minted.Add(time.Minute), Tenant: 1 + uint32(mail%3), TenantName: "demo",
		Message: fmt.Appendf(nil, "%d", mail), Prospect: []byte("456"), Destination: []byte("https://example.com/a"), Minted: minted, RetentionDays: 45,
		Method: []byte("GET"), Labels: labels,
	}
	k.append("events", kafkalog.Message{Key: event.AppendKey(nil, &e), Value: event.AppendDocument(nil, &e), At: minted.Add(time.Second)})
}

func testOptions(t testing.TB, k *memory, dir string) *options {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "partitions"), 0o700); err != nil {
		t.Fatal(err)
	}
	cache := store.NewCache(1)
	t.Cleanup(cache.Unref)
	return &options{
		Options: Options{Dir: dir, BatchRecords: 10, Metrics: metrics.Discard(), Logger: slog.New(slog.DiscardHandler), Failed: func(err error) { t.Error(err) }},
		Events:  "events", Unique: "unique", Cache: cache, log: k, producer: k, trouble: &troubles{}, count: 1, stores: map[int]*store.Store{},
	}
}

// level waits until all events are decided, by the place in the store, and ends the worker.
func level(t testing.TB, k *memory, o *options) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	generation, end := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { newWorker(o, 0).run(generation); close(done) }()
	for {
		s, _ := k.Span(ctx, "events", 0)
		if o.source(t) == s.End {
			break
		}
		kafkalog.Wait(ctx, time.Millisecond)
		if ctx.Err() != nil {
			t.Fatalf("not level: %d of %d; %v", o.source(t), s.End, o.trouble.reasons)
		}
	}
	end()
	<-done
}

// source is the place in the store that is open.
func (o *options) source(t testing.TB) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.stores[0]
	if s == nil {
		return -1
	}
	key := store.TopicKey(o.Events, o.Unique)
	value, closer, err := s.Get(key)
	if err != nil {
		return -1
	}
	defer closer.Close()
	_, _, place, err := store.ParseTopicPosition(key, value)
	if err != nil {
		t.Error(err)
	}
	return int64(place.Source)
}

// contents is all that a store has decided.
func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	s, err := store.Open(StoreDir(dir, 0), store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all := map[string]string{}
	for _, space := range []store.Space{store.Uniques, store.Floors} {
		start, end := space.Range()
		iter, err := s.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
		if err != nil {
			t.Fatal(err)
		}
		for ok := iter.First(); ok; ok = iter.Next() {
			all[fmt.Sprintf("%x", iter.Key())] = fmt.Sprintf("%x", iter.Value())
		}
		if err := iter.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// ruled are the records of unique that pass the readers' rule, and how many do not.
func (k *memory) ruled(t testing.TB) (lines []string, repeated int) {
	t.Helper()
	last := int64(-1)
	for i := range k.topics["unique"] {
		m := &k.topics["unique"][i]
		_, source, ok := readUnique(m)
		if !ok {
			t.Fatalf("record %d is not readable", i)
		}
		if source <= last {
			repeated++
			continue
		}
		last = source
		lines = append(lines, fmt.Sprintf("%d %s %s", source, m.Header(firstHeader), m.Key))
	}
	return lines, repeated
}

// fill appends events over many days, so that floors move and keys leave.
func (k *memory) fill(random *rand.Rand, n int) {
	for range n {
		events, _ := k.Span(context.Background(), "events", 0)
		sequence := uint64(events.End + 1)
		day := int(sequence) / 4
		mail := day*3 + random.IntN(6)
		labels := event.Labels(0)
		if random.IntN(3) == 0 {
			labels = event.Machine
		}
		k.click(sequence, mail, day-random.IntN(3)*20, labels)
	}
}

// However often produces are lost, before or after they were written, and stores are deleted, unique says what one undisturbed sink says, and the stores are equal.
func TestDisturbedIsAsUndisturbed(t *testing.T) {
	for seed := range uint64(4) {
		random := rand.New(rand.NewPCG(seed, 0))
		calm, wild := newMemory(), newMemory()
		calmDir, wildDir := t.TempDir(), t.TempDir()
		for range 6 {
			more := rand.New(rand.NewPCG(random.Uint64(), 0))
			calm.fill(more, 60)
			for _, m := range calm.topics["events"][len(wild.topics["events"]):] {
				wild.append("events", m)
			}
			if random.IntN(3) == 0 {
				if err := os.RemoveAll(wildDir); err != nil {
					t.Fatal(err)
				}
			}
			wild.lose, wild.write = random.IntN(4), random.IntN(2) == 0
			level(t, wild, testOptions(t, wild, wildDir))
		}
		level(t, calm, testOptions(t, calm, calmDir))
		want, repeated := calm.ruled(t)
		got, _ := wild.ruled(t)
		if diff := cmp.Diff(want, got); diff != "" || repeated != 0 {
			t.Fatalf("seed %d, %d repeated (-calm +wild):\n%s", seed, repeated, diff)
		}
		if diff := cmp.Diff(contents(t, calmDir), contents(t, wildDir)); diff != "" {
			t.Fatalf("seed %d: stores (-calm +wild):\n%s", seed, diff)
		}
		if err := os.RemoveAll(wildDir); err != nil {
			t.Fatal(err)
		}
		level(t, wild, testOptions(t, wild, wildDir))
		if diff := cmp.Diff(contents(t, calmDir), contents(t, wildDir)); diff != "" {
			t.Fatalf("seed %d: made anew (-calm +new):\n%s", seed, diff)
		}
	}
}

// Two sinks that both believe that the partition is theirs repeat each other; the rule leaves what one says.
func TestZombiesAreHarmless(t *testing.T) {
	k, alone := newMemory(), newMemory()
	k.fill(rand.New(rand.NewPCG(1, 1)), 500)
	for _, m := range k.topics["events"] {
		alone.append("events", m)
	}
	var both sync.WaitGroup
	for range 2 {
		o := testOptions(t, k, t.TempDir())
		both.Go(func() { level(t, k, o) })
	}
	both.Wait()
	level(t, alone, testOptions(t, alone, t.TempDir()))
	want, _ := alone.ruled(t)
	got, repeated := k.ruled(t)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-one +two:\n%s", diff)
	}
	t.Logf("%d repeated", repeated)
}

// A sink that sleeps before a produce, and goes on after another has decided more than it had, has the other's firsts in its store afterwards, too.
func TestOvertakenInItsSleep(t *testing.T) {
	k, asleepDir, awakeDir := newMemory(), t.TempDir(), t.TempDir()
	random := rand.New(rand.NewPCG(5, 5))
	k.fill(random, 60)
	generation, end := context.WithCancel(t.Context())
	defer end()
	k.before(func() {
		level(t, k, testOptions(t, k, awakeDir))
		k.fill(random, 20)
		k.before(end) // at its next produce it finds out that it was replaced
	})
	newWorker(testOptions(t, k, asleepDir), 0).run(generation)
	level(t, k, testOptions(t, k, awakeDir))
	level(t, k, testOptions(t, k, asleepDir))
	if diff := cmp.Diff(contents(t, awakeDir), contents(t, asleepDir)); diff != "" {
		t.Errorf("stores (-awake +asleep):\n%s", diff)
	}
}

// What would lose something unseen stops the partition; what unique can mend is mended, with an alarm.
func TestAlarms(t *testing.T) {
	for name, test := range map[string]struct {
		change func(k *memory, o *options)
		alarm  string
		stops  string // what /readyz says; empty: it goes on
	}{
		"events deleted":    {func(k *memory, _ *options) { k.topics["events"], k.first["events"] = nil, 1000 }, "log_start", "begins at offset 1000"},
		"events made anew":  {func(k *memory, _ *options) { k.topics["events"] = nil }, "log_end", "ends at offset 0"},
		"partitions added":  {func(_ *memory, o *options) { o.count = 2 }, "partitions", "had 1 partitions and have 2"},
		"unique cut":        {func(k *memory, _ *options) { k.topics["unique"] = k.topics["unique"][:5] }, "store_ahead", ""},
		"unique much later": {func(k *memory, _ *options) { k.first["unique"] = 1000 }, "store_behind", ""},
		"foreign record":    {func(k *memory, _ *options) { k.append("unique", kafkalog.Message{Value: []byte("{}")}) }, "unreadable", ""},
	} {
		t.Run(name, func(t *testing.T) {
			k, dir := newMemory(), t.TempDir()
			k.fill(rand.New(rand.NewPCG(2, 2)), 50)
			level(t, k, testOptions(t, k, dir))
			o := testOptions(t, k, dir)
			test.change(k, o)
			if test.stops == "" {
				level(t, k, o)
			} else {
				stopsWith(t, o, test.stops)
			}
			if n := testutil.ToFloat64(o.Metrics.KafkaAlarms.WithLabelValues(test.alarm)); n != 1 {
				t.Errorf("alarm %s counted %v times", test.alarm, n)
			}
		})
	}
}

func stopsWith(t *testing.T, o *options, reason string) {
	t.Helper()
	told := make(chan []string, 100)
	o.trouble.tell = func(all []string) { told <- all }
	ctx, end := context.WithTimeout(t.Context(), patience)
	defer end()
	done := make(chan struct{})
	go func() { newWorker(o, 0).run(ctx); close(done) }()
	for {
		select {
		case all := <-told:
			if len(all) == 1 && strings.Contains(all[0], "partition stopped") && strings.Contains(all[0], reason) {
				end()
				<-done
				return
			}
		case <-ctx.Done():
			t.Fatal("did not stop")
		}
	}
}

func FuzzReadUnique(f *testing.F) {
	f.Add([]byte("17"), []byte("any,person"), []byte("1=700,2=701"))
	f.Add([]byte("-1"), []byte("person"), []byte("1=70000"))
	f.Fuzz(func(t *testing.T, source, first, floors []byte) {
		m := kafkalog.Message{Headers: []kafkalog.Header{
			{Key: []byte(sourceOffsetHeader), Value: source}, {Key: []byte(firstHeader), Value: first}, {Key: []byte(floorsHeader), Value: floors},
		}}
		if told, at, ok := readUnique(&m); ok && (at < 0 || !told.Any && !told.Person) {
			t.Errorf("%q %q %q: source %d, %+v", source, first, floors, at, told)
		}
	})
}
