package ingest

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"waypost/edge/event"
	"waypost/sink/internal/store"
)

// Forgotten says which events are of people who were forgotten, for those who show events beside deciding. It knows those of when it was made. Not for concurrent use.
type Forgotten struct{ of forgotten }

// NewForgotten reads from the store who was.
func NewForgotten(s *store.Store) (*Forgotten, error) {
	f := &Forgotten{}
	if err := f.of.load(s); err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	return f, nil
}

// Is says whether the event is of one, from before it was asked for.
func (f *Forgotten) Is(e *event.Event) bool { return f.of.was(e) }

// FirstOf says of an event that was decided, and of its Kafka key, whether it was the first of any client and the first of a person. It asks the store, which forgets when the day of the
// mail leaves: at the tenant's floor, a week after its retention at the earliest. From then on no event of the mail is a first. Any goroutine may call it.
func FirstOf(s *store.Store, e *event.Event, key []byte) (anyClient, person bool, err error) {
	unique, identified := e.Unique()
	if reasonAgainst(e, identified, 0) != Eligible {
		return false, false, nil
	}
	for _, k := range keysOf(key, e, unique) { // one mail has one key, where it was written first
		firsts, err := firstsUnder(s, &k)
		if err != nil {
			return false, false, err
		}
		anyClient, person = anyClient || firsts.Any == e.ID, person || firsts.Person == e.ID
	}
	return anyClient, person, nil
}

// firstsUnder are those of a key; none where there is no such key.
func firstsUnder(s *store.Store, key *store.UniqueKey) (store.Firsts, error) {
	value, closer, err := s.Get(key[:])
	if errors.Is(err, pebble.ErrNotFound) {
		return store.Firsts{}, nil
	}
	if err != nil {
		return store.Firsts{}, fmt.Errorf("ingest: %w", err)
	}
	defer closer.Close()
	firsts, err := store.ParseFirsts(value)
	if err != nil {
		return store.Firsts{}, fmt.Errorf("ingest: key %x: %w", key[:], err)
	}
	return firsts, nil
}
