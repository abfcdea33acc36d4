package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"waypost/bench/kafka"
	"waypost/bench/result"
	"waypost/edge/ship"
)

// KafkaCommand is `bench load kafka`.
type KafkaCommand struct {
	Events      int     `help:"Clicks in the journal." default:"500000"`
	Repeats     float64 `help:"Share of clicks that repeat an earlier one." default:"0.1"`
	Rounds      int     `help:"Each with fresh topics and a fresh store." default:"3"`
	Compression string  `help:"Of the batches: none, snappy, lz4, zstd." enum:"none,snappy,lz4,zstd" default:"snappy"`
	Seed        uint64  `help:"Of the clicks." default:"1"`
	JSON        string  `help:"Writes the report to this file too." placeholder:"FILE" type:"path"`
	Dir         string  `help:"Where journal, broker and store are while it runs." default:"var/load" type:"path"`
	Jars        string  `help:"Kafka's jars." default:"var/kafka/jars" type:"path"`
	Program     string  `name:"sink" help:"The sink to run, if not the one beside this program." placeholder:"PATH" type:"path"`
}

// KafkaReport is a run of `bench load kafka`, as --json writes it.
type KafkaReport struct {
	result.Head
	Compression string      `json:"compression"`
	Turns       []KafkaTurn `json:"turns"`
}

// KafkaTurn is one journal shipped whole to a broker of one node, and then decided by one sink, from Kafka into Kafka; all on the machine's cores, which nobody is kept from.
type KafkaTurn struct {
	Round           int     `json:"round"`
	Events          int     `json:"events"`
	Firsts          int     `json:"firsts"`
	BytesPerEvent   float64 `json:"bytes_per_event"` // as sent
	Shipped         float64 `json:"shipped_per_second"`
	ShipCPU         float64 `json:"ship_cpu_us"` // of the shipper, an event
	ShipBrokerCPU   float64 `json:"ship_broker_cpu_us"`
	Decided         float64 `json:"decided_per_second"` // 0: the sink had decided all before it was first asked
	DecideCPU       float64 `json:"decide_cpu_us"`      // of the sink, an event
	DecideBrokerCPU float64 `json:"decide_broker_cpu_us"`
}

// kafkaPartitions are each topic's.
const kafkaPartitions = 8

// Run measures and reports.
func (c *KafkaCommand) Run(ctx context.Context, k *kong.Context) error {
	return conduct(ctx, k, c.JSON, c.measure)
}

func (c *KafkaCommand) measure(ctx context.Context, progress io.Writer) (*KafkaReport, error) {
	if c.Events < 1 || c.Rounds < 1 || c.Repeats < 0 || c.Repeats >= 1 {
		return nil, errors.New("load: --events and --rounds must be at least 1, --repeats 0 to below 1")
	}
	path, err := program(c.Program, "sink")
	if err != nil {
		return nil, err
	}
	r := &KafkaReport{Head: result.Begin("bench load kafka"), Compression: c.Compression}
	r.Versions["sink"] = programVersion(path)
	dir, clear, err := workplace(c.Dir, "kafka-")
	if err != nil {
		return nil, err
	}
	defer clear()
	fmt.Fprintf(progress, "filling a journal with %d clicks\n", c.Events)
	j := filledJournal{dir: filepath.Join(dir, "journal"), events: c.Events}
	if j.last, j.firsts, err = prefill(j.dir, c.Events, c.Repeats, c.Seed); err != nil {
		return nil, err
	}
	fmt.Fprintln(progress, "starting Kafka")
	cluster, err := kafka.Start(ctx, kafka.Options{Dir: filepath.Join(dir, "kafka"), Jars: c.Jars})
	if err != nil {
		return nil, err
	}
	defer cluster.Close()
	for round := 1; round <= c.Rounds; round++ {
		t, err := c.turn(ctx, cluster, j, path, filepath.Join(dir, fmt.Sprintf("round-%d", round)), round)
		if err != nil {
			return nil, err
		}
		r.Turns = append(r.Turns, t)
		fmt.Fprintf(progress, "round %d/%d: shipped %.0f events/s, decided %.0f/s\n", round, c.Rounds, t.Shipped, t.Decided)
	}
	return r, nil
}

// turn ships the journal to fresh topics, and has a sink decide what stands there.
func (c *KafkaCommand) turn(ctx context.Context, cluster *kafka.Cluster, j filledJournal, path, dir string, round int) (KafkaTurn, error) {
	t := KafkaTurn{Round: round, Events: j.events, Firsts: j.firsts}
	prefix := fmt.Sprintf("load%d.", round)
	if err := c.settings(dir, prefix, cluster); err != nil {
		return t, err
	}
	sinkSettings := filepath.Join(dir, "sink.yaml")
	if out, err := exec.CommandContext(ctx, path, "topics", "create", "--config", sinkSettings).CombinedOutput(); err != nil {
		return t, fmt.Errorf("load: topics: %w: %s", err, out)
	}
	if err := c.ship(ctx, cluster, j, prefix+"events", dir, &t); err != nil {
		return t, err
	}
	return t, c.decide(ctx, cluster, j, path, sinkSettings, dir, &t)
}

