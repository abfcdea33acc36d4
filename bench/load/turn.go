package load

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"waypost/bench/stack"
)

// contestant is a server that takes turns.
type contestant struct {
	name    string
	addr    netip.AddrPort
	pid     int    // 0: not one of ours, so nothing is known of its CPU and memory
	program string // it is, and what of it, for the report
	what    string
	answer  *reply   // to the first request
	want    int32    // the status that counts as right; 0: 302
	counted []string // a metric, with labels, that must grow by one with each answer; empty: none
	// requests are repeated as they are; nil: links of the field's, each another.
	requests *requests
	mails    *mails // requests to a mint, which come round, instead
	fresh    bool   // each request comes on a connection of its own
	// settle is called after each turn; nil where nothing is left over from one.
	settle func(context.Context) error
	// metrics reads the server's own counters; nil where there are none.
	metrics func(context.Context) (stack.Metrics, error)
	// yielding is the process that takes what the generator leaves of its core, 0 for none now; nil where there is never one.
	yielding func() int
	// beside is begun before each turn and ended after it; nil where nothing runs beside.
	beside func(context.Context) (end func(), err error)
	// perSecond is the last rate seen, for the number of requests to prepare.
	perSecond float64
}

// Turn is what one contestant did in one window. Times are microseconds; CPU is per answer.
type Turn struct {
	Contestant string    `json:"contestant"`
	Round      int       `json:"round"`
	Time       time.Time `json:"time"`               // of the window's begin
	Offered    float64   `json:"offered_per_second"` // 0: closed loop
	Due        uint64    `json:"due"`
	Sent       uint64    `json:"sent"`
	Answered   uint64    `json:"answered"`
	Shed       uint64    `json:"shed,omitempty"` // refused with 503, where that is no fault
	Wrong      uint64    `json:"wrong"`          // answered with another status than the right one
	Broken     uint64    `json:"broken"`         // never answered
	Reopened   uint64    `json:"reopened"`
	Seconds    float64   `json:"seconds"`
	PerSecond  float64   `json:"per_second"`

	Latency map[string]float64 `json:"latency_us"`
	// Curve is the latency at CurveQuantile(0), (1) ...
	Curve       []float64          `json:"latency_curve_us,omitempty"`
	ShedLatency map[string]float64 `json:"shed_latency_us,omitempty"`
	Late        float64            `json:"sent_late_p99_us"` // how long after it was due a request was sent

	User     float64 `json:"user_us"`
	System   float64 `json:"system_us"`
	CPU      float64 `json:"cpu_us"`
	Core     float64 `json:"core_us"` // the server's core, whatever ran there
	Switches float64 `json:"context_switches_per_answer"`

	Resident  int64 `json:"resident_bytes"`
	Anonymous int64 `json:"anonymous_bytes"`
	Mapped    int64 `json:"mapped_bytes"`
	Threads   int   `json:"threads"`

	ServerBusy    float64 `json:"server_core_busy"`
	GeneratorBusy float64 `json:"generator_core_busy"`              // but for what the broker took of it
	Yielded       float64 `json:"generator_core_yielded,omitempty"` // share of the generator's core that the broker took, which gets what is left over
	Others        float64 `json:"others_on_server_core"`            // share of the server's core that went to anything but the server
	// For which share of the window a process stood ready to run without a core that ran it. A latency of which that is the cause is the machine's.
	ServerWaited    float64 `json:"server_waited"`
	GeneratorWaited float64 `json:"generator_waited"`
	Lost            float64 `json:"events_lost"`
	// CacheHits is the share of links followed that the edge's cache held.
	CacheHits float64 `json:"cache_hit_share,omitempty"`
	// Segments of the edge's journal: how many were used again in the window, and by how many files it grew.
	Recycled float64 `json:"journal_recycled"`
	Grown    float64 `json:"journal_grown"`
	Void     string  `json:"void,omitempty"` // why the figures do not count

	latency *hdrhistogram.Histogram // what Latency is read from
}

// percentiles are what a Turn's Latency holds, beside max.
var percentiles = []struct {
	name string
	at   float64
}{{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}, {"p99.99", 99.99}}

// generatorLimit is the share of its core above which the generator, not the server, was the limit.
const generatorLimit = 0.90

// lateLimit is how late, in microseconds, the generator may send (p99) where the question is whether answers come in time.
const lateLimit = 50e3

// crowdLimit is the share of the server's core from which others' work there is told beside the figures: kernel threads and interrupts stay below it.
const crowdLimit = 0.15

// field is where and how turns are held.
type field struct {
	connections   int
	warmup        time.Duration
	duration      time.Duration
	serverCore    int
	generatorCore int
	segmentBytes  int64 // of the edges' journals
	steady        bool  // turns begin when the journals use their segments again
	links         *linkMaker
	clickHeaders  string // what a click sends
	requests      *requests
	seal          func(r *requests, m *linkMaker, n int) error
	plain         func(r *requests, m *linkMaker, n int) error // distinct links, where seal makes others; nil: seal
	schedule      scheduler                                    // of open loops; nil: evenly
	seed          uint64                                       // of the schedule
	shed          int32                                        // the status of what is refused as too much, where that is no fault; 0: none
}

