package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"waypost/bench/result"
	"waypost/edge/journal"
)

// KeysCommand is `bench load keys`.
type KeysCommand struct {
	Keys       []int         `help:"How many unique clicks the store holds when a window begins; several, growing." default:"5000000,50000000"`
	Window     time.Duration `help:"What is measured at each." default:"1m"`
	Repeats    float64       `help:"Share of clicks that repeat an earlier one." default:"0.1"`
	AllCores   bool          `help:"Sink and writer share all cores, instead of having one each."`
	ServerCore int           `help:"Core of the sink; -1: the last one." default:"-1"`
	ClientCore int           `help:"Core of the process that writes the journal, which is this one; -1: the first one." default:"-1"`
	Seed       uint64        `help:"Of the clicks." default:"1"`
	JSON       string        `help:"Writes the report to this file too." placeholder:"FILE" type:"path"`
	Dir        string        `help:"Where the journal and the store are while it runs." default:"var/load" type:"path"`
	Program    string        `name:"sink" help:"The sink to run, if not the one beside this program." placeholder:"PATH" type:"path"`
}

// KeysReport is a run of `bench load keys`, as --json writes it.
type KeysReport struct {
	result.Head
	SinkCore   int          `json:"sink_core"` // -1: all of them
	WriterCore int          `json:"writer_core"`
	Windows    []KeysWindow `json:"windows"`
	Samples    []KeysSample `json:"samples"`
}

// KeysWindow is the sink's rate while its store is about so large.
type KeysWindow struct {
	Keys      int           `json:"keys"`                 // when it began
	PerSecond result.Spread `json:"decisions_per_second"` // of its seconds
	Ratio     float64       `json:"ratio"`                // of the medians, to the first window's
	CPU       float64       `json:"cpu_us"`               // of an event, all that the sink's process did
	Starved   int           `json:"starved"`              // seconds that do not count: the journal had run empty
}

// KeysSample is a second of the run.
type KeysSample struct {
	Seconds   float64 `json:"seconds"` // since the run began
	Keys      int     `json:"keys"`
	PerSecond float64 `json:"decisions_per_second"`
	CPU       float64 `json:"cpu_us"`
	Anonymous int64   `json:"anonymous_bytes"`
	Store     int64   `json:"store_bytes"`
	Starved   bool    `json:"starved,omitempty"`
}

// mostAhead is how many clicks the writer is ahead of the sink, at most. With less than a twentieth of it the sink may have waited for clicks.
const mostAhead = 1_000_000

// Run measures and reports.
func (c *KeysCommand) Run(ctx context.Context, k *kong.Context) error {
	return conduct(ctx, k, c.JSON, c.measure)
}

func (c *KeysCommand) measure(ctx context.Context, progress io.Writer) (*KeysReport, error) {
	if len(c.Keys) == 0 || c.Keys[0] < 1 || !slices.IsSorted(c.Keys) || c.Window < time.Second || c.Repeats < 0 || c.Repeats >= 1 {
		return nil, errors.New("load: --keys must be at least 1 and grow, --window at least 1s, --repeats 0 to below 1")
	}
	path, err := program(c.Program, "sink")
	if err != nil {
		return nil, err
	}
	report := &KeysReport{Head: result.Begin("bench load keys")}
	report.Versions["sink"] = programVersion(path)
	var release func()
	if report.SinkCore, report.WriterCore, release, err = divideCores(c.AllCores, c.ServerCore, c.ClientCore); err != nil {
		return nil, err
	}
	defer release()
	dir, clear, err := workplace(c.Dir, "keys-")
	if err != nil {
		return nil, err
	}
	defer clear()
	g := &growth{dir: dir, ahead: int64(min(mostAhead, c.Keys[len(c.Keys)-1])), report: report, progress: progress}
	return report, g.run(ctx, c, path)
}

// growth is a run under way: a journal that is written as fast as one sink reads it.
type growth struct {
	dir      string
	ahead    int64
	sink     *child
	admin    string
	report   *KeysReport
	progress io.Writer

	written, firsts, decided atomic.Int64
}

