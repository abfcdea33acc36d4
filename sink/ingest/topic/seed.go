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
// One of the type application/vnd.waypost.tombstones carries over whose clicks were forgotten (package person), to every partition, because nobody can tell whose they are: the 32 bytes of the secret, and up
// to 1,000 entries of 25 bytes, the 24 of a tombstone's key and its value.
//
// Seeds stand before every first: `sink migrate` refuses a topic that has one.
const (
	seedType    = "application/vnd.waypost.seed"
	seedEntry   = store.UniqueKeyBytes + store.FirstsBytes
	SeedEntries = 1000 // of one record, at most

	tombstonesType = "application/vnd.waypost.tombstones"
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

// TombstonesRecord makes the record of such a seed.
func TombstonesRecord(secret [store.SecretBytes]byte, entries []byte) ship.Record {
	return ship.Record{Value: append(secret[:], entries...), Headers: []ship.Header{
		{Key: contentTypeHeader, Value: []byte(tombstonesType)},
		{Key: sourceOffsetHeader, Value: []byte("-1")},
	}}
}

// IsSeed says whether a record of unique is a seed.
func IsSeed(m *kafkalog.Message) bool {
	kind := m.Header(contentTypeHeader)
	return bytes.Equal(kind, []byte(seedType)) || bytes.Equal(kind, []byte(tombstonesType))
}

// readTombstones reads a seed of tombstones; false when it is damaged.
func readTombstones(m *kafkalog.Message) (t ingest.Tombstones, ok bool) {
	if len(m.Value) < store.SecretBytes || (len(m.Value)-store.SecretBytes)%store.TombstoneEntry != 0 {
		return t, false
	}
	t.Secret = [store.SecretBytes]byte(m.Value)
	for rest := m.Value[store.SecretBytes:]; len(rest) > 0; rest = rest[store.TombstoneEntry:] {
		key, value := rest[:store.TombstoneEntry-1], rest[store.TombstoneEntry-1:store.TombstoneEntry]
		tombstone, err := store.ParseTombstone(key)
		if err != nil || tombstone.Person {
			return t, false
		}
		if _, err := store.ParseBuried(value); err != nil {
			return t, false
		}
		t.Keys, t.Values = append(t.Keys, key), append(t.Values, value)
	}
	return t, true
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
	if bytes.Equal(m.Header(contentTypeHeader), []byte(tombstonesType)) {
		return w.sowTombstones(m)
	}
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

func (w *worker) sowTombstones(m *kafkalog.Message) error {
	t, ok := readTombstones(m)
	if !ok {
		w.alarm("unreadable", "a seed in the topic of unique clicks is damaged: passed over", m.Offset)
		return nil
	}
	if err := w.decider.SowTombstones(t); err != nil {
		return storeFault(err)
	}
	return nil
}
