package ingest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"waypost/configs/fault"
	"waypost/configs/throttle"
	"waypost/edge/event"
	"waypost/sink/internal/metrics"
	"waypost/sink/internal/store"
)

// First is an event that yields webhooks.
type First struct {
	ID       event.ID
	Type     event.Type
	Tenant   uint32
	Time     time.Time // the event's own
	Key      []byte    // the Kafka key
	Document []byte    // like Key valid during the call only
}

// Outbox takes what is to be delivered. Due and Committed are called from one goroutine in turns.
type Outbox interface {
	// Due adds the deliveries of one first to the batch that also holds its decision.
	Due(b *pebble.Batch, f First) error
	// Committed says that the batch is on disk: only now may anything of it be sent.
	Committed()
}

// Archive takes what was told, to keep it. Its methods are called from one goroutine, in this order.
type Archive interface {
	// Keep notes one first. Its slices stay valid until Write has returned.
	Keep(f First) error
	// Write adds what was noted to the batch that also holds the decisions.
	Write(b *pebble.Batch) error
	// Committed says that the batch is on disk.
	Committed()
}

// Waits between looks at sources that have nothing new. A look costs well under a microsecond, so an idle sink shows no load.
const (
	shortestWait = time.Millisecond
	longestWait  = 20 * time.Millisecond
)

// longestLine bounds a line of the decisions.
const longestLine = 64

// Options of an Ingester.
type Options struct {
	Store        *store.Store
	Sources      []Source
	Outbox       Outbox
	Archive      Archive          // optional
	BatchRecords int              // most records of a batch; 5,000
	Decisions    io.Writer        // takes a line `click|open ID first|repeat` a hit; nil: nobody
	Now          func() time.Time // the sink's clock; time.Now
	Metrics      *metrics.Set
	Logger       *slog.Logger
	// Publish makes the decisions known before they are stored; an error ends the Ingester with nothing stored of the batch. Optional.
	Publish func(records []Record, decisions []Decision) error
	// NoSync leaves it to the store when a batch reaches the disk: for those who can restore it, and send nothing.
	NoSync bool
	// Decided is told that a batch is on disk. It must not wait. Optional.
	Decided func()
	// Trouble is told of the sources that cannot be read, whenever that changes. Optional.
	Trouble func(reasons []string)
}

// Ingester reads the sources, decides, and stores.
type Ingester struct {
	o       Options
	decider *Decider
	batch   Batch
	turn    int // the source that is read first, so that a busy one cannot starve the others
	lines   *bufio.Writer
	trouble map[string]bool
	errors  throttle.Every

	step sync.Mutex // held while a batch is under way, from its reading until it may be sent
}

