package live

import (
	"context"
	"fmt"
	"slices"

	"waypost/edge/event"
	"waypost/edge/journal"
	"waypost/sink/ingest"
	"waypost/sink/internal/store"
)

// journals reads the journals of this machine, each up to where the sink has decided.
type journals struct {
	sieve
	store *store.Store
	bell  *bell
	feeds []*feed
	turn  int
	gone  *ingest.Forgotten
}

// feed is one journal.
type feed struct {
	dir     string
	store   *store.Store
	reader  *journal.Reader
	at      journal.Position       // behind what was taken or passed over; zero: at its beginning
	passed  map[journal.Run]bool   // runs before the one at which it began
	decided map[journal.Run]uint64 // of runs that were met: a bound below which everything is decided
	held    journal.Record         // read, and not decided yet
	holds   bool
	gaps    []string
}

// newFeed opens a journal at a place; nil: at its beginning.
func newFeed(s *store.Store, dir string, from *journal.Position) (*feed, error) {
	f := &feed{dir: dir, store: s, passed: map[journal.Run]bool{}, decided: map[journal.Run]uint64{}}
	if from != nil {
		runs, err := journal.Runs(dir)
		if err != nil {
			return nil, err
		}
		for _, run := range runs[:max(slices.Index(runs, from.Run), 0)] {
			f.passed[run] = true
		}
		f.at = *from
	}
	reader, err := journal.NewReader(journal.ReaderOptions{Dir: dir, Resume: f.resume, OnDamage: f.onDamage, OnPastEnd: f.onPastEnd})
	if err != nil {
		return nil, err
	}
	f.reader = reader
	return f, nil
}

// passedOver is behind the end of every run.
const passedOver = 1 << 62

func (f *feed) resume(run journal.Run) uint64 {
	switch {
	case f.passed[run]:
		return passedOver
	case run == f.at.Run:
		return f.at.Sequence
	}
	return 0
}

func (f *feed) onDamage(d journal.Damage) {
	f.gap(fmt.Sprintf("%d bytes of run %s cannot be read: %s", d.Bytes, d.Run, d.Reason))
}

func (f *feed) onPastEnd(run journal.Run, _ uint64) {
	if !f.passed[run] {
		f.gap(fmt.Sprintf("run %s ends before this place: its end was lost, and what was shown of it with it", run))
	}
}

// gap notes a reason. One is enough where a reader cannot keep up with a long damage.
func (f *feed) gap(reason string) {
	if len(f.gaps) < 10 {
		f.gaps = append(f.gaps, reason)
	}
}

// next reads the next record that is decided; false: there is none, or a gap comes first.
func (f *feed) next() (bool, error) {
	if !f.holds {
		record, err := f.reader.Next()
		if err == journal.ErrWait {
			if place := f.reader.Position(); len(f.gaps) > 0 && place.Run != 0 {
				f.at = place
			}
			return false, nil
		}
		if err != nil {
			return false, err
		}
		f.held, f.holds = record, true
	}
	if len(f.gaps) > 0 {
		f.at = journal.Position{Run: f.held.Run, Sequence: f.held.Sequence}
		return false, nil
	}
	decided, err := f.isDecided()
	if !decided || err != nil {
		return false, err
	}
	f.holds = false
	f.at = f.reader.Position()
	if f.at.Run != f.held.Run || f.at.Sequence <= f.held.Sequence { // the reader has gone on to another run
		f.at = journal.Position{Run: f.held.Run, Sequence: f.held.Sequence + 1}
	}
	return true, nil
}

// isDecided asks the store how far the sink has decided, where what it said last does not reach.
func (f *feed) isDecided() (bool, error) {
	if f.held.Sequence < f.decided[f.held.Run] {
		return true, nil
	}
	sequence, err := f.store.Position(f.dir, uint64(f.held.Run))
	f.decided[f.held.Run] = sequence
	return f.held.Sequence < sequence, err
}

func (j *journals) round() <-chan struct{} { return j.bell.wait() }

func (j *journals) take(e *entry) (taken, error) {
	idle := 0
	for range burst {
		f := j.feeds[j.turn%len(j.feeds)]
		ok, err := f.next()
		if err != nil {
			return nothing, err
		}
		if len(f.gaps) > 0 {
			*e = entry{gap: f.gaps[0]}
			f.gaps = f.gaps[1:]
			return found, nil
		}
		if !ok {
			j.turn++
			if idle++; idle == len(j.feeds) {
				return nothing, nil
			}
			continue
		}
		idle = 0
		wanted, err := j.look(e, &f.held)
		if err != nil {
			return nothing, err
		}
		if wanted {
			j.turn++ // so that a busy journal does not starve the others
			return found, nil
		}
	}
	return pending, nil
}

