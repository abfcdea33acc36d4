package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"waypost/bench/kafka"
	"waypost/bench/stack"
	"waypost/bench/traffic"
)

// answeredBetween is how many clicks must have been answered between two kills.
const answeredBetween = 500

// backlog is how many clicks at least a sink finds that was left dead for a while; its batches hold batchRecords.
const (
	backlog      = 300
	batchRecords = 200
)

// minRecycled is how many segments of the journals must have been used again in a scenario.
const minRecycled = 10

// Bounds on waiting, generous: a machine under load is slow, not wrong.
const (
	startWithin  = 60 * time.Second
	settleWithin = 60 * time.Second
	pollEvery    = 10 * time.Millisecond
)

// options of one scenario's run.
type options struct {
	bin   string // programs built with the tag faults
	dir   string // of this run alone
	rate  int    // clicks a second
	kills int    // random kills, at least
	lasts time.Duration
	seed  uint64

	kafka  bool          // on a real Kafka of three nodes
	jars   string        // Kafka's; "" where bench kafka has them
	outage time.Duration // of all brokers; of a partition's leader twice as long
	brief  bool          // the slow disturbances take turns over three rounds
	number int           // of the round, from 0: which of the rare disturbances it has

	say func(format string, args ...any)
}

// round is one scenario's run: the programs, the load and what is known about both.
type round struct {
	options
	ctx     context.Context
	stack   *stack.Stack
	book    *book
	load    *load
	post    *post
	hooks   *hooks
	copiers []*copier // none with Kafka
	cluster *kafka.Cluster
	roll    *rand.Rand
	begun   time.Time

	retention      [][]int // by edge and life
	recycled       float64 // segments, of the edges' lives that are over
	answeredBefore int64   // at the last kill
	kills          int
	points         map[string]int // how often each fault point was hit
	disturbed      int            // with Kafka: disturbances
	repeats        int            // with Kafka: records that the readers' rules dropped
	complaints     []string
	damageExpected bool  // the scenario damages a journal itself
	againAt        []int // deliveries that had come again at each kill of a sink that delivered
	mostAgain      int   // deliveries that may come again after a kill of the sink; 0: nobody counts them
	sealed         int   // mails of the stock, and those left out
	stocked        int   // their links
}

// begin starts everything with the given number of edges. The caller must call end.
func begin(ctx context.Context, o options, edges int) (*round, error) {
	r := &round{options: o, ctx: ctx, book: &book{}, roll: rand.New(rand.NewPCG(o.seed, 2)), begun: time.Now(), points: map[string]int{}}
	var err error
	if r.hooks, err = startHooks(); err != nil {
		return nil, err
	}
	config := stack.Config{
		Dir: o.dir, Bin: o.bin, Edges: edges, Consumers: []string{consumer},
		Edge: stack.Keys{"journal": stack.Keys{
			"segment_bytes": 64 << 10, "keep_bytes": 256 << 10, "budget": 256 << 20,
		}},
		Sink: stack.Keys{
			"batch_records": batchRecords,
			"dispatch": stack.Keys{
				"retries":     []string{"50ms", "100ms", "200ms", "500ms", "1s", "1s", "1s", "1s", "1s", "1s"},
				"concurrency": concurrency,
				// No attempt that is accepted looks like a failed one because the machine stands still for some seconds.
				"timeout": "1m", "headers_timeout": "1m",
			},
		},
	}
	if o.kafka {
		config.Sinks, config.Consumers = 2, nil
		config.Kafka, err = r.startKafka()
	}
	if err == nil {
		r.stack, err = stack.New(config)
	}
	if err != nil {
		r.endKafka()
		return nil, errors.Join(err, r.hooks.receiver.Close(ctx))
	}
	retention := 45
	if o.kafka {
		retention = 365 // the longest that a round will have: the topics are made for it, and sinks refuse those that keep less
	}
	r.stack.Tenants = []stack.Tenant{{Number: 1, Name: "crash", Secrets: []string{secret}, RetentionDays: retention, Endpoints: r.hooks.endpoints(0)}}
	if err := r.start(edges); err != nil {
		r.end()
		return nil, err
	}
	return r, nil
}

