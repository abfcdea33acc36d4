package kafkalog

import (
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
)

// Timed is a Log that also finds records by the time at which the brokers took them.
type Timed interface {
	Log
	// Since gives, for each of the topic's first so many partitions, the offset of the first record taken at that time (in milliseconds) or later; -1 where there is none.
	Since(ctx context.Context, topic string, partitions int, at time.Time) ([]int64, error)
}

func (c *cluster) Since(ctx context.Context, topic string, partitions int, at time.Time) ([]int64, error) {
	request := make([]kafka.OffsetRequest, partitions)
	for p := range request {
		request[p] = kafka.OffsetRequest{Partition: p, Timestamp: max(at.UnixMilli(), 0)} // below 0 they mean something else
	}
	response, err := c.Client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: request}, IsolationLevel: kafka.ReadCommitted})
	if err != nil {
		return nil, fmt.Errorf("offsets of %s: %w", topic, err)
	}
	offsets, answered := make([]int64, partitions), 0
	for _, p := range response.Topics[topic] {
		if p.Error != nil {
			return nil, fmt.Errorf("offsets of %s/%d: %w", topic, p.Partition, p.Error)
		}
		if p.Partition < 0 || p.Partition >= partitions || len(p.Offsets) != 1 {
			return nil, fmt.Errorf("offsets of %s: %w", topic, errAnswer)
		}
		for offset := range p.Offsets {
			offsets[p.Partition] = offset
		}
		answered++
	}
	if answered != partitions {
		return nil, fmt.Errorf("offsets of %s: %w", topic, errAnswer)
	}
	return offsets, nil
}
