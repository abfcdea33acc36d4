package enrich

import (
	"bytes"
	"hash/maphash"
	"time"
	"unsafe"

	"github.com/dgraph-io/ristretto/v2"
	"github.com/prometheus/client_golang/prometheus"

	"waypost/sink/internal/metrics"
)

// Bounds of what user agents may cost. Nobody needs to set them: a sink sees some thousands of user agents a day.
const (
	cacheBytes = 8 << 20                // of user agents that were read, with what was read
	mostRead   = 512                    // bytes of a user agent that are read: real ones have 100 to 250, the longest of apps 450
	patience   = 100 * time.Millisecond // of an event whose user agent waits for its turn to be read
)

// entryOverhead is what ristretto takes for one entry besides ours: item, map slots, counters.
const entryOverhead = 160

// usualEntry is what an entry takes as a rule; for the number of ristretto's counters.
const usualEntry = 640

// agent is what a user agent says. It is never changed.
type agent struct {
	text     []byte // the user agent itself: of two that have one hash, each gets its own
	client   Program
	os       Program
	platform string
	browser  bool // shows web pages, and so mails of web mail
}

var nobody = &agent{}

// seed differs from process to process, so that nobody can make user agents of equal hash.
var seed = maphash.MakeSeed()

// agents reads user agents, each once as long as it stays in the cache. The cache keeps those that come often (TinyLFU): a flood of user agents
// that come once does not wash them out.
type agents struct {
	rules *rules
	cache *ristretto.Cache[uint64, *agent]
	turn  chan struct{} // holds something while a user agent is read

	patience           time.Duration
	hits, misses, shed prometheus.Counter
}

func newAgents(m *metrics.Set) (*agents, error) {
	rules, err := compiled()
	if err != nil {
		return nil, err
	}
	cache, err := ristretto.NewCache(&ristretto.Config[uint64, *agent]{
		NumCounters: 10 * cacheBytes / usualEntry, MaxCost: cacheBytes, BufferItems: 64, IgnoreInternalCost: true, // counted in cost, with the rest
	})
	if err != nil {
		return nil, err
	}
	return &agents{
		rules: rules, cache: cache, turn: make(chan struct{}, 1), patience: patience,
		hits: m.Agents.WithLabelValues("hit"), misses: m.Agents.WithLabelValues("miss"), shed: m.Agents.WithLabelValues("shed"),
	}, nil
}

func (a *agents) close() { a.cache.Close() }

// of is what a user agent says. Only the first bytes count, here and in the cache.
func (a *agents) of(text []byte) *agent {
	if len(text) == 0 {
		return nobody
	}
	text = text[:min(len(text), mostRead)]
	hash := maphash.Bytes(seed, text)
	if known := a.known(hash, text); known != nil {
		a.hits.Inc()
		return known
	}
	if !a.takeTurn() {
		a.shed.Inc()
		return nobody
	}
	defer func() { <-a.turn }()
	if known := a.known(hash, text); known != nil { // by whom we waited for
		a.hits.Inc()
		return known
	}
	a.misses.Inc()
	read := a.rules.read(string(bytes.ToValidUTF8(text, nil)))
	read.text = bytes.Clone(text)
	a.cache.Set(hash, read, read.cost())
	a.cache.Wait() // so that the next in turn finds it
	return read
}

func (a *agents) known(hash uint64, text []byte) *agent {
	if known, ok := a.cache.Get(hash); ok && bytes.Equal(known.text, text) {
		return known
	}
	return nil
}

// takeTurn waits until no other user agent is being read; false: that took too long. One at a time, so that however many come that nobody has
// seen, one processor is left for what they are told to.
func (a *agents) takeTurn() bool {
	select {
	case a.turn <- struct{}{}:
		return true
	default:
	}
	end := time.NewTimer(a.patience)
	defer end.Stop()
	select {
	case a.turn <- struct{}{}:
		return true
	case <-end.C:
		return false
	}
}

// cost is what an entry takes in bytes.
func (a *agent) cost() int64 {
	n := int(unsafe.Sizeof(*a)) + entryOverhead + len(a.text)
	for _, p := range []*Program{&a.client, &a.os} {
		n += len(p.Name) + len(p.Family)
	}
	return int64(n)
}
