package topic

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"waypost/edge/event"
	"waypost/edge/ship"
	"waypost/sink/ingest"
	"waypost/sink/internal/kafkalog"
	"waypost/sink/internal/person"
	"waypost/sink/internal/store"
)

// message is a record as it is read.
func message(r ship.Record) *kafkalog.Message {
	m := &kafkalog.Message{Value: r.Value}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, kafkalog.Header{Key: []byte(h.Key), Value: h.Value})
	}
	return m
}

func TestSeed(t *testing.T) {
	key := store.NewUniqueKey(700, 3, 12345, event.UniqueKey{1, 2, 3})
	firsts := store.Firsts{Any: event.ID{Run: 7, Sequence: 8}, Person: event.ID{Run: 7, Sequence: 9}}
	m := message(SeedRecord(AppendSeedEntry(nil, key, firsts), map[uint32]uint16{3: 640}))
	if !IsSeed(m) {
		t.Error("not taken for a seed")
	}
	got, ok := readSeed(m)
	want := ingest.Seed{Keys: []store.UniqueKey{key}, Firsts: []store.Firsts{firsts}, Floors: []ingest.Floor{{Tenant: 3, Day: 640}}}
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Errorf("%v (-want +got):\n%s", ok, diff)
	}
	if _, ok := ReadFirst(m); ok {
		t.Error("a seed is read as a first")
	}
	m.Value = m.Value[1:]
	if _, ok := readSeed(m); ok {
		t.Error("a seed that was cut is read")
	}
}

func TestTombstonesSeed(t *testing.T) {
	secret, entries := [store.SecretBytes]byte{1}, []byte(nil)
	for i := range byte(3) {
		entries = append(append(entries, store.TombstoneKey(7, 1, [store.HashBytes]byte{i})...), i)
	}
	m := message(TombstonesRecord(secret, entries))
	if _, ok := ReadFirst(m); ok || !IsSeed(m) {
		t.Error("not taken for a seed, or for a first")
	}
	got, ok := readTombstones(m)
	if !ok || got.Secret != secret || len(got.Keys) != 3 || len(got.Values) != 3 || got.Values[2][0] != 2 {
		t.Errorf("%v %+v", ok, got)
	}
	for _, cut := range [][]byte{m.Value[1:], m.Value[:20], append(m.Value, 1)} {
		if _, ok := readTombstones(&kafkalog.Message{Value: cut}); ok {
			t.Errorf("%d bytes are read", len(cut))
		}
	}
}

func FuzzReadTombstones(f *testing.F) {
	f.Add(TombstonesRecord([store.SecretBytes]byte{1}, append(store.TombstoneKey(7, 1, [store.HashBytes]byte{3}), 3)).Value)
	f.Fuzz(func(t *testing.T, value []byte) {
		if got, ok := readTombstones(&kafkalog.Message{Value: value}); ok && store.SecretBytes+len(got.Keys)*store.TombstoneEntry != len(value) {
			t.Errorf("%d keys of %d bytes", len(got.Keys), len(value))
		}
	})
}

func FuzzReadSeed(f *testing.F) {
	f.Add(AppendSeedEntry(nil, store.NewUniqueKey(1, 2, 3, event.UniqueKey{}), store.Firsts{}), []byte("1=700"))
	f.Add([]byte("u"), []byte("="))
	f.Fuzz(func(t *testing.T, value, floors []byte) {
		m := kafkalog.Message{Value: value, Headers: []kafkalog.Header{{Key: []byte(floorsHeader), Value: floors}}}
		if seed, ok := readSeed(&m); ok && len(seed.Keys)*seedEntry != len(value) {
			t.Errorf("%d keys of %d bytes", len(seed.Keys), len(value))
		}
	})
}

// sown has a sink decide the clicks of two recipients after a seed, which knows the first one.
func sown(t *testing.T, seed func(e *event.Event, key []byte, unique event.UniqueKey) ship.Record) {
	t.Helper()
	k := newMemory()
	k.click(1, 1, 0, 0)
	k.click(2, 2, 0, 0)
	o := testOptions(t, k, t.TempDir())
	var decoder event.Decoder
	var e event.Event
	known := k.topics["events"][0]
	if err := decoder.Decode(&e, known.Value); err != nil {
		t.Fatal(err)
	}
	unique, _ := e.Unique()
	m := message(seed(&e, known.Key, unique))
	m.At = day0.Add(time.Second)
	k.append("unique", *m)
	level(t, k, o)
	if n := len(k.topics["unique"]); n != 2 {
		t.Fatalf("%d records in unique, want the seed and one first", n)
	}
	if first, ok := ReadFirst(&k.topics["unique"][1]); !ok || first.Source != 1 {
		t.Errorf("%+v, %v: want the event at offset 1", first, ok)
	}
}

// A store that was sown takes a click that the old store knew for a repeat, and another for a first.
func TestSownStoreKnows(t *testing.T) {
	sown(t, func(e *event.Event, key []byte, unique event.UniqueKey) ship.Record {
		under := store.NewUniqueKey(uint16(store.DayOf(e.Minted)), e.Tenant, event.PartitionHash(key), unique)
		return SeedRecord(AppendSeedEntry(nil, under, store.Firsts{Any: event.ID{Run: 1, Sequence: 1}, Person: event.ID{Run: 1, Sequence: 1}}), nil)
	})
}

// A store that was given the tombstones of another takes a forgotten click for a repeat, also when it is made anew.
func TestSownTombstonesAreKnown(t *testing.T) {
	sown(t, func(e *event.Event, _ []byte, unique event.UniqueKey) ship.Record {
		secret := [store.SecretBytes]byte{1}
		under := store.TombstoneKey(uint16(store.DayOf(e.Minted)), e.Tenant, person.NewHasher(secret).Unique(unique))
		return TombstonesRecord(secret, store.AppendBuried(under, store.Firsts{Any: store.Buried, Person: store.Buried}))
	})
}
