package ingest

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"waypost/edge/event"
	"waypost/sink/internal/metrics"
	"waypost/sink/internal/store"
)

// oracle decides one event after the other, with maps and nothing else.
type oracle struct {
	floors map[uint32]int
	mails  map[string]map[int]store.Firsts // by tenant, message, recipient and link; by day
	sent   []event.ID
}

func newOracle() *oracle {
	return &oracle{floors: map[uint32]int{}, mails: map[string]map[int]store.Firsts{}}
}

func (o *oracle) decide(e event.Event, clock time.Time) {
	logTime := e.Time
	if clock.Before(logTime) {
		logTime = clock
	}
	day, sinceEpoch := dayNumber(e.Minted), dayNumber(logTime)
	o.floors[e.Tenant] = max(o.floors[e.Tenant], sinceEpoch-int(e.RetentionDays)-7)
	floor := o.floors[e.Tenant]
	o.forget(e.Tenant, floor)
	if e.Labels&(event.Head|event.Prefetch) != 0 || day < floor || e.Time.After(e.Minted.AddDate(0, 0, int(e.RetentionDays))) {
		return
	}
	mail := fmt.Sprintf("%d|%s|%s|%s", e.Tenant, e.Message, e.Prospect, e.Destination)
	if o.mails[mail] == nil {
		o.mails[mail] = map[int]store.Firsts{}
	}
	written := day
	known, here := o.mails[mail][day]
	if other, ok := o.mails[mail][otherDay(e.Minted)]; ok {
		if !here && otherDay(e.Minted) >= floor {
			written = otherDay(e.Minted)
		}
		if known.Any == (event.ID{}) {
			known.Any = other.Any
		}
		if known.Person == (event.ID{}) {
			known.Person = other.Person
		}
	}
	before := known
	if known.Any == (event.ID{}) {
		known.Any = e.ID
	}
	if known.Person == (event.ID{}) && e.Labels&event.Machine == 0 {
		known.Person = e.ID
	}
	if known != before {
		o.mails[mail][written] = known
	}
	if e.UniqueAny && known.Any != before.Any || !e.UniqueAny && known.Person != before.Person {
		o.sent = append(o.sent, e.ID)
	}
}

func (o *oracle) forget(tenant uint32, floor int) {
	for mail, days := range o.mails {
		var number uint32
		if _, err := fmt.Sscanf(mail, "%d|", &number); err != nil || number != tenant {
			continue
		}
		for day := range days {
			if day < floor-1 {
				delete(days, day)
			}
		}
	}
}

func dayNumber(t time.Time) int { return int(t.Unix()/86400 - 20089) }

// otherDay is the neighbouring day within an hour of midnight, else a day that never is.
func otherDay(t time.Time) int {
	switch t.UTC().Hour() {
	case 0:
		return dayNumber(t) - 1
	case 23:
		return dayNumber(t) + 1
	}
	return -1000
}

// contents is what the store should hold: how many records there are with these two firsts, by day.
func (o *oracle) contents() map[string]int {
	all := map[string]int{}
	for _, days := range o.mails {
		for day, firsts := range days {
			all[fmt.Sprint(day, firsts)]++
		}
	}
	return all
}

func storeContents(t *testing.T, s *store.Store) map[string]int {
	all := map[string]int{}
	eachUnique(t, s, func(k store.UniqueKey, f store.Firsts) { all[fmt.Sprint(int(k.Day()), f)]++ })
	return all
}

// someClick draws an event whose clock, mail and retention collide often with the others', around midnight and at the floor.
func someClick(t *rapid.T, sequence uint64, base time.Time) event.Event {
	kept := rapid.SampledFrom([]uint16{7, 7, 7, 45, 365}).Draw(t, "retention")
	age := rapid.SampledFrom([]int{0, 0, 1, 6, 7, 8, 13, 14, 15, 44}).Draw(t, "age")
	side := rapid.SampledFrom([]time.Duration{-time.Minute, 0, -30 * time.Minute, 12 * time.Hour, -2 * time.Hour}).Draw(t, "side")
	ahead := rapid.SampledFrom([]int{0, 0, 0, 0, -5, 365}).Draw(t, "ahead")
	midnight := base.Truncate(24 * time.Hour)
	return click(sequence, at(base.Add(days(ahead))), minted(midnight.Add(side-days(age))), retention(kept),
		labels(rapid.SampledFrom([]event.Labels{0, 0, 0, event.Machine, event.Head, event.Prefetch}).Draw(t, "labels")),
		func(e *event.Event) {
			e.Tenant = rapid.SampledFrom([]uint32{1, 2}).Draw(t, "tenant")
			e.Prospect = []byte(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "recipient"))
			e.UniqueAny = rapid.IntRange(0, 4).Draw(t, "any") == 0
		})
}

// The decisions do not depend on where batches end, nor on crashes between any two of them: they are those of one who reads event by event.
func TestDecisionsEqualOracle(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		files := vfs.NewCrashableMem()
		s := openStore(t, files)
		defer func() { _ = s.Close() }()
		var events []event.Event
		base := start
		for i := range rapid.IntRange(1, 60).Draw(rt, "events") {
			base = base.Add(time.Duration(rapid.IntRange(0, 40).Draw(rt, "hours")) * time.Hour)
			events = append(events, someClick(rt, uint64(i+1), base))
		}
		clock := base.Add(time.Hour)
		if rapid.Bool().Draw(rt, "clock behind") {
			clock = base.Add(-days(10))
		}

		want := newOracle()
		for _, e := range events {
			want.decide(e, clock)
		}
		var sent []event.ID
		for done := false; !done; {
			out, source := &memoryOutbox{}, newMemorySource("log", s, events)
			in := New(Options{Store: s, Sources: []Source{source}, Outbox: out, Metrics: metrics.Discard(), Logger: quiet(), Now: func() time.Time { return clock }})
			done = stepUntilCrash(rt, in, source)
			sent = append(sent, out.sent...)
			if !done {
				files = files.CrashClone(vfs.CrashCloneCfg{})
				old := s
				s = openStore(t, files)
				_ = old.Close()
			}
		}
		if diff := cmp.Diff(want.sent, sent); diff != "" {
			rt.Fatalf("webhooks (-oracle +sink):\n%s", diff)
		}
		if diff := cmp.Diff(want.contents(), storeContents(t, s)); diff != "" {
			rt.Fatalf("store (-oracle +sink):\n%s", diff)
		}
	})
}

// stepUntilCrash decides batches of random size; false: it stopped after one that was decided and never committed, or after a committed one.
func stepUntilCrash(rt *rapid.T, in *Ingester, source *memorySource) (done bool) {
	for !source.AtEnd() {
		in.o.BatchRecords = rapid.IntRange(1, 20).Draw(rt, "batch")
		switch rapid.IntRange(0, 5).Draw(rt, "crash") {
		case 0: // decided, not committed
			in.fill()
			b := in.o.Store.NewBatch()
			if _, err := in.decider.Decide(b, in.batch.Records); err != nil {
				rt.Fatal(err)
			}
			_ = b.Close()
			return false
		case 1: // committed
			if _, err := in.Step(); err != nil {
				rt.Fatal(err)
			}
			return false
		}
		if _, err := in.Step(); err != nil {
			rt.Fatal(err)
		}
	}
	return true
}
