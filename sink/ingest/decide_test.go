package ingest

import (
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"waypost/edge/event"
	"waypost/sink/internal/store"
)

func TestDecide(t *testing.T) {
	midnight := time.Date(2026, 6, 16, 0, 0, 0, 0, time.UTC)
	before, after := minted(midnight.Add(-time.Minute)), minted(midnight)
	late := at(midnight.Add(time.Hour))
	tests := map[string]struct {
		events []event.Event
		want   string
	}{
		"one":            {[]event.Event{click(1)}, "first+"},
		"repeats":        {[]event.Event{click(1), click(2), click(3)}, "first+ repeat repeat"},
		"two recipients": {[]event.Event{click(1), click(2, recipient("9"))}, "first+ first+"},
		"two tenants":    {[]event.Event{click(1), click(2, func(e *event.Event) { e.Tenant = 2 })}, "first+ first+"},
		"two originals of one destination": {[]event.Event{
			click(1), click(2, func(e *event.Event) { e.Original = []byte("https://example.com/b") }),
		}, "first+ first+"},
		"html and text are one":       {[]event.Event{click(1, func(e *event.Event) { e.Place = "html" }), click(2, func(e *event.Event) { e.Place = "text" })}, "first+ repeat"},
		"head and prefetch are none":  {[]event.Event{click(1, labels(event.Head)), click(2, labels(event.Prefetch)), click(3)}, "head prefetch first+"},
		"machine, then person":        {[]event.Event{click(1, labels(event.Machine)), click(2, labels(event.Machine)), click(3), click(4)}, "machine repeat person+ repeat"},
		"person, then machine":        {[]event.Event{click(1), click(2, labels(event.Machine))}, "first+ repeat"},
		"any: machine is enough":      {[]event.Event{click(1, anyClient, labels(event.Machine)), click(2, anyClient)}, "machine+ person"},
		"any: head is not":            {[]event.Event{click(1, anyClient, labels(event.Head)), click(2, anyClient)}, "head first+"},
		"head by a machine":           {[]event.Event{click(1, labels(event.Head|event.Machine)), click(2)}, "head first+"},
		"without message":             {[]event.Event{click(1, func(e *event.Event) { e.Message = nil })}, "identity"},
		"without recipient":           {[]event.Event{click(1, func(e *event.Event) { e.Prospect, e.Recipient = nil, nil })}, "identity"},
		"address as recipient":        {[]event.Event{click(1, recipient("")), click(2, recipient(""), func(e *event.Event) { e.Recipient = []byte("ABC@prospect.com") })}, "first+ repeat"},
		"without retention":           {[]event.Event{click(1, retention(0))}, "no_retention"},
		"minted before all days":      {[]event.Event{click(1, minted(time.Date(2024, 12, 31, 23, 59, 0, 0, time.UTC)))}, "no_retention"},
		"an open":                     {[]event.Event{open(1), open(2), click(3)}, "first+ repeat first+"},
		"another type":                {[]event.Event{click(1, func(e *event.Event) { e.Type = "email.read" })}, "type"},
		"a delivery, told twice":      {[]event.Event{told(1, event.Delivered, "1"), told(2, event.Delivered, "2")}, "first+ repeat"},
		"a bounce, told twice":        {[]event.Event{told(1, event.Bounced, "1"), told(2, event.Bounced, "1")}, "first+ repeat"},
		"two bounces":                 {[]event.Event{told(1, event.Bounced, "1"), told(2, event.Bounced, "2")}, "first+ first+"},
		"a click, then told":          {[]event.Event{click(1), told(2, event.Clicked, "1"), told(3, event.Clicked, "2")}, "first+ repeat repeat"},
		"told of nobody":              {[]event.Event{told(1, event.Opened, "1", nobody), told(2, event.Opened, "2", nobody)}, "first+ repeat"},
		"last moment of retention":    {[]event.Event{click(1, at(start.Add(days(45))))}, "first+"},
		"just past retention":         {[]event.Event{click(1, at(start.Add(days(45)+time.Microsecond)))}, "retention"},
		"clicked before it was sent":  {[]event.Event{click(1, at(start.Add(-days(3)))), click(2)}, "first+ repeat"},
		"midnight":                    {[]event.Event{click(1, before, late), click(2, after, late), click(3, before, late)}, "first+ repeat repeat"},
		"midnight, the other way":     {[]event.Event{click(1, after, late), click(2, before, late), click(3, after, late)}, "first+ repeat repeat"},
		"midnight, machine before":    {[]event.Event{click(1, before, late, labels(event.Machine)), click(2, after, late), click(3, before, late)}, "machine person+ repeat"},
		"an hour off is another mail": {[]event.Event{click(1, minted(midnight.Add(-2*time.Hour)), late), click(2, minted(midnight.Add(time.Hour)), late)}, "first+ first+"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, split := range []bool{false, true} {
				s := memStore(t)
				d := NewDecider(s, func() time.Time { return start.Add(days(100)) })
				var words []string
				for _, batch := range batches(test.events, split) {
					for _, decision := range decide(t, s, d, batch...) {
						words = append(words, word(decision))
					}
				}
				if got := strings.Join(words, " "); got != test.want {
					t.Errorf("split %v: %s, want %s", split, got, test.want)
				}
			}
		})
	}
}

