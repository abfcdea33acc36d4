package ingest

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"waypost/edge/event"
	"waypost/sink/internal/store"
)

// Reason says why an event cannot be unique. The empty reason: it can.
type Reason string

// The reasons, in the order in which they are looked for.
const (
	Eligible         Reason = ""
	UndecodableEvent Reason = "undecodable"  // no event of the contract
	OtherType        Reason = "type"         // a type that this sink does not know
	HeadRequest      Reason = "head"         // nobody has seen anything
	PrefetchRequest  Reason = "prefetch"     // likewise
	NoIdentity       Reason = "identity"     // without message or recipient
	NoRetention      Reason = "no_retention" // the event carries none, or no minting time
	PastRetention    Reason = "retention"    // the mail is older than the retention that the event carries
	BelowFloor       Reason = "floor"        // the mail's day lies where keys have been removed
)

// Decision is what was decided about one record.
type Decision struct {
	ID          event.ID
	Type        event.Type
	Tenant      uint32
	Reason      Reason
	Time        time.Time // the event's own
	FirstAny    bool      // first of any client
	FirstPerson bool      // first that is not labelled as a machine
	Webhook     bool      // the one of the two that the tenant wants webhooks for
	Forgotten   bool      // of somebody who was forgotten since: told to nobody
	Floor       uint16    // the tenant's floor after this event; 0 where nothing is known of one
	FloorMoved  bool      // whether this event moved it
}

// Word is what a line for people calls the event: click, open, or what a provider told, as delivered. Nothing for what nobody may want to see as a line: other events, HEAD, prefetch.
func (d *Decision) Word() string {
	switch d.Reason {
	case UndecodableEvent, OtherType, HeadRequest, PrefetchRequest:
		return ""
	}
	return words[d.Type]
}

// words are the types of events that can be unique.
var words = map[event.Type]string{
	event.Clicked: "click", event.Opened: "open", event.Sent: "sent", event.Delivered: "delivered", event.Bounced: "bounced", event.Deferred: "deferred",
	event.Complained: "complained", event.Failed: "failed",
}

// edgeOfDay is how near to midnight a minting time must be for the neighbouring day to be looked up too: a request that came twice may have
// been minted on both sides of it.
const edgeOfDay = time.Hour

// Decider decides who was first. It is a function of the events in their order, of the sink's clock (only where the log keeps no time and an
// event claims to be from the future), and of nothing else. Not for concurrent use.
type Decider struct {
	store     *store.Store
	now       func() time.Time
	floors    floors
	forgotten forgotten
	decoder   event.Decoder
	event     event.Event
	decisions []Decision
	waiting   []candidate
	lookups   []lookup
	entries   []entry
}

// candidate is an event that can be unique, as far as it can be said without the store.
type candidate struct {
	record        int
	key           store.UniqueKey
	neighbour     int  // -1, 0, +1 days
	machine, any  bool // labelled as a machine; the tenant wants the first of any client
	floor         uint16
	own, adjacent int // places in entries; adjacent -1: none
	told          *Told
}

// lookup asks for a key on behalf of a candidate.
type lookup struct {
	key       store.UniqueKey
	candidate int32
	adjacent  bool
}

// entry is a key of the store, as it is and as it will be.
type entry struct {
	key    store.UniqueKey
	firsts store.Firsts
	dirty  bool
	stored bool // it is a key of the store
	bury   bool // a tombstone is written in its place: nothing of somebody else's is known of it
}

// NewDecider decides into s. now is the sink's clock.
func NewDecider(s *store.Store, now func() time.Time) *Decider {
	return &Decider{store: s, now: now, floors: newFloors(s)}
}

