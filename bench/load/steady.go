package load

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// What the edge says of its journal.
const (
	metricRecycled = "waypost_edge_journal_recycled_total"
	metricSegments = "waypost_edge_journal_segments"
)

// Bounds of cycle.
const (
	cycleWithin = 5 * time.Minute
	cycleWindow = time.Second
)

// reachSteadyState brings the contestants with a journal to their steady state.
func (r *race) reachSteadyState(ctx context.Context) error {
	for _, c := range r.contestants {
		if !r.steady || c.metrics == nil {
			continue
		}
		fmt.Fprintf(r.progress, "%s: loading it until its journal uses its segments again\n", c.name)
		if err := r.cycle(ctx, c, cycleWithin); err != nil {
			return err
		}
	}
	return nil
}

// cycle loads c until as many segments were used again as there are files: each was written once then. On a virtual machine the host gives memory to a page when it is touched for the first
// time, and a request that meets many of those waits for tens of milliseconds; a journal that runs for longer than some seconds does not have that any more.
func (f *field) cycle(ctx context.Context, c *contestant, within time.Duration) error {
	warm, plain := *f, *c
	warm.warmup, warm.duration = 0, min(f.duration, cycleWindow)
	if f.plain != nil { // not every mix makes events, and none has to come on kept connections
		warm.seal, warm.requests, plain.want, plain.fresh = f.plain, newRequests(f.clickHeaders), http.StatusFound, false
	}
	end := time.Now().Add(within)
	for time.Now().Before(end) {
		m, err := c.metrics(ctx)
		if err != nil {
			return fmt.Errorf("load: %s: %w", c.name, err)
		}
		recycled, _ := m.Sum(metricRecycled)
		files, _ := m.Sum(metricSegments)
		if recycled > 0 && recycled >= files {
			return nil
		}
		if _, err := warm.turn(ctx, &plain, 0); err != nil {
			return err
		}
		c.perSecond = plain.perSecond
	}
	return fmt.Errorf("load: %s: its journal does not use its segments again within %v: see --segment-bytes", c.name, within)
}
