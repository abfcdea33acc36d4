package dispatch

import (
	"encoding/binary"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"waypost/sink/dispatch/attempt"
	"waypost/sink/internal/store"
)

// mark is the end of an attempt, as it is to be written: the delivery leaves its place, for nowhere, for a later time, or for the dead letters.
type mark struct {
	endpoint *endpoint
	item     *item
	at       uint64 // when it ended
	outcome  attempt.Outcome
	again    uint64      // when to try again; 0: never
	dead     *DeadLetter // nil: delivered, or again

	forgotten bool // it leaves nothing behind: its person was forgotten

	order  *order  // in place of all that: what an operator wants of the endpoint
	errand *errand // likewise: of no endpoint
}

// attempt sends one delivery and hands on what came of it.
func (d *Dispatcher) attempt(e *endpoint, it *item) attempt.Outcome {
	o := d.sender.Attempt(d.context, e.taker.Load().Target, attempt.Delivery{
		ID: it.place.id, Attempts: int(it.delivery.Attempts), Created: time.UnixMicro(int64(it.delivery.Created)), Document: it.delivery.Document,
	})
	if o.Cut {
		return o
	}
	m := mark{endpoint: e, item: it, at: d.micros(), outcome: o}
	switch {
	case o.Word == attempt.Again:
		m.again = m.at + uint64(o.Wait.Microseconds())
	case o.Dead():
		m.dead = letter(it, &o)
	}
	d.marks <- m
	return o
}

func letter(it *item, o *attempt.Outcome) *DeadLetter {
	delivery := it.delivery
	delivery.Attempts++
	return &DeadLetter{Status: o.Status, Reason: o.Reason, Delivery: delivery}
}

// mark writes finished attempts: together, at most MarkEvery or marksAtOnce of them late. What a crash takes away of this is delivered again
// under its id. An attempt for whose mark there is no room counts as under way until there is.
func (d *Dispatcher) mark() {
	defer close(d.marked)
	every := d.settings.MarkEvery
	batch := make([]mark, 0, marksAtOnce)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case m, ok := <-d.marks:
			if !ok {
				d.write(batch)
				return
			}
			if m.errand != nil {
				d.write(batch)
				clear(batch)
				batch = batch[:0]
				m.errand.done <- m.errand.do()
				continue
			}
			if len(batch) == 0 {
				timer.Reset(every)
			}
			batch = append(batch, m)
			if len(batch) < marksAtOnce {
				continue
			}
		case <-timer.C:
		}
		d.write(batch)
		clear(batch)
		batch = batch[:0]
	}
}

// write makes the marks durable and only then lets go of the deliveries.
func (d *Dispatcher) write(marks []mark) {
	if len(marks) == 0 {
		return
	}
	b := d.store.NewBatch()
	defer b.Close()
	turns, err := d.appendMarks(b, marks)
	if err == nil {
		err = b.Commit(pebble.Sync)
	}
	if err == nil {
		d.metrics.MarksBatch.Observe(float64(len(marks)))
		err = d.addDead(marks)
	}
	if err != nil {
		d.storeFailed(err)
		answer(marks, err)
		return
	}
	for i := range marks {
		if marks[i].order == nil {
			d.settled(&marks[i])
		}
	}
	for i := range turns {
		d.turned(&turns[i])
	}
	answer(marks, nil)
}

// appendMarks adds the marks to a batch, and what follows from them for their endpoints: one kind of key after the other, because to insert one beside the last costs the
// store a fraction of what finding its place does.
func (d *Dispatcher) appendMarks(b *pebble.Batch, marks []mark) (turns []turn, err error) {
	for i := range marks {
		m := &marks[i]
		if d.forget(m); m.order == nil {
			if err := m.appendTo(b); err != nil {
				return nil, err
			}
			m.endpoint.pulse.saw(&m.outcome, m.at)
		}
		if turns, err = d.appendTurn(b, turns, marks, i); err != nil {
			return nil, err
		}
	}
	if d.attempts.on() {
		for i := range marks {
			if err := d.logAttempt(b, &marks[i]); err != nil {
				return nil, err
			}
		}
	}
	for i := range marks {
		if err := marks[i].endpoint.appendHealth(b); err != nil {
			return nil, err
		}
	}
	return turns, nil
}

// logAttempt adds the attempt behind a mark to the log of attempts.
func (d *Dispatcher) logAttempt(b *pebble.Batch, m *mark) error {
	if m.order != nil || m.forgotten {
		return nil
	}
	a := newAttempt(m.endpoint, m.item, &m.outcome, m.at)
	return d.attempts.add(b, &a)
}

// ended says whether a delivery leaves the store with the mark, or becomes a dead letter.
func (m *mark) ended() bool { return m.order == nil && m.again == 0 }

func (d *Dispatcher) settled(m *mark) {
	m.endpoint.finished(m.item.place)
	if m.again != 0 {
		m.endpoint.spill(place{m.again, m.item.place.id})
		return
	}
	m.endpoint.addPending(-1)
}

func (m *mark) appendTo(b *pebble.Batch) error {
	e, it := m.endpoint, m.item
	if err := b.Delete(e.key(it.place), nil); err != nil {
		return err
	}
	switch {
	case m.again != 0:
		next := it.delivery
		next.Attempts++
		return b.Set(e.key(place{m.again, it.place.id}), next.AppendTo(nil), nil)
	case m.dead != nil:
		return b.Set(store.DeadKey(e.d.micros(), e.Tenant.Number, e.Config.ID, it.place.id), m.dead.AppendTo(nil), nil)
	}
	return nil
}

// addDead counts letters that were just written.
func (d *Dispatcher) addDead(marks []mark) error {
	d.letters.Lock()
	defer d.letters.Unlock()
	for i := range marks {
		if marks[i].dead != nil {
			d.dead++
		}
	}
	d.metrics.Deads.Set(float64(d.dead))
	return d.trimDead()
}

// trimDead removes the oldest dead letters over the bound: they are kept for people to look at, and must not fill the disk. It needs no sync;
// a start counts what is there.
func (d *Dispatcher) trimDead() error {
	over := int(d.dead) - d.maxDead
	if over <= 0 {
		return nil
	}
	start, end := store.Deads.Range()
	iter, err := d.store.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
	if err != nil {
		return err
	}
	defer iter.Close()
	b := d.store.NewBatch()
	defer b.Close()
	dropped := 0
	for ok := iter.First(); ok && dropped < over; ok = iter.Next() {
		if err := b.Delete(iter.Key(), nil); err != nil {
			return err
		}
		dropped++
	}
	if err := iter.Error(); err != nil {
		return err
	}
	d.dead -= int64(dropped)
	d.metrics.Deads.Set(float64(d.dead))
	d.metrics.DeadsDropped.Add(float64(dropped))
	return b.Commit(pebble.NoSync)
}

func appendPlace(dst []byte, p place) []byte {
	dst = binary.BigEndian.AppendUint64(dst, p.due)
	dst = binary.BigEndian.AppendUint64(dst, p.id.Run)
	return binary.BigEndian.AppendUint64(dst, p.id.Sequence)
}
