package load

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"waypost/bench/kafka"
	"waypost/configs"
)

// shippingPartitions are those of the topic that an edge ships to.
const shippingPartitions = 12

// startBroker starts a Kafka of one node in dir, with the topic that an edge ships to.
func startBroker(ctx context.Context, dir, jars string) (*kafka.Cluster, error) {
	cluster, err := kafka.Start(ctx, kafka.Options{Dir: filepath.Join(dir, "kafka"), Jars: jars, Yielding: true})
	if err != nil {
		return nil, err
	}
	topic := configs.DefaultKafka().Topics.Events
	if err := cluster.CreateTopic(ctx, topic, shippingPartitions, map[string]string{"message.timestamp.type": "LogAppendTime"}); err != nil {
		_ = cluster.Close()
		return nil, err
	}
	return cluster, nil
}

// startShippingEdge is startEdge for one whose journal is given back by its own shipper to the cluster.
func startShippingEdge(ctx context.Context, dir, path string, core int, segmentBytes int64, cluster *kafka.Cluster) (*edge, error) {
	return startEdgeWith(ctx, dir, path, core, fmt.Sprintf(`listen: 127.0.0.1:0
admin: 127.0.0.1:0
keys: link.keys
tenants: tenants.yaml
journal: {dir: journal, keep_bytes: 0, segment_bytes: %d, consumers: [%s]}
kafka: {brokers: ["%s"], replication: 1, min_insync: 1, partitions: %d}
`, segmentBytes, configs.Shipper, strings.Join(cluster.Bootstrap(), `", "`), shippingPartitions))
}

// lag is how many bytes of the edge's journal the broker does not have yet.
func (e *edge) lag(ctx context.Context) (float64, error) {
	return scrape(ctx, e.admin, "waypost_edge_journal_lag_bytes", `consumer="`+configs.Shipper+`"`)
}

// shipped waits until the broker has everything.
func (e *edge) shipped(ctx context.Context) error {
	for {
		lag, err := e.lag(ctx)
		if err != nil || lag == 0 {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// enterShippingEdge enters an edge that ships to a broker of its own. The broker gets the cores of the given ones that are left over; where there is none it
// shares the generator's.
func (l *lineup) enterShippingEdge(ctx context.Context, jars string, cores []int) error {
	cluster, err := startBroker(ctx, l.dir, jars)
	if err != nil {
		return err
	}
	l.closers = append(l.closers, func() { _ = cluster.Close() })
	var others unix.CPUSet
	for _, core := range cores {
		if core != l.serverCore && core != l.generatorCore {
			others.Set(core)
		}
	}
	place := "on the generator's core"
	if others.Count() > 0 {
		place = fmt.Sprintf("on %d other cores", others.Count())
		if err := setAffinity(cluster.PID(1), &others); err != nil {
			return err
		}
	}
	dir := filepath.Join(l.dir, "edge-kafka")
	if err := copyKeys(filepath.Join(l.dir, "edge"), dir); err != nil { // the same links are for all
		return err
	}
	e, err := startShippingEdge(ctx, dir, l.path, l.serverCore, l.segmentBytes, cluster)
	if err != nil {
		return err
	}
	l.closers = append(l.closers, e.stop)
	c := l.edgeContestant("edge-kafka", fmt.Sprintf("the same, and ships to Kafka (%s), whose broker is %s", configs.DefaultKafka().Compression, place), e)
	c.settle = e.shipped
	if others.Count() == 0 {
		c.yielding = func() int { return cluster.PID(1) }
	}
	return l.enter(c)
}
