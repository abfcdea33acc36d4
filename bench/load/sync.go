package load

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/alecthomas/kong"
)

// SyncCommand is `bench load sync`.
type SyncCommand struct {
	Rate float64 `help:"Requests a second; 0: half of the edge's maximum, at most 30000." default:"0"`
	Course
}

// The contestants: one edge each, with a journal of its own on the same disk.
const (
	syncNever = "never"
	syncUsual = "100ms"
	syncBusy  = "busy-disk"
)

// Run measures and reports.
func (c *SyncCommand) Run(ctx context.Context, k *kong.Context) error {
	return conduct(ctx, k, c.JSON, func(ctx context.Context, progress io.Writer) (syncReport, error) {
		r, err := c.measure(ctx, progress)
		return syncReport{r}, err
	})
}

func (c *SyncCommand) measure(ctx context.Context, progress io.Writer) (*Report, error) {
	if c.Rate < 0 {
		return nil, errNegativeRate
	}
	l, err := c.lineup("bench load sync")
	if err != nil {
		return nil, err
	}
	defer l.close()
	busy := &disturbance{dir: l.dir, core: l.generatorCore}
	for _, e := range []struct {
		name, what, sync string
		beside           *disturbance
	}{
		{syncNever, "nothing is synced; the kernel writes when it likes", "never", nil},
		{syncUsual, "the default", syncUsual, nil},
		{syncBusy, "the default, and another process syncs blocks of 1 MiB on the same disk, one after the other, in what the generator leaves of its core", syncUsual, busy},
	} {
		if err := l.enterSyncing(ctx, e.name, e.what, e.sync, e.beside); err != nil {
			return nil, err
		}
	}
	r := race{lineup: l, rounds: c.Rounds, rates: []float64{c.Rate}, open: true, progress: progress}
	if c.Rate == 0 {
		if r.rates[0], err = r.halfMaximum(ctx, l.contestants[0]); err != nil {
			return nil, err
		}
	}
	turns, err := r.run(ctx)
	if err != nil {
		return nil, err
	}
	l.notes = append(l.notes, fmt.Sprintf("beside %s: %.0f MiB a second, each synced", syncBusy, busy.perSecond()))
	return l.report(c.setup(l.field, syncNever), turns), nil
}

// enterSyncing enters an edge with that journal.sync. The first is the one whose links all follow.
func (l *lineup) enterSyncing(ctx context.Context, name, what, sync string, beside *disturbance) error {
	dir := filepath.Join(l.dir, name)
	if l.edge != nil {
		if err := copyKeys(filepath.Join(l.dir, syncNever), dir); err != nil {
			return err
		}
	}
	e, err := startEdge(ctx, dir, l.path, l.serverCore, edgeOptions{segmentBytes: l.segmentBytes, sync: sync})
	if err != nil {
		return err
	}
	l.closers = append(l.closers, e.stop)
	if l.edge == nil {
		l.lead(e)
	}
	c := l.edgeContestant(name, what, e)
	if beside != nil {
		c.beside, c.yielding = beside.begin, func() int { return beside.pid }
	}
	return l.enter(c)
}

// halfMaximum is half of what c does in a closed loop.
func (r *race) halfMaximum(ctx context.Context, c *contestant) (float64, error) {
	t, err := r.turn(ctx, c, 0)
	return min(t.PerSecond/2, mostOutageRate), err
}

// syncFactor is how much worse than without a syncer the tail may be.
const syncFactor = 2

// syncReport is a Report of which more is printed.
type syncReport struct{ *Report }

func (r syncReport) writeTable(w io.Writer) error {
	if err := r.Report.writeTable(w); err != nil {
		return err
	}
	return r.writeSync(w)
}

// writeSync says what the syncer and the busy disk do to the tail.
func (r *Report) writeSync(w io.Writer) error {
	fmt.Fprintln(w)
	for _, s := range r.Summary {
		if s.Contestant == syncNever {
			continue
		}
		for _, p := range []string{"p99", "p99.9"} {
			ratio, ok := s.Ratios[syncNever][p]
			if !ok {
				continue
			}
			verdict := "within"
			if ratio.Median > syncFactor {
				verdict = "NOT within"
			}
			fmt.Fprintf(w, "%s: %s is %s times that without a syncer: %s %d times\n", s.Contestant, p, ratio, verdict, syncFactor)
		}
	}
	return nil
}
