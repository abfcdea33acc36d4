package server

import (
	"math/bits"
	"sync/atomic"
	"time"

	"waypost/edge/event"
	"waypost/edge/internal/blocks"
	"waypost/edge/internal/repair"
	"waypost/edge/journal"
	"waypost/mint/link"
)

// counter is an atomic counter on a cache line of its own, so that cores do not take it from each other for a neighbour's sake.
type counter struct {
	n atomic.Uint64
	_ [56]byte
}

func (c *counter) add(n uint64) { c.n.Add(n) }

// outcome is what became of a request.
type outcome uint8

const (
	outcomeRedirect outcome = iota
	outcomeOpened
	outcomeRefused
	outcomeAsked
	outcomeBlocked
	outcomeRobots
	outcomeMethod
	outcomeMalformed
	outcomeDelivery
	outcomes
)

// outcomeNames are the values of the label outcome.
var outcomeNames = [outcomes]string{"redirect", "opened", "refused", "asked", "blocked", "robots", "method", "malformed", "delivery"}

// refusal is why a link did not open.
type refusal uint8

const (
	refusedVersion refusal = iota
	refusedKey
	refusedForged
	refusedTruncated
	refusedTooLong
	refusedEncoding
	refusedContent
	refusedKind
	refusedTenant
	refusedHost
	refusedNexoMailer
	refusals
)

// refusalNames are the values of the label reason.
var refusalNames = [refusals]string{"version", "key", "forged", "truncated", "too_long", "encoding", "content", "kind", "tenant", "host", "nexomailer"}

func reasonOf(err error) refusal {
	switch err {
	case link.ErrVersion:
		return refusedVersion
	case link.ErrKey:
		return refusedKey
	case link.ErrForged:
		return refusedForged
	case link.ErrTruncated:
		return refusedTruncated
	case link.ErrTooLong:
		return refusedTooLong
	case link.ErrEncoding:
		return refusedEncoding
	}
	return refusedContent
}

// loss is why an event was lost.
type loss uint8

const (
	lostFull loss = iota
	lostDiskFull
	lostIO
	lostStalled
	lostTooLarge
	lostClosed
	lostOther
	losses
)

// lossNames are the values of the label reason.
var lossNames = [losses]string{"full", "disk_full", "io", "stalled", "too_large", "closed", "other"}

func lossOf(err error) loss {
	switch err {
	case journal.ErrFull:
		return lostFull
	case journal.ErrDiskFull:
		return lostDiskFull
	case journal.ErrIO:
		return lostIO
	case journal.ErrStalled:
		return lostStalled
	case journal.ErrTooLarge:
		return lostTooLarge
	case journal.ErrClosed:
		return lostClosed
	}
	return lostOther
}

// sampleEvery is how many requests share one measurement of time: reading the clock costs as much as the journal's append.
const sampleEvery = 16

// latencyBuckets are powers of two of nanoseconds: bucket i counts what took less than 2^(i+firstBucket).
const (
	firstBucket    = 8 // 256 ns
	latencyBuckets = 20
)

// latency is a histogram that one atomic addition feeds.
type latency struct {
	buckets [latencyBuckets + 1]atomic.Uint64 // the last: longer
	nanos   atomic.Uint64
}

func (l *latency) observe(d time.Duration) {
	n := max(bits.Len64(uint64(max(d, 0)))-firstBucket, 0)
	l.buckets[min(n, latencyBuckets)].Add(1)
	l.nanos.Add(uint64(max(d, 0)))
}

// counts are a server's counters. Any goroutine writes them.
type counts struct {
	requests    [outcomes]counter
	refused     [refusals]counter
	blocked     [blocks.Kinds]counter
	changed     [repair.Classes]counter
	nexo        [nexoOutcomes]counter
	lost        [losses]counter
	labels      [len(event.LabelNames)]counter
	crowded     counter // connections closed because their client had too many
	cacheHits   counter
	cacheMisses counter
	latency     latency
	tenants     tenantCounts
}

func (c *counts) request(o outcome) { c.requests[o].add(1) }

// label counts each label of an event.
func (c *counts) label(labels event.Labels) {
	for ; labels != 0; labels &= labels - 1 {
		c.labels[bits.TrailingZeros8(uint8(labels))].add(1)
	}
}

// Counts is a copy of the counters, for metrics.
type Counts struct {
	Requests  map[string]uint64 // by outcome
	Refusals  map[string]uint64 // by reason
	Changed   map[string]uint64 // by what had happened to the link
	Blocked   map[string]uint64 // by what blocks the link
	Nexo      map[string]uint64 // of NexoMailer's links and pictures, by outcome
	Blocks    int               // entries in the file of blocks
	Lost      map[string]uint64 // by reason
	Labels    map[string]uint64 // events, by label
	Machines  int               // rules in the file of machines
	CacheHits uint64
	// CacheMisses are links that opened and were not in the cache.
	CacheMisses uint64
	CacheBytes  int64
	Connections uint32
	Rejected    map[string]uint64       // connections closed because there were too many, by limit: total (with 503), address
	Tenants     map[string]TenantCounts // by name; beyond a bound together, as "other"
	Latency     Latency
}

// Latency is the time from a request's last header byte to its answer handed over, of one request in sixteen.
type Latency struct {
	Count   uint64
	Seconds float64            // in all
	Buckets map[float64]uint64 // cumulative, by upper bound in seconds
}

// Counts reads the counters. It is cheap enough for each scrape.
func (s *Server) Counts() Counts {
	c := Counts{
		Requests:    named(outcomeNames[:], s.counts.requests[:]),
		Refusals:    named(refusalNames[:], s.counts.refused[:]),
		Changed:     named(repair.Names[1:], s.counts.changed[1:]),
		Blocked:     named(blocks.Names[1:], s.counts.blocked[1:]),
		Nexo:        named(nexoNames[:], s.counts.nexo[:]),
		Blocks:      s.rules.Load().blocks.Len(),
		Lost:        named(lossNames[:], s.counts.lost[:]),
		Labels:      named(event.LabelNames[:], s.counts.labels[:]),
		Machines:    s.rules.Load().machines.Len(),
		CacheHits:   s.counts.cacheHits.n.Load(),
		CacheMisses: s.counts.cacheMisses.n.Load(),
		Connections: s.http.GetCurrentConcurrency(),
		Rejected:    map[string]uint64{"total": uint64(s.http.GetRejectedConnectionsCount()), "address": s.counts.crowded.n.Load()},
		Tenants:     s.counts.tenants.read(),
		Latency:     s.counts.latency.read(),
	}
	if s.cache != nil {
		c.CacheBytes = s.cache.links.MaxCost() - s.cache.links.RemainingCost()
	}
	return c
}

func named(names []string, counters []counter) map[string]uint64 {
	m := make(map[string]uint64, len(names))
	for i, name := range names {
		m[name] = counters[i].n.Load()
	}
	return m
}

func (l *latency) read() Latency {
	r := Latency{Buckets: make(map[float64]uint64, latencyBuckets)}
	for i := range latencyBuckets {
		r.Count += l.buckets[i].Load()
		r.Buckets[float64(uint64(1)<<(i+firstBucket))/1e9] = r.Count
	}
	r.Count += l.buckets[latencyBuckets].Load()
	r.Seconds = float64(l.nanos.Load()) / 1e9
	return r
}

// LossReasons are the reasons in Counts.Lost, in their order.
func LossReasons() []string { return lossNames[:] }
