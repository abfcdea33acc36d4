package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"waypost/edge/event"
	"waypost/sink/internal/person"
	"waypost/sink/internal/store"
)

// forgotten is what the decider knows of people who were forgotten: who they are, by keyed hashes, and on which days there are tombstones of their unique keys. Nobody was: it costs nothing. Somebody was: what
// would be a first and is of a mail of such a day is looked up once more, and events from before the moment at which somebody was forgotten are hashed.
type forgotten struct {
	loaded bool
	hasher *person.Hasher // nil: there is no secret, and so nobody
	people map[person.Hash]uint64
	latest map[uint32]uint64 // by tenant, of people's moments: later events are nobody's
	days   map[tenantDay]bool
}

type tenantDay struct {
	tenant uint32
	day    uint16
}

// load takes up what the store knows, once.
func (f *forgotten) load(s *store.Store) error {
	if f.loaded {
		return nil
	}
	f.people, f.latest, f.days = map[person.Hash]uint64{}, map[uint32]uint64{}, map[tenantDay]bool{}
	secret, known, err := s.Secret()
	if err != nil {
		return err
	}
	if f.loaded = true; !known {
		return nil // tombstones whose secret is lost match nothing
	}
	f.hasher = person.NewHasher(secret)
	return s.Each(store.Tombstones, func(key, value []byte) error {
		t, err := store.ParseTombstone(key)
		if err == nil && !t.Person {
			f.days[tenantDay{t.Tenant, t.Day}] = true
			return nil
		}
		var of store.Forgotten
		if err == nil {
			of, err = store.ParseForgotten(value)
		}
		if err != nil {
			return fmt.Errorf("tombstone %x: %w", key, err)
		}
		f.add(t.Tenant, t.Hash, of.Until)
		return nil
	})
}

func (f *forgotten) add(tenant uint32, hash person.Hash, until uint64) {
	f.people[hash] = max(f.people[hash], until)
	f.latest[tenant] = max(f.latest[tenant], until)
}

// was says whether the event is of somebody who was forgotten after it happened.
func (f *forgotten) was(e *event.Event) (found bool) {
	at := e.Time.UnixMicro()
	if len(f.people) == 0 || at > int64(f.latest[e.Tenant]) {
		return false
	}
	f.hasher.Event(e, func(h person.Hash) {
		until, is := f.people[h]
		found = found || is && at <= int64(until)
	})
	return found
}

// leave drops the days below which the store has none of the tenant any more.
func (f *forgotten) leave(tenant uint32, lowest uint16) {
	for d := range f.days {
		if d.tenant == tenant && d.day < lowest {
			delete(f.days, d)
		}
	}
}

// graves looks for tombstones of a batch's keys. Most of them have none, which the filters of the store's files say: an iterator asks those of the last level too.
type graves struct {
	d    *Decider
	iter *pebble.Iterator // nil: none was looked for
}

func (g *graves) close() {
	if g.iter != nil {
		_ = g.iter.Close() // its error was seen with the look-up
	}
}

// buried gives the firsts of a key's tombstone; none where there is no tombstone.
func (g *graves) buried(key *store.UniqueKey) (f store.Firsts, err error) {
	if !g.d.forgotten.days[tenantDay{key.Tenant(), key.Day()}] {
		return f, nil
	}
	if g.iter == nil {
		start, end := store.Tombstones.Range()
		if g.iter, err = g.d.store.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end, UseL6Filters: true}); err != nil {
			return f, fmt.Errorf("ingest: %w", err)
		}
	}
	tombstone := store.TombstoneKey(key.Day(), key.Tenant(), g.d.forgotten.hasher.Unique(key.Unique()))
	if !g.iter.SeekPrefixGE(tombstone) {
		err = g.iter.Error()
	} else if f, err = store.ParseBuried(g.iter.Value()); err != nil {
		err = fmt.Errorf("tombstone %x: %w", tombstone, err)
	}
	if err != nil {
		return f, fmt.Errorf("ingest: %w", err)
	}
	return f, nil
}

// bury adds the tombstone of a key to a batch.
func (d *Decider) bury(b *pebble.Batch, key *store.UniqueKey, firsts store.Firsts) error {
	f := &d.forgotten
	f.days[tenantDay{key.Tenant(), key.Day()}] = true
	return b.Set(store.TombstoneKey(key.Day(), key.Tenant(), f.hasher.Unique(key.Unique())), store.AppendBuried(nil, firsts), nil)
}

// Forgetter changes what is remembered of a person between two batches. Both may be said again: what was done is not done twice.
type Forgetter struct{ in *Ingester }

// Forgetter gives the hands by which people are forgotten.
func (in *Ingester) Forgetter() Forgetter { return Forgetter{in} }

// Between runs f while no batch is under way: what the Ingester writes beside the store's keys of its own is as on disk.
func (f Forgetter) Between(do func() error) error {
	f.in.step.Lock()
	defer f.in.step.Unlock()
	return do()
}

// Begin remembers durably that what the person did until then is forgotten: an event of before that comes later is decided and told to nobody. It says whether an earlier Begin had no Whole.
func (f Forgetter) Begin(p *person.Person, until time.Time) (again bool, err error) {
	err = f.Between(func() error {
		again, err = f.in.decider.mark(p, store.Forgotten{Until: uint64(max(until.UnixMicro(), 0))})
		return err
	})
	return again, err
}

