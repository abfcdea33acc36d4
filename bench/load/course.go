package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"waypost/bench/result"
)

// Course is how and where contestants take turns: what `bench load edge` and `bench compare` have in common.
type Course struct {
	Connections int           `help:"Connections, kept over a turn." default:"64"`
	Duration    time.Duration `help:"Of a turn's measured window." default:"5s"`
	Warmup      time.Duration `help:"Before each window." default:"1s"`
	Rounds      int           `help:"In which the contestants take turns." default:"3"`
	Headers     string        `help:"What a click sends: browser, minimal." enum:"browser,minimal" default:"browser"`
	Steady      bool          `help:"Load the edge before the first turn until its journal uses its segments again; --no-steady measures the first pass through fresh ones too." default:"true" negatable:""`
	Segment     int64         `name:"segment-bytes" help:"Of the edge's journal; the default is the edge's own." default:"67108864"`
	ServerCore  int           `help:"Core of the server; -1: the last one." default:"-1"`
	ClientCore  int           `help:"Core of the generator; -1: the first one." default:"-1"`
	Seed        uint64        `help:"Of the links." default:"1"`
	JSON        string        `help:"Writes the report to this file too." placeholder:"FILE" type:"path"`
	Dir         string        `help:"Where the edge's files are while it runs." default:"var/load" type:"path"`
	Program     string        `name:"edge" help:"The edge to run, if not the one beside this program." placeholder:"PATH" type:"path"`
}

func (c *Course) field() (*field, error) {
	if c.Rounds < 1 || c.Connections < 1 || c.Connections > maxConnections || c.Duration <= 0 || c.Warmup < 0 {
		return nil, fmt.Errorf("load: --warmup must not be negative, --rounds and --duration not 0, --connections 1 to %d", maxConnections)
	}
	server, client, err := chooseCores(c.ServerCore, c.ClientCore)
	if err != nil {
		return nil, err
	}
	return &field{
		connections: c.Connections, warmup: c.Warmup, duration: c.Duration, serverCore: server, generatorCore: client,
		segmentBytes: c.Segment, steady: c.Steady, links: newLinkMaker(c.Seed), seed: c.Seed, clickHeaders: headerSets[c.Headers], requests: newRequests(headerSets[c.Headers]),
	}, nil
}

// maxConnections leaves a client's ports to spare.
const maxConnections = 50_000

func (c *Course) setup(f *field, baselines ...string) Setup {
	return Setup{
		Connections: c.Connections, Warmup: c.Warmup.Seconds(), Duration: c.Duration.Seconds(), Rounds: c.Rounds,
		ServerCore: f.serverCore, GeneratorCore: f.generatorCore, GOMAXPROCS: 1, Headers: c.Headers, Baselines: baselines,
		Steady: c.Steady, SegmentBytes: c.Segment,
	}
}

// chooseCores fills in what is -1.
func chooseCores(server, client int) (int, int, error) {
	cores, err := allowedCores()
	if err != nil {
		return 0, 0, err
	}
	if server < 0 {
		server = cores[len(cores)-1]
	}
	if client < 0 {
		client = cores[0]
	}
	if server == client {
		return 0, 0, fmt.Errorf("load: server and generator are both on core %d: a measurement needs two", server)
	}
	return server, client, nil
}

// divideCores gives the sink a core of its own, and this process and its other children another, until release is called; or, to share, everyCore to both.
func divideCores(share bool, sink, other int) (sinkCore, otherCore int, release func(), err error) {
	if share {
		return everyCore, everyCore, func() {}, nil
	}
	if sink, other, err = chooseCores(sink, other); err != nil {
		return 0, 0, nil, err
	}
	release, err = pinSelf(other)
	return sink, other, release, err
}

// dividedCores says what divideCores gave.
func dividedCores(sink, other int, whose string) string {
	if sink == everyCore {
		return "sink and " + whose + " share all cores"
	}
	return fmt.Sprintf("sink on core %d with GOMAXPROCS=1, %s on core %d", sink, whose, other)
}

// race lets the contestants of a lineup take turns: first at their maximum, then at rates that are the same for all.
type race struct {
	*lineup
	rounds    int
	rates     []float64 // of the open loops, in requests a second; where there are none:
	shares    []float64 // of the slowest contestant's maximum
	max, open bool      // only the closed loop; only the open ones
	progress  io.Writer
}

// usualShare of the slowest contestant's maximum is the usual open loop: a load that all bear, and that leaves none idle.
const usualShare = 0.7

var errNoMaximum = errors.New("load: no contestant answered, so no rate follows from their maxima")

func (r *race) run(ctx context.Context) ([]Turn, error) {
	if err := r.reachSteadyState(ctx); err != nil {
		return nil, err
	}
	var turns []Turn
	if !r.open {
		got, err := takeTurns(ctx, r.field, r.contestants, r.rounds, 0, r.progress)
		if err != nil || r.max {
			return got, err
		}
		turns = got
	}
	rates := r.rates
	if len(rates) == 0 {
		least := slowest(turns)
		if least == 0 {
			return nil, errNoMaximum
		}
		for _, share := range r.shares {
			rates = append(rates, share*least)
		}
	}
	for _, rate := range rates {
		got, err := takeTurns(ctx, r.field, r.contestants, r.rounds, rate, r.progress)
		if err != nil {
			return nil, err
		}
		turns = append(turns, got...)
	}
	return turns, nil
}

func takeTurns(ctx context.Context, f *field, contestants []*contestant, rounds int, rate float64, progress io.Writer) ([]Turn, error) {
	var turns []Turn
	for round := 1; round <= rounds; round++ {
		for _, c := range contestants {
			t, err := f.turn(ctx, c, rate)
			if err != nil {
				return nil, err
			}
			t.Round = round
			turns = append(turns, t)
			note := ""
			if t.Void != "" {
				note = "; void: " + t.Void
			}
			fmt.Fprintf(progress, "round %d/%d %s: %.0f req/s, CPU %.2f us, p99 %.0f us%s\n", round, rounds, c.name, t.PerSecond, t.CPU, t.Latency["p99"], note)
		}
	}
	return turns, nil
}

// slowest is the smallest median maximum of all contestants, void turns included: they bound it from below.
func slowest(turns []Turn) float64 {
	byName := map[string][]float64{}
	for _, t := range turns {
		byName[t.Contestant] = append(byName[t.Contestant], t.PerSecond)
	}
	least := 0.0
	for _, values := range byName {
		if m := result.SpreadOf(values).Median; least == 0 || m < least {
			least = m
		}
	}
	return least
}