func (g *growth) run(ctx context.Context, c *KeysCommand, path string) (err error) {
	w, err := journal.Open(journal.Options{Dir: filepath.Join(g.dir, "journal"), KeepBytes: -1, Sync: -1, Consumers: []string{sinkConsumer}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if err := writeSinkFiles(g.dir, filepath.Join(g.dir, "journal"), ""); err != nil {
		return err
	}
	if g.sink, err = startChild(ctx, g.report.SinkCore, filepath.Join(g.dir, "sink.log"), "sink", path, "--config", filepath.Join(g.dir, "sink.yaml")); err != nil {
		return err
	}
	defer g.sink.stop()
	if g.admin, err = g.sink.origin("admin"); err != nil {
		return err
	}
	writing, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- g.write(writing, w, c) }()
	err = g.watch(ctx, c)
	stop()
	if err = errors.Join(err, <-ended); err != nil {
		return err
	}
	return g.check(ctx)
}

// write appends clicks until ctx ends.
func (g *growth) write(ctx context.Context, w *journal.Writer, c *KeysCommand) error {
	m := newClickMaker(c.Seed, uint64(w.Run()))
	for ctx.Err() == nil {
		if g.written.Load()-g.decided.Load() > g.ahead {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		_, first, err := m.append(w, c.Repeats)
		if err != nil {
			return err
		}
		if first {
			g.firsts.Add(1)
		}
		g.written.Add(1)
	}
	return nil
}

// counts are the sink's own; the writer follows them.
func (g *growth) counts(ctx context.Context) (decided, firsts int64, err error) {
	decided, firsts, err = decisions(ctx, g.admin)
	if err == nil {
		g.decided.Store(decided)
	}
	return decided, firsts, err
}

// watch takes a sample each second until the last window has ended.
func (g *growth) watch(ctx context.Context, c *KeysCommand) error {
	begin := time.Now()
	last, lastDecided, used := begin, int64(0), usage{}
	tick := time.NewTicker(100 * time.Millisecond) // the writer follows what was decided
	defer tick.Stop()
	for window := 0; window < len(c.Keys); {
		select {
		case <-tick.C:
		case <-g.sink.done:
			return fmt.Errorf("load: the sink ended: %v", g.sink.end) //nolint:errorlint // nil where it ended by itself
		case <-ctx.Done():
			return ctx.Err()
		}
		decided, firsts, err := g.counts(ctx)
		if err != nil {
			return err
		}
		now := time.Now()
		if now.Sub(last) < time.Second {
			continue
		}
		u, err := readUsage(g.sink.pid())
		if err != nil {
			return err
		}
		events := max(float64(decided-lastDecided), 1)
		s := KeysSample{
			Seconds: now.Sub(begin).Seconds(), Keys: int(firsts), PerSecond: float64(decided-lastDecided) / now.Sub(last).Seconds(),
			CPU: float64(u.user+u.system-used.user-used.system) / 1e3 / events, Anonymous: u.anonymous, Starved: g.written.Load()-decided < g.ahead/20,
		}
		if s.Store, err = DiskUse(filepath.Join(g.dir, "store")); err != nil {
			return err
		}
		last, lastDecided, used = now, decided, u
		g.report.Samples = append(g.report.Samples, s)
		if len(g.report.Samples)%10 == 0 {
			fmt.Fprintf(g.progress, "%.0f s: %d keys, %.0f decisions/s\n", s.Seconds, s.Keys, s.PerSecond)
		}
		window = g.report.settle(c.Keys, c.Window)
	}
	return nil
}

// settle works out the windows that have ended, and says how many those are.
func (r *KeysReport) settle(keys []int, length time.Duration) int {
	for i := len(r.Windows); i < len(keys); i++ {
		first := slices.IndexFunc(r.Samples, func(s KeysSample) bool { return s.Keys >= keys[i] })
		if first < 0 || r.Samples[len(r.Samples)-1].Seconds-r.Samples[first].Seconds < length.Seconds() {
			break
		}
		w := KeysWindow{Keys: r.Samples[first].Keys, Ratio: 1}
		var rates, cpu []float64
		for _, s := range r.Samples[first+1:] {
			if s.Starved {
				w.Starved++
				continue
			}
			rates, cpu = append(rates, s.PerSecond), append(cpu, s.CPU)
		}
		w.PerSecond, w.CPU = result.SpreadOf(rates), result.SpreadOf(cpu).Median
		if i > 0 && r.Windows[0].PerSecond.Median > 0 {
			w.Ratio = w.PerSecond.Median / r.Windows[0].PerSecond.Median
		}
		r.Windows = append(r.Windows, w)
	}
	return len(r.Windows)
}

// check waits until the sink has decided everything, and holds its counts to what was written.
func (g *growth) check(ctx context.Context) error {
	var decided, firsts int64
	var fault error
	all := func() bool {
		decided, firsts, fault = g.counts(ctx)
		return fault != nil || decided >= g.written.Load()
	}
	if err := errors.Join(g.sink.await(ctx, all), fault); err != nil {
		return err
	}
	if written := g.written.Load(); decided != written || firsts != g.firsts.Load() {
		return fmt.Errorf("load: the sink decided %d events, %d of them firsts; the journal got %d, %d firsts", decided, firsts, written, g.firsts.Load())
	}
	return nil
}

// fault is nothing: a wrong decision ends the run.
func (r *KeysReport) fault() error { return nil }

// Where says on which cores it ran.
func (r *KeysReport) Where() string {
	return dividedCores(r.SinkCore, r.WriterCore, "the writer of its journal")
}

func (r *KeysReport) writeTable(w io.Writer) error {
	fmt.Fprintln(w, r.Origin())
	fmt.Fprintf(w, "%s; medians (and range) of the seconds of each window\n\n", r.Where())
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "keys\tseconds starved\tdecisions/s\tx\tCPU us\t")
	for _, v := range r.Windows {
		fmt.Fprintf(table, "%d\t%d\t%.0f (%.0f-%.0f)\t%.2f\t%.2f\t\n", v.Keys, v.Starved, v.PerSecond.Median, v.PerSecond.Min, v.PerSecond.Max, v.Ratio, v.CPU)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	end := r.Samples[len(r.Samples)-1]
	_, err := fmt.Fprintf(w, "\nat the end %d keys in %.0f MB, %.1f bytes each; anonymous memory %.0f MB\n", end.Keys, float64(end.Store)/1e6,
		float64(end.Store)/float64(max(end.Keys, 1)), float64(end.Anonymous)/1e6)
	return err
}
