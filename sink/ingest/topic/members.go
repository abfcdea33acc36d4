package topic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/segmentio/kafka-go"

	"waypost/configs"
	"waypost/configs/broker"
	"waypost/configs/throttle"
	"waypost/edge/ship"
	"waypost/sink/internal/kafkalog"
	"waypost/sink/internal/metrics"
	"waypost/sink/internal/store"
)

// Options of a Member.
type Options struct {
	Kafka        configs.Kafka
	Group        string
	Dir          string // of the stores: Dir/partitions/N
	BatchRecords int
	Decisions    io.Writer // as ingest.Options'; writes of whole lines, by several goroutines
	Metrics      *metrics.Set
	Logger       *slog.Logger
	Failed       func(error)            // told when a store cannot be used
	Fatal        func(reason string)    // as store.Options'
	Trouble      func(reasons []string) // told whenever what keeps partitions from working has changed
	// Dispatch makes webhooks of what stands in unique. Optional.
	Dispatch Dispatch
}

// Dispatch works on the partitions of unique that belong to this member's partitions of the events.
type Dispatch interface {
	// Generation gives what is to be run until the generation ends; each function returns soon after its context does.
	Generation(id int32, member string, partitions []int) []func(context.Context)
}

// options are what all partitions share.
type options struct {
	Options
	Events, Unique string
	Cache          *pebble.Cache
	log            kafkalog.Log
	producer       producer
	trouble        *troubles
	alarms         throttle.Every
	count          int // of partitions; set before a generation's workers begin

	mu     sync.Mutex
	stores map[int]*store.Store // open now
}

// producer is what writes unique.
type producer interface {
	Produce(ctx context.Context, partition int, records []ship.Record) (next int64, err error)
}

// Member is one sink of the group.
type Member struct {
	options
	cluster *broker.Cluster
	writer  *ship.Producer
	lock    io.Closer
}

// Timing of the group. A sink that is gone is noticed after the session; one that leaves, at once.
const (
	heartbeat    = time.Second
	session      = 6 * time.Second // the least that brokers allow as they come: a partition whose sink died rests for so long
	rejoin       = time.Second
	groupTrouble = "group"
)

// New takes the directory and prepares the way to the brokers; nothing is dialled before Run.
func New(o Options) (*Member, error) {
	m := &Member{options: options{
		Options: o, Events: o.Kafka.Topics.Events, Unique: o.Kafka.Topics.Unique, trouble: &troubles{tell: o.Trouble}, stores: map[int]*store.Store{},
	}}
	var err error
	if m.lock, err = store.Lock(o.Dir); err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Join(o.Dir, "partitions"), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, errors.Join(fmt.Errorf("store: %w", err), m.lock.Close())
	}
	if m.cluster, err = broker.New(o.Kafka); err != nil {
		return nil, errors.Join(err, m.lock.Close())
	}
	m.log = kafkalog.New(m.cluster, o.Kafka.ClientID)
	m.writer, err = ship.NewProducer(ship.ProducerOptions{
		Connection:  ship.Connection{Client: m.cluster.Client, Topic: m.Unique},
		Compression: ship.Compression(o.Kafka.Compression), BatchBytes: int(o.Kafka.BatchBytes), OnRetry: m.produceRetry,
	})
	if err != nil {
		return nil, errors.Join(err, m.lock.Close())
	}
	m.producer, m.Cache = m.writer, store.NewCache(o.Kafka.Partitions)
	m.trouble.set(groupTrouble, "kafka: not yet a member of group "+o.Group)
	return m, nil
}

func (m *Member) produceRetry(partition int, reason string, err error) {
	m.Metrics.ProduceRetries.WithLabelValues(reason).Inc()
	m.trouble.set(produceTrouble(m.Unique, partition), fmt.Sprintf("partition %s/%d cannot be written: %v", m.Unique, partition, err))
	if held, ok := m.alarms.Allow(time.Now()); ok {
		m.Logger.Warn("produce failed: trying again", "topic", m.Unique, "partition", partition, "error", err, "held_back", held)
	}
}

// SetTrouble tells of something that keeps the sink from its work; reason "": it is over.
func (m *Member) SetTrouble(what, reason string) { m.trouble.set(what, reason) }

// Close gives the directory and the connections back. Run must have ended.
func (m *Member) Close() error {
	m.writer.Close()
	m.cluster.Close()
	m.Cache.Unref()
	return m.lock.Close()
}