// batches gives all events at once, or each alone.
func batches(events []event.Event, split bool) (all [][]event.Event) {
	if !split {
		return [][]event.Event{events}
	}
	for _, e := range events {
		all = append(all, []event.Event{e})
	}
	return all
}

// step is one event of a story about clocks: when it is read, and what it says.
type step struct {
	clock time.Time // the sink's
	event event.Event
	want  string
	floor int // days before start; the tenant's, afterwards
}

func TestClocks(t *testing.T) {
	sent := func(daysAgo int) func(*event.Event) { return minted(start.Add(-days(daysAgo))) }
	stories := map[string][]step{
		"an edge a year ahead drives nobody out": {
			{start, click(1, at(start.Add(days(365))), recipient("a")), "retention", 52},
			{start, click(2, at(start), sent(40), recipient("b")), "first+", 52},
			{start, click(3, at(start.Add(days(365))), sent(40), recipient("b")), "retention", 52},
			{start, click(4, at(start), sent(40), recipient("b")), "repeat", 52},
		},
		"mint a year ahead": {
			{start, click(1, at(start), minted(start.Add(days(365)))), "first+", 52},
			{start, click(2, at(start), minted(start.Add(days(365)))), "repeat", 52},
		},
		"an edge five days late finds its keys": {
			{start, click(1, at(start), sent(1), recipient("a")), "first+", 52},
			{start, click(2, at(start.Add(-days(5))), sent(50), recipient("b")), "first+", 52},
			{start, click(3, at(start.Add(-days(5))), sent(50), recipient("b")), "repeat", 52},
			{start, click(4, at(start.Add(-days(5))), sent(51), recipient("c")), "retention", 52},
		},
		"an edge nine days late is told so": {
			{start, click(1, at(start), recipient("a")), "first+", 52},
			{start, click(2, at(start.Add(-days(9))), sent(53), recipient("b")), "floor", 52},
		},
		"a sink whose clock is behind keeps more": {
			{start.Add(-days(30)), click(1, at(start), sent(40)), "first+", 82},
			{start.Add(-days(30)), click(2, at(start), sent(40)), "repeat", 82},
		},
		"a sink whose clock is ahead follows the events": {
			{start.Add(days(365)), click(1, at(start), sent(40)), "first+", 52},
			{start.Add(days(365)), click(2, at(start), sent(40)), "repeat", 52},
		},
		"retention 45 to 365 and back": {
			{start, click(1, at(start), sent(44), recipient("a")), "first+", 52},
			{start, click(2, at(start), sent(51), retention(365), recipient("b")), "first+", 52},
			{start, click(3, at(start), sent(53), retention(365), recipient("c")), "floor", 52},
			{start.Add(days(100)), click(4, at(start.Add(days(100))), sent(44), retention(365), recipient("a")), "repeat", 52},
			{start.Add(days(100)), click(5, at(start.Add(days(100))), sent(52), retention(365), recipient("d")), "first+", 52},
			{start.Add(days(100)), click(6, at(start.Add(days(100))), sent(-60), recipient("e")), "first+", -48},
			{start.Add(days(100)), click(7, at(start.Add(days(100))), sent(44), retention(365), recipient("a")), "floor", -48},
			{start.Add(days(100)), click(8, at(start.Add(days(100))), sent(-60), recipient("e")), "repeat", -48},
		},
		"the floor never moves back": {
			{start, click(1, at(start)), "first+", 52},
			{start.Add(-days(20)), click(2, at(start.Add(-days(20))), sent(60)), "floor", 52},
		},
	}
	for name, steps := range stories {
		t.Run(name, func(t *testing.T) {
			s := memStore(t)
			var clock time.Time
			d := NewDecider(s, func() time.Time { return clock })
			for i, step := range steps {
				clock = step.clock
				if i%2 == 1 {
					d = NewDecider(s, func() time.Time { return clock }) // as after a restart
				}
				if got := word(decide(t, s, d, step.event)[0]); got != step.want {
					t.Fatalf("step %d: %s, want %s", i+1, got, step.want)
				}
				if got := store.DayOf(start) - int(storedFloor(t, s, 1)); got != step.floor {
					t.Fatalf("step %d: floor %d days before, want %d", i+1, got, step.floor)
				}
			}
		})
	}
}

