package ingest

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"waypost/edge/event"
	"waypost/sink/internal/store"
)

// Floor is a tenant's lowest day, as days since 2025-01-01 UTC.
type Floor struct {
	Tenant uint32
	Day    uint16
}

// Told is a first that was decided before, perhaps by another sink, and is taken as it stands.
type Told struct {
	Record
	Any, Person bool    // of which it was the first
	Floors      []Floor // that were moved up to this event
}

// Restore takes decisions over, in their order: afterwards the store is as if Decide had made them. It returns how many of them are not what
// Decide would have said: they are about no unique event, or somebody else stands there already, who then stays.
func (d *Decider) Restore(b *pebble.Batch, told []Told) (odd int, err error) {
	d.decisions, d.waiting = d.decisions[:0], d.waiting[:0]
	if err := d.forgotten.load(d.store); err != nil {
		return odd, fmt.Errorf("ingest: %w", err)
	}
	for i := range told {
		known, err := d.recall(&told[i])
		if err != nil {
			return odd, err
		}
		if !known {
			odd++
		}
	}
	if err := d.load(); err != nil {
		return odd, err
	}
	for i := range d.waiting {
		c := &d.waiting[i]
		d.settle(c)
		if out := &d.decisions[c.record]; out.FirstAny != c.told.Any || out.FirstPerson != c.told.Person {
			odd++
		}
	}
	return odd, d.write(b)
}

// Seed is what another store knew: keys with their firsts, and floors.
type Seed struct {
	Keys   []store.UniqueKey
	Firsts []store.Firsts
	Floors []Floor
}

// Sow takes over what another store knew. It stands before everything that is decided here.
func (d *Decider) Sow(b *pebble.Batch, s Seed) error {
	for _, f := range s.Floors {
		if _, err := d.floors.raise(f.Tenant, f.Day); err != nil {
			return err
		}
	}
	if err := d.floors.write(b, d.forgotten.leave); err != nil {
		return fmt.Errorf("ingest: %w", err)
	}
	for i := range s.Keys {
		if !d.floors.keeps(s.Keys[i].Tenant(), s.Keys[i].Day()) {
			continue
		}
		if err := b.Set(s.Keys[i][:], s.Firsts[i].AppendTo(nil), nil); err != nil {
			return fmt.Errorf("ingest: %w", err)
		}
	}
	return nil
}

// Tombstones are those that another store had, and the secret that they are hashed with.
type Tombstones struct {
	Secret       [store.SecretBytes]byte
	Keys, Values [][]byte
}

// SowTombstones takes them over. A store that has a secret of its own keeps that, and what was hashed with another means nothing in it.
func (d *Decider) SowTombstones(t Tombstones) error {
	if err := d.store.PutSecret(t.Secret); err != nil {
		return err
	}
	b := d.store.NewBatch()
	defer b.Close()
	for i := range t.Keys {
		if err := b.Set(t.Keys[i], t.Values[i], nil); err != nil {
			return err
		}
	}
	d.forgotten.loaded = false
	return b.Commit(pebble.NoSync)
}

// recall makes a candidate of a told decision; false when the record can be none.
func (d *Decider) recall(t *Told) (bool, error) {
	for _, f := range t.Floors {
		if _, err := d.floors.raise(f.Tenant, f.Day); err != nil {
			return false, err
		}
	}
	d.decisions = append(d.decisions, Decision{})
	out, e := &d.decisions[len(d.decisions)-1], &d.event
	if !d.decodes(t.Document) {
		return false, nil
	}
	out.ID, out.Tenant, out.Time = e.ID, e.Tenant, e.Time
	unique, identified := e.Unique()
	if day := store.DayOf(e.Minted); !identified || day < 0 || day > store.MaxDay {
		return false, nil
	}
	floor, _, err := d.floors.day(e.Tenant)
	if err != nil {
		return false, err
	}
	d.waiting = append(d.waiting, candidate{
		record:    len(d.decisions) - 1,
		key:       store.NewUniqueKey(uint16(store.DayOf(e.Minted)), e.Tenant, event.PartitionHash(t.Key), unique),
		neighbour: neighbour(e.Minted),
		machine:   !t.Person,
		any:       e.UniqueAny,
		floor:     floor,
		told:      t,
	})
	return true, nil
}

// Floors gives all floors of the store.
func (d *Decider) Floors() ([]Floor, error) {
	var all []Floor
	err := d.store.Each(store.Floors, func(key, value []byte) error {
		tenant, day, err := store.ParseFloor(key, value)
		if err != nil {
			return fmt.Errorf("floor %x: %w", key, err)
		}
		all = append(all, Floor{tenant, day})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	return all, nil
}
