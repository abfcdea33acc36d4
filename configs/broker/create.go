package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"
)

// Create makes a topic as its contract says. kafka.TopicAlreadyExists where there is one, whatever it is like: what exists is never changed.
func (c *Cluster) Create(ctx context.Context, t Topic) error {
	// kafka-go waits for the new topic to be known without end.
	ctx, cancel := context.WithTimeout(ctx, 2*c.settings.RequestTimeout)
	defer cancel()
	config := kafka.TopicConfig{Topic: t.Name, NumPartitions: t.Partitions, ReplicationFactor: t.Replication}
	for _, s := range t.Settings {
		config.ConfigEntries = append(config.ConfigEntries, kafka.ConfigEntry{ConfigName: s.Name, ConfigValue: s.Want})
	}
	response, err := c.Client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{config}})
	if err == nil {
		err = response.Errors[t.Name]
	}
	var code kafka.Error
	if errors.As(err, &code) && (code == kafka.TopicAuthorizationFailed || code == kafka.ClusterAuthorizationFailed) {
		return fmt.Errorf("%w: Create on the cluster or on this topic", err)
	}
	return err
}