func storedFloor(t *testing.T, s *store.Store, tenant uint32) uint16 {
	t.Helper()
	value, closer, err := s.Get(store.FloorKey(tenant))
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	_, day, err := store.ParseFloor(store.FloorKey(tenant), value)
	if err != nil {
		t.Fatal(err)
	}
	return day
}

// Days below the floor leave the store; the one just below stays, as the neighbour of the lowest day.
func TestDaysLeave(t *testing.T) {
	s := memStore(t)
	now := start
	d := NewDecider(s, func() time.Time { return now })
	for i := range 60 {
		now = start.Add(days(i))
		for tenant := range uint32(2) {
			decide(t, s, d, click(uint64(i), at(now), minted(now), func(e *event.Event) { e.Tenant = tenant + 1 }))
		}
	}
	want := store.DayOf(now) - 45 - floorSlack - keptBelowFloor
	for day, count := range keysByDay(t, s) {
		if day < want || count != 2 {
			t.Errorf("day %d has %d keys; the lowest should be %d, with one key of each tenant", day, count, want)
		}
	}
	if got, want := len(keysByDay(t, s)), 45+floorSlack+keptBelowFloor+1; got != want {
		t.Errorf("%d days, want %d", got, want)
	}
}

func keysByDay(t *testing.T, s *store.Store) map[int]int {
	t.Helper()
	found := map[int]int{}
	eachUnique(t, s, func(k store.UniqueKey, _ store.Firsts) { found[int(k.Day())]++ })
	return found
}

func eachUnique(t testing.TB, s *store.Store, visit func(store.UniqueKey, store.Firsts)) {
	t.Helper()
	from, to := store.Uniques.Range()
	iter, err := s.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		t.Fatal(err)
	}
	defer iter.Close()
	for ok := iter.First(); ok; ok = iter.Next() {
		k, err := store.ParseUniqueKey(iter.Key())
		if err != nil {
			t.Fatal(err)
		}
		firsts, err := store.ParseFirsts(iter.Value())
		if err != nil {
			t.Fatal(err)
		}
		visit(k, firsts)
	}
}

// A mail minted on both sides of midnight keeps one key, wherever it was clicked first.
func TestMidnightKeepsOneKey(t *testing.T) {
	midnight := time.Date(2026, 6, 16, 0, 0, 0, 0, time.UTC)
	s := memStore(t)
	d := NewDecider(s, func() time.Time { return midnight.Add(days(1)) })
	decide(t, s, d,
		click(1, minted(midnight.Add(-time.Second)), at(midnight.Add(time.Hour)), labels(event.Machine)),
		click(2, minted(midnight.Add(time.Second)), at(midnight.Add(time.Hour))),
	)
	keys := 0
	eachUnique(t, s, func(k store.UniqueKey, f store.Firsts) {
		keys++
		if f.Any.Sequence != 1 || f.Person.Sequence != 2 || int(k.Day()) != store.DayOf(midnight)-1 {
			t.Errorf("day %d: %+v", k.Day(), f)
		}
	})
	if keys != 1 {
		t.Errorf("%d keys, want 1", keys)
	}
}

// At the floor the neighbour below is only read: what counts is written to the day that may be written to.
func TestMidnightAtTheFloor(t *testing.T) {
	midnight := time.Date(2026, 6, 16, 0, 0, 0, 0, time.UTC)
	before, after := minted(midnight.Add(-time.Minute)), minted(midnight)
	s := memStore(t)
	now := midnight.Add(time.Hour)
	d := NewDecider(s, func() time.Time { return now })
	decide(t, s, d, click(1, before, at(now), labels(event.Machine)))
	now = midnight.Add(days(45 + floorSlack)) // the floor stands at the day that begins at midnight
	decide(t, s, d, click(2, recipient("other"), at(now), minted(now)))
	got := decide(t, s, d,
		click(3, before, at(now), retention(365)),
		click(4, after, at(now), retention(365), labels(event.Machine)),
		click(5, after, at(now), retention(365)),
		click(6, after, at(now), retention(365)),
	)
	want := []string{"floor", "repeat", "person+", "repeat"}
	for i := range want {
		if word(got[i]) != want[i] {
			t.Errorf("event %d: %s, want %s", i, word(got[i]), want[i])
		}
	}
	if n := keysByDay(t, s)[store.DayOf(midnight)]; n != 1 {
		t.Errorf("%d keys on the lowest day, want 1", n)
	}
}

func TestUndecodable(t *testing.T) {
	s := memStore(t)
	d := NewDecider(s, time.Now)
	b := s.NewBatch()
	defer b.Close()
	good := click(1)
	got, err := d.Decide(b, []Record{{Document: []byte("{")}, {}, record(&good)})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []Reason{UndecodableEvent, UndecodableEvent, Eligible} {
		if got[i].Reason != want {
			t.Errorf("record %d: %q, want %q", i, got[i].Reason, want)
		}
	}
}
