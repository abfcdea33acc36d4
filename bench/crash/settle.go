package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"waypost/bench/stack"
)

// quiet stops the load and waits until sink and copy have read all that the journals hold.
func (r *round) quiet() error {
	r.stopLoad()
	var missing error
	err := r.wait("sink and copy to read the journals to their ends", settleWithin, func() bool {
		for _, edge := range r.stack.Edges {
			end, err := r.readToEnd(edge)
			if err != nil || !end {
				missing = err
				return err != nil
			}
		}
		return true
	})
	return errors.Join(err, missing)
}

func (r *round) readToEnd(edge *stack.Process) (bool, error) {
	m, err := edge.Metrics(r.ctx)
	if err != nil {
		return false, err
	}
	for _, name := range []string{consumer, r.stack.Sinks[0].Name} {
		lag, found := m.Sum("waypost_edge_journal_lag_bytes", `consumer="`+name+`"`)
		if !found {
			return false, fmt.Errorf("%s has no metric of the lag of %s", edge.Name, name)
		}
		if lag > 0 {
			return false, nil
		}
	}
	return true, nil
}

// finish stops everything in order and gives the evidence.
func (r *round) finish() (*evidence, error) {
	if r.kafka {
		return r.finishKafka()
	}
	if err := r.quiet(); err != nil {
		return nil, err
	}
	for _, edge := range r.stack.Edges {
		r.remember(edge)
		if err := r.stop(edge); err != nil {
			return nil, err
		}
	}
	if r.recycled < minRecycled {
		r.complain("only %.0f segments were recycled, want %d", r.recycled, minRecycled)
	}
	if err := r.finishCopies(); err != nil {
		return nil, err
	}
	e := &evidence{clicks: r.book.clicks, retention: r.retention, paths: hookPaths, unheard: r.points[unheardPoint]}
	for i := range r.stack.Edges {
		log, err := readLog(r.copyPath(i))
		if err != nil {
			return nil, err
		}
		e.logs = append(e.logs, log)
	}
	if err := r.finishSink(len(e.firsts()) * len(e.paths)); err != nil {
		return nil, err
	}
	text, err := r.store("cat")
	if err != nil {
		return nil, err
	}
	if e.decisions, err = readDecisions(text); err != nil {
		return nil, err
	}
	var refused []string
	e.deliveries, refused = r.hooks.all()
	e.lives, e.mostAgain = r.hooks.allLives(), r.mostAgain
	e.complaints = append(r.complaints, refused...)
	if text, err = r.store("kept"); err != nil {
		return nil, err
	}
	e.keeps = true
	e.kept, err = readKept(text)
	return e, err
}

func (r *round) stop(p *stack.Process) error {
	ctx, cancel := context.WithTimeout(r.ctx, stack.StopWithin)
	defer cancel()
	return p.Stop(ctx)
}

// finishCopies lets every copier reach its journal's end once more, after the edges' own.
func (r *round) finishCopies() error {
	for _, c := range r.copiers {
		from := c.passes.Load()
		if err := r.wait("the copy", settleWithin, func() bool { return c.passes.Load() >= from+2 }); err != nil {
			return errors.Join(err, c.halt())
		}
	}
	var all error
	for i, c := range r.copiers {
		all = errors.Join(all, c.halt())
		for _, d := range c.damages {
			if !r.damageExpected {
				r.complain("journal %d: the copy met damage: %+v", i+1, d)
			}
		}
	}
	r.copiers = nil
	return all
}

// finishSink waits for the deliveries that are due, stops the sink, and gives it one more life in which nothing new may be sent.
func (r *round) finishSink(due int) error {
	sink := r.stack.Sinks[0]
	if err := r.waitAccepted(due); err != nil { // the check says what is missing
		r.complain("%v: %d of %d arrived", err, r.hooks.accepted(), due)
	}
	if err := r.stop(sink); err != nil {
		return err
	}
	if err := r.restart(sink); err != nil {
		return err
	}
	if err := r.stop(sink); err != nil {
		return err
	}
	waiting, err := r.store("due")
	if n := bytes.Count(waiting, []byte("\n")); n > 0 {
		r.complain("%d deliveries are still due: %.300s", n, waiting)
	}
	if err != nil {
		return err
	}
	given, err := r.store("dead")
	if n := bytes.Count(given, []byte("\n")); n > 0 {
		r.complain("%d deliveries were given up: %.300s", n, given)
	}
	return err
}

// waitAccepted waits for the deliveries that are due, for as long as more of them come.
func (r *round) waitAccepted(due int) error {
	for {
		before := r.hooks.accepted()
		err := r.wait("the webhooks", settleWithin, func() bool { return r.hooks.accepted() >= due })
		if err == nil || r.ctx.Err() != nil || r.hooks.accepted() == before {
			return err
		}
	}
}

// store runs one of the commands that read a stopped sink's store.
func (r *round) store(what string) ([]byte, error) {
	text, err := r.stack.Run(r.ctx, "sink", "--config", r.stack.Settings(r.stack.Sinks[0]), "store", what)
	if err != nil {
		return nil, fmt.Errorf("reading the sink's store: %w", err)
	}
	return text, nil
}
