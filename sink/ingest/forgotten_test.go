package ingest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"waypost/edge/event"
	"waypost/sink/internal/person"
	"waypost/sink/internal/store"
)

// world is an ingester that decides what it is given, as with a source.
type world struct {
	t     *testing.T
	store *store.Store
	in    *Ingester
}

func newWorld(t *testing.T) *world {
	s := memStore(t)
	return &world{t, s, newIngester(s, &memoryOutbox{})}
}

func (w *world) decide(events ...event.Event) string {
	w.t.Helper()
	var words []string
	for _, d := range decide(w.t, w.store, w.in.decider, events...) {
		words = append(words, word(d))
	}
	return strings.Join(words, " ")
}

// restart begins anew on the same store.
func (w *world) restart() { w.in = newIngester(w.store, &memoryOutbox{}) }

func (w *world) forget(p *person.Person, until time.Time, events ...event.Event) (replaced int) {
	w.t.Helper()
	hands := w.in.Forgetter()
	if _, err := hands.Begin(p, until); err != nil {
		w.t.Fatal(err)
	}
	var keys []store.UniqueKey
	for i := range events {
		keys = append(keys, Keys(event.AppendKey(nil, &events[i]), &events[i])...)
	}
	gone, _, err := hands.Bury(keys)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := hands.Whole(p, until); err != nil {
		w.t.Fatal(err)
	}
	return len(gone)
}

func someone(t *testing.T) *person.Person {
	t.Helper()
	p, err := person.New(1, "ABC@prospect.com", "")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (w *world) count(space store.Space) (n int) {
	w.t.Helper()
	from, to := space.Range()
	iter, err := w.store.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		w.t.Fatal(err)
	}
	defer iter.Close()
	for ok := iter.First(); ok; ok = iter.Next() {
		n++
	}
	return n
}

func other(e *event.Event) { e.Prospect, e.Recipient = []byte("9"), []byte("other@prospect.com") }

func destination(to string) func(*event.Event) {
	return func(e *event.Event) { e.Destination = []byte(to) }
}

// What a forgotten person clicked is no first again, also after a restart and near midnight; what the person clicks later for the first time is.
func TestForgottenClicksAreRepeats(t *testing.T) {
	midnight := time.Date(2026, 6, 16, 0, 0, 0, 0, time.UTC)
	later := at(midnight.Add(time.Hour))
	for name, test := range map[string]struct {
		before []event.Event
		after  []event.Event
		keys   int
		want   string
	}{
		"a click":                {[]event.Event{click(1)}, []event.Event{click(2, later), click(3, later)}, 1, "repeat repeat"},
		"another link":           {[]event.Event{click(1)}, []event.Event{click(2, later, destination("https://example.com/b")), click(3, later, destination("https://example.com/b"))}, 1, "first+ repeat"},
		"an open":                {[]event.Event{open(1)}, []event.Event{open(2), click(3, later)}, 1, "repeat first+"},
		"somebody else":          {[]event.Event{click(1), click(2, other)}, []event.Event{click(3, later), click(4, later, other), click(5, later, recipient("8"))}, 1, "repeat repeat first+"},
		"a machine":              {[]event.Event{click(1, labels(event.Machine))}, []event.Event{click(2, later, labels(event.Machine)), click(3, later), click(4, later)}, 1, "repeat person+ repeat"},
		"a person, then machine": {[]event.Event{click(1)}, []event.Event{click(2, later, labels(event.Machine))}, 1, "repeat"},
		"any client's":           {[]event.Event{click(1, anyClient, labels(event.Machine))}, []event.Event{click(2, later, anyClient)}, 1, "person"},
		"what a provider told":   {[]event.Event{told(1, event.Bounced, "a")}, []event.Event{told(2, event.Bounced, "a", later), told(3, event.Bounced, "b", later)}, 1, "repeat first+"},
		"around midnight": {
			[]event.Event{click(1, minted(midnight.Add(-time.Minute)), later)}, []event.Event{click(2, minted(midnight), later), click(3, minted(midnight.Add(-time.Minute)), later)}, 1, "repeat repeat",
		},
		"around midnight, the other way": {
			[]event.Event{click(1, minted(midnight), later)}, []event.Event{click(2, minted(midnight.Add(-time.Minute)), later), click(3, minted(midnight), later)}, 1, "repeat repeat",
		},
	} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restart %v", name, restart), func(t *testing.T) {
				w := newWorld(t)
				w.decide(test.before...)
				var mine []event.Event
				for i := range test.before {
					if someone(t).Is(&test.before[i]) {
						mine = append(mine, test.before[i])
					}
				}
				uniques := w.count(store.Uniques)
				if n := w.forget(someone(t), midnight, mine...); n != test.keys {
					t.Errorf("%d keys became tombstones, want %d", n, test.keys)
				}
				if n := w.forget(someone(t), midnight, mine...); n != 0 {
					t.Errorf("said again: %d keys", n)
				}
				if n := w.count(store.Uniques); n != uniques-test.keys {
					t.Errorf("%d unique keys, want %d", n, uniques-test.keys)
				}
				if restart {
					w.restart()
				}
				if got := w.decide(test.after...); got != test.want {
					t.Errorf("%s, want %s", got, test.want)
				}
			})
		}
	}
}