func (c *KafkaCommand) settings(dir, prefix string, cluster *kafka.Cluster) error {
	return writeFiles(dir, map[string]string{"tenants.yaml": sinkTenants, "sink.yaml": fmt.Sprintf(`admin: 127.0.0.1:0
tenants: tenants.yaml
journals: []
store: store
group: %[1]ssink
kafka:
  brokers: ["%[2]s"]
  replication: 1
  min_insync: 1
  partitions: %[3]d
  compression: %[4]s
  topics: {events: %[1]sevents, unique: %[1]sunique, deliveries: %[1]sdeliveries, retry: %[1]sretry, dead: %[1]sdead}
`, prefix, strings.Join(cluster.Bootstrap(), `", "`), kafkaPartitions, c.Compression)})
}

// ship ships the whole journal from this process.
func (c *KafkaCommand) ship(ctx context.Context, cluster *kafka.Cluster, j filledJournal, topic, dir string, t *KafkaTurn) error {
	runtime.GC()
	shipper, err := ship.New(ship.Options{
		Connection: ship.Connection{Brokers: cluster.Bootstrap(), ClientID: "bench", Topic: topic}, Journal: j.dir, Dir: filepath.Join(dir, "ship"), Partitions: kafkaPartitions,
		Compression: ship.Compression(c.Compression), UntilEnd: true, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	took, own, broker, err := timed(os.Getpid(), cluster.PID(1), func() error { return shipper.Run(ctx) })
	if err != nil || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	stats := shipper.Stats()
	if int(stats.Records) != j.events {
		return fmt.Errorf("load: %d events were acknowledged; the journal holds %d", stats.Records, j.events)
	}
	t.BytesPerEvent = float64(stats.SentBytes) / float64(stats.Records)
	t.Shipped, t.ShipCPU, t.ShipBrokerCPU = perSecond(j.events, took), each(own, j.events), each(broker, j.events)
	return nil
}

// decide lets a sink with a fresh store come to the end of the topic. Its start and its joining the group do not count.
func (c *KafkaCommand) decide(ctx context.Context, cluster *kafka.Cluster, j filledJournal, path, settings, dir string, t *KafkaTurn) error {
	sink, err := startChild(ctx, everyCore, filepath.Join(dir, "sink.log"), "sink", path, "--config", settings)
	if err != nil {
		return err
	}
	defer sink.stop()
	admin, err := sink.origin("admin")
	if err != nil {
		return err
	}
	decided := func() int {
		n, _, err := decisions(ctx, admin)
		if err != nil {
			return 0
		}
		return int(n)
	}
	if err := sink.await(ctx, func() bool { return decided() > 0 }); err != nil {
		return err
	}
	from := decided()
	took, own, broker, err := timed(sink.pid(), cluster.PID(1), func() error { return sink.await(ctx, func() bool { return decided() >= j.events }) })
	if err != nil {
		return err
	}
	_, firsts, err := decisions(ctx, admin)
	if err != nil {
		return err
	}
	if firsts != int64(j.firsts) {
		return fmt.Errorf("load: the sink found %d firsts; the journal holds %d", firsts, j.firsts)
	}
	n := j.events - from
	t.Decided, t.DecideCPU, t.DecideBrokerCPU = perSecond(n, took), each(own, n), each(broker, n)
	return nil
}

// timed runs work, and gives its time and what it cost two processes.
func timed(one, two int, work func() error) (took, cpuOne, cpuTwo time.Duration, err error) {
	before := [2]usage{}
	for i, pid := range []int{one, two} {
		if before[i], err = readUsage(pid); err != nil {
			return 0, 0, 0, err
		}
	}
	begin := time.Now()
	if err := work(); err != nil {
		return 0, 0, 0, err
	}
	took = time.Since(begin)
	after := [2]usage{}
	for i, pid := range []int{one, two} {
		if after[i], err = readUsage(pid); err != nil {
			return 0, 0, 0, err
		}
	}
	cpu := func(i int) time.Duration { return after[i].user + after[i].system - before[i].user - before[i].system }
	return took, cpu(0), cpu(1), nil
}

// perSecond is 0 for no events: nothing was measured then.
func perSecond(n int, took time.Duration) float64 {
	if n == 0 {
		return 0
	}
	return float64(n) / took.Seconds()
}

// each is what one event cost, in microseconds; 0 for no events.
func each(cpu time.Duration, n int) float64 {
	if n == 0 {
		return 0
	}
	return float64(cpu) / 1e3 / float64(n)
}

// fault is nothing: a wrong decision ends the run.
func (r *KafkaReport) fault() error { return nil }

func (r *KafkaReport) writeTable(w io.Writer) error {
	fmt.Fprintln(w, r.Origin())
	fmt.Fprintf(w, "one broker, shipper and sink on the same %d cores, %d partitions, %s\n\n", r.Machine.Cores, kafkaPartitions, r.Compression)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "round\tevents\tfirsts\tbytes/event\tshipped/s\tCPU us\tbroker us\tdecided/s\tCPU us\tbroker us\t")
	for _, t := range r.Turns {
		fmt.Fprintf(table, "%d\t%d\t%d\t%.0f\t%.0f\t%.2f\t%.2f\t%.0f\t%.2f\t%.2f\t\n", t.Round, t.Events, t.Firsts, t.BytesPerEvent, t.Shipped, t.ShipCPU, t.ShipBrokerCPU,
			t.Decided, t.DecideCPU, t.DecideBrokerCPU)
	}
	return table.Flush()
}
