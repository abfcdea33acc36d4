package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"waypost/configs"
	"waypost/configs/broker"
	"waypost/edge/journal"
	"waypost/edge/ship"
)

const (

	// shipAgain is the pause after an end that was not asked for (another shipper at work, a changed number of partitions).
	shipAgain = 5 * time.Second

	// cutDrain is what batches under way still get when the drain is cut.
	cutDrain = 500 * time.Millisecond
)

// shipping brings the journal to Kafka while the edge serves. The redirect path knows nothing of it.
type shipping struct {
	shipper *ship.Shipper
	cluster *broker.Cluster
	log     *slog.Logger
	begun   time.Time
	stopped atomic.Pointer[string] // why the shipper does not run
	cancel  context.CancelFunc
	ended   chan struct{}
}

// newShipper is what ships the journal in dir by the settings.
func newShipper(k configs.Kafka, dir string, log *slog.Logger) (*ship.Shipper, *broker.Cluster, error) {
	cluster, err := broker.New(k)
	if err != nil {
		return nil, nil, err
	}
	shipper, err := ship.New(ship.Options{
		Connection: ship.Connection{Client: cluster.Client, Topic: k.Topics.Events},
		Journal:    dir, Consumer: configs.Shipper, Dir: ship.Dir(dir), Partitions: k.Partitions,
		Compression: ship.Compression(k.Compression), BatchBytes: int(k.BatchBytes), Delay: max(k.BatchDelay, time.Nanosecond), Drain: cutDrain, Explain: broker.Explain, Logger: log,
	})
	if err != nil {
		cluster.Close()
		return nil, nil, err
	}
	return shipper, cluster, nil
}

// startShipping gives nil where Kafka is off.
func startShipping(settings *configs.Edge, log *slog.Logger) (*shipping, error) {
	if !settings.Kafka.On() {
		return nil, nil //nolint:nilnil // every method of a nil shipping does nothing
	}
	shipper, cluster, err := newShipper(settings.Kafka, settings.Journal.Dir, log)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &shipping{shipper: shipper, cluster: cluster, log: log, begun: time.Now(), cancel: cancel, ended: make(chan struct{})}
	go s.run(ctx)
	return s, nil
}

// run ships until it is told to end. Whatever ends the shipper otherwise, the edge goes on, and the journal keeps the events.
func (s *shipping) run(ctx context.Context) {
	defer close(s.ended)
	said := ""
	for {
		err := s.shipper.Run(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		text := err.Error()
		s.stopped.Store(&text)
		if text != said {
			s.log.Error("shipping to Kafka has stopped: trying again", "every", shipAgain, "error", err)
			said = text
		}
		select {
		case <-time.After(shipAgain):
		case <-ctx.Done():
			return
		}
		s.stopped.Store(nil)
	}
}

// finish ships what the journal holds, until ctx is done: what is left stays in the journal.
func (s *shipping) finish(ctx context.Context) {
	if s == nil {
		return
	}
	s.shipper.Finish()
	select {
	case <-s.ended:
	case <-ctx.Done():
		s.log.Warn("not everything is shipped to Kafka: the rest stays in the journal")
	}
	s.leave()
}

// leave stops shipping: batches under way are acknowledged or not, the next shipper goes on behind what was.
func (s *shipping) leave() {
	if s == nil {
		return
	}
	s.cancel()
	<-s.ended
	s.cluster.Close()
}

// reasons say what keeps events from Kafka.
func (s *shipping) reasons() []string {
	if s == nil {
		return nil
	}
	var reasons []string
	if why := s.stopped.Load(); why != nil {
		reasons = append(reasons, "kafka: "+*why)
	}
	for _, trouble := range s.shipper.Stats().Trouble {
		reasons = append(reasons, "kafka: "+trouble)
	}
	return reasons
}

type shipCommand struct {
	Dir string `arg:"" help:"The journal's directory."`
}

// Run ships what a dead edge left behind. A journal that was shipped whole is shipped in a moment.
func (c *shipCommand) Run(p *program) error {
	settings, _, exit, done := configs.Open[configs.Edge](p.flags, p.env, p.stdout, p.stderr)
	if done {
		return configs.Told(exit)
	}
	log := settings.Log.Logger(p.stderr)
	if err := closeRuns(c.Dir, settings.Journal, log); err != nil {
		return err
	}
	shipper, cluster, err := newShipper(settings.Kafka, c.Dir, log)
	if err != nil {
		return err
	}
	defer cluster.Close()
	shipper.Finish()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-p.signals:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := shipper.Run(ctx); err != nil {
		return err
	}
	st := shipper.Stats()
	if ctx.Err() != nil {
		return fmt.Errorf("signal: %d events shipped, not all", st.Records)
	}
	_, _ = fmt.Fprintf(p.stdout, "%d events shipped to %s\n", st.Records, settings.Kafka.Topics.Events)
	if st.Refused > 0 {
		return fmt.Errorf("the brokers refuse %d events for good: they are in %s", st.Refused, filepath.Join(ship.Dir(c.Dir), "refused.jsonl"))
	}
	return nil
}

// closeRuns ends what a crash left open: a reader would wait for ever at the first hole. Only a writer may do it.
func closeRuns(dir string, settings configs.Journal, log *slog.Logger) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no directory", dir)
	}
	settings.Dir = dir
	writer, err := openJournal(&settings, log)
	if errors.Is(err, journal.ErrLocked) {
		return fmt.Errorf("an edge writes to %s: it ships by itself", dir)
	}
	if err != nil {
		return err
	}
	return writer.Close()
}
