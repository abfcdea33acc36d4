package ship

import (
	"testing"
	"time"
)

// feed gives a pace events that arose at so many a second, as fast as it takes them, and says how many a second it took.
func feed(p *pace, arose, events int) float64 {
	begin := time.Unix(1_800_000_000, 0)
	now := begin
	for i := range events {
		if p.count() {
			at := begin.Add(time.Duration(i) * time.Second / time.Duration(arose))
			if due := p.rest(now, at.UnixNano()); due.After(now) {
				now = due
			}
		}
	}
	return float64(events) / now.Sub(begin).Seconds()
}

func TestABacklogGoesAtTwiceTheSpeedAtWhichItArose(t *testing.T) {
	for _, c := range []struct {
		name        string
		rate, arose int
		least, most float64
	}{
		{name: "it arose slowly: at the rate", rate: 25_000, arose: 1_000, least: 25_000, most: 26_000},
		{name: "it arose fast: at twice its speed", rate: 25_000, arose: 40_000, least: 80_000, most: 85_000},
	} {
		// A minute's worth: what was not claimed before the first stretch is a small part of it.
		if got := feed(&pace{rate: c.rate}, c.arose, 600_000); got < c.least || got > c.most {
			t.Errorf("%s: %.0f events a second, want %.0f to %.0f", c.name, got, c.least, c.most)
		}
	}
}

func TestWhatIsShippedAsItComesNeverWaits(t *testing.T) {
	p := &pace{rate: 25_000}
	now := time.Unix(1_800_000_000, 0)
	for i := range 100_000 {
		now = now.Add(time.Second / 30_000) // read when it happens
		if p.count() {
			if due := p.rest(now, now.UnixNano()); due.After(now) {
				t.Fatalf("event %d waits %v", i, due.Sub(now))
			}
		}
	}
}

func TestNoPaceWithoutTimesOrALimit(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	p := &pace{rate: 25_000}
	for range 100 * eventsAPace {
		if p.count() && p.rest(now, 0).After(now) {
			t.Fatal("events without a time are waited for")
		}
	}
	unlimited := &pace{}
	for range 2 * eventsAPace {
		if unlimited.count() {
			t.Fatal("a pace without a limit rests")
		}
	}
}

func TestOnlyAPacedBacklogGoesInSmallBatches(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		name              string
		rate, batch, want int
		happened          time.Time
	}{
		{name: "as it comes", rate: 25_000, batch: 512 << 10, happened: now.Add(-backlogAge), want: 512 << 10},
		{name: "a backlog", rate: 25_000, batch: 512 << 10, happened: now.Add(-backlogAge - time.Millisecond), want: backlogBatch},
		{name: "a backlog, and batches set to less", rate: 25_000, batch: 16 << 10, happened: now.Add(-time.Hour), want: 16 << 10},
		{name: "a backlog that is not paced", rate: 0, batch: 512 << 10, happened: now.Add(-time.Hour), want: 512 << 10},
	} {
		r := &reading{s: &Shipper{o: Options{BatchBytes: c.batch}}, pace: pace{rate: c.rate}}
		if got := r.limit(&batch{begun: now, oldest: c.happened.UnixNano()}); got != c.want {
			t.Errorf("%s: %d bytes, want %d", c.name, got, c.want)
		}
	}
	r := &reading{s: &Shipper{o: Options{BatchBytes: 512 << 10}}, pace: pace{rate: 25_000}}
	if got := r.limit(&batch{begun: now}); got != 512<<10 {
		t.Errorf("an event without a time: %d bytes, want %d", got, 512<<10)
	}
}
