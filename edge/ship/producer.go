package ship

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
)

// Record is one record for a Producer. A Key or Value that is nil is Kafka's null (in a compacted topic, a null value deletes its key).
type Record struct {
	Key, Value []byte
	Headers    []Header
}

// Header of a record.
type Header struct {
	Key   string
	Value []byte
}

// ProducerOptions of a Producer. Zero values mean the defaults in the comments.
type ProducerOptions struct {
	Connection
	Compression Compression // snappy
	BatchBytes  int         // 512 KiB: records before compression; longer calls are sent in several batches. 1 KiB to 16 MiB
	// OnRetry is told of each attempt that failed and is repeated, from the calling goroutine: reason is Kafka's title of the error, "timeout" or "connection". Optional.
	OnRetry func(partition int, reason string, err error)

	pauses pauses
	broker broker // tests'
}

// UnknownOffset is what Produce gives when the leader says that it has the records, but not where.
const UnknownOffset = -1

// ErrRefused says that the brokers will never take a record: it is too large, or invalid. The records before it were taken, those behind it were not sent.
var ErrRefused = errors.New("ship: the brokers refuse a record for good")

// Producer writes records to one topic, and each once: a batch is repeated with identical bytes (producer id, epoch, sequence) until the leader has
// taken it, and a leader that has it already says so. Only brokers that forgot the producer make it send a batch under a new producer id, which may store it twice,
// with nothing of the partition behind it. Several goroutines may use it; calls for one partition run one after the other.
type Producer struct {
	o         ProducerOptions
	broker    broker
	producers producers

	mu    sync.Mutex
	lines map[int]*line
}

// line is what a Producer knows of one partition. Its turn is held by whoever sends.
type line struct {
	turn     chan struct{}
	squeeze  compressor
	batch    batch
	headers  []byte
	who      producer
	known    bool  // who is valid, and sequence is the next that its leader expects
	sequence int32 // of the next batch
}

// NewProducer checks the options. Nothing is dialled before the first Produce.
func NewProducer(o ProducerOptions) (*Producer, error) {
	if o.Topic == "" {
		return nil, errors.New("ship: Topic is required")
	}
	if len(o.Brokers) == 0 && o.Client == nil && o.broker == nil {
		return nil, errors.New("ship: Brokers or Client is required")
	}
	if _, err := newCompressor(o.Compression); err != nil {
		return nil, err
	}
	setDefault(&o.BatchBytes, 512<<10)
	if o.BatchBytes < 1<<10 || o.BatchBytes > 16<<20 {
		return nil, fmt.Errorf("ship: BatchBytes = %d: 1 KiB to 16 MiB", o.BatchBytes)
	}
	setDefault(&o.pauses, usualPauses)
	if o.OnRetry == nil {
		o.OnRetry = func(int, string, error) {}
	}
	p := &Producer{o: o, broker: o.broker, lines: map[int]*line{}}
	if p.broker == nil {
		p.broker = dial(o.Connection)
	}
	p.producers.broker = p.broker
	return p, nil
}

// Close ends the connections, unless they are those of a Client that was given. Calls under way end as their contexts say.
func (p *Producer) Close() { p.broker.close() }

// Produce returns when all in-sync replicas have the records, which keep their order. next is the offset behind the last of them, UnknownOffset when the leader
// did not tell. It tries on, with pauses, until ctx is done; then its error is ctx's, and the outcome is unknown: some, all or none may be in the topic, also later
// than the return. ErrRefused is the only other error.
func (p *Producer) Produce(ctx context.Context, partition int, records []Record) (next int64, err error) {
	l, err := p.line(partition)
	if err != nil {
		return UnknownOffset, err
	}
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return UnknownOffset, ctx.Err()
	}
	next = UnknownOffset
	for len(records) > 0 {
		n := l.fill(records, p.o.BatchBytes)
		if next, err = p.deliver(ctx, l, partition, records[:n]); err != nil {
			return UnknownOffset, err
		}
		records = records[n:]
	}
	return next, nil
}

func (p *Producer) line(partition int) (*line, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lines[partition]
	if l == nil {
		squeeze, err := newCompressor(p.o.Compression)
		if err != nil {
			return nil, err
		}
		l = &line{turn: make(chan struct{}, 1), squeeze: squeeze}
		p.lines[partition] = l
	}
	return l, nil
}

// fill encodes as many records as a batch may hold, at least one, and says how many.
func (l *line) fill(records []Record, batchBytes int) int {
	l.batch.reset()
	for i, r := range records {
		l.headers = appendHeaders(l.headers[:0], r.Headers)
		if i > 0 && len(l.batch.records)+len(r.Key)+len(r.Value)+len(l.headers)+32 > batchBytes {
			return i
		}
		l.batch.records = appendRecord(l.batch.records, i, r.Key, r.Value, l.headers)
		l.batch.count++
	}
	return len(records)
}

// deliver sends the batch that holds exactly records.
func (p *Producer) deliver(ctx context.Context, l *line, partition int, records []Record) (next int64, err error) {
	now := time.Now()
	sealed := false
	for wait := p.o.pauses.first; ; wait = min(2*wait, p.o.pauses.last) {
		offset := int64(UnknownOffset)
		if err = p.identify(ctx, l); err == nil {
			if !sealed {
				l.batch.seal(l.squeeze, l.who, l.sequence, now)
				sealed = true
			}
			offset, err = p.broker.produce(ctx, partition, l.batch.wire)
		}
		switch v := judge(err); {
		case v == acknowledged:
			l.sequence = nextSequence(l.sequence, len(records))
			if err == nil && offset >= 0 {
				return offset + int64(len(records)), nil
			}
			return UnknownOffset, nil // acknowledged as what it had already
		case ctx.Err() != nil:
			// The batch may have been taken, or be on its way. Its sequence must never stand on other records: they would pass for a repetition.
			p.forget(l)
			return UnknownOffset, ctx.Err()
		case v == halve, v == refused:
			return p.split(ctx, l, partition, records, err)
		case v == anew:
			p.forget(l)
			sealed = false
		case v == stuck:
			wait = p.o.pauses.stuck
		}
		p.o.OnRetry(partition, reason(err), err)
		if err := pause(ctx, wait); err != nil {
			p.forget(l)
			return UnknownOffset, err
		}
	}
}

// identify gives the line a producer id, with sequences from 0.
func (p *Producer) identify(ctx context.Context, l *line) error {
	if l.known {
		return nil
	}
	who, err := p.producers.get(ctx)
	if err == nil {
		l.who, l.known, l.sequence = who, true, 0
	}
	return err
}

func (p *Producer) forget(l *line) {
	if l.known {
		l.known = false
		p.producers.spoil(l.who)
	}
}

// split delivers the halves of records that were not taken together. A batch that is refused was not stored, so the sequence goes on as if it had never been sent.
func (p *Producer) split(ctx context.Context, l *line, partition int, records []Record, cause error) (next int64, err error) {
	if len(records) == 1 {
		return UnknownOffset, fmt.Errorf("%w: partition %d: %w", ErrRefused, partition, cause)
	}
	middle := len(records) / 2
	for _, half := range [][]Record{records[:middle], records[middle:]} {
		l.fill(half, math.MaxInt) // half of what fitted fits
		if next, err = p.deliver(ctx, l, partition, half); err != nil {
			return UnknownOffset, err
		}
	}
	return next, nil
}
