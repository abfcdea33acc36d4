package ship

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/segmentio/kafka-go"

	"waypost/edge/event"
)

// fakeBroker keeps logs as a leader does: it checks producer id and sequence as Kafka's idempotence does, and fails in every way that a cluster can. The real
// broker's tests are in bench/kafka.
type fakeBroker struct {
	mu         sync.Mutex
	random     *rand.Rand
	logs       [][]decoded
	next       []map[producer]int32 // the sequence expected of each producer
	last       []map[producer]int32 // the sequence of the last batch taken
	producers  int64
	faults     float64 // share of requests that fail
	down       map[int]bool
	answers    map[int]error // what a partition answers always
	poison     string        // a record whose value ends in it is invalid
	largest    int           // bytes of a batch; 0: any
	produced   chan struct{} // told of each batch stored, when somebody listens
	violations []string
}

var errConnection = errors.New("connection reset")

func newFakeBroker(partitions int, seed uint64) *fakeBroker {
	f := &fakeBroker{random: rand.New(rand.NewPCG(seed, 0)), logs: make([][]decoded, partitions), down: map[int]bool{}, answers: map[int]error{},
		produced: make(chan struct{}, 1)}
	for range partitions {
		f.next = append(f.next, map[producer]int32{})
		f.last = append(f.last, map[producer]int32{})
	}
	return f
}

func (f *fakeBroker) close() {}

func (f *fakeBroker) partitions(context.Context) (int, error) { return len(f.logs), nil }

func (f *fakeBroker) newProducer(context.Context) (producer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault() {
		return producer{}, kafka.GroupLoadInProgress
	}
	f.producers++
	return producer{f.producers, 0}, nil
}

func (f *fakeBroker) fault() bool { return f.random.Float64() < f.faults }

func (f *fakeBroker) produce(ctx context.Context, p int, wire []byte) (int64, error) {
	err := f.take(ctx, p, wire)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		return f.logs[p][len(f.logs[p])-1].offset, nil
	}
	return -1, err
}

func (f *fakeBroker) take(ctx context.Context, p int, wire []byte) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	d, err := decode(wire)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.violations = append(f.violations, fmt.Sprintf("a batch that cannot be read: %v", err))
		return kafka.InvalidMessage
	}
	if f.down[p] {
		return kafka.LeaderNotAvailable
	}
	if err := f.answers[p]; err != nil {
		return err
	}
	if f.fault() {
		switch f.random.IntN(4) {
		case 0:
			return kafka.NotLeaderForPartition
		case 1:
			return errConnection
		case 2: // the cluster forgets its producers
			f.next[p], f.last[p] = map[producer]int32{}, map[producer]int32{}
			f.next[p][d.who] = -1
		case 3: // stored, and the answer is lost
			_ = f.store(p, d, len(wire))
			return context.DeadlineExceeded
		}
	}
	return f.store(p, d, len(wire))
}

func (f *fakeBroker) store(p int, d decoded, size int) error {
	want, known := f.next[p][d.who]
	switch {
	case known && want == -1:
		return kafka.UnknownProducerId
	case known && d.sequence == f.last[p][d.who] && d.sequence != want:
		return kafka.DuplicateSequenceNumber
	case known && d.sequence != want, !known && d.sequence != 0:
		return kafka.OutOfOrderSequenceNumber
	case f.largest > 0 && size > f.largest:
		return kafka.MessageSizeTooLarge
	}
	for _, v := range d.values {
		if f.poison != "" && strings.HasSuffix(v, f.poison) {
			return kafka.InvalidRecord
		}
	}
	f.last[p][d.who] = d.sequence
	f.next[p][d.who] = nextSequence(d.sequence, len(d.keys))
	if n := len(f.logs[p]); n > 0 {
		before := f.logs[p][n-1]
		d.offset = before.offset + int64(len(before.keys))
	}
	f.logs[p] = append(f.logs[p], d)
	select {
	case f.produced <- struct{}{}:
	default:
	}
	return nil
}

func (f *fakeBroker) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// read gives what a reader by the rule sees of each partition, and how many records the rule dropped.
func (f *fakeBroker) read() (partitions [][]string, repeated int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, log := range f.logs {
		var rule event.ReadersRule
		var values []string
		for _, d := range log {
			for _, v := range d.values {
				id, err := event.ParseID([]byte(v[:33]))
				if err != nil {
					f.violations = append(f.violations, err.Error())
					continue
				}
				if rule.Fresh(id) {
					values = append(values, v)
				} else {
					repeated++
				}
			}
		}
		partitions = append(partitions, values)
	}
	return partitions, repeated
}