// New makes an Ingester; Run works.
func New(o Options) *Ingester {
	if o.BatchRecords == 0 {
		o.BatchRecords = 5000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	in := &Ingester{o: o, decider: NewDecider(o.Store, o.Now), trouble: map[string]bool{}}
	if o.Decisions != nil {
		in.lines = bufio.NewWriterSize(o.Decisions, 64<<10)
	}
	return in
}

// Run works until ctx ends or the store fails. A batch under way is finished.
func (in *Ingester) Run(ctx context.Context) error {
	wait, timer := shortestWait, time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		n, err := in.Step()
		if err != nil {
			return err
		}
		if n > 0 {
			wait = shortestWait
			continue
		}
		timer.Reset(wait)
		wait = min(2*wait, longestWait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
	}
	return nil
}

// Step decides what is there, at most one batch, and returns how many records were taken.
func (in *Ingester) Step() (int, error) {
	in.step.Lock()
	defer in.step.Unlock()
	taken := in.fill()
	if taken == 0 {
		return 0, nil
	}
	fault.Point("ingest.read")
	decisions, err := in.decide()
	if err != nil {
		return 0, err
	}
	fault.Point("ingest.committed")
	in.stored()
	fault.Point("ingest.positioned")
	in.o.Outbox.Committed()
	if in.o.Archive != nil {
		in.o.Archive.Committed()
	}
	if in.o.Decided != nil {
		in.o.Decided()
	}
	in.count(decisions)
	return taken, in.print(decisions)
}

// fill reads every source: first each its share, then whoever has more.
func (in *Ingester) fill() int {
	in.batch.Reset()
	taken, sources := 0, in.o.Sources
	share := max(in.o.BatchRecords/max(len(sources), 1), 1)
	for round := range 2 {
		for i := range sources {
			place := (in.turn + i) % len(sources)
			room := min(share, in.o.BatchRecords-taken)
			if round == 1 {
				room = in.o.BatchRecords - taken
			}
			if room <= 0 || round == 1 && (sources[place].AtEnd() || in.trouble[sources[place].Name()]) {
				continue
			}
			taken += in.fillFrom(place, room)
		}
	}
	in.turn++
	return taken
}

func (in *Ingester) fillFrom(place, room int) int {
	s := in.o.Sources[place]
	in.batch.source = place
	before := len(in.batch.Records)
	n, err := s.Fill(&in.batch, room)
	in.o.Metrics.Read.WithLabelValues(s.Name()).Add(float64(len(in.batch.Records) - before))
	in.report(s, err)
	if s.AtEnd() {
		in.o.Metrics.Lag.WithLabelValues(s.Name()).Set(0)
	}
	return n
}

// report logs and counts a source's error, and tells when its state changed.
func (in *Ingester) report(s Source, err error) {
	if err != nil {
		in.o.Metrics.SourceErrors.WithLabelValues(s.Name()).Inc()
		if held, ok := in.errors.Allow(time.Now()); ok {
			in.o.Logger.Error("source failed: trying again", "source", s.Name(), "error", err, "held_back", held)
		}
	}
	if in.trouble[s.Name()] == (err != nil) {
		return
	}
	in.trouble[s.Name()] = err != nil
	if in.o.Trouble == nil {
		return
	}
	var reasons []string
	for _, s := range in.o.Sources {
		if in.trouble[s.Name()] {
			reasons = append(reasons, "source cannot be read: "+s.Name())
		}
	}
	in.o.Trouble(reasons)
}

// decide makes the one durable step: keys, floors, positions and deliveries.
func (in *Ingester) decide() ([]Decision, error) {
	b := in.o.Store.NewBatch()
	defer b.Close()
	decisions, err := in.decider.Decide(b, in.batch.Records)
	if err != nil {
		return nil, err
	}
	if in.o.Publish != nil {
		fault.Point("ingest.produce")
		if err := in.o.Publish(in.batch.Records, decisions); err != nil {
			return nil, err
		}
	}
	for i := range decisions {
		if !decisions[i].Webhook {
			continue
		}
		r := &in.batch.Records[i]
		f := First{ID: decisions[i].ID, Type: decisions[i].Type, Tenant: decisions[i].Tenant, Time: decisions[i].Time, Key: r.Key, Document: r.Document}
		if err := in.o.Outbox.Due(b, f); err != nil {
			return nil, fmt.Errorf("ingest: %w", err)
		}
		if in.o.Archive != nil {
			if err := in.o.Archive.Keep(f); err != nil {
				return nil, fmt.Errorf("ingest: %w", err)
			}
		}
	}
	if in.o.Archive != nil {
		if err := in.o.Archive.Write(b); err != nil {
			return nil, fmt.Errorf("ingest: %w", err)
		}
	}
	for _, s := range in.o.Sources {
		if err := s.Positions(func(key, value []byte) error { return b.Set(key, value, nil) }); err != nil {
			return nil, fmt.Errorf("ingest: %w", err)
		}
	}
	fault.Point("ingest.decided")
	begin := time.Now()
	// Sync, not NoSync: Pebble keeps the end of its log in the process, and a webhook must never be sent for what a SIGKILL forgets.
	// Where the decisions are published first, the store is restored from there.
	sync := pebble.Sync
	if in.o.NoSync {
		sync = pebble.NoSync
	}
	if err := b.Commit(sync); err != nil {
		return nil, fmt.Errorf("ingest: commit: %w", err)
	}
	in.o.Metrics.CommitSeconds.Observe(time.Since(begin).Seconds())
	in.o.Metrics.BatchRecords.Observe(float64(len(in.batch.Records)))
	return decisions, nil
}

func (in *Ingester) stored() {
	for _, s := range in.o.Sources {
		if err := s.Stored(); err != nil {
			in.o.Metrics.SourceErrors.WithLabelValues(s.Name()).Inc()
			if held, ok := in.errors.Allow(time.Now()); ok {
				in.o.Logger.Warn("position not published: trying again", "source", s.Name(), "error", err, "held_back", held)
			}
		}
	}
}

func (in *Ingester) count(decisions []Decision) {
	var firsts, machines, repeats, forgotten float64
	for i := range decisions {
		switch d := &decisions[i]; {
		case d.Reason == UndecodableEvent:
			name := in.o.Sources[in.batch.Records[i].Source].Name()
			in.o.Metrics.Undecodable.WithLabelValues(name).Inc()
		case d.Reason != Eligible:
			in.o.Metrics.Ineligible.WithLabelValues(string(d.Reason)).Inc()
		case d.Forgotten && (d.FirstAny || d.FirstPerson):
			forgotten++
		case d.FirstPerson:
			firsts++
		case d.FirstAny:
			machines++
		default:
			repeats++
		}
	}
	in.lag(decisions)
	in.o.Metrics.Decisions.WithLabelValues("first").Add(firsts)
	in.o.Metrics.Decisions.WithLabelValues("first_machine").Add(machines)
	in.o.Metrics.Decisions.WithLabelValues("repeat").Add(repeats)
	in.o.Metrics.Decisions.WithLabelValues("forgotten").Add(forgotten)
}

// lag tells how old the newest event of a source is while the source has more.
func (in *Ingester) lag(decisions []Decision) {
	now := in.o.Now()
	for place, s := range in.o.Sources {
		if s.AtEnd() {
			continue // fillFrom has said so
		}
		for i := len(decisions) - 1; i >= 0; i-- {
			if in.batch.Records[i].Source == place && decisions[i].Reason != UndecodableEvent {
				in.o.Metrics.Lag.WithLabelValues(s.Name()).Set(max(now.Sub(decisions[i].Time).Seconds(), 0))
				break
			}
		}
	}
}

// print writes the demo's lines. Who asked for them must read them: a closed pipe ends the sink.
func (in *Ingester) print(decisions []Decision) error {
	if in.lines == nil {
		return nil
	}
	for i := range decisions {
		d := &decisions[i]
		word, verdict := d.Word(), " repeat\n"
		if word == "" {
			continue
		}
		if d.Webhook {
			verdict = " first\n"
		}
		if in.lines.Available() < longestLine {
			if err := in.lines.Flush(); err != nil { // whole lines: partitions share the output
				return fmt.Errorf("ingest: decisions: %w", err)
			}
		}
		line := d.ID.AppendTo(append(append(in.lines.AvailableBuffer(), word...), ' '))
		_, _ = in.lines.Write(append(line, verdict...))
	}
	if err := in.lines.Flush(); err != nil {
		return fmt.Errorf("ingest: decisions: %w", err)
	}
	return nil
}
