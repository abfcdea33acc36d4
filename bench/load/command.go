package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/alecthomas/kong"

	"waypost/bench/result"
)

// Command is `bench load`.
type Command struct {
	Edge   EdgeCommand   `cmd:"" help:"The edge's redirects, against a bare fasthttp 302 in the same run."`
	Mint   MintCommand   `cmd:"" help:"Mint's answers to requests of ten links, on kept and on fresh connections."`
	Sink   SinkCommand   `cmd:"" help:"The sink's decisions, from a journal that is full when it starts, with and without webhooks."`
	Keys   KeysCommand   `cmd:"" help:"The sink's decisions as its store grows: the rate at 5 million unique clicks, and at 50 million."`
	E2E    E2ECommand    `cmd:"" name:"e2e" help:"A click's way through edge, journal and sink to a receiver of webhooks: how long it takes, whether each comes once, what it costs."`
	Outage OutageCommand `cmd:"" help:"The edge's redirects before, during and after an outage of Kafka."`
	Kafka  KafkaCommand  `cmd:"" help:"From journal to Kafka, and from Kafka to decisions in Kafka: events a second, and the broker's share."`
	Sync   SyncCommand   `cmd:"" help:"The edge's redirects with the journal's syncer, without, and beside a process that keeps the disk busy."`

	Bare     BareCommand     `cmd:"" hidden:"" help:"The yardstick's process."`
	Receiver ReceiverCommand `cmd:"" hidden:"" help:"The process that receives webhooks."`
	Disturb  DisturbCommand  `cmd:"" hidden:"" help:"The process that keeps the disk busy."`
}

// EdgeCommand is `bench load edge`.
type EdgeCommand struct {
	Rate float64 `help:"Requests a second of the open loop; 0: 70 % of the slowest contestant's maximum." default:"0"`
	Max  bool    `help:"Only the closed loop, for the maximum."`
	Open bool    `help:"Only the open loop; asks for --rate."`
	// The help says what mixes says in full.
	Mix            string `help:"What is asked for: distinct links; zipf: 10000 links of newsletters, the k-th hottest in proportion to k^-1.1; forged: links with one character changed, each to be refused; mangled: links as mail programs mangle them, each to be mended; sweep: scanners, each asking for all 8 links of a mail at once by HEAD and GET; burst: distinct links, in the open loop at random, at first 8 times as many as in the end." enum:"distinct,zipf,forged,mangled,sweep,burst" default:"distinct"`
	NewConnections bool   `help:"A new connection for each request, its making part of the latency."`
	Cacheless      bool   `help:"Also an edge without a cache."`
	Other          string `name:"other-edge" help:"Also another build of the edge, such as one of an earlier commit." placeholder:"PATH"`
	Course
}

var errNegativeRate = errors.New("load: --rate must not be negative")

// errAllVoid says that a mode has no turn that counts.
var errAllVoid = errors.New("load: no turn counts: see above")

// Run measures and reports.
func (c *EdgeCommand) Run(ctx context.Context, k *kong.Context) error {
	return conduct(ctx, k, c.JSON, c.measure)
}

// reporter is what a command has measured.
type reporter interface {
	writeTable(io.Writer) error
	// fault is what was measured and must not be; nil: nothing.
	fault() error
}

// conduct measures, prints the report, and writes it to a file where one is named. What is wrong with what was measured comes last: the figures are kept.
func conduct[R reporter](ctx context.Context, k *kong.Context, file string, measure func(ctx context.Context, progress io.Writer) (R, error)) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	report, err := measure(ctx, k.Stderr)
	if err != nil {
		return err
	}
	if err := report.writeTable(k.Stdout); err != nil {
		return err
	}
	if err := result.Write(file, report); err != nil {
		return err
	}
	return report.fault()
}

// fault is a mode without any turn that counts.
func (r *Report) fault() error { return anyCounts(r.Summary) }

// anyCounts refuses a mode without any turn that counts.
func anyCounts(summary []Summary) error {
	if slices.ContainsFunc(summary, func(s Summary) bool { return s.Rounds == 0 }) {
		return errAllVoid
	}
	return nil
}

func (c *EdgeCommand) measure(ctx context.Context, progress io.Writer) (*Report, error) {
	switch {
	case c.Open && c.Max:
		return nil, errors.New("load: --open and --max exclude each other")
	case c.Open && c.Rate <= 0:
		return nil, errors.New("load: --open asks for a --rate")
	case c.Rate < 0:
		return nil, errNegativeRate
	case c.Max && mixOf(c.Mix).peak > 0:
		return nil, fmt.Errorf("load: --mix %s is about when clicks come, and a closed loop has no such thing: --max excludes it", c.Mix)
	}
	l, err := c.lineup("bench load edge")
	if err != nil {
		return nil, err
	}
	defer l.close()
	l.mixed(mixOf(c.Mix), c.NewConnections)
	if err := l.begin(ctx); err != nil {
		return nil, err
	}
	if err := l.enterEdge(); err != nil {
		return nil, err
	}
	baselines, err := c.enterOthers(ctx, l)
	if err != nil {
		return nil, err
	}
	r := race{lineup: l, rounds: c.Rounds, shares: []float64{l.usualShare()}, max: c.Max, open: c.Open, progress: progress}
	if c.Rate > 0 {
		r.rates = []float64{c.Rate}
	}
	turns, err := r.run(ctx)
	if err != nil {
		return nil, err
	}
	s := c.setup(l.field, baselines...)
	s.Mix, s.NewConnections = c.Mix, c.NewConnections
	return l.report(s, turns), nil
}

// enterOthers enters the edges that the edge is held to, and names the baselines.
func (c *EdgeCommand) enterOthers(ctx context.Context, l *lineup) ([]string, error) {
	baselines := []string{"bare"}
	if c.Cacheless {
		if err := l.enterVariant(ctx, "edge-cacheless", "the same without a cache (cache_bytes: 0)", l.path, "cache_bytes: 0\n"); err != nil {
			return nil, err
		}
	}
	if c.Other != "" {
		path, err := program(c.Other, "edge")
		if err != nil {
			return nil, err
		}
		if err := l.enterVariant(ctx, "edge-other", "another build: "+programVersion(path), path, ""); err != nil {
			return nil, err
		}
	}
	if len(l.contestants) > 2 {
		baselines = append(baselines, "edge")
	}
	return baselines, nil
}

// workplace makes a folder for one run below dir; clear removes it.
func workplace(dir, prefix string) (path string, clear func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, err
	}
	path, err = os.MkdirTemp(dir, prefix)
	return path, func() { _ = os.RemoveAll(path) }, err
}
