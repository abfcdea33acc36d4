package ingest

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"waypost/sink/internal/store"
)

// floorSlack is how many days a tenant's keys outlive its retention: an edge may bring its events that late and finds them decided.
const floorSlack = 7

// keptBelowFloor is how many days below the floor stay in the store. The key of a mail sent just after midnight may stand under the day before
// (see Decider): without that day, the click of a mail at the floor would be a first again.
const keptBelowFloor = 1

// DaysPastRetention is for how many days keys outlive their tenant's retention.
const DaysPastRetention = floorSlack + keptBelowFloor

// floors are the tenants' lowest days. Written by the deciding goroutine only.
type floors struct {
	store *store.Store
	days  map[uint32]uint16
	moved map[uint32]int // before this batch; -1: the tenant was never seen
	grew  bool           // whether the last advance moved the floor
}

func newFloors(s *store.Store) floors {
	return floors{store: s, days: map[uint32]uint16{}, moved: map[uint32]int{}}
}

// day gives the tenant's floor; false for a tenant never seen.
func (f *floors) day(tenant uint32) (uint16, bool, error) {
	if day, ok := f.days[tenant]; ok {
		return day, true, nil
	}
	key := store.FloorKey(tenant)
	value, closer, err := f.store.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("ingest: floor of tenant %d: %w", tenant, err)
	}
	defer closer.Close()
	_, day, err := store.ParseFloor(key, value)
	if err != nil {
		return 0, false, fmt.Errorf("ingest: floor of tenant %d: %w", tenant, err)
	}
	f.days[tenant] = day
	return day, true, nil
}

// advance moves the tenant's floor to where the event at that time, with that retention, puts it, and returns the floor in force. It never
// moves back: keys below it are gone, so whoever would be first there cannot be told any more. Events from the future count as of now, so
// that an edge whose clock is ahead cannot drive the others' mails out.
func (f *floors) advance(tenant uint32, at, now time.Time, retentionDays uint16) (uint16, error) {
	if now.Before(at) {
		at = now
	}
	return f.raise(tenant, uint16(min(max(store.DayOf(at)-int(retentionDays)-floorSlack, 0), store.MaxDay)))
}

// raise moves the tenant's floor up to day, and returns the floor in force.
func (f *floors) raise(tenant uint32, day uint16) (uint16, error) {
	f.grew = false
	current, known, err := f.day(tenant)
	if err != nil {
		return 0, err
	}
	if known && day <= current {
		return current, nil
	}
	if _, ok := f.moved[tenant]; !ok {
		f.moved[tenant] = -1
		if known {
			f.moved[tenant] = int(current)
		}
	}
	f.days[tenant] = day
	f.grew = true
	return day, nil
}

// write puts the floors that this batch moved, and the removal of what lies below them, into b; left is told of the lowest day of each tenant that is still there.
func (f *floors) write(b *pebble.Batch, left func(tenant uint32, lowest uint16)) error {
	for tenant, before := range f.moved {
		day := f.days[tenant]
		if err := b.Set(store.FloorKey(tenant), store.AppendFloor(nil, day), nil); err != nil {
			return err
		}
		if before < 0 {
			continue // a tenant never seen has no keys
		}
		for gone := max(before-keptBelowFloor, 0); gone < int(day)-keptBelowFloor; gone++ {
			for _, of := range [...]func(uint16, uint32) (start, end []byte){store.DayRange, store.TombstoneRange} {
				start, end := of(uint16(gone), tenant)
				if err := b.DeleteRange(start, end, nil); err != nil {
					return err
				}
			}
		}
		left(tenant, uint16(max(int(day)-keptBelowFloor, 0)))
	}
	clear(f.moved)
	return nil
}

// keeps says whether a key of the tenant on that day is still in the store once the batch is written.
func (f *floors) keeps(tenant uint32, day uint16) bool {
	return int(day) >= int(f.days[tenant])-keptBelowFloor
}
