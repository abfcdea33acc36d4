package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/alecthomas/kong"
)

// CompareCommand is `bench compare`.
type CompareCommand struct {
	Peers  []string          `help:"Other servers to compare with: nginx, nginx-log, haproxy. One that is not installed is told of and left out." enum:"nginx,nginx-log,haproxy,none" default:"nginx,nginx-log,haproxy"`
	Target map[string]string `help:"Another tracker's link, as NAME=http://HOST[:PORT]/PATH: latency only, nobody knows its CPU; as often as needed." placeholder:"NAME=URL" mapsep:"none"`
	Kafka  bool              `help:"Also an edge that ships to a Kafka of one node. Wants Java 17 and Maven."`
	Shares []float64         `help:"Open loops, at these shares of the slowest contestant's maximum." default:"0.7"`
	Rates  []float64         `help:"Open loops at these rates, in requests a second, instead."`
	Max    bool              `help:"Only the closed loop, for the maxima."`
	Open   bool              `help:"Only the open loops; asks for --rates."`
	Jars   string            `help:"Kafka's jars." default:"var/kafka/jars" type:"path"`
	Course
}

// Validate bounds the flags. kong calls it.
func (c *CompareCommand) Validate() error {
	switch {
	case c.Open && c.Max:
		return errors.New("--open and --max exclude each other")
	case c.Open && len(c.Rates) == 0:
		return errors.New("--open asks for --rates")
	}
	for _, rate := range c.Rates {
		if rate <= 0 {
			return fmt.Errorf("--rates: %v: must be above 0", rate)
		}
	}
	for _, share := range c.Shares {
		if share <= 0 || share > 1 {
			return fmt.Errorf("--shares: %v: must be above 0, and at most 1", share)
		}
	}
	return nil
}

// Run measures and reports.
func (c *CompareCommand) Run(ctx context.Context, k *kong.Context) error {
	return conduct(ctx, k, c.JSON, c.measure)
}

func (c *CompareCommand) measure(ctx context.Context, progress io.Writer) (*Report, error) {
	cores, err := allowedCores()
	if err != nil {
		return nil, err
	}
	l, err := c.lineup("bench compare")
	if err != nil {
		return nil, err
	}
	defer l.close()
	if err := l.begin(ctx); err != nil {
		return nil, err
	}
	if err := l.enterPeers(ctx, c.Peers); err != nil {
		return nil, err
	}
	if err := l.enterEdge(); err != nil {
		return nil, err
	}
	if c.Kafka {
		fmt.Fprintln(progress, "starting Kafka")
		if err := l.enterShippingEdge(ctx, c.Jars, cores); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Target)) {
		if err := l.enterTarget(ctx, name, c.Target[name]); err != nil {
			return nil, err
		}
	}
	for _, note := range l.notes {
		fmt.Fprintln(progress, note)
	}
	r := race{lineup: l, rounds: c.Rounds, rates: c.Rates, shares: c.Shares, max: c.Max, open: c.Open, progress: progress}
	turns, err := r.run(ctx)
	if err != nil {
		return nil, err
	}
	return l.report(c.setup(l.field, l.baselines()...), turns), nil
}

// baselines are the yardstick, and the server that writes down what it answered, as the edge does.
func (l *lineup) baselines() []string {
	names := []string{"bare"}
	for _, c := range l.contestants {
		if c.name == "nginx-log" {
			names = append(names, c.name)
		}
	}
	return names
}
