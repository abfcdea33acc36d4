package ship

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/sasl"
)

// broker is what a shipper asks of Kafka. Errors of produce are judged by judge.
type broker interface {
	// partitions gives the topic's number of partitions.
	partitions(ctx context.Context) (int, error)
	// newProducer gives a producer id that nobody has used.
	newProducer(ctx context.Context) (producer, error)
	// produce sends one sealed batch (with its length in front) to the partition's leader and waits until all in-sync replicas have it. The offset is that of
	// its first record.
	produce(ctx context.Context, partition int, wire []byte) (offset int64, err error)
	close()
}

// Connection is how Kafka is reached.
type Connection struct {
	Brokers  []string // host:port, some of the cluster
	ClientID string
	Topic    string
	TLS      *tls.Config    // nil: plain
	SASL     sasl.Mechanism // nil: none
	Timeout  time.Duration  // of one request; 10 s

	// Client is a way to the cluster that is there already: it goes before Brokers, ClientID, TLS, SASL and Timeout, and stays its owner's. Its transport's MetadataTTL
	// bounds how fast a new leader is found.
	Client *kafka.Client
}

// cluster is the real broker.
type cluster struct {
	Connection
	client    *kafka.Client
	transport *kafka.Transport // nil: the client is another's
}

func dial(c Connection) *cluster {
	if c.Client != nil {
		return &cluster{c, c.Client, nil}
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	// kafka-go looks for new leaders only when its metadata is old.
	t := &kafka.Transport{ClientID: c.ClientID, MetadataTTL: time.Second, DialTimeout: min(c.Timeout, 5*time.Second), TLS: c.TLS, SASL: c.SASL}
	return &cluster{c, &kafka.Client{Addr: kafka.TCP(c.Brokers...), Timeout: c.Timeout, Transport: t}, t}
}

func (c *cluster) close() {
	if c.transport != nil {
		c.transport.CloseIdleConnections()
	}
}

func (c *cluster) partitions(ctx context.Context) (int, error) {
	m, err := c.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{c.Topic}})
	if err != nil {
		return 0, err
	}
	for _, t := range m.Topics {
		if t.Name == c.Topic && t.Error == nil && len(t.Partitions) > 0 {
			return len(t.Partitions), nil
		}
		if t.Name == c.Topic && t.Error != nil {
			return 0, t.Error
		}
	}
	return 0, kafka.UnknownTopicOrPartition
}

func (c *cluster) newProducer(ctx context.Context) (producer, error) {
	response, err := c.client.InitProducerID(ctx, &kafka.InitProducerIDRequest{})
	if err == nil {
		err = response.Error
	}
	if err != nil {
		return producer{}, err
	}
	return producer{int64(response.Producer.ProducerID), int16(response.Producer.ProducerEpoch)}, nil
}

func (c *cluster) produce(ctx context.Context, partition int, wire []byte) (int64, error) {
	response, err := c.client.RawProduce(ctx, &kafka.RawProduceRequest{
		Topic: c.Topic, Partition: partition, RequiredAcks: kafka.RequireAll, RawRecords: protocol.RawRecordSet{Reader: bytes.NewReader(wire)},
	})
	if err != nil {
		return 0, err
	}
	return response.BaseOffset, response.Error
}

// verdict says what is to be done after a produce.
type verdict int

const (
	acknowledged verdict = iota
	again                // with the same bytes
	anew                 // under a new producer id: the brokers do not know this one, or not this sequence
	halve                // too large together; a single record is refused
	refused              // one of the records is at fault: halve to find it
	stuck                // only a person can help: try now and then
)

// verdicts of Kafka's error codes. What is not named here is tried again.
var verdicts = map[kafka.Error]verdict{
	kafka.DuplicateSequenceNumber:            acknowledged,
	kafka.OutOfOrderSequenceNumber:           anew,
	kafka.InvalidProducerEpoch:               anew,
	kafka.InvalidProducerIDMapping:           anew,
	kafka.UnknownProducerId:                  anew,
	kafka.ProducerFenced:                     anew,
	kafka.MessageSizeTooLarge:                halve,
	kafka.RecordListTooLarge:                 halve,
	kafka.InvalidTimestamp:                   refused,
	kafka.InvalidRecord:                      refused,
	kafka.TopicAuthorizationFailed:           stuck,
	kafka.ClusterAuthorizationFailed:         stuck,
	kafka.TransactionalIDAuthorizationFailed: stuck,
	kafka.SASLAuthenticationFailed:           stuck,
	kafka.UnsupportedSASLMechanism:           stuck,
	kafka.IllegalSASLState:                   stuck,
	kafka.InvalidTopic:                       stuck,
	kafka.PolicyViolation:                    stuck,
	kafka.InvalidRequiredAcks:                stuck,
	kafka.UnsupportedForMessageFormat:        stuck,
	kafka.UnsupportedVersion:                 stuck,
	kafka.UnsupportedCompressionType:         stuck,
}

// judge says what an answer means. A broken connection or a timeout leaves open whether the batch was taken: the same bytes are sent again.
func judge(err error) verdict {
	if err == nil {
		return acknowledged
	}
	var code kafka.Error
	if errors.As(err, &code) {
		if v, named := verdicts[code]; named {
			return v
		}
		return again
	}
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return stuck
	}
	return again
}

// reason names an error for counters: Kafka's own title, or the kind of failure.
func reason(err error) string {
	var code kafka.Error
	switch {
	case errors.As(err, &code):
		return code.Title()
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	return "connection"
}