// Decide decides the records in their order and puts what is to be remembered into b. The decisions stand in the records' order and are
// valid until the next call. After an error the Decider must not be used again.
func (d *Decider) Decide(b *pebble.Batch, records []Record) ([]Decision, error) {
	now := d.now()
	d.decisions, d.waiting = d.decisions[:0], d.waiting[:0]
	if err := d.forgotten.load(d.store); err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	for i := range records {
		if err := d.classify(&records[i], now); err != nil {
			return nil, err
		}
	}
	if err := d.load(); err != nil {
		return nil, err
	}
	for i := range d.waiting {
		d.settle(&d.waiting[i])
	}
	return d.decisions, d.write(b)
}

// classify decides what the event alone (and the floor, which it may move) can decide.
func (d *Decider) classify(r *Record, now time.Time) error {
	d.decisions = append(d.decisions, Decision{})
	out, e := &d.decisions[len(d.decisions)-1], &d.event
	if !d.decodes(r.Document) {
		out.Reason = UndecodableEvent
		return nil
	}
	out.ID, out.Type, out.Tenant, out.Time = e.ID, e.Type, e.Tenant, e.Time
	floor := uint16(0)
	if e.RetentionDays > 0 {
		at, latest := e.Time, now
		if !r.At.IsZero() {
			at, latest = r.At, r.At // the log's time: the same whoever reads it, and whenever
		}
		var err error
		if floor, err = d.floors.advance(e.Tenant, at, latest, e.RetentionDays); err != nil {
			return err
		}
		out.Floor, out.FloorMoved = floor, d.floors.grew
	}
	unique, identified := e.Unique()
	out.Reason = reasonAgainst(e, identified, floor)
	if out.Reason != Eligible {
		return nil
	}
	out.Forgotten = d.forgotten.was(e)
	d.waiting = append(d.waiting, candidate{
		record:    len(d.decisions) - 1,
		key:       store.NewUniqueKey(uint16(store.DayOf(e.Minted)), e.Tenant, event.PartitionHash(r.Key), unique),
		neighbour: neighbour(e.Minted),
		machine:   e.Labels&event.Machine != 0,
		any:       e.UniqueAny,
		floor:     floor,
	})
	return nil
}

// decodes reads a document into d.event. Why it is no event of the contract is of no use here: it is passed over, counted and kept in the log.
func (d *Decider) decodes(document []byte) bool { return d.decoder.Decode(&d.event, document) == nil }

func reasonAgainst(e *event.Event, identified bool, floor uint16) Reason {
	day := store.DayOf(e.Minted)
	switch {
	case words[e.Type] == "":
		return OtherType
	case e.Labels&event.Head != 0:
		return HeadRequest
	case e.Labels&event.Prefetch != 0:
		return PrefetchRequest
	case !identified:
		return NoIdentity
	case e.RetentionDays == 0 || day < 0 || day > store.MaxDay:
		return NoRetention
	case e.Time.Sub(e.Minted) > time.Duration(e.RetentionDays)*24*time.Hour:
		return PastRetention
	case day < int(floor):
		return BelowFloor
	}
	return Eligible
}

// neighbour says which neighbouring day a minting time belongs to as well.
func neighbour(minted time.Time) int {
	day := store.DayOf(minted)
	switch into := minted.Sub(store.DayStart(day)); {
	case into < edgeOfDay && day > 0:
		return -1
	case into >= 24*time.Hour-edgeOfDay && day < store.MaxDay:
		return 1
	}
	return 0
}

// load reads the keys of all candidates, in the keys' order: neighbouring keys share blocks, and the iterator goes forward only.
func (d *Decider) load() error {
	d.lookups, d.entries = d.lookups[:0], d.entries[:0]
	for i := range d.waiting {
		c := &d.waiting[i]
		d.lookups = append(d.lookups, lookup{key: c.key, candidate: int32(i)})
		c.adjacent = -1
		if c.neighbour != 0 {
			day := uint16(int(c.key.Day()) + c.neighbour)
			d.lookups = append(d.lookups, lookup{key: c.key.OnDay(day), candidate: int32(i), adjacent: true})
		}
	}
	if len(d.lookups) == 0 {
		return nil
	}
	slices.SortFunc(d.lookups, func(a, b lookup) int { return bytes.Compare(a.key[:], b.key[:]) })
	start, end := store.Uniques.Range()
	iter, err := d.store.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end, UseL6Filters: true})
	if err != nil {
		return fmt.Errorf("ingest: %w", err)
	}
	defer iter.Close()
	graves := graves{d: d}
	defer graves.close()
	for i := range d.lookups {
		l := &d.lookups[i]
		if i == 0 || l.key != d.lookups[i-1].key {
			if err := d.loadEntry(iter, &graves, &l.key); err != nil {
				return err
			}
		}
		place := len(d.entries) - 1
		if c := &d.waiting[l.candidate]; l.adjacent {
			c.adjacent = place
		} else {
			c.own = place
		}
	}
	return nil
}