func (r *round) start(edges int) error {
	ctx, cancel := context.WithTimeout(r.ctx, startWithin)
	defer cancel()
	if err := r.stack.Start(ctx); err != nil {
		return err
	}
	var urls []string
	for i, edge := range r.stack.Edges {
		urls = append(urls, edge.URL)
		r.retention = append(r.retention, []int{r.stack.Tenants[0].RetentionDays})
		if r.kafka {
			continue
		}
		c, err := startCopier(r.ctx, r.stack.JournalDir(i), r.copyPath(i))
		if err != nil {
			return err
		}
		r.copiers = append(r.copiers, c)
	}
	r.load = newLoad(r.book, urls, r.rate, r.seed)
	r.post = &post{book: r.book, outreach: traffic.Outreach{
		URL: r.stack.Mint.URL + "/outreach/crash", Secret: secret, Client: http.Client{Transport: &http.Transport{}},
	}}
	if err := r.post.send(ctx, 50); err != nil {
		return err
	}
	r.startLoad()
	return nil
}

func (r *round) copyPath(i int) string {
	return filepath.Join(r.dir, fmt.Sprintf("copy-%d.jsonl", i+1))
}

// end gives everything back. It may be called after a failure at any place.
func (r *round) end() {
	r.stopLoad()
	for _, c := range r.copiers {
		_ = c.halt() // when it matters, settle has asked before
	}
	r.copiers = nil
	r.stack.Close()
	r.endKafka()
	_ = r.hooks.receiver.Close(r.ctx) // nobody is left to send
}

func (r *round) endKafka() {
	if r.cluster != nil {
		_ = r.cluster.Close() // what it holds is evidence no more
		_ = os.RemoveAll(r.dir + "-kafka")
	}
}

func (r *round) stopLoad() {
	if r.load == nil || r.load.stop == nil {
		return
	}
	r.load.halt()
	if err := r.post.halt(); err != nil {
		r.complain("%v", err)
	}
	if n := r.load.heldBack.Swap(0); n > 0 {
		r.say("  the loop was not open: %d clicks held back", n)
	}
}

func (r *round) startLoad() {
	r.post.start(r.ctx, max(r.rate/200, 1))
	r.load.start(r.ctx)
}

func (r *round) complain(format string, args ...any) {
	r.complaints = append(r.complaints, fmt.Sprintf(format, args...))
}