// look makes an entry of a record that the reader wants.
func (j *journals) look(e *entry, record *journal.Record) (bool, error) {
	key, document, err := event.SplitRecord(record.Payload)
	if err != nil || !j.admits(key, document) || j.gone.Is(&j.event) {
		return false, nil //nolint:nilerr // who decides has counted it
	}
	anyClient, person, err := ingest.FirstOf(j.store, &j.event, key)
	if err != nil || !j.wants(anyClient, person) {
		return false, err
	}
	*e = entry{event: &j.event, document: document, any: anyClient, person: person}
	return true, nil
}

func (j *journals) cursor(dst []byte) []byte {
	c := cursor{kind: ofJournals, journals: make([]journal.Position, 0, 8)}
	for _, f := range j.feeds {
		if f.at != (journal.Position{}) {
			c.journals = append(c.journals, f.at)
		}
	}
	return c.appendText(dst)
}

func (j *journals) close() {
	for _, f := range j.feeds {
		_ = f.reader.Close()
	}
}

// openJournals begins where the query says.
func (h *Hub) openJournals(ctx context.Context, q *query) (source, error) {
	gone, err := ingest.NewForgotten(h.o.Store)
	if err != nil {
		return nil, err
	}
	j := &journals{sieve: sieve{query: q}, store: h.o.Store, bell: &h.bell, gone: gone}
	places, gap, err := h.places(ctx, j)
	if err != nil {
		return nil, err
	}
	for i, dir := range h.o.Journals {
		f, err := newFeed(h.o.Store, dir, places[i])
		if err != nil {
			j.close()
			return nil, err
		}
		j.feeds = append(j.feeds, f)
	}
	if gap != "" {
		j.feeds[0].gap(gap)
	}
	return j, nil
}

// places are where each journal is to be read from; nil: from its beginning. A gap is why events may be missing before.
func (h *Hub) places(ctx context.Context, j *journals) (places []*journal.Position, gap string, err error) {
	switch {
	case j.from != nil && j.from.kind == ofJournals:
		return h.resumed(j.from)
	case j.from != nil:
		gap = gapKind
	case j.last > 0:
		places, err = h.lastOfJournals(ctx, j)
		return places, "", err
	case j.oldest || !j.since.IsZero():
		return make([]*journal.Position, len(h.o.Journals)), "", nil
	}
	for _, dir := range h.o.Journals {
		place, err := h.decidedPlace(dir)
		if err != nil {
			return nil, "", err
		}
		places = append(places, place)
	}
	return places, gap, nil
}

// Gaps of readers that come back.
const (
	gapKind = "the last event's id is of another stream: of journals, of a topic with another number of partitions, or with first where this one is without: going on from now"
	gapGone = "what was shown last is no longer kept here: events since then may be missing; going on with the oldest that is"
)

// resumed finds each journal by the run at which a cursor stands in it. One that it does not name had nothing yet, or is new: all of it is unread.
func (h *Hub) resumed(c *cursor) (places []*journal.Position, gap string, err error) {
	left := slices.Clone(c.journals)
	for _, dir := range h.o.Journals {
		runs, err := journal.Runs(dir)
		if err != nil {
			return nil, "", err
		}
		var place *journal.Position
		left = slices.DeleteFunc(left, func(p journal.Position) bool {
			if !slices.Contains(runs, p.Run) {
				return false
			}
			place = &p
			return true
		})
		places = append(places, place)
	}
	if len(left) > 0 {
		gap = gapGone
	}
	return places, gap, nil
}

// decidedPlace is behind the last event of a journal that is decided; nil: none is.
func (h *Hub) decidedPlace(dir string) (*journal.Position, error) {
	runs, err := journal.Runs(dir)
	if err != nil {
		return nil, err
	}
	for _, run := range slices.Backward(runs) {
		sequence, err := h.o.Store.Position(dir, uint64(run))
		if err != nil {
			return nil, err
		}
		if sequence > 0 {
			return &journal.Position{Run: run, Sequence: sequence}, nil
		}
	}
	return nil, nil
}
