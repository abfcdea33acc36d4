package ship

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"waypost/configs/throttle"
)

// Stats is a Shipper's state for metrics and readiness.
type Stats struct {
	Records          uint64            // acknowledged
	Batches          uint64            // acknowledged
	Bytes            uint64            // of acknowledged records, before compression
	SentBytes        uint64            // of acknowledged batches, as sent
	Retries          map[string]uint64 // attempts that failed, by Kafka's title of the error, "timeout" or "connection"
	Renewals         uint64            // producer ids given up because the brokers did not know their sequence
	Refused          uint64            // records in the side file
	Returns          uint64            // times that the reader went back for what a failing partition had missed
	Damaged          uint64            // records of the journal that were no event
	OutstandingBytes uint64            // of the journal: read, and not acknowledged by every partition
	Oldest           time.Time         // of the oldest event read and not acknowledged (by its own time), or since when the topic is not reached; zero: all is acknowledged
	LastAck          time.Time         // zero: none yet
	AckSeconds       float64           // all batches' times from sealing to acknowledgement together
	StateErrors      uint64            // failed writes of the state file
	Trouble          []string          // partitions that fail now, each with its error; also what keeps the shipper from beginning
}

// counters are what several goroutines count.
type counters struct {
	records, batches, bytes, sentBytes, renewed, refused, returns, damaged, stateErrors atomic.Uint64
	ackNanos, lastAck                                                                   atomic.Int64
	oldest                                                                              atomic.Int64 // Unix nanoseconds; 0: none
	outstanding                                                                         atomic.Uint64

	mu      sync.Mutex
	retries map[string]uint64
}

func (c *counters) acknowledged(b *batch, took time.Duration) {
	c.records.Add(uint64(b.count))
	c.batches.Add(1)
	c.bytes.Add(uint64(len(b.records)))
	c.sentBytes.Add(uint64(len(b.wire) - sizePrefix))
	c.ackNanos.Add(int64(took))
	c.lastAck.Store(time.Now().UnixNano())
}

func (c *counters) retry(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retries == nil {
		c.retries = map[string]uint64{}
	}
	c.retries[why]++
}

// Stats reads the counters; it is cheap enough for each scrape.
func (s *Shipper) Stats() Stats {
	c := &s.counts
	out := Stats{
		Records: c.records.Load(), Batches: c.batches.Load(), Bytes: c.bytes.Load(), SentBytes: c.sentBytes.Load(), Renewals: c.renewed.Load(),
		Refused: c.refused.Load(), Returns: c.returns.Load(), Damaged: c.damaged.Load(), OutstandingBytes: c.outstanding.Load(),
		AckSeconds: time.Duration(c.ackNanos.Load()).Seconds(), StateErrors: c.stateErrors.Load(),
	}
	if at := c.lastAck.Load(); at != 0 {
		out.LastAck = time.Unix(0, at)
	}
	if at := c.oldest.Load(); at != 0 {
		out.Oldest = time.Unix(0, at)
	}
	c.mu.Lock()
	out.Retries = map[string]uint64{"connection": 0, "timeout": 0}
	maps.Copy(out.Retries, c.retries)
	c.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.starting != "" {
		out.Trouble = append(out.Trouble, s.starting)
		if out.Oldest.IsZero() {
			out.Oldest = s.since
		}
	}
	for _, sender := range s.senders {
		if text := sender.trouble.Load(); text != nil {
			out.Trouble = append(out.Trouble, *text)
		}
	}
	return out
}

// throttled logs each message by itself at most once in ten seconds, and says how many it held back.
type throttled struct {
	log      *slog.Logger
	mu       sync.Mutex
	messages map[string]*throttle.Every
}

func (t *throttled) say(level slog.Level, message string, args ...any) {
	t.mu.Lock()
	m := t.messages[message]
	if m == nil {
		m = new(throttle.Every)
		t.messages[message] = m
	}
	t.mu.Unlock()
	if held, ok := m.Allow(time.Now()); ok {
		t.log.Log(context.Background(), level, message, append(args, "held_back", held)...)
	}
}
