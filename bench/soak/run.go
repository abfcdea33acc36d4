package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"waypost/bench/load"
	"waypost/bench/receiver"
	"waypost/bench/result"
	"waypost/bench/stack"
)

const (
	tenant     = "soak"
	hookSecret = "whsec_c29hayB0ZXN0OiBub3QgYSBzZWNyZXQgYXQgYWxsISE="
	hookPath   = "/standard"
)

// Bounds on waiting, generous like restartWithin.
const (
	startWithin  = 60 * time.Second
	settleWithin = 2 * time.Minute
	pollEvery    = 20 * time.Millisecond
)

// progressEvery is how often a line of progress is printed.
const progressEvery = 30 * time.Second

// soak is a run under way.
type soak struct {
	*Command
	speaking sync.Mutex
	progress io.Writer // through say only
	stack    *stack.Stack
	programs []*program // edge, sink, mint: the order of restarts
	ledger   *ledger
	crowd    *crowd
	hooks    *receiver.Receiver
	report   *Report
	lost     float64 // events, told by lives of the edge that are over
}

func newSoak(c *Command, progress io.Writer) *soak {
	return &soak{Command: c, progress: progress, ledger: &ledger{}, report: &Report{
		Head: result.Begin("bench soak"),
		Setup: Setup{
			Minutes: c.Minutes, Rate: c.Rate, Connections: c.Connections, RestartEvery: c.restartEvery().Seconds(), SampleEvery: c.SampleEvery.Seconds(),
			SegmentBytes: segmentBytes, KeepBytes: keepBytes,
		},
	}}
}

// soak runs from the start of the programs to the verdict, in dir.
func (c *Command) soak(ctx context.Context, dir string, progress io.Writer) (*Report, error) {
	s := newSoak(c, progress)
	defer s.end()
	if err := s.start(ctx, dir); err != nil {
		return nil, err
	}
	if err := s.last(ctx); err != nil {
		return nil, err
	}
	s.crowd.halt()
	if err := s.settle(ctx); err != nil {
		return nil, err
	}
	if err := s.stack.Stop(); err != nil {
		s.ledger.fault("at the end: %v", err)
	}
	s.ledger.close()
	s.report.fill(s.ledger, s.crowd)
	return s.report, nil
}

// say prints a line of progress. Samples and restarts both do.
func (s *soak) say(format string, args ...any) {
	s.speaking.Lock()
	defer s.speaking.Unlock()
	fmt.Fprintf(s.progress, format+"\n", args...)
}

// end gives everything back. It may be called after a failure at any place.
func (s *soak) end() {
	if s.crowd != nil {
		s.crowd.halt()
	}
	if s.stack != nil {
		s.stack.Close()
	}
	if s.hooks != nil {
		_ = s.hooks.Close(context.Background()) // nobody is left to send
	}
}

func (s *soak) start(ctx context.Context, dir string) (err error) {
	s.hooks, err = receiver.Start(receiver.Options{
		Addr: "127.0.0.1:0", Endpoints: []receiver.Endpoint{{Path: hookPath, Secret: hookSecret}}, Answer: s.ledger.hear,
		OnDelivery: func(d receiver.Delivery) {
			if d.Verified != nil {
				s.ledger.fault("webhook %q did not verify: %v", d.ID, d.Verified)
			}
		},
	})
	if err != nil {
		return err
	}
	s.stack, err = stack.New(stack.Config{
		Dir: dir, Bin: s.Bin,
		Edge: stack.Keys{"journal": stack.Keys{"segment_bytes": segmentBytes, "keep_bytes": keepBytes, "budget": journalBudget}},
		Sink: stack.Keys{"dispatch": stack.Keys{
			"retries":        []string{"500ms", "1s", "2s", "5s", "10s", "10s", "10s", "10s"},
			"attempts_bytes": attemptsBytes,
		}},
	})
	if err != nil {
		return err
	}
	endpoint := stack.Endpoint{ID: "soak", URL: s.hooks.URL() + hookPath, Format: "standard", Secret: hookSecret}
	s.stack.Tenants = []stack.Tenant{{Number: 1, Name: tenant, Secrets: []string{secret}, Endpoints: []stack.Endpoint{endpoint}}}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	if err := s.stack.Start(ctx); err != nil {
		return err
	}
	edge, sink, mint := &program{Process: s.stack.Edges[0]}, &program{Process: s.stack.Sinks[0]}, &program{Process: s.stack.Mint}
	s.programs = []*program{edge, sink, mint}
	s.crowd = newCrowd(s.ledger, edge, mint, s.Rate, s.Connections)
	return nil
}

