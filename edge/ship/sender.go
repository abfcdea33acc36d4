package ship

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// sender brings one partition's batches to its leader, one after the other. Run by one goroutine; the reader asks failingSince only.
type sender struct {
	partition int
	broker    broker
	producers *producers
	squeeze   compressor
	refused   *sideFile
	counts    *counters
	log       *throttled
	pauses    pauses
	explain   func(error) string

	queue chan *batch   // from the reader; never more than a partition's batches, so that the reader never waits for it
	done  chan<- *batch // to the reader: acknowledged

	who      producer
	known    bool  // who is valid
	sequence int32 // of the next batch

	failing atomic.Int64 // since when attempts fail, Unix nanoseconds; 0: they do not
	trouble atomic.Pointer[string]
}

// pauses between attempts.
type pauses struct {
	first, last time.Duration // doubled from first to last
	stuck       time.Duration // where only a person can help
}

var usualPauses = pauses{first: 50 * time.Millisecond, last: time.Second, stuck: 5 * time.Second}

// run sends what comes until the queue is closed or ctx is done. What was not acknowledged then is not told: it is sent again in the next life.
func (s *sender) run(ctx context.Context) {
	for b := range s.queue {
		if s.deliver(ctx, b) != nil {
			return
		}
		s.done <- b
	}
}

// deliver returns nil when every record of b is acknowledged, or refused for good and put aside.
func (s *sender) deliver(ctx context.Context, b *batch) error {
	begun := time.Now()
	if err := s.prepare(ctx, b, begun); err != nil {
		return err
	}
	for wait := s.pauses.first; ; wait = min(2*wait, s.pauses.last) {
		_, err := s.broker.produce(ctx, b.partition, b.wire)
		v := judge(err)
		if v == acknowledged {
			s.taken(b, begun)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.failed(err)
		switch v {
		case anew:
			s.known = false
			s.producers.spoil(s.who)
			s.counts.renewed.Add(1)
			if err := s.prepare(ctx, b, begun); err != nil {
				return err
			}
		case halve, refused:
			return s.split(ctx, b, err)
		case stuck:
			wait = s.pauses.stuck
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// prepare seals b under the partition's producer and sequence; that is the one form in which it is sent until the brokers forget the producer.
func (s *sender) prepare(ctx context.Context, b *batch, now time.Time) error {
	for wait := s.pauses.first; !s.known; wait = min(2*wait, s.pauses.last) {
		who, err := s.producers.get(ctx)
		if err == nil {
			s.who, s.known, s.sequence = who, true, 0
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.failed(err)
		if judge(err) == stuck {
			wait = s.pauses.stuck
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
	b.seal(s.squeeze, s.who, s.sequence, now)
	return nil
}

func (s *sender) taken(b *batch, begun time.Time) {
	s.sequence = nextSequence(s.sequence, b.count)
	s.recovered()
	s.counts.acknowledged(b, time.Since(begun))
}

func (s *sender) recovered() {
	s.failing.Store(0)
	s.trouble.Store(nil)
}

func (s *sender) failed(err error) {
	s.failing.CompareAndSwap(0, time.Now().UnixNano())
	why := s.explain(err)
	text := fmt.Sprintf("partition %d: %s", s.partition, why)
	s.trouble.Store(&text)
	s.counts.retry(reason(err))
	s.log.say(slog.LevelWarn, "not acknowledged: trying again", "partition", s.partition, "error", why)
}

// failingFor is how long attempts have been failing.
func (s *sender) failingFor(now time.Time) time.Duration {
	since := s.failing.Load()
	if since == 0 {
		return 0
	}
	return now.Sub(time.Unix(0, since))
}

// split delivers the halves of a batch that was not taken as it is: none of it was stored, so the sequence goes on as if it had never been sent. One record
// alone is put aside.
func (s *sender) split(ctx context.Context, b *batch, cause error) error {
	if b.count == 1 {
		if err := s.aside(ctx, b, cause); err != nil {
			return err
		}
		s.recovered()
		return nil
	}
	first, second, err := b.halves()
	if err != nil {
		return err
	}
	if err := s.deliver(ctx, first); err != nil {
		return err
	}
	return s.deliver(ctx, second)
}

// aside writes a record that Kafka will never take to the side file, and does not go on before it is there.
func (s *sender) aside(ctx context.Context, b *batch, cause error) error {
	for {
		err := s.refused.write(b, cause)
		if err == nil {
			s.counts.refused.Add(1)
			s.log.say(slog.LevelError, "the brokers refuse a record for good: it is in the side file", "partition", s.partition, "reason", reason(cause))
			return nil
		}
		if errors.Is(err, errRecords) {
			return err
		}
		s.failed(err)
		if err := pause(ctx, s.pauses.stuck); err != nil {
			return err
		}
	}
}

// pause waits for about d: between half of it and all of it, so that the partitions do not ask in step.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d/2 + rand.N(d/2+1))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// producers hands out the producer id that all partitions share, and a new one when somebody found it spoilt.
type producers struct {
	broker broker
	mu     sync.Mutex
	now    producer
	good   bool
}

func (p *producers) get(ctx context.Context) (producer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.good {
		return p.now, nil
	}
	who, err := p.broker.newProducer(ctx)
	if err == nil {
		p.now, p.good = who, true
	}
	return who, err
}

func (p *producers) spoil(who producer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now == who {
		p.good = false
	}
}