// Whole remembers that all of it is gone.
func (f Forgetter) Whole(p *person.Person, until time.Time) error {
	return f.Between(func() error {
		_, err := f.in.decider.mark(p, store.Forgotten{Until: uint64(max(until.UnixMicro(), 0)), Whole: true})
		return err
	})
}

// mark writes the person's tombstones. Those of earlier moments go: one is enough.
func (d *Decider) mark(p *person.Person, value store.Forgotten) (unfinished bool, err error) {
	if err := d.remember(); err != nil {
		return false, err
	}
	b := d.store.NewBatch()
	defer b.Close()
	hashes := d.forgotten.hasher.Person(p)
	for _, hash := range hashes {
		mark := value
		if until, is := d.forgotten.people[hash]; is {
			mark.Until = max(mark.Until, until) // the clock may have been put back
			before := forgottenKey(p.Tenant, hash, until)
			cut, err := d.unfinished(before)
			if err != nil {
				return false, err
			}
			unfinished = unfinished || cut
			if err := b.Delete(before, nil); err != nil {
				return false, err
			}
		}
		if err := b.Set(forgottenKey(p.Tenant, hash, mark.Until), mark.AppendTo(nil), nil); err != nil {
			return false, err
		}
	}
	if err := b.Commit(pebble.Sync); err != nil {
		return false, err
	}
	for _, hash := range hashes {
		d.forgotten.add(p.Tenant, hash, value.Until)
	}
	return unfinished, nil
}

// forgottenKey is where the tombstone of a person stands who was forgotten at that moment.
func forgottenKey(tenant uint32, hash person.Hash, until uint64) []byte {
	return store.ForgottenKey(uint16(min(max(store.DayOf(time.UnixMicro(int64(until)))+1, 0), store.MaxDay)), tenant, hash)
}

// unfinished says whether a person's tombstone is that of a command that was cut off.
func (d *Decider) unfinished(key []byte) (bool, error) {
	value, closer, err := d.store.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer closer.Close()
	f, err := store.ParseForgotten(value)
	return err == nil && !f.Whole, err
}

// remember makes the secret, where there is none.
func (d *Decider) remember() error {
	if err := d.forgotten.load(d.store); err != nil || d.forgotten.hasher != nil {
		return err
	}
	secret, err := d.store.MakeSecret()
	if err == nil {
		d.forgotten.hasher = person.NewHasher(secret)
	}
	return err
}

// Keys are those under which the store may have the firsts of an event: that of its day, and that of the neighbouring day where the mail was minted near midnight.
func Keys(kafkaKey []byte, e *event.Event) []store.UniqueKey {
	unique, identified := e.Unique()
	day := store.DayOf(e.Minted)
	if !identified || words[e.Type] == "" || day < 0 || day > store.MaxDay {
		return nil
	}
	return keysOf(kafkaKey, e, unique)
}

func keysOf(kafkaKey []byte, e *event.Event, unique event.UniqueKey) (all []store.UniqueKey) {
	key := store.NewUniqueKey(uint16(store.DayOf(e.Minted)), e.Tenant, event.PartitionHash(kafkaKey), unique)
	all = append(all, key)
	if next := neighbour(e.Minted); next != 0 {
		all = append(all, key.OnDay(uint16(int(key.Day())+next)))
	}
	return all
}

// buriedAtOnce is how many keys are replaced between two batches.
const buriedAtOnce = 500

// Bury puts tombstones in the place of keys, durably, and gives those that it replaced, and how many of the keys have a tombstone now.
func (f Forgetter) Bury(keys []store.UniqueKey) (replaced [][]byte, buried int, err error) {
	for some := range slices.Chunk(keys, buriedAtOnce) {
		err := f.Between(func() error {
			gone, had, err := f.in.decider.buryAll(some)
			replaced, buried = append(replaced, gone...), buried+len(gone)+had
			return err
		})
		if err != nil {
			return replaced, buried, err
		}
	}
	return replaced, buried, nil
}

// buryAll is Bury for a few; had is how many had a tombstone and no key.
func (d *Decider) buryAll(keys []store.UniqueKey) (replaced [][]byte, had int, err error) {
	if err := d.remember(); err != nil {
		return nil, 0, err
	}
	b := d.store.NewBatch()
	defer b.Close()
	graves := graves{d: d}
	defer graves.close()
	for i := range keys {
		key := &keys[i]
		before, err := graves.buried(key)
		if err != nil {
			return nil, 0, err
		}
		firsts, err := firstsUnder(d.store, key)
		if err != nil {
			return nil, 0, err
		}
		if firsts == (store.Firsts{}) {
			if before != (store.Firsts{}) {
				had++
			}
			continue
		}
		if err := b.Delete(key[:], nil); err != nil {
			return nil, 0, err
		}
		if err := d.bury(b, key, merge(firsts, before)); err != nil {
			return nil, 0, err
		}
		replaced = append(replaced, bytes.Clone(key[:]))
	}
	return replaced, had, b.Commit(pebble.Sync)
}