// firstGuess is how many requests a second are prepared for a contestant never seen at its maximum.
const firstGuess = 100_000

// turn gives c one warm-up and one window, at rate (0: closed loop).
func (f *field) turn(ctx context.Context, c *contestant, rate float64) (Turn, error) {
	wire, err := dialWire(c.addr, f.connections, c.fresh)
	if err != nil {
		return Turn{}, fmt.Errorf("%s: %w", c.name, err)
	}
	defer wire.close()
	if c.yielding != nil {
		wire.precede()
	}
	if c.beside != nil {
		end, err := c.beside(ctx)
		if err != nil {
			return Turn{}, fmt.Errorf("%s: %w", c.name, err)
		}
		defer end()
	}
	window := driver{
		rate: rate, connections: f.connections, duration: int64(f.duration), drain: int64(10 * time.Second), want: cmp.Or(c.want, http.StatusFound), shed: f.shed,
	}
	warm := window
	warm.duration = int64(f.warmup)
	if f.warmup > 0 {
		if err := f.prepare(c, warm); err != nil {
			return Turn{}, err
		}
		if _, err := warm.run(wire, f.source(c)); err != nil {
			return Turn{}, fmt.Errorf("%s: warm-up: %w", c.name, err)
		}
	}
	if rate > 0 && f.schedule != nil {
		window.schedule = f.schedule(rate, f.duration, f.seed)
	}
	if err := f.prepare(c, window); err != nil {
		return Turn{}, err
	}
	if err := ctx.Err(); err != nil {
		return Turn{}, err
	}
	t, err := f.measure(ctx, c, window, wire)
	if err != nil {
		return Turn{}, fmt.Errorf("%s: %w", c.name, err)
	}
	if rate == 0 {
		c.perSecond = t.PerSecond
	}
	if c.settle != nil {
		if err := c.settle(ctx); err != nil {
			return Turn{}, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return t, nil
}

// source gives the requests to c.
func (f *field) source(c *contestant) func() []byte {
	switch {
	case c.mails != nil:
		return c.mails.next
	case c.requests != nil:
		return c.requests.next
	}
	return f.requests.next
}

// prepare makes the links of a window, so that making them is no part of it.
func (f *field) prepare(c *contestant, d driver) error {
	if c.mails != nil {
		return nil
	}
	n := d.rate * 1.001
	if d.rate == 0 {
		if n = 1.3 * c.perSecond; n == 0 {
			n = firstGuess
		}
	}
	count := int(n*float64(d.duration)/1e9) + 1
	if d.schedule != nil {
		count = len(d.schedule) + 1
	}
	if c.requests != nil {
		c.requests.repeat(count)
		return nil
	}
	return f.seal(f.requests, f.links, count)
}

// reading is every counter at one moment.
type reading struct {
	server            usage
	core, generator   coreTimes
	metrics           stack.Metrics
	generatorReopened uint64
	waited            [2]time.Duration // without a core: the server, and the generator
	yielder           int              // the yielding process, and what it has cost
	yielded           time.Duration
}

func (f *field) read(ctx context.Context, c *contestant, w *epollWire) (r reading, err error) {
	if c.pid != 0 {
		if r.server, err = readFamily(c.pid); err != nil {
			return r, err
		}
		if r.waited[0], err = readWaited(c.pid); err != nil {
			return r, err
		}
	}
	if r.core, err = readCore(f.serverCore); err != nil {
		return r, err
	}
	if r.generator, err = readCore(f.generatorCore); err != nil {
		return r, err
	}
	r.generatorReopened = w.reopens
	if r.waited[1], err = readWaited(os.Getpid()); err != nil {
		return r, err
	}
	if c.yielding != nil {
		r.yielder = c.yielding()
		if used, err := processTime(r.yielder); r.yielder != 0 && err == nil { // else it has just ended
			r.yielded = time.Duration(used)
		}
	}
	if c.metrics != nil {
		r.metrics, err = c.metrics(ctx)
	}
	return r, err
}

// count is one of the server's own counters; 0 where there is none.
func (r reading) count(name string, labels ...string) float64 {
	sum, _ := r.metrics.Sum(name, labels...)
	return sum
}

// What the edge says of its cache.
const (
	metricHits   = "waypost_edge_cache_hits_total"
	metricMisses = "waypost_edge_cache_misses_total"
)

func (f *field) measure(ctx context.Context, c *contestant, d driver, w *epollWire) (Turn, error) {
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the driver allocates nothing worth a collection's noise
	before, err := f.read(ctx, c, w)
	if err != nil {
		return Turn{}, err
	}
	begin := time.Now().UTC()
	o, err := d.run(w, f.source(c))
	if err != nil {
		return Turn{}, err
	}
	after, err := f.read(ctx, c, w)
	if err != nil {
		return Turn{}, err
	}
	t := newTurn(c, d.rate, o, before, after)
	t.Time, t.Curve, t.Void, t.latency = begin, curve(o.latency), f.void(d, o, t), o.latency
	if t.Void == "" && len(c.counted) > 0 {
		t.Void = miscounted(c.counted, before, after, t.Answered)
	}
	return t, nil
}

// miscounted says that the server's own counter does not confirm what its answers say.
func miscounted(counted []string, before, after reading, answered uint64) string {
	count := after.count(counted[0], counted[1:]...) - before.count(counted[0], counted[1:]...)
	if count == float64(answered) {
		return ""
	}
	return fmt.Sprintf("%d answers, of which the server counted %.0f in %s", answered, count, counted[0])
}

func newTurn(c *contestant, rate float64, o *outcome, before, after reading) Turn {
	t := Turn{
		Contestant: c.name, Offered: rate, Due: o.due, Sent: o.sent, Answered: o.answered(), Shed: o.shed, Wrong: o.wrong, Broken: o.broken,
		Reopened: after.generatorReopened - before.generatorReopened, Seconds: float64(o.elapsed) / 1e9, PerSecond: o.perSecond(),
		Latency: latencies(o.latency), Late: float64(o.late.ValueAtPercentile(99)) / 1e3,
		Resident: after.server.rss, Anonymous: after.server.anonymous, Mapped: after.server.file, Threads: after.server.threads,
		ServerBusy: after.core.share(before.core), GeneratorBusy: after.generator.share(before.generator), Lost: after.count("waypost_edge_events_lost_total") - before.count("waypost_edge_events_lost_total"),
	}
	yielded := after.yielded
	if before.yielder == after.yielder {
		yielded -= before.yielded
	}
	if elapsed := after.generator.sub(before.generator); elapsed > 0 {
		t.Yielded = min(float64(yielded)/float64(elapsed), t.GeneratorBusy)
		t.GeneratorBusy -= t.Yielded
	}
	if t.Seconds > 0 {
		t.ServerWaited = (after.waited[0] - before.waited[0]).Seconds() / t.Seconds
		t.GeneratorWaited = (after.waited[1] - before.waited[1]).Seconds() / t.Seconds
	}
	t.Recycled = after.count(metricRecycled) - before.count(metricRecycled)
	if hits, misses := after.count(metricHits)-before.count(metricHits), after.count(metricMisses)-before.count(metricMisses); hits > 0 {
		t.CacheHits = hits / (hits + misses)
	}
	t.Grown = after.count(metricSegments) - before.count(metricSegments)
	if t.Shed > 0 {
		t.ShedLatency = latencies(o.shedAfter)
	}
	if t.Answered == 0 || c.pid == 0 {
		return t
	}
	each := func(d time.Duration) float64 { return float64(d) / 1e3 / float64(t.Answered) }
	t.User = each(after.server.user - before.server.user)
	t.System = each(after.server.system - before.server.system)
	t.CPU = t.User + t.System
	t.Core = each(after.core.busy - before.core.busy)
	if t.Seconds > 0 {
		t.Others = max(0, t.ServerBusy-t.CPU*float64(t.Answered)/1e6/t.Seconds)
	}
	t.Switches = float64(after.server.switches-before.server.switches) / float64(t.Answered)
	return t
}

// latencies are the percentiles and the longest, in microseconds.
func latencies(h *hdrhistogram.Histogram) map[string]float64 {
	us := map[string]float64{"max": float64(h.Max()) / 1e3}
	for _, p := range percentiles {
		us[p.name] = float64(h.ValueAtPercentile(p.at)) / 1e3
	}
	return us
}

// void says why a turn's figures do not count; nothing when they do.
func (f *field) void(d driver, o *outcome, t Turn) string {
	switch {
	case t.Answered == 0:
		return "no answer"
	case t.Wrong > 0:
		return fmt.Sprintf("%d answers were not %d (the first: %d)", t.Wrong, d.want, o.wrongFirst)
	case t.Broken > 0:
		return fmt.Sprintf("%d requests were never answered", t.Broken)
	case t.Lost > 0:
		return fmt.Sprintf("the server lost %.0f events", t.Lost)
	case d.shed == 0 && t.GeneratorBusy > generatorLimit:
		return fmt.Sprintf("the generator's core was %.0f %% busy", 100*t.GeneratorBusy)
	case d.rate == 0 && o.elapsed < d.duration/2:
		return "the prepared requests ran out"
	case d.shed > 0 && t.Late > lateLimit:
		return fmt.Sprintf("the generator itself was late by %.0f ms (p99)", t.Late/1e3)
	case d.rate > 0 && t.Sent < t.Due:
		return fmt.Sprintf("the rate is too high: %d of %d requests were never sent", t.Due-t.Sent, t.Due)
	}
	return ""
}
