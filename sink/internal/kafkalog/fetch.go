// Package kafkalog reads partitions of Kafka's topics as logs: where one begins and ends, and what stands in it from an offset on. It reads the broker's raw answers,
// because kafka-go's own decoding loses the time at which the broker appended a batch, and which transactions were aborted.
package kafkalog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	fetchapi "github.com/segmentio/kafka-go/protocol/fetch"

	"waypost/configs/broker"
)

const (
	fetchVersion = 11
	fetchBytes   = 4 << 20 // of one answer; a larger batch comes whole all the same
	smallBytes   = 256 << 10
	maxAnswer    = 256 << 20
	fetchWait    = 250 * time.Millisecond // how long a broker holds an answer that would be empty
)

// Fetched is one answer to a fetch.
type Fetched struct {
	Messages []Message
	Next     int64 // where to go on
	End      int64 // the offset behind the last record that may be read
}

// Span is where a partition's log begins and ends: the first offset in it, and the one behind the last.
type Span struct{ First, End int64 }

// Log is what is asked of Kafka for one partition: the real one, or a test's.
type Log interface {
	// Fetch waits a little for records at the offset.
	Fetch(ctx context.Context, topic string, partition int, offset int64) (Fetched, error)
	// Span gives where the partition begins and ends now.
	Span(ctx context.Context, topic string, partition int) (Span, error)
	// Partitions gives the topic's number of partitions.
	Partitions(ctx context.Context, topic string) (int, error)
}

// New gives the logs of a cluster.
func New(c *broker.Cluster, clientID string) Timed { return &cluster{c, clientID, fetchBytes} }

// NewSmall is New with small answers, for those of whom there may be many.
func NewSmall(c *broker.Cluster, clientID string) Timed { return &cluster{c, clientID, smallBytes} }

// cluster is the real log.
type cluster struct {
	*broker.Cluster
	clientID string
	bytes    int32 // of one answer
}

func (c *cluster) Fetch(ctx context.Context, topic string, partition int, offset int64) (Fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Client.Timeout+fetchWait)
	defer cancel()
	request := &fetchRequest{clientID: c.clientID, Request: fetchapi.Request{
		ReplicaID: -1, MaxWaitTime: int32(fetchWait / time.Millisecond), MinBytes: 1, MaxBytes: c.bytes, IsolationLevel: 1, SessionID: 0, SessionEpoch: -1,
		Topics: []fetchapi.RequestTopic{{Topic: topic, Partitions: []fetchapi.RequestPartition{{
			Partition: int32(partition), CurrentLeaderEpoch: -1, FetchOffset: offset, LogStartOffset: -1, PartitionMaxBytes: c.bytes,
		}}}},
	}}
	m, err := c.Transport.RoundTrip(ctx, c.Client.Addr, request)
	if err != nil {
		return Fetched{}, fmt.Errorf("fetch %s/%d: %w", topic, partition, err)
	}
	answer, ok := m.(*fetchAnswer)
	if !ok {
		return Fetched{}, errAnswer
	}
	if answer.fault != 0 {
		return Fetched{}, fmt.Errorf("fetch %s/%d at %d: %w", topic, partition, offset, answer.fault)
	}
	f := Fetched{End: answer.end}
	f.Messages, f.Next, err = readSet(nil, answer.records, offset, answer.gaveUp)
	if err != nil {
		return Fetched{}, fmt.Errorf("%s/%d at %d: %w", topic, partition, f.Next, err)
	}
	return f, nil
}

func (c *cluster) Span(ctx context.Context, topic string, partition int) (Span, error) {
	response, err := c.Client.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics:         map[string][]kafka.OffsetRequest{topic: {kafka.FirstOffsetOf(partition), kafka.LastOffsetOf(partition)}},
		IsolationLevel: kafka.ReadCommitted,
	})
	if err != nil {
		return Span{}, fmt.Errorf("offsets of %s/%d: %w", topic, partition, err)
	}
	for _, p := range response.Topics[topic] {
		if p.Partition == partition {
			if p.Error != nil {
				return Span{}, fmt.Errorf("offsets of %s/%d: %w", topic, partition, p.Error)
			}
			return Span{p.FirstOffset, p.LastOffset}, nil
		}
	}
	return Span{}, fmt.Errorf("offsets of %s/%d: %w", topic, partition, errAnswer)
}

