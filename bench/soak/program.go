package soak

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"waypost/bench/stack"
)

// restartWithin bounds each half of a restart, generously: a machine under load is slow, not wrong.
const restartWithin = 60 * time.Second

// program is one of the stack's, over its lives.
type program struct {
	*stack.Process
	// changes is odd while the program is being restarted: half of it is how many lives are over.
	changes atomic.Int64
}

// life is the number of the running life, from 1; resting says that the program is being restarted.
func (p *program) life() (number int, resting bool) {
	n := p.changes.Load()
	return int(n/2) + 1, n%2 == 1
}

// restart is SIGTERM, and a new life. between is called while nothing runs.
func (p *program) restart(ctx context.Context, between func()) error {
	p.changes.Add(1)
	defer p.changes.Add(1)
	stop, cancel := context.WithTimeout(ctx, restartWithin)
	defer cancel()
	if err := p.Stop(stop); err != nil {
		return err
	}
	between()
	start, cancel := context.WithTimeout(ctx, restartWithin)
	defer cancel()
	return p.Start(start)
}

// watch is held while a request is under way.
type watch struct {
	program *program
	from    int64
}

func (p *program) watch() watch { return watch{p, p.changes.Load()} }

// excuses says whether the program was being restarted at any time since the watch began.
func (w watch) excuses() bool { return w.from%2 == 1 || w.program.changes.Load() != w.from }

// dead says that the program ended though nobody asked it to.
func (p *program) dead() error {
	w := p.watch()
	if epitaph := p.Epitaph(); epitaph != "" && !w.excuses() {
		return fmt.Errorf("%s %s", p.Name, epitaph)
	}
	return nil
}

// why gives the reason of an error that the program's death may be behind, which shows a moment later.
func (p *program) why(err error) error {
	select {
	case <-p.Exited():
		if dead := p.dead(); dead != nil {
			return dead
		}
	case <-time.After(5 * time.Second):
	}
	return err
}
