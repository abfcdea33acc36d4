package topic

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"

	"waypost/edge/ship"
	"waypost/sink/ingest"
	"waypost/sink/internal/kafkalog"
	"waypost/sink/internal/store"
)

// A seed is a record of unique that carries over what a store on one machine knew, so that no click is first again:
//
//	content-type   application/vnd.waypost.seed
//	source-offset  -1, so that the readers' rule drops it
//	floors         as in other records
//	value          up to 1,000 entries of 59 bytes: the 27 of a key of the store (space, day, tenant, hash of the Kafka key, hash of the unique key), the 32 of its two firsts
//
// Seeds stand before every first: `sink migrate` refuses a topic that has one.
const (
	seedType    = "application/vnd.waypost.seed"
	seedEntry   = store.UniqueKeyBytes + store.FirstsBytes
	SeedEntries = 1000 // of one record, at most
)

// AppendSeedEntry adds a key of the store and its value to a seed's.
func AppendSeedEntry(dst []byte, key store.UniqueKey, firsts store.Firsts) []byte {
	return firsts.AppendTo(append(dst, key[:]...))
}

// SeedRecord makes the record of a seed.
func SeedRecord(entries []byte, floors map[uint32]uint16) ship.Record {
	return ship.Record{Value: entries, Headers: []ship.Header{
		{Key: contentTypeHeader, Value: []byte(seedType)},
		{Key: sourceOffsetHeader, Value: []byte("-1")},
		{Key: floorsHeader, Value: appendFloors(nil, floors)},
	}}
}

// IsSeed says whether a record of unique is a seed.
func IsSeed(m *kafkalog.Message) bool {
	return bytes.Equal(m.Header(contentTypeHeader), []byte(seedType))
}

// readSeed reads a seed; false when it is damaged.
func readSeed(m *kafkalog.Message) (seed ingest.Seed, ok bool) {
	if seed.Floors, ok = parseFloors(m.Header(floorsHeader)); !ok || len(m.Value)%seedEntry != 0 {
		return seed, false
	}
	for rest := m.Value; len(rest) > 0; rest = rest[seedEntry:] {
		key, err := store.ParseUniqueKey(rest[:store.UniqueKeyBytes])
		if err != nil {
			return seed, false
		}
		firsts, err := store.ParseFirsts(rest[store.UniqueKeyBytes:seedEntry])
		if err != nil {
			return seed, false
		}
		seed.Keys, seed.Firsts = append(seed.Keys, key), append(seed.Firsts, firsts)
	}
	return seed, true
}

// sow applies a seed.
func (w *worker) sow(m *kafkalog.Message) error {
	seed, ok := readSeed(m)
	if !ok {
		w.alarm("unreadable", "a seed in the topic of unique clicks is damaged: passed over", m.Offset)
		return nil
	}
	b := w.store.NewBatch()
	defer b.Close()
	if err := w.decider.Sow(b, seed); err != nil {
		return storeFault(err)
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return storeFault(err)
	}
	return nil
}