// Run is a member of the group until ctx ends; then it leaves.
func (m *Member) Run(ctx context.Context) error {
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: m.Group, Brokers: m.Kafka.Brokers, Dialer: m.cluster.Dialer, Topics: []string{m.Events}, HeartbeatInterval: heartbeat, SessionTimeout: session,
		RebalanceTimeout: session, JoinGroupBackoff: rejoin, WatchPartitionChanges: true, PartitionWatchInterval: 5 * time.Second, Timeout: m.Kafka.RequestTimeout,
		StartOffset: kafka.FirstOffset, // kafka-go wants one; offsets are the stores'
	})
	if err != nil {
		return fmt.Errorf("kafka: group %s: %w", m.Group, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = group.Close() })
	defer func() {
		stop()
		_ = group.Close()
	}()
	for ctx.Err() == nil {
		generation, err := group.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			m.groupFault(err)
			continue
		}
		m.begin(ctx, generation)
	}
	return nil
}

// groupFault tells why we are no member now. kafka-go tries again by itself, after a pause.
func (m *Member) groupFault(err error) {
	m.trouble.set(groupTrouble, fmt.Sprintf("kafka: no member of group %s: %v", m.Group, err))
	level := slog.LevelWarn
	if errors.Is(err, kafka.RebalanceInProgress) {
		level = slog.LevelDebug
	}
	m.Logger.Log(context.Background(), level, "no member of the group: trying again", "group", m.Group, "error", err)
}

// begin starts what a generation gives us.
func (m *Member) begin(ctx context.Context, g *kafka.Generation) {
	var mine []int
	for _, a := range g.Assignments[m.Events] {
		mine = append(mine, a.ID)
	}
	slices.Sort(mine)
	m.Metrics.Generations.Inc()
	m.Metrics.Partitions.Set(float64(len(mine)))
	m.Logger.Info("generation begins", "group", m.Group, "generation", g.ID, "partitions", mine)
	if err := m.countPartitions(ctx); err != nil {
		m.trouble.set(groupTrouble, err.Error())
		m.Logger.Error("the generation is not worked in", "error", err)
		// A function that ends, ends the generation: the next one looks again.
		g.Start(func(ctx context.Context) { kafkalog.Wait(ctx, lastPause) })
		return
	}
	m.trouble.set(groupTrouble, "")
	for _, partition := range mine {
		g.Start(newWorker(&m.options, partition).run)
	}
	if m.Dispatch != nil {
		for _, run := range m.Dispatch.Generation(g.ID, g.MemberID, mine) {
			g.Start(run)
		}
	}
}

// countPartitions holds the topics against each other.
func (m *Member) countPartitions(ctx context.Context) error {
	events, err := m.log.Partitions(ctx, m.Events)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	unique, err := m.log.Partitions(ctx, m.Unique)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	if events != unique {
		m.Metrics.KafkaAlarms.WithLabelValues("partitions").Inc()
		return fmt.Errorf("kafka: %s has %d partitions and %s has %d: they must have the same number", m.Events, events, m.Unique, unique)
	}
	m.count = events
	return nil
}

// Measure sets the gauges that cost more than a load, and gives the bytes of the stores that are open.
func (m *Member) Measure() (bytes uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.stores {
		bytes += s.Metrics().DiskSpaceUsage()
	}
	return bytes
}

func (o *options) opened(partition int, s *store.Store) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s == nil {
		delete(o.stores, partition)
		return
	}
	o.stores[partition] = s
}

// StoreDir is where the store of a partition is.
func StoreDir(dir string, partition int) string {
	return filepath.Join(dir, "partitions", strconv.Itoa(partition))
}

func (o *options) dirOf(partition int) string { return StoreDir(o.Dir, partition) }

// troubles are the reasons for not being ready, each by what it is about.
type troubles struct {
	mu      sync.Mutex
	reasons map[string]string
	tell    func([]string)
}

// set replaces the reason for what; "" is none.
func (t *troubles) set(what, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reasons[what] == reason {
		return
	}
	if t.reasons == nil {
		t.reasons = map[string]string{}
	}
	t.reasons[what] = reason
	if reason == "" {
		delete(t.reasons, what)
	}
	if t.tell == nil {
		return
	}
	var all []string
	for _, reason := range t.reasons {
		all = append(all, reason)
	}
	slices.Sort(all)
	t.tell(all)
}

// Stores are the partitions that have a store under dir, in order.
func Stores(dir string) ([]int, error) {
	entries, err := os.ReadDir(filepath.Join(dir, "partitions"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", store.ErrMissing, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	var partitions []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && e.IsDir() && n >= 0 {
			partitions = append(partitions, n)
		}
	}
	slices.Sort(partitions)
	return partitions, nil
}
