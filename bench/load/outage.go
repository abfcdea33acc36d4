package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/alecthomas/kong"

	"waypost/bench/kafka"
	"waypost/bench/result"
	"waypost/configs"
)

// OutageCommand is `bench load outage`.
type OutageCommand struct {
	Rate        float64       `help:"Requests a second; 0: half of the edge's maximum, at most 30000."`
	Connections int           `help:"Connections, kept over a turn." default:"64"`
	Duration    time.Duration `help:"Of a turn, and of the outage." default:"10s"`
	Warmup      time.Duration `help:"Before each turn." default:"1s"`
	Rounds      int           `help:"Outages." default:"3"`
	Before      int           `help:"Turns before each outage. Their latencies together are what those of the outage and of the backlog are held against: one turn alone differs from the next by several times." default:"5"`
	How         string        `help:"What ails the broker: it is killed, and started again; or paused (SIGSTOP), so that nobody answers, and goes on warm." enum:"kill,pause" default:"kill"`
	ServerCore  int           `help:"Core of the edge; -1: the last one." default:"-1"`
	ClientCore  int           `help:"Core of the generator and the broker; -1: the first one." default:"-1"`
	Seed        uint64        `help:"Of the links." default:"1"`
	JSON        string        `help:"Writes the report to this file too." placeholder:"FILE" type:"path"`
	Dir         string        `help:"Where the edge's files are while it runs." default:"var/load" type:"path"`
	Jars        string        `help:"Kafka's jars." default:"var/kafka/jars" type:"path"`
	Program     string        `name:"edge" help:"The edge to run, if not the one beside this program." placeholder:"PATH" type:"path"`
}

// OutageReport is a run of `bench load outage`, as --json writes it.
type OutageReport struct {
	result.Head
	Rate float64 `json:"requests_per_second"`
	// How the broker went away: kill or pause; empty in older reports, which killed it.
	How string `json:"how,omitempty"`
	// Turns have the contestants before (the broker takes what is shipped), outage (it is gone) and backlog (it is back, and takes what has piled up).
	Turns []Turn `json:"turns"`
	// Phases are the turns of each phase together.
	Phases []OutagePhase `json:"phases"`
	// Shipped is how long after its return the broker had everything, in seconds, by round.
	Shipped []float64 `json:"shipped_after_seconds"`
}

// OutagePhase is all requests of one round's phase: before, outage or backlog.
type OutagePhase struct {
	Phase   string             `json:"phase"`
	Round   int                `json:"round"`
	Turns   int                `json:"turns"`
	Latency map[string]float64 `json:"latency_us"`
}

// mostOutageRate bounds a rate that nobody asked for.
const mostOutageRate = 30_000

// Run measures and reports; lost events are an error.
func (c *OutageCommand) Run(ctx context.Context, k *kong.Context) error {
	return conduct(ctx, k, c.JSON, c.measure)
}

func (c *OutageCommand) measure(ctx context.Context, progress io.Writer) (*OutageReport, error) {
	if c.Rate < 0 {
		return nil, errNegativeRate
	}
	if c.Before < 1 {
		return nil, fmt.Errorf("load: --before=%d: at least 1", c.Before)
	}
	course := Course{
		Connections: c.Connections, Duration: c.Duration, Warmup: c.Warmup, Rounds: c.Rounds, Headers: "browser", ServerCore: c.ServerCore, ClientCore: c.ClientCore, Seed: c.Seed,
	}
	f, err := course.field()
	if err != nil {
		return nil, err
	}
	dir, clear, err := workplace(c.Dir, "outage-")
	if err != nil {
		return nil, err
	}
	defer clear()
	path, err := program(c.Program, "edge")
	if err != nil {
		return nil, err
	}
	restore, err := pinSelf(f.generatorCore)
	if err != nil {
		return nil, err
	}
	defer restore()
	fmt.Fprintln(progress, "starting Kafka")
	cluster, err := startBroker(ctx, dir, c.Jars)
	if err != nil {
		return nil, err
	}
	defer cluster.Close()
	edge, err := startShippingEdge(ctx, dir, path, f.serverCore, configs.DefaultEdge().Journal.SegmentBytes, cluster)
	if err != nil {
		return nil, err
	}
	defer edge.stop()
	head := result.Begin("bench load outage")
	head.Versions["edge"] = programVersion(path)
	f.seal = func(r *requests, m *linkMaker, n int) error { return r.seal(edge.keys, m, n) }
	o := &outage{field: f, edge: edge, cluster: cluster, progress: progress, before: c.Before, report: &OutageReport{Head: head, Rate: c.Rate, How: c.How}}
	err = o.run(ctx, c.Rounds)
	o.report.Phases = phasesOf(o.report.Turns)
	return o.report, err
}

// phasesOf puts the latencies of each phase's turns together.
func phasesOf(turns []Turn) (phases []OutagePhase) {
	var all *hdrhistogram.Histogram
	for _, t := range turns {
		if n := len(phases); n == 0 || phases[n-1].Phase != t.Contestant || phases[n-1].Round != t.Round {
			phases = append(phases, OutagePhase{Phase: t.Contestant, Round: t.Round})
			all = hdrhistogram.New(1, latencyMax, latencyDigits)
		}
		all.Merge(t.latency)
		p := &phases[len(phases)-1]
		p.Turns++
		p.Latency = latencies(all)
	}
	return phases
}

