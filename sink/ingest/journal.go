package ingest

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"time"

	"waypost/configs/throttle"
	"waypost/edge/event"
	"waypost/edge/journal"
	"waypost/sink/internal/metrics"
	"waypost/sink/internal/store"
)

// JournalOptions of a Journal. All but Dir and Consumer may be left out in tests.
type JournalOptions struct {
	Dir      string // absolute: it is part of the positions' keys
	Consumer string // the name under which positions are published to the journal's writer
	Store    *store.Store
	Metrics  *metrics.Set
	Logger   *slog.Logger

	open    func(journal.ReaderOptions) (reader, error)
	publish func(dir, consumer string, p journal.Position) error
}

// reader is what a Journal needs of journal.Reader.
type reader interface {
	Next() (journal.Record, error)
	Position() journal.Position
	Close() error
}

// republishAfter is how long a position that could not be published waits for another try.
const republishAfter = time.Second

// Journal is the source that reads one journal directory in place, while an edge writes to it.
type Journal struct {
	o       JournalOptions
	reader  reader
	next    map[journal.Run]uint64 // of each run seen: the lowest sequence not read yet
	touched map[journal.Run]uint64 // those moved since Stored
	last    journal.Position
	atEnd   bool

	unpublished bool
	publishAt   time.Time
	damage      throttle.Every
}

// NewJournal opens the directory at the positions that the store holds. A directory that does not exist yet is an empty journal.
func NewJournal(o JournalOptions) (*Journal, error) {
	if o.open == nil {
		o.open = func(ro journal.ReaderOptions) (reader, error) { return journal.NewReader(ro) }
	}
	if o.publish == nil {
		o.publish = journal.PublishPosition
	}
	j := &Journal{o: o, next: map[journal.Run]uint64{}, touched: map[journal.Run]uint64{}}
	r, err := o.open(journal.ReaderOptions{Dir: o.Dir, Resume: j.resume, OnDamage: j.onDamage, OnPastEnd: j.onPastEnd})
	if err != nil {
		return nil, fmt.Errorf("journal %s: %w", o.Dir, err)
	}
	j.reader = r
	return j, nil
}

// Name is the directory.
func (j *Journal) Name() string { return j.o.Dir }

// AtEnd says whether the last Fill found the end.
func (j *Journal) AtEnd() bool { return j.atEnd }

// Close closes the reader.
func (j *Journal) Close() error { return j.reader.Close() }

// resume gives the journal's reader the position of a run. A position that cannot be read is none: what is then read again is decided as a
// repeat, because its key stands in the same store.
func (j *Journal) resume(run journal.Run) uint64 {
	if sequence, ok := j.next[run]; ok {
		return sequence
	}
	sequence, err := j.o.Store.Position(j.o.Dir, uint64(run))
	if err != nil {
		j.o.Logger.Error("position not readable: reading the run from its beginning", "journal", j.o.Dir, "run", uint64(run), "error", err)
	}
	if sequence > 0 {
		j.next[run] = sequence
	}
	return sequence
}

// Fill takes what the journal has published.
func (j *Journal) Fill(b *Batch, room int) (int, error) {
	j.republish()
	j.atEnd = false
	for n := range room {
		if b.Full() {
			return n, nil
		}
		record, err := j.reader.Next()
		if err == journal.ErrWait {
			j.atEnd = true
			j.recall()
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("journal %s: %w", j.o.Dir, err)
		}
		j.take(b, record)
	}
	return room, nil
}

func (j *Journal) take(b *Batch, record journal.Record) {
	position := j.reader.Position()
	if position.Run != record.Run || position.Sequence <= record.Sequence {
		position = journal.Position{Run: record.Run, Sequence: record.Sequence + 1}
	}
	if next, ok := j.next[record.Run]; ok && record.Sequence < next {
		j.o.Metrics.Repeated.WithLabelValues(j.Name()).Inc()
		return
	}
	j.next[record.Run] = position.Sequence
	j.touched[record.Run] = position.Sequence
	j.last = position
	key, document, err := event.SplitRecord(record.Payload)
	if err != nil {
		j.o.Metrics.Undecodable.WithLabelValues(j.Name()).Inc()
		return
	}
	b.Add(key, document)
}

// Positions gives the runs that moved.
func (j *Journal) Positions(put func(key, value []byte) error) error {
	for run, sequence := range j.touched {
		value := binary.BigEndian.AppendUint64(nil, sequence)
		if err := put(store.PositionKey(j.o.Dir, uint64(run)), value); err != nil {
			return err
		}
	}
	return nil
}

// Stored tells the journal's writer how far our store has synced, so that it may use the segments before that again.
func (j *Journal) Stored() error {
	if len(j.touched) == 0 {
		return nil
	}
	clear(j.touched)
	j.unpublished = true
	return j.publishNow()
}

func (j *Journal) publishNow() error {
	if err := j.o.publish(j.o.Dir, j.o.Consumer, j.last); err != nil {
		j.publishAt = time.Now().Add(republishAfter)
		return fmt.Errorf("journal %s: position not published: %w", j.o.Dir, err)
	}
	j.unpublished = false
	return nil
}

// republish tries again what failed: nothing may come after it for hours, and the writer holds the segments meanwhile. Its failure was
// reported the first time and is counted by Stored's caller the next.
func (j *Journal) republish() {
	if j.unpublished && time.Now().After(j.publishAt) {
		_ = j.publishNow()
	}
}

// recall publishes once what an earlier life stored: it may have died before it could. With nothing new to read nothing else would tell the
// writer, and one whose budget is spent would lose every event until it is told.
func (j *Journal) recall() {
	if j.last != (journal.Position{}) {
		return
	}
	run := j.reader.Position().Run
	stored, known := j.next[run]
	if !known || len(j.touched) > 0 {
		return
	}
	j.last, j.unpublished = journal.Position{Run: run, Sequence: stored}, true
	_ = j.publishNow() // republish tries again
}

func (j *Journal) onDamage(d journal.Damage) {
	j.o.Metrics.Damage.WithLabelValues(j.Name()).Inc()
	j.o.Metrics.DamagedBytes.WithLabelValues(j.Name()).Add(float64(d.Bytes))
	if held, ok := j.damage.Allow(time.Now()); ok {
		j.o.Logger.Error("journal damaged: passed over to the next good record", "journal", j.o.Dir, "run", uint64(d.Run),
			"segment", d.Segment, "offset", d.Offset, "bytes", d.Bytes, "reason", d.Reason, "held_back", held)
	}
}

func (j *Journal) onPastEnd(run journal.Run, sequence uint64) {
	j.o.Metrics.PastEnd.WithLabelValues(j.Name()).Inc()
	j.o.Logger.Warn("journal ends before our position: going on with the next run", "journal", j.o.Dir, "run", uint64(run), "sequence", sequence)
}
