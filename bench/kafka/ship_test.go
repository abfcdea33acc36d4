package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"waypost/edge/event"
	"waypost/edge/journal"
	"waypost/edge/ship"
)

// clicks fills a journal with real events, and keeps what each partition must hold.
type clicks struct {
	dir        string
	writer     *journal.Writer
	partitions int
	want       [][]event.ID
	count      int
	record     []byte
	event      event.Event
}

func newClicks(t testing.TB, partitions int) *clicks {
	t.Helper()
	c := &clicks{dir: t.TempDir(), partitions: partitions, want: make([][]event.ID, partitions)}
	var err error
	if c.writer, err = journal.Open(journal.Options{Dir: c.dir, SegmentBytes: 1 << 20, KeepBytes: 1, Patience: time.Minute, Consumers: []string{"kafka"}}); err != nil {
		t.Fatal(err)
	}
	c.event = event.Event{
		ID: event.ID{Run: uint64(c.writer.Run())}, Type: event.Clicked, Tenant: 1, TenantName: "demo", Place: "html", RetentionDays: 45, Method: []byte("GET"),
		Destination: []byte("https://www.example.com/pricing?utm_source=outreach"), Minted: time.Now().UTC().Truncate(time.Minute), Prospect: []byte("456"),
		UserAgent: []byte("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"),
	}
	c.event.Original = c.event.Destination
	return c
}

func (c *clicks) add(t testing.TB, n int) {
	t.Helper()
	for range n {
		c.count++
		c.event.Message = fmt.Appendf(c.event.Message[:0], "%d", c.count)
		c.event.Time = time.Now().UTC().Truncate(time.Microsecond)
		var at [2]int
		c.record, at = event.AppendRecord(c.record[:0], &c.event)
		sequence, err := c.writer.Append(c.record, at[:]...)
		if err != nil {
			t.Fatal(err)
		}
		key, _, err := event.SplitRecord(c.record)
		if err != nil {
			t.Fatal(err)
		}
		p := event.PartitionHash(key) % uint32(c.partitions)
		c.want[p] = append(c.want[p], event.ID{Run: uint64(c.writer.Run()), Sequence: sequence})
	}
}

// readPartition reads a partition whole with a client that is not ours, and gives the ids that pass the readers' rule, and how many did not.
func readPartition(ctx context.Context, brokers []string, name string, partition, want int) (ids []event.ID, repeated int, err error) {
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: brokers, Topic: name, Partition: partition, MaxWait: 200 * time.Millisecond, MaxBytes: 8 << 20})
	defer r.Close()
	var rule event.ReadersRule
	var decoder event.Decoder
	for {
		// Past the last that is wanted, the reader looks whether more comes.
		wait := 90 * time.Second
		if len(ids) >= want {
			wait = time.Second
		}
		message, err := fetch(ctx, r, wait)
		if err != nil {
			if errors.Is(err, context.DeadlineExceeded) && len(ids) >= want {
				return ids, repeated, nil
			}
			return ids, repeated, err
		}
		var e event.Event
		if err := decoder.Decode(&e, message.Value); err != nil {
			return ids, repeated, err
		}
		if key := event.AppendKey(nil, &e); string(key) != string(message.Key) {
			return ids, repeated, fmt.Errorf("key %q of an event with key %q", message.Key, key)
		}
		if h := message.Headers; len(h) != 1 || h[0].Key != "content-type" || string(h[0].Value) != "application/cloudevents+json; charset=UTF-8" {
			return ids, repeated, fmt.Errorf("headers %v", h)
		}
		if rule.Fresh(e.ID) {
			ids = append(ids, e.ID)
		} else {
			repeated++
		}
	}
}

func fetch(ctx context.Context, r *kafka.Reader, wait time.Duration) (kafka.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return r.FetchMessage(ctx)
}

func (c *clicks) check(ctx context.Context, t *testing.T, brokers []string, name string) (repeated int) {
	t.Helper()
	for p := range c.partitions {
		ids, again, err := readPartition(ctx, brokers, name, p, len(c.want[p]))
		if err != nil {
			t.Errorf("partition %d: %d of %d events read: %v", p, len(ids), len(c.want[p]), err)
			continue
		}
		repeated += again
		for i, id := range c.want[p] {
			if i >= len(ids) || ids[i] != id {
				t.Errorf("partition %d: %d events read, want %d; they differ first at %d", p, len(ids), len(c.want[p]), i)
				break
			}
		}
		if len(ids) > len(c.want[p]) {
			t.Errorf("partition %d: %d events, want %d", p, len(ids), len(c.want[p]))
		}
	}
	return repeated
}

func shipOptions(t testing.TB, c *clicks, brokers []string, name string) ship.Options {
	return ship.Options{
		Connection: ship.Connection{Brokers: brokers, ClientID: "waypost-test", Topic: name, Timeout: 3 * time.Second},
		Journal:    c.dir, Consumer: "kafka", Dir: t.TempDir(), SaveEvery: 100 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler),
	}
}

// shipAll ships to the journal's end.
func shipAll(ctx context.Context, t testing.TB, o ship.Options) ship.Stats {
	t.Helper()
	o.UntilEnd = true
	s, err := ship.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(ctx); err != nil || ctx.Err() != nil {
		t.Fatalf("%v, %v; trouble %q", err, ctx.Err(), s.Stats().Trouble)
	}
	return s.Stats()
}