// outage is a run under way.
type outage struct {
	*field
	edge     *edge
	cluster  *kafka.Cluster
	progress io.Writer
	before   int // turns
	report   *OutageReport
}

func (o *outage) run(ctx context.Context, rounds int) error {
	if o.report.Rate == 0 {
		t, err := o.turn(ctx, o.contestant("maximum"), 0)
		if err != nil {
			return err
		}
		o.report.Rate = min(t.PerSecond/2, mostOutageRate)
	}
	for round := 1; round <= rounds; round++ {
		if err := o.edge.shipped(ctx); err != nil {
			return err
		}
		for range o.before {
			if err := o.take(ctx, "before", round); err != nil {
				return err
			}
		}
		if err := o.away(); err != nil {
			return err
		}
		if err := o.take(ctx, "outage", round); err != nil {
			return err
		}
		back := time.Now()
		started := make(chan error, 1)
		go func() { started <- o.comeBack(ctx) }()
		for all := false; !all; {
			if err := o.take(ctx, "backlog", round); err != nil {
				return err
			}
			lag, err := o.edge.lag(ctx)
			if err != nil {
				return err
			}
			// Under load something is always on its way: less than a second's worth is no backlog.
			all = lag < o.report.Rate*bytesOfEvent
		}
		o.report.Shipped = append(o.report.Shipped, time.Since(back).Seconds())
		if err := <-started; err != nil {
			return err
		}
	}
	return nil
}

func (o *outage) away() error {
	if o.report.How == "pause" {
		return o.cluster.Pause(1)
	}
	return o.cluster.Kill(1)
}

func (o *outage) comeBack(ctx context.Context) error {
	if o.report.How == "pause" {
		return o.cluster.Continue(1)
	}
	return o.cluster.Start(ctx, 1)
}

// Outage is how the broker went away, in words.
func (r *OutageReport) Outage() string {
	if r.How == "pause" {
		return "the broker is paused, and goes on"
	}
	return "the broker is killed, and started again"
}

// bytesOfEvent is about what one takes in the journal.
const bytesOfEvent = 600

func (o *outage) contestant(name string) *contestant {
	return &contestant{name: name, addr: o.edge.addr, pid: o.edge.pid(), metrics: o.edge.metrics, yielding: func() int { return o.cluster.PID(1) }}
}

// take gives the edge one turn and keeps it.
func (o *outage) take(ctx context.Context, name string, round int) error {
	t, err := o.turn(ctx, o.contestant(name), o.report.Rate)
	if err != nil {
		return err
	}
	t.Round = round
	o.report.Turns = append(o.report.Turns, t)
	fmt.Fprintf(o.progress, "round %d %s: %.0f req/s, p99 %.0f us, %.0f events lost\n", round, name, t.PerSecond, t.Latency["p99"], t.Lost)
	return nil
}

// errLost says that the edge lost events.
var errLost = errors.New("load: the edge lost events")

func (r *OutageReport) writeTable(w io.Writer) error {
	fmt.Fprintln(w, r.Origin())
	fmt.Fprintf(w, "open loop at %.0f requests a second; %s\n\n", r.Rate, r.Outage())
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "round\t\treq/s\tp50 us\tp99 us\tp99.9 us\tmax us\tsent late p99 us\tedge waited\tgenerator waited\tCPU us\tlost\t")
	for _, t := range r.Turns {
		fmt.Fprintf(table, "%d\t%s\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.1f %%\t%.1f %%\t%.2f\t%.0f\t\n", t.Round, t.Contestant, t.PerSecond, t.Latency["p50"], t.Latency["p99"],
			t.Latency["p99.9"], t.Latency["max"], t.Late, 100*t.ServerWaited, 100*t.GeneratorWaited, t.CPU, t.Lost)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if err := r.writePhases(w); err != nil {
		return err
	}
	for i, seconds := range r.Shipped {
		fmt.Fprintf(w, "round %d: all shipped %.1f s after the broker's return was begun\n", i+1, seconds)
	}
	for _, t := range r.Turns {
		if t.Void != "" {
			fmt.Fprintf(w, "void: %s, round %d: %s\n", t.Contestant, t.Round, t.Void)
		}
	}
	return nil
}

// writePhases holds the phases against those before.
func (r *OutageReport) writePhases(w io.Writer) error {
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "round\tall of\tturns\tp50 us\tp99 us\tx before\tp99.9 us\tx before\tmax us\t")
	var before map[string]float64
	for _, p := range r.Phases {
		if p.Phase == "before" {
			before = p.Latency
		}
		fmt.Fprintf(table, "%d\t%s\t%d\t%.0f\t%.0f\t%.2f\t%.0f\t%.2f\t%.0f\t\n", p.Round, p.Phase, p.Turns, p.Latency["p50"], p.Latency["p99"], p.Latency["p99"]/before["p99"],
			p.Latency["p99.9"], p.Latency["p99.9"]/before["p99.9"], p.Latency["max"])
	}
	return table.Flush()
}

// fault is the loss of events.
func (r *OutageReport) fault() error {
	lost := 0.0
	for _, t := range r.Turns {
		lost += t.Lost
	}
	if lost > 0 {
		return fmt.Errorf("%w: %.0f", errLost, lost)
	}
	return nil
}