// What happened before the person was forgotten and is read only then is told to nobody, and leaves a tombstone only.
func TestUnreadEventsOfTheForgotten(t *testing.T) {
	w := newWorld(t)
	until := start.Add(time.Hour)
	w.forget(someone(t), until)
	if got, want := w.decide(click(1), click(2, other), click(3, at(until.Add(time.Microsecond))), click(4)), "first first+ repeat repeat"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if n := w.count(store.Uniques); n != 1 {
		t.Errorf("%d unique keys, want that of the other one", n)
	}
	w.restart()
	if got, want := w.decide(click(5, at(until), destination("https://example.com/b")), click(6, at(until.Add(time.Second)), destination("https://example.com/c"))), "first first+"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Who is forgotten once more after the clock was put back stays forgotten until the later moment, also after a restart.
func TestForgottenMomentNeverMovesBack(t *testing.T) {
	w := newWorld(t)
	w.forget(someone(t), start.Add(days(3)))
	w.forget(someone(t), start.Add(days(1)))
	w.restart()
	if got, want := w.decide(click(1, at(start.Add(days(2))))), "first"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if n := w.count(store.Tombstones); n != 3 {
		t.Errorf("%d tombstones, want those of the click, the address and its hash", n)
	}
}

// The tombstones leave with the day, like the keys.
func TestTombstonesLeave(t *testing.T) {
	w := newWorld(t)
	w.decide(click(1))
	w.forget(someone(t), start.Add(time.Hour), click(1))
	if n := w.count(store.Tombstones); n != 3 {
		t.Fatalf("%d tombstones, want those of the click, the address and its hash", n)
	}
	w.decide(click(2, at(start.Add(days(50))), minted(start.Add(days(50))), other))
	if n := w.count(store.Tombstones); n != 3 {
		t.Errorf("%d tombstones within the retention, want 3", n)
	}
	w.decide(click(3, at(start.Add(days(60))), minted(start.Add(days(60))), other))
	if n := w.count(store.Tombstones); n != 0 {
		t.Errorf("%d tombstones after the retention, want none", n)
	}
	if len(w.in.decider.forgotten.days) != 0 {
		t.Error("days are still looked up")
	}
}

// A command that was cut off is known by that, and only then.
func TestBeginKnowsOfAnUnfinishedOne(t *testing.T) {
	w := newWorld(t)
	hands := w.in.Forgetter()
	for i, want := range []bool{false, true} {
		if again, err := hands.Begin(someone(t), start.Add(days(i))); again != want || err != nil {
			t.Errorf("%d: again %v, %v", i, again, err)
		}
		w.restart()
		hands = w.in.Forgetter()
		if _, err := w.in.decider.Decide(w.store.NewBatch(), nil); err != nil { // takes up what the store knows
			t.Fatal(err)
		}
	}
	if err := hands.Whole(someone(t), start.Add(days(1))); err != nil {
		t.Fatal(err)
	}
	if again, err := hands.Begin(someone(t), start.Add(days(2))); again || err != nil {
		t.Errorf("after all is gone: again %v, %v", again, err)
	}
	if n := w.count(store.Tombstones); n != 2 {
		t.Errorf("%d tombstones, want those of the last time", n)
	}
}

// No tombstone says, without the secret, whose it is: not even the hash that the unique key had.
func TestTombstonesHoldNoUnkeyedHash(t *testing.T) {
	w := newWorld(t)
	e := click(1)
	w.decide(e)
	key := Keys(event.AppendKey(nil, &e), &e)[0]
	w.forget(someone(t), start.Add(time.Hour), e)
	unique := key.Unique()
	iter, err := w.store.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer iter.Close()
	for ok := iter.First(); ok; ok = iter.Next() {
		for _, trace := range [][]byte{unique[:4], key[7:11], []byte("abc@prospect.com")} {
			if bytes.Contains(iter.Key(), trace) || bytes.Contains(iter.Value(), trace) {
				t.Errorf("key %x, value %x", iter.Key(), iter.Value())
			}
		}
	}
}
