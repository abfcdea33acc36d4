package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/segmentio/kafka-go"
)

// errNobody says that no node answers.
var errNobody = errors.New("kafka: no node answers")

// awaitNode waits until the node knows at least so many brokers.
func (c *Cluster) awaitNode(ctx context.Context, n, brokers int) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if c.PID(n) == 0 {
			return fmt.Errorf("kafka: node %d ended: %s", n, c.lastLines(n))
		}
		m, err := c.metadata(ctx, n)
		if err == nil && len(m.Brokers) >= brokers && knows(m, n) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("kafka: node %d is not ready: %w; its last words: %s", n, ctx.Err(), c.lastLines(n))
		}
	}
}

func knows(m *kafka.MetadataResponse, n int) bool {
	for _, b := range m.Brokers {
		if b.ID == n {
			return true
		}
	}
	return false
}

// client talks to one node, with nothing remembered of earlier answers: kafka-go answers Metadata out of its transport's memory.
func (c *Cluster) client(n int) (*kafka.Client, func()) {
	transport := &kafka.Transport{ClientID: "waypost-bench", DialTimeout: 10 * time.Second}
	client := &kafka.Client{Addr: kafka.TCP(c.Bootstrap()[n-1]), Timeout: 10 * time.Second, Transport: transport}
	return client, transport.CloseIdleConnections
}

func (c *Cluster) metadata(ctx context.Context, n int, topics ...string) (*kafka.MetadataResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	client, done := c.client(n)
	defer done()
	return client.Metadata(ctx, &kafka.MetadataRequest{Topics: topics})
}

// each asks the running nodes one after the other until one answers.
func (c *Cluster) each(ask func(n int) error) error {
	err := errNobody
	for _, n := range c.Running() {
		if err = ask(n); err == nil {
			return nil
		}
	}
	return err
}

// Leader is the node that leads a partition now; an error while there is none.
func (c *Cluster) Leader(ctx context.Context, topic string, partition int) (int, error) {
	leader := 0
	err := c.each(func(n int) error {
		m, err := c.metadata(ctx, n, topic)
		if err != nil {
			return err
		}
		for _, t := range m.Topics {
			for _, p := range t.Partitions {
				if t.Name == topic && p.ID == partition && p.Leader.ID > 0 {
					leader = p.Leader.ID
					return nil
				}
			}
		}
		return fmt.Errorf("kafka: no leader of %s/%d", topic, partition)
	})
	return leader, err
}

// Controller is the node that leads the controllers' quorum: the metadata request cannot tell, it names any broker in KRaft mode. Each node keeps the last
// leader that it knows in a file; the highest epoch is right.
func (c *Cluster) Controller() (int, error) {
	type quorum struct {
		Leader int `json:"leaderId"`
		Epoch  int `json:"leaderEpoch"`
	}
	best := quorum{Leader: -1, Epoch: -1}
	for n := range c.state.Ports {
		text, err := os.ReadFile(filepath.Join(nodeDir(c.state.Options.Dir, n+1), "data", "__cluster_metadata-0", "quorum-state"))
		if err != nil {
			continue // being replaced, or not begun
		}
		var q quorum
		if json.Unmarshal(text, &q) == nil && q.Epoch > best.Epoch && q.Leader > 0 {
			best = q
		}
	}
	if best.Leader < 1 {
		return 0, errors.New("kafka: no controller is elected")
	}
	return best.Leader, nil
}

// CreateTopic makes a topic with as many replicas as there are nodes, and waits until every running node knows a leader of every partition.
func (c *Cluster) CreateTopic(ctx context.Context, topic string, partitions int, settings map[string]string) error {
	config := kafka.TopicConfig{Topic: topic, NumPartitions: partitions, ReplicationFactor: len(c.state.Ports)}
	for name, value := range settings {
		config.ConfigEntries = append(config.ConfigEntries, kafka.ConfigEntry{ConfigName: name, ConfigValue: value})
	}
	err := c.each(func(n int) error {
		client, done := c.client(n)
		defer done()
		response, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{config}})
		if err != nil {
			return err
		}
		return response.Errors[topic]
	})
	if err != nil {
		return fmt.Errorf("kafka: creating topic %s: %w", topic, err)
	}
	for _, n := range c.Running() {
		if err := c.awaitTopic(ctx, n, topic, partitions); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) awaitTopic(ctx context.Context, n int, topic string, partitions int) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		m, err := c.metadata(ctx, n, topic)
		led := 0
		if err == nil && len(m.Topics) == 1 {
			for _, p := range m.Topics[0].Partitions {
				if p.Leader.ID > 0 {
					led++
				}
			}
		}
		if led == partitions {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("kafka: topic %s has leaders for %d of %d partitions: %w", topic, led, partitions, ctx.Err())
		}
	}
}