func TestEveryCompressionIsTakenAndRead(t *testing.T) {
	cluster := startTest(t, Options{})
	ctx := deadline(t, 5*time.Minute)
	kcat, _ := exec.LookPath("kcat")
	for _, compression := range []ship.Compression{ship.None, ship.Snappy, ship.LZ4, ship.Zstd} {
		t.Run(string(compression), func(t *testing.T) {
			name := "events." + string(compression)
			if err := cluster.CreateTopic(ctx, name, 2, map[string]string{"message.timestamp.type": "LogAppendTime"}); err != nil {
				t.Fatal(err)
			}
			c := newClicks(t, 2)
			c.add(t, 3000)
			if err := c.writer.Close(); err != nil {
				t.Fatal(err)
			}
			o := shipOptions(t, c, cluster.Bootstrap(), name)
			o.Compression = compression
			if st := shipAll(ctx, t, o); st.Records != 3000 || st.Refused != 0 {
				t.Errorf("%+v", st)
			}
			if repeated := c.check(ctx, t, cluster.Bootstrap(), name); repeated != 0 {
				t.Errorf("%d repeated", repeated)
			}
			if kcat == "" {
				t.Log("kcat is not installed: read by kafka-go alone")
				return
			}
			out, err := exec.CommandContext(ctx, kcat, "-b", cluster.Bootstrap()[0], "-t", name, "-C", "-e", "-q", "-f", "%k %s\n").Output()
			if err != nil || strings.Count(string(out), "\n") != 3000 {
				t.Errorf("kcat: %d lines, %v", strings.Count(string(out), "\n"), err)
			}
		})
	}
}

// The leader of a partition is killed under load, and another node is paused; the shipper itself is ended and begun again. A reader finds every event once, in order.
func TestShippingSurvivesItsLeaders(t *testing.T) {
	const partitions = 6
	cluster := startTest(t, Options{Nodes: 3})
	ctx := deadline(t, 5*time.Minute)
	const name = "events"
	if err := cluster.CreateTopic(ctx, name, partitions, nil); err != nil {
		t.Fatal(err)
	}
	c := newClicks(t, partitions)
	o := shipOptions(t, c, cluster.Bootstrap(), name)
	o.Partitions = partitions
	running := runShipper(ctx, t, o)
	steps := []func() error{
		func() error { return nil },
		func() error { return killLeader(ctx, t, cluster, name) },
		func() error { running.stop(t); running = runShipper(ctx, t, o); return nil },
		func() error { return cluster.Start(ctx, firstDead(cluster)) },
		func() error { return killLeader(ctx, t, cluster, name) },
		func() error { return cluster.Start(ctx, firstDead(cluster)) },
		func() error { return cluster.Pause(1 + rand.IntN(3)) },
		func() error { return errors.Join(cluster.Continue(1), cluster.Continue(2), cluster.Continue(3)) },
	}
	for _, step := range steps {
		load(t, c, 1500*time.Millisecond, func() {
			if err := step(); err != nil {
				t.Error(err)
			}
		})
	}
	running.stop(t)
	if err := c.writer.Close(); err != nil {
		t.Fatal(err)
	}
	shipAll(ctx, t, o)
	repeated := c.check(ctx, t, cluster.Bootstrap(), name)
	t.Logf("%d events, %d repeated and dropped by the readers' rule; retries %v, renewals %d", c.count, repeated, running.Stats().Retries, running.Stats().Renewals)
}

// load appends at about 4,000 events a second for a while, with something happening meanwhile, and until that has happened.
func load(t *testing.T, c *clicks, length time.Duration, meanwhile func()) {
	t.Helper()
	happened := make(chan struct{})
	go func() {
		defer close(happened)
		meanwhile()
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(length); ; {
		<-tick.C
		c.add(t, 20)
		if time.Now().After(end) {
			select {
			case <-happened:
				return
			default:
			}
		}
	}
}

// killLeader kills the leader of partition 0. While none is elected, there is none to kill: it waits.
func killLeader(ctx context.Context, t *testing.T, cluster *Cluster, name string) error {
	for {
		leader, err := cluster.Leader(ctx, name, 0)
		if err == nil {
			return cluster.Kill(leader)
		}
		if ctx.Err() != nil {
			return err
		}
	}
}

func firstDead(cluster *Cluster) int {
	running := map[int]bool{}
	for _, n := range cluster.Running() {
		running[n] = true
	}
	for n := 1; n <= 3; n++ {
		if !running[n] {
			return n
		}
	}
	return 0
}

type runningShipper struct {
	*ship.Shipper
	cancel context.CancelFunc
	ended  chan error
}

func runShipper(ctx context.Context, t *testing.T, o ship.Options) *runningShipper {
	t.Helper()
	s, err := ship.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &runningShipper{s, cancel, make(chan error, 1)}
	go func() { r.ended <- s.Run(ctx) }()
	return r
}

func (r *runningShipper) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
}

// BenchmarkShip ships 300,000 events of a full journal to one node, with everything on this machine's cores.
func BenchmarkShip(b *testing.B) {
	const events, partitions = 300_000, 8
	cluster := startTest(b, Options{})
	for _, compression := range []ship.Compression{ship.None, ship.Snappy, ship.LZ4, ship.Zstd} {
		b.Run("compression="+string(compression), func(b *testing.B) {
			name := fmt.Sprintf("bench.%s.%d", compression, b.N)
			if err := cluster.CreateTopic(b.Context(), name, partitions, nil); err != nil {
				b.Fatal(err)
			}
			var sent, bytes float64
			for b.Loop() {
				b.StopTimer()
				c := newClicks(b, partitions)
				c.add(b, events)
				if err := c.writer.Close(); err != nil {
					b.Fatal(err)
				}
				o := shipOptions(b, c, cluster.Bootstrap(), name)
				o.Compression = compression
				b.StartTimer()
				st := shipAll(b.Context(), b, o)
				sent, bytes = sent+float64(st.Records), bytes+float64(st.SentBytes)
			}
			b.ReportMetric(sent/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(bytes/sent, "bytes/event")
		})
	}
}
