package ship

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"time"

	"waypost/edge/event"
	"waypost/edge/internal/blocking"
	"waypost/edge/journal"
)

// reading is the goroutine that reads the journal, fills batches and keeps the ledger. Nothing of it is shared but the channels.
type reading struct {
	s       *Shipper
	ledger  *ledger
	reader  *journal.Reader
	current *runPlaces // of the last record
	lanes   []lane
	done    <-chan *batch
	ticked  int // records since the last look at the clock
	pace    pace
	decoder event.Decoder
	event   event.Event

	saved   []byte
	saveAt  time.Time
	saving  chan savePoint // to the goroutine that writes the state; at most one is under way
	savedTo chan error
	busy    bool
}

// lane is the reader's view of one partition.
type lane struct {
	sender  *sender
	free    []*batch
	filling *batch   // nil, or with at least one record
	flying  []*batch // that the sender has, oldest first
	missing bool     // records were passed over: none may be taken before the reader has come back for them
	missed  int64    // time of the first of them, Unix nanoseconds
}

// savePoint is one write of the state.
type savePoint struct {
	text     []byte
	position journal.Position
	publish  bool
}

// Looks at the journal when there was nothing new, and at the clock when there is.
const (
	shortestLook = time.Millisecond
	longestLook  = 10 * time.Millisecond
	recordsATick = 256
)

func newReading(s *Shipper, l *ledger, done <-chan *batch) *reading {
	r := &reading{
		s: s, ledger: l, lanes: make([]lane, l.partitions), done: done, saveAt: time.Now().Add(s.o.SaveEvery), pace: pace{rate: max(s.o.BacklogRate, 0)},
		saving: make(chan savePoint), savedTo: make(chan error, 1),
	}
	for p := range r.lanes {
		for range batchesPerPartition {
			r.lanes[p].free = append(r.lanes[p].free, &batch{partition: p})
		}
	}
	return r
}

// run reads until ctx is done, or, with UntilEnd, until all is acknowledged.
func (r *reading) run(ctx context.Context) error {
	go func() {
		for point := range r.saving {
			var err error
			blocking.Do(func() { err = r.s.save(point) })
			r.savedTo <- err
		}
	}()
	if err := r.open(); err != nil {
		return err
	}
	look := shortestLook
	for ctx.Err() == nil {
		if r.ticked++; r.ticked >= recordsATick {
			r.tick()
			r.goBack() // here only: a record in hand would be one from ahead
			r.giveWay()
		}
		record, err := r.reader.Next()
		switch {
		case err == nil:
			look = shortestLook
			if !r.take(ctx, record) {
				return nil
			}
			continue
		case err != journal.ErrWait:
			r.s.log.say(slog.LevelError, "the journal cannot be read: trying again", "error", err)
		case r.s.finishing.Load() && r.allShipped():
			return nil
		}
		r.tick()
		r.goBack()
		r.await(ctx, look)
		look = min(2*look, longestLook)
	}
	return nil
}

// open begins to read where the ledger says; also to go back for what was missed.
func (r *reading) open() error {
	resume := map[journal.Run]uint64{}
	for _, run := range r.ledger.runs {
		resume[run.run] = r.ledger.resume(run.run)
	}
	if r.reader != nil {
		r.reader.Close()
	}
	var err error
	r.reader, err = journal.NewReader(journal.ReaderOptions{
		Dir:    r.s.o.Journal,
		Resume: func(run journal.Run) uint64 { return resume[run] },
		OnDamage: func(d journal.Damage) {
			r.s.log.say(slog.LevelError, "the journal is damaged: passed over", "run", d.Run.String(), "segment", d.Segment, "offset", d.Offset, "bytes", d.Bytes, "reason", d.Reason)
		},
	})
	return err
}

// take gives a record to its partition. False: ctx was done before there was room.
func (r *reading) take(ctx context.Context, record journal.Record) bool {
	after := r.reader.Position().Sequence
	if r.current == nil || r.current.run != record.Run {
		r.current = r.ledger.of(record.Run)
		r.ledger.settle(r.current)
	}
	run := r.current
	defer func() { run.end = max(run.end, after) }()
	key, document, err := event.SplitRecord(record.Payload)
	if err != nil {
		r.s.counts.damaged.Add(1)
		r.s.log.say(slog.LevelError, "a record of the journal is no event: passed over", "run", record.Run.String(), "sequence", record.Sequence)
		return true
	}
	p := int(event.PartitionHash(key) % uint32(len(r.lanes)))
	if record.Sequence < run.taken[p] {
		return true // on the way back to what another partition missed
	}
	lane := &r.lanes[p]
	for {
		if lane.missing {
			run.miss(p, record.Sequence)
			return true
		}
		b := r.room(lane, run, len(key)+len(document))
		if b != nil {
			if b.count == 0 {
				b.run, b.begun, b.oldest = run, time.Now(), r.timeOf(document)
				b.limit = r.limit(b)
			}
			run.take(p, record.Sequence, after)
			b.add(key, document)
			b.after = after
			lane.filling = b
			if r.pace.count() {
				r.keepPace(ctx, r.timeOf(document))
			}
			return true
		}
		if lane.sender.failingFor(time.Now()) > r.s.o.stallAfter {
			lane.missing, lane.missed = true, r.timeOf(document)
			continue
		}
		if ctx.Err() != nil {
			after = run.end // not taken: it must be read again
			return false
		}
		r.tick()
		r.await(ctx, longestLook)
	}
}