func (d *Decider) loadEntry(iter *pebble.Iterator, graves *graves, key *store.UniqueKey) error {
	d.entries = append(d.entries, entry{key: *key})
	e := &d.entries[len(d.entries)-1]
	var err error
	if iter.SeekPrefixGE(key[:]) {
		if e.firsts, err = store.ParseFirsts(iter.Value()); err != nil {
			return fmt.Errorf("ingest: key %x: %w", key[:], err)
		}
		e.stored = true
	} else if err := iter.Error(); err != nil {
		return fmt.Errorf("ingest: %w", err)
	}
	if len(d.forgotten.days) > 0 && e.firsts.Person == (event.ID{}) {
		buried, err := graves.buried(key)
		if err != nil {
			return err
		}
		e.firsts = merge(e.firsts, buried)
	}
	return nil
}

// settle decides one candidate, after all before it.
func (d *Decider) settle(c *candidate) {
	out, target := &d.decisions[c.record], &d.entries[c.own]
	firsts := target.firsts
	if c.adjacent >= 0 {
		// An eligible mail's day is not below the floor, so its neighbour is in the store still (see keptBelowFloor).
		if adjacent := &d.entries[c.adjacent]; adjacent.firsts != (store.Firsts{}) {
			if firsts == (store.Firsts{}) && adjacent.key.Day() >= c.floor {
				target = adjacent // one mail, one key
			}
			firsts = merge(firsts, adjacent.firsts)
		}
	}
	if firsts.Any == (event.ID{}) {
		firsts.Any, out.FirstAny = out.ID, true
	}
	if !c.machine && firsts.Person == (event.ID{}) {
		firsts.Person, out.FirstPerson = out.ID, true
	}
	out.Webhook = out.FirstPerson
	if c.any {
		out.Webhook = out.FirstAny
	}
	if out.FirstAny || out.FirstPerson {
		if !target.dirty {
			target.bury = out.Forgotten && !target.stored
		}
		target.firsts, target.dirty = firsts, true
	}
	out.Webhook = out.Webhook && !out.Forgotten
}

func merge(own, adjacent store.Firsts) store.Firsts {
	if own.Any == (event.ID{}) {
		own.Any = adjacent.Any
	}
	if own.Person == (event.ID{}) {
		own.Person = adjacent.Person
	}
	return own
}

// write puts removals before keys: what a batch decided on a day that the same batch removed is not kept.
func (d *Decider) write(b *pebble.Batch) error {
	if err := d.floors.write(b, d.forgotten.leave); err != nil {
		return fmt.Errorf("ingest: %w", err)
	}
	for i := range d.entries {
		e := &d.entries[i]
		if !e.dirty || !d.floors.keeps(e.key.Tenant(), e.key.Day()) {
			continue
		}
		if e.bury {
			if err := d.bury(b, &e.key, e.firsts); err != nil {
				return fmt.Errorf("ingest: %w", err)
			}
			continue
		}
		op := b.SetDeferred(len(e.key), store.FirstsBytes)
		copy(op.Key, e.key[:])
		e.firsts.AppendTo(op.Value[:0])
		if err := op.Finish(); err != nil {
			return fmt.Errorf("ingest: %w", err)
		}
	}
	return nil
}