// last keeps up the load and samples until the time is over and every restart is done.
func (s *soak) last(ctx context.Context) error {
	if err := s.crowd.start(ctx); err != nil {
		return err
	}
	working, done := context.WithCancel(ctx)
	var restarting error
	var restarts sync.WaitGroup
	restarts.Go(func() {
		defer done()
		if restarting = s.restartAll(working); restarting == nil {
			until(working, s.crowd.begin.Add(s.lasts()))
		}
	})
	sampling := s.sampleAll(working)
	done()
	restarts.Wait()
	s.report.Clicks.Seconds = time.Since(s.crowd.begin).Seconds()
	if ctx.Err() != nil {
		return errInterrupted
	}
	return errors.Join(restarting, sampling)
}

// errInterrupted says that the time was not over.
var errInterrupted = errors.New("interrupted: no verdict")

// until waits, and says whether ctx did.
func until(ctx context.Context, at time.Time) bool {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// sampleAll samples until ctx is done.
func (s *soak) sampleAll(ctx context.Context) error {
	told := s.crowd.begin
	for next := told; until(ctx, next.Add(s.SampleEvery)); next = time.Now() {
		if err := s.sample(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		if time.Since(told) >= progressEvery {
			told = time.Now()
			s.say("%s", s.report.latest(s.ledger))
		}
	}
	return nil
}

func (s *soak) sample(ctx context.Context) error {
	second := time.Since(s.crowd.begin).Seconds()
	for _, p := range s.programs {
		if err := p.dead(); err != nil {
			return err
		}
		got, ok, err := p.sample(ctx)
		if err != nil {
			return p.why(err)
		}
		if ok {
			got.Second = second
			s.report.Samples = append(s.report.Samples, got)
		}
	}
	d := DiskSample{Second: second, Keys: s.ledger.uniques()}
	for dir, to := range map[string]*int64{s.stack.JournalDir(0): &d.Journal, s.stack.StoreDir(0): &d.Store, filepath.Join(s.stack.Dir, "log"): &d.Logs} {
		var err error
		if *to, err = load.DiskUse(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	s.report.Disk = append(s.report.Disk, d)
	return nil
}

// restartAll restarts one program after the other, but none so late that its last life were shorter than half of the time between two restarts.
func (s *soak) restartAll(ctx context.Context) error {
	every := s.restartEvery()
	for n := 1; every > 0 && time.Duration(n)*every+every/2 <= s.lasts(); n++ {
		if !until(ctx, s.crowd.begin.Add(time.Duration(n)*every)) {
			return nil
		}
		if err := s.restart(ctx, s.programs[(n-1)%len(s.programs)]); err != nil {
			return err
		}
	}
	return nil
}

func (s *soak) restart(ctx context.Context, p *program) error {
	if p == s.crowd.edge {
		s.countLost(ctx)
	}
	r := Restart{Program: p.Name, Second: time.Since(s.crowd.begin).Seconds()}
	begun := time.Now()
	err := p.restart(context.WithoutCancel(ctx), func() { // once begun it is brought to its end
		if p == s.crowd.edge {
			s.crowd.visitor.Drop()
		}
	})
	r.Took = time.Since(begun).Seconds()
	s.report.Restarts = append(s.report.Restarts, r)
	s.say("%4.0f s: restarted %s in %.1f s", r.Second, r.Program, r.Took)
	return err
}

// countLost keeps what a life of the edge says of events that it lost.
func (s *soak) countLost(ctx context.Context) {
	m, err := s.crowd.edge.Metrics(ctx)
	if err != nil {
		s.ledger.fault("edge: %v", err)
		return
	}
	lost, _ := m.Sum("waypost_edge_events_lost_total")
	s.lost += lost
}

// settle waits until the sink has read everything and every webhook has come; what is missing then is the ledger's to tell.
func (s *soak) settle(ctx context.Context) error {
	s.countLost(ctx)
	if s.lost > 0 {
		s.ledger.fault("the edge says itself that it lost %.0f events", s.lost)
	}
	within, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	for {
		quiet, err := s.quiet(within)
		if quiet || err != nil && within.Err() == nil {
			return err
		}
		select {
		case <-within.Done():
			return ctx.Err()
		case <-time.After(pollEvery):
		}
	}
}

// quiet says whether nothing is under way any more.
func (s *soak) quiet(ctx context.Context) (bool, error) {
	edge, err := s.crowd.edge.Metrics(ctx)
	if err != nil {
		return false, err
	}
	sink, err := s.stack.Sinks[0].Metrics(ctx)
	if err != nil {
		return false, err
	}
	unread, known := edge.Sum("waypost_edge_journal_lag_bytes")
	due, found := sink.Sum("waypost_sink_deliveries_pending")
	if !known || !found {
		return false, errors.New("edge or sink has no metric of what is under way")
	}
	return unread == 0 && due == 0 && s.ledger.missing() == 0, nil
}