// wait polls until the condition holds.
func (r *round) wait(what string, within time.Duration, holds func() bool) error {
	ctx, cancel := context.WithTimeout(r.ctx, within)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// settles is how long what must come may take.
func (r *round) settles() time.Duration {
	if r.kafka {
		return kafkaSettle
	}
	return settleWithin
}

func (r *round) answeredSince() int64 { return r.load.answered.Load() - r.answeredBefore }

// waitAnswered waits for the answers that must lie between two kills, and a random number of them more.
func (r *round) waitAnswered() error {
	want := int64(answeredBetween + r.roll.IntN(answeredBetween))
	return r.wait(fmt.Sprintf("%d answers", want), settleWithin, func() bool { return r.answeredSince() >= want })
}

// kill sends SIGKILL at a random moment at which requests are in flight, and waits for the death.
func (r *round) kill(p *stack.Process) error {
	if err := r.waitAnswered(); err != nil {
		return err
	}
	r.remember(p)
	inFlight, err := r.waitInFlight()
	if err != nil {
		return err
	}
	answered := r.answeredSince()
	if err := p.Kill(); err != nil {
		return err
	}
	r.kills++
	r.answeredBefore = r.load.answered.Load()
	r.say("  killed %-6s with %3d requests in flight, %5d answered since the last", p.Name, inFlight, answered)
	if inFlight < 1 || answered < answeredBetween {
		r.complain("%s was killed with %d in flight and %d answered since the last", p.Name, inFlight, answered)
	}
	return nil
}

// waitInFlight returns at a moment at which requests are in flight: a random number of them, if the load comes to it soon, else any. It never
// sleeps, because a request is over in a fraction of a millisecond.
func (r *round) waitInFlight() (int64, error) {
	want, patience := int64(1+r.roll.IntN(4)), time.Now().Add(time.Second)
	for {
		n := r.load.inFlight()
		if n >= want || n > 0 && time.Now().After(patience) {
			return n, nil
		}
		if err := r.ctx.Err(); err != nil {
			return 0, err
		}
		runtime.Gosched()
	}
}

// remember keeps what an edge has counted, before its life ends. Nothing of it decides but that enough segments were recycled.
func (r *round) remember(p *stack.Process) {
	if r.edgeIndex(p) < 0 {
		return
	}
	m, err := p.Metrics(r.ctx)
	if err != nil {
		return // dead already
	}
	recycled, found := m.Sum("waypost_edge_journal_recycled_total")
	if !found {
		r.complain("%s has no metric of recycled segments", p.Name)
	}
	r.recycled += recycled
	if lost, _ := m.Sum("waypost_edge_events_lost_total"); lost > 0 {
		r.complain("%s says itself that it lost %.0f events", p.Name, lost)
	}
}

func (r *round) edgeIndex(p *stack.Process) int {
	for i, edge := range r.stack.Edges {
		if edge == p {
			return i
		}
	}
	return -1
}

// restart begins the next life of a dead process.
func (r *round) restart(p *stack.Process, env ...string) error {
	if i := r.edgeIndex(p); i >= 0 {
		r.load.visitors[i].Drop()
		r.retention[i] = append(r.retention[i], r.stack.Tenants[0].RetentionDays)
		r.load.lives[i].Add(1)
	}
	p.SetEnv(env...)
	ctx, cancel := context.WithTimeout(r.ctx, startWithin)
	defer cancel()
	return p.Start(ctx)
}

// killAndRestart is one random kill. Half of the dead stay so for a while: a sink that comes back then decides much in one batch, and an edge
// finds that the world has gone on.
func (r *round) killAndRestart(p *stack.Process) error {
	if err := r.kill(p); err != nil {
		return err
	}
	if r.roll.IntN(2) == 0 {
		if err := r.pileUp(p); err != nil {
			return err
		}
	}
	return r.restart(p)
}

// pileUp lets a dead sink's work grow to some batches' worth; for an edge it waits as long as that would take.
func (r *round) pileUp(p *stack.Process) error {
	want := int64(backlog + r.roll.IntN(backlog))
	if r.edgeIndex(p) < 0 {
		from := r.load.answered.Load()
		return r.wait("work to pile up", settleWithin, func() bool { return r.load.answered.Load() >= from+want })
	}
	from := r.book.sent()
	return r.wait("clicks to meet a dead edge", settleWithin, func() bool { return int64(r.book.sent()-from) >= want/4 })
}

// dieAt gives a process a life that ends at a fault point, at its passing number count, and begins the next one. A sink begins that life with
// work piled up, so that what it holds in its hands when it dies is worth losing.
func (r *round) dieAt(p *stack.Process, point string, count int) error {
	if err := r.kill(p); err != nil {
		return err
	}
	if r.edgeIndex(p) < 0 {
		if err := r.pileUp(p); err != nil {
			return err
		}
	}
	if err := r.restart(p, fmt.Sprintf("WAYPOST_FAULT=%s:%d:KILL", point, count)); err != nil {
		return err
	}
	exited := p.Exited()
	err := r.wait(p.Name+" to reach "+point, r.settles(), func() bool {
		select {
		case <-exited:
			return true
		default:
			return false
		}
	})
	if err != nil {
		return err
	}
	epitaph := p.Epitaph()
	if !strings.Contains(epitaph, "fault point "+point) {
		return fmt.Errorf("%s did not die at %s: it %s", p.Name, point, epitaph)
	}
	r.points[point]++
	r.say("  %s died at %s, passing %d; %d answered since the last kill", p.Name, point, count, r.answeredSince())
	r.answeredBefore = r.load.answered.Load()
	return r.restart(p)
}
