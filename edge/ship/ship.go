package ship

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"waypost/configs/throttle"
)

// Options of a Shipper. Zero values mean the defaults in the comments.
type Options struct {
	Connection
	Journal     string        // the journal's directory: required
	Consumer    string        // the name under which its writer holds segments for the shipper; empty: positions are not published
	Dir         string        // of the shipper's own files (state, refused.jsonl, lock), made when it is not there: required
	Partitions  int           // what the topic must have; 0: as many as it has at the first start, and the same ever after
	Compression Compression   // snappy
	BatchBytes  int           // 512 KiB: records before compression; 1 KiB to 16 MiB; of a paced backlog, 128 KiB at most. The topic's max.message.bytes (1 MiB) bounds the compressed batch
	Delay       time.Duration // 10 ms that a record may wait for others, at most
	SaveEvery   time.Duration // 1 s between writes of the state; what was acknowledged since is repeated after a crash
	Drain       time.Duration // 5 s that batches under way may take when Run is to end
	// BacklogRate is how many events a second a backlog is shipped at, where twice the rate at which it arose is not more: 25,000. Negative: as fast as can be.
	// It holds until the shipper is to come to its end.
	BacklogRate int
	// UntilEnd lets Run end when everything that the journal holds is acknowledged: for what a dead edge left behind.
	UntilEnd bool
	// Explain puts a broker's error into words for Stats.Trouble and the log; nil: as it is.
	Explain func(error) string
	Logger  *slog.Logger

	pauses     pauses
	stallAfter time.Duration
	broker     broker // tests'
}

// batchesPerPartition: one in flight, one that waits for it, one that is being filled.
const batchesPerPartition = 3

// ErrBusy says that another process ships with the same directory.
var ErrBusy = errors.New("ship: another shipper works with this directory")

// Shipper ships one journal. Its counters go on when it is run again after an end.
type Shipper struct {
	o         Options
	broker    broker
	counts    counters
	log       *throttled
	finishing atomic.Bool

	mu       sync.Mutex
	starting string    // what keeps it from beginning
	since    time.Time // since when
	senders  []*sender
}