func (c *cluster) Partitions(ctx context.Context, topic string) (int, error) {
	response, err := c.Client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return 0, fmt.Errorf("topic %s: %w", topic, err)
	}
	for _, t := range response.Topics {
		if t.Name == topic && t.Error != nil {
			return 0, fmt.Errorf("topic %s: %w", topic, t.Error)
		}
		if t.Name == topic && len(t.Partitions) > 0 {
			return len(t.Partitions), nil
		}
	}
	return 0, fmt.Errorf("topic %s: %w", topic, kafka.UnknownTopicOrPartition)
}

// errAnswer says that an answer is none of the protocol.
var errAnswer = errors.New("kafka: answer not readable")

// fetchRequest is a fetch whose answer's records stay bytes. kafka-go's own decoding loses the time at which the broker appended a batch, and which transactions
// were aborted.
type fetchRequest struct {
	fetchapi.Request
	clientID string
}

// Required makes the transport call RawExchange.
func (*fetchRequest) Required(map[protocol.ApiKey]int16) bool { return true }

// RawExchange writes the request and reads its answer.
func (r *fetchRequest) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	// A connection carries one request at a time, so the number that ties an answer to its request need not change.
	const correlation = 1
	if err := protocol.WriteRequest(rw, fetchVersion, correlation, r.clientID, &r.Request); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(rw, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxAnswer {
		return nil, errAnswer
	}
	answer := make([]byte, n)
	if _, err := io.ReadFull(rw, answer); err != nil {
		return nil, err
	}
	return parseAnswer(answer)
}

// fetchAnswer is the part of one partition in an answer.
type fetchAnswer struct {
	fault   kafka.Error // 0: none
	end     int64
	gaveUp  []aborted
	records []byte
}

// ApiKey is Kafka's number of the request.
func (*fetchAnswer) ApiKey() protocol.ApiKey { return protocol.Fetch } //nolint:revive // kafka-go's name

// parseAnswer reads version 11 of the answer, for one topic and one partition.
func parseAnswer(b []byte) (*fetchAnswer, error) {
	f := fields{b}
	f.take(4 + 4) // correlation, throttle
	whole := kafka.Error(int16(f.number(2)))
	f.take(4) // session
	if f.number(4) != 1 {
		if whole != 0 {
			return &fetchAnswer{fault: whole}, nil //nolint:nilerr // an answer, whose connection is good
		}
		return nil, errAnswer
	}
	f.take(int(f.number(2))) // topic
	if f.number(4) != 1 {
		return nil, errAnswer
	}
	f.take(4) // partition
	code := kafka.Error(int16(f.number(2)))
	f.take(8) // high watermark
	answer := &fetchAnswer{end: f.number(8)}
	f.take(8) // log start
	for n := int32(f.number(4)); n > 0 && len(f.rest) >= 16; n-- {
		answer.gaveUp = append(answer.gaveUp, aborted{f.number(8), f.number(8)})
	}
	f.take(4) // preferred replica
	if n := int32(f.number(4)); n > 0 {
		answer.records = f.take(int(n))
	}
	switch {
	case f.rest == nil:
		return nil, errAnswer
	case whole != 0:
		answer.fault = whole
	case code != 0:
		answer.fault = code
	}
	return answer, nil
}

// fields cuts an answer; beyond its end everything is zero, and rest is nil.
type fields struct{ rest []byte }

func (f *fields) take(n int) []byte {
	if n < 0 || n > len(f.rest) {
		f.rest = nil
		return nil
	}
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b
}

// number is big endian, of 2, 4 or 8 bytes, unsigned below 8.
func (f *fields) number(bytes int) int64 {
	var v uint64
	for _, b := range f.take(bytes) {
		v = v<<8 | uint64(b)
	}
	return int64(v)
}

// Wait waits for d between two tries, or until ctx is done.
func Wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
