package load

import (
	"context"
	"errors"
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
	Outage OutageCommand `cmd:"" help:"The edge's redirects before, during and after an outage of Kafka."`
	Kafka  KafkaCommand  `cmd:"" help:"From journal to Kafka, and from Kafka to decisions in Kafka: events a second, and the broker's share."`
	Sync   SyncCommand   `cmd:"" help:"The edge's redirects with the journal's syncer, without, and beside a process that keeps the disk busy."`

	Bare    BareCommand    `cmd:"" hidden:"" help:"The yardstick's process."`
	Disturb DisturbCommand `cmd:"" hidden:"" help:"The process that keeps the disk busy."`
}

// EdgeCommand is `bench load edge`.
type EdgeCommand struct {
	Rate float64 `help:"Requests a second of the open loop; 0: 70 % of the slowest contestant's maximum." default:"0"`
	Max  bool    `help:"Only the closed loop, for the maximum."`
	Open bool    `help:"Only the open loop; asks for --rate."`
	Course
}

var errNegativeRate = errors.New("load: --rate must not be negative")

// errAllVoid says that a mode has no turn that counts.
var errAllVoid = errors.New("load: no turn counts: see above")

// Run measures and reports.
func (c *EdgeCommand) Run(ctx context.Context, k *kong.Context) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	report, err := c.measure(ctx, k.Stderr)
	if err != nil {
		return err
	}
	return report.publish(k.Stdout, c.JSON)
}

// publish prints the report, and writes it to a file where one is named. A mode without any turn that counts is an error.
func (r *Report) publish(w io.Writer, file string) error {
	if err := r.writeTables(w); err != nil {
		return err
	}
	if err := result.Write(file, r); err != nil {
		return err
	}
	return anyCounts(r.Summary)
}

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
	}
	l, err := c.lineup("bench load edge")
	if err != nil {
		return nil, err
	}
	defer l.close()
	if err := l.begin(ctx); err != nil {
		return nil, err
	}
	if err := l.enterEdge(); err != nil {
		return nil, err
	}
	r := race{lineup: l, rounds: c.Rounds, shares: []float64{usualShare}, max: c.Max, open: c.Open, progress: progress}
	if c.Rate > 0 {
		r.rates = []float64{c.Rate}
	}
	turns, err := r.run(ctx)
	if err != nil {
		return nil, err
	}
	return l.report(c.setup(l.field, "bare"), turns), nil
}

// workplace makes a folder for one run below dir; clear removes it.
func workplace(dir, prefix string) (path string, clear func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, err
	}
	path, err = os.MkdirTemp(dir, prefix)
	return path, func() { _ = os.RemoveAll(path) }, err
}