// New checks the options. Nothing is opened before Run.
func New(o Options) (*Shipper, error) {
	for _, required := range []struct {
		name  string
		given bool
	}{{"Journal", o.Journal != ""}, {"Dir", o.Dir != ""}, {"Topic", o.Topic != ""}, {"Brokers", len(o.Brokers) > 0 || o.Client != nil || o.broker != nil}} {
		if !required.given {
			return nil, fmt.Errorf("ship: %s is required", required.name)
		}
	}
	if strings.ContainsAny(o.Topic, " \n") {
		return nil, fmt.Errorf("ship: topic %q: no topic's name holds spaces", o.Topic)
	}
	if _, err := newCompressor(o.Compression); err != nil {
		return nil, err
	}
	setDefault(&o.BatchBytes, 512<<10)
	if o.BatchBytes < 1<<10 || o.BatchBytes > 16<<20 {
		return nil, fmt.Errorf("ship: BatchBytes = %d: 1 KiB to 16 MiB", o.BatchBytes)
	}
	setDefault(&o.Delay, 10*time.Millisecond)
	setDefault(&o.SaveEvery, time.Second)
	setDefault(&o.Drain, 5*time.Second)
	setDefault(&o.BacklogRate, 25_000)
	setDefault(&o.stallAfter, time.Second)
	setDefault(&o.pauses, usualPauses)
	if o.Explain == nil {
		o.Explain = error.Error
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Shipper{o: o, broker: o.broker, log: &throttled{log: o.Logger, messages: map[string]*throttle.Every{}}}
	s.finishing.Store(o.UntilEnd)
	return s, nil
}

func setDefault[T comparable](value *T, to T) {
	var zero T
	if *value == zero {
		*value = to
	}
}

// Finish makes Run end as with Options.UntilEnd: for when nothing is appended any more.
func (s *Shipper) Finish() { s.finishing.Store(true) }

// Run ships until ctx is done (and then gives batches under way Options.Drain), or, with UntilEnd, until all is shipped. Kafka being away is no error: Run waits.
// Errors are ErrBusy, ErrState, ErrTopic, ErrPartitions, and what the shipper's own directory gives.
func (s *Shipper) Run(ctx context.Context) error {
	if err := os.MkdirAll(s.o.Dir, 0o755); err != nil {
		return fmt.Errorf("ship: %w", err)
	}
	lock, err := takeLock(filepath.Join(s.o.Dir, "lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	if s.broker == nil {
		s.broker = dial(s.o.Connection)
	}
	defer s.broker.close()
	n, err := s.awaitTopic(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	ledger, err := loadState(s.statePath(), s.o.Topic, n)
	if err != nil {
		return err
	}
	return s.ship(ctx, ledger)
}

func (s *Shipper) statePath() string { return filepath.Join(s.o.Dir, stateName) }

func takeLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("ship: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		if err == syscall.EWOULDBLOCK {
			return nil, fmt.Errorf("%w: %s", ErrBusy, filepath.Dir(path))
		}
		return nil, fmt.Errorf("ship: %s: %w", path, err)
	}
	return file, nil
}

// awaitTopic waits until the cluster tells the topic's number of partitions.
func (s *Shipper) awaitTopic(ctx context.Context) (int, error) {
	defer s.setStarting("")
	for wait := s.o.pauses.first; ; wait = min(2*wait, s.o.pauses.last) {
		n, err := s.broker.partitions(ctx)
		if err == nil {
			if s.o.Partitions != 0 && n != s.o.Partitions {
				return 0, fmt.Errorf("%w: %d are set, topic %s has %d", ErrPartitions, s.o.Partitions, s.o.Topic, n)
			}
			return n, nil
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		s.setStarting(fmt.Sprintf("topic %s: %s", s.o.Topic, s.o.Explain(err)))
		s.counts.retry(reason(err))
		s.log.say(slog.LevelWarn, "no answer about the topic: trying again", "topic", s.o.Topic, "error", s.o.Explain(err))
		if judge(err) == stuck {
			wait = s.o.pauses.stuck
		}
		if err := pause(ctx, wait); err != nil {
			return 0, err
		}
	}
}

func (s *Shipper) setStarting(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.starting == "" {
		s.since = time.Now()
	}
	s.starting = why
}

// ship runs the senders and the reader until the reader ends, and then the senders to their end.
func (s *Shipper) ship(ctx context.Context, l *ledger) error {
	// The senders outlive ctx by the drain time.
	sending, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	done := make(chan *batch, l.partitions*batchesPerPartition)
	r := newReading(s, l, done)
	var running sync.WaitGroup
	shared := &producers{broker: s.broker}
	side := &sideFile{path: filepath.Join(s.o.Dir, "refused.jsonl")}
	for p := range r.lanes {
		squeeze, err := newCompressor(s.o.Compression)
		if err != nil {
			return err
		}
		sender := &sender{
			partition: p, broker: s.broker, producers: shared, squeeze: squeeze, refused: side, counts: &s.counts, log: s.log, pauses: s.o.pauses, explain: s.o.Explain,
			queue: make(chan *batch, batchesPerPartition), done: done,
		}
		r.lanes[p].sender = sender
		running.Go(func() { sender.run(sending) })
	}
	s.mu.Lock()
	s.senders = s.senders[:0]
	for p := range r.lanes {
		s.senders = append(s.senders, r.lanes[p].sender)
	}
	s.mu.Unlock()

	err := r.run(ctx)
	r.dispatchAll()
	for p := range r.lanes {
		close(r.lanes[p].sender.queue)
	}
	stop := time.AfterFunc(s.o.Drain, abandon)
	running.Wait()
	stop.Stop()
	return errors.Join(err, r.finish())
}