// room gives the batch of a lane that can take so many bytes more; nil when all are with the sender.
func (r *reading) room(lane *lane, run *runPlaces, bytes int) *batch {
	if b := lane.filling; b != nil {
		if b.run == run && len(b.records)+bytes+len(contentType)+32 <= b.limit {
			return b
		}
		r.dispatch(lane)
	}
	if len(lane.free) == 0 {
		return nil
	}
	b := lane.free[len(lane.free)-1]
	lane.free = lane.free[:len(lane.free)-1]
	return b
}

// dispatch hands the batch that is being filled to the sender, whose queue has room for all that there are.
func (r *reading) dispatch(lane *lane) {
	if lane.filling == nil {
		return
	}
	lane.sender.queue <- lane.filling
	lane.flying = append(lane.flying, lane.filling)
	lane.filling = nil
}

func (r *reading) dispatchAll() {
	for p := range r.lanes {
		r.dispatch(&r.lanes[p])
	}
}

// tick does what the clock and the senders ask for.
func (r *reading) tick() {
	r.ticked = 0
	r.collect()
	now := time.Now()
	oldest := int64(0)
	for p := range r.lanes {
		lane := &r.lanes[p]
		// While a batch is in flight the next one fills up: that is what makes batches large when it matters.
		if at := lane.oldest(); at != 0 && (oldest == 0 || at < oldest) {
			oldest = at
		}
		if lane.filling != nil && len(lane.flying) == 0 && now.Sub(lane.filling.begun) >= r.s.o.Delay {
			r.dispatch(lane)
		}
	}
	r.s.counts.oldest.Store(oldest)
	if now.After(r.saveAt) {
		r.saveAt = now.Add(r.s.o.SaveEvery)
		r.saveSoon()
	}
}

// oldest is the time of the first record that is not acknowledged; 0 when there is none.
func (l *lane) oldest() int64 {
	switch {
	case len(l.flying) > 0:
		return l.flying[0].oldest
	case l.filling != nil:
		return l.filling.oldest
	case l.missing:
		return l.missed
	}
	return 0
}

// timeOf is when an event happened, Unix nanoseconds; 0 where the document does not tell.
func (r *reading) timeOf(document []byte) int64 {
	if err := r.decoder.Decode(&r.event, document); err != nil {
		return 0
	}
	return r.event.Time.UnixNano()
}

// goBack reads again from the first record that a partition which works again has missed, if there is one.
func (r *reading) goBack() {
	var recovered []int
	for p := range r.lanes {
		if lane := &r.lanes[p]; lane.missing && lane.sender.failing.Load() == 0 {
			recovered = append(recovered, p)
		}
	}
	if len(recovered) == 0 {
		return
	}
	if err := r.open(); err != nil {
		r.s.log.say(slog.LevelError, "the journal cannot be opened again: trying again", "error", err)
		return
	}
	for _, p := range recovered {
		r.lanes[p].missing = false
	}
	r.ledger.goBack(recovered)
	r.current = nil
	r.s.counts.returns.Add(1)
}

// collect takes back the batches that are done.
func (r *reading) collect() {
	for {
		select {
		case b := <-r.done:
			r.acknowledge(b)
		default:
			return
		}
	}
}

func (r *reading) acknowledge(b *batch) {
	lane := &r.lanes[b.partition]
	b.run.ack(b.partition, b.after)
	b.reset()
	lane.free = append(lane.free, b)
	lane.flying = slices.Delete(lane.flying, 0, 1) // a sender keeps the order
}

// await waits for an acknowledgement, but no longer than d.
func (r *reading) await(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case b := <-r.done:
		r.acknowledge(b)
	case <-timer.C:
	case <-ctx.Done():
	}
}

// allShipped says that nothing is under way and nothing was missed.
func (r *reading) allShipped() bool {
	r.collect()
	for p := range r.lanes {
		if lane := &r.lanes[p]; lane.filling != nil || len(lane.flying) > 0 || lane.missing {
			return false
		}
	}
	return true
}

// point is the state as it is now.
func (r *reading) point() savePoint {
	r.s.counts.outstanding.Store(r.ledger.outstanding())
	position, ok := r.ledger.published()
	return savePoint{r.ledger.text(r.s.o.Topic), position, ok && r.s.o.Consumer != ""}
}

// saveSoon has the state written by another goroutine: a sync takes as long as the disk likes. While one is under way, no other begins.
func (r *reading) saveSoon() {
	if r.busy {
		select {
		case err := <-r.savedTo:
			r.saveEnded(err)
		default:
			return
		}
	}
	point := r.point()
	if bytes.Equal(point.text, r.saved) {
		return
	}
	r.saved = point.text
	r.busy = true
	r.saving <- point
}

func (r *reading) saveEnded(err error) {
	r.busy = false
	if err != nil {
		r.saved = nil
		r.s.counts.stateErrors.Add(1)
		r.s.log.say(slog.LevelError, "the state cannot be written: trying again", "error", err)
	}
}

// finish takes what the senders have done meanwhile, and writes the last state.
func (r *reading) finish() error {
	r.collect()
	if r.reader != nil {
		r.reader.Close()
	}
	if r.busy {
		r.saveEnded(<-r.savedTo)
	}
	close(r.saving)
	return r.s.save(r.point())
}

// save writes the state, and only then lets the journal's writer use the segments before it again.
func (s *Shipper) save(point savePoint) error {
	if err := saveState(s.statePath(), point.text); err != nil {
		return err
	}
	if !point.publish {
		return nil
	}
	return journal.PublishPosition(s.o.Journal, s.o.Consumer, point.position)
}
