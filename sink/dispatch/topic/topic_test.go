package topic

import (
	"context"
	"log/slog"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/sink/dispatch/attempt"
	"waypost/sink/dispatch/gate"
	"waypost/sink/internal/kafkalog"
	"waypost/sink/internal/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// However deliveries end: the position never passes a record that has one open, and stands behind the last when all have ended.
func TestTracker(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := newTracker("unique", standing{position: 100, source: 7, upto: 100})
		var open []*entry
		unfinished := map[int64]int{}
		at, source, highest := int64(100), int64(7), map[int64]int64{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(open) > 0 && rapid.Bool().Draw(t, "end") {
				i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
				e := open[i]
				open = slices.Delete(open, i, i+1)
				unfinished[e.offset]--
				e.ended()
			} else {
				n := rapid.IntRange(0, 3).Draw(t, "deliveries")
				source += int64(rapid.IntRange(1, 5).Draw(t, "source"))
				e := tr.begin(at, source, n)
				highest[at] = source
				unfinished[at] = n
				for range n {
					open = append(open, e)
				}
				at += int64(rapid.IntRange(1, 3).Draw(t, "gap")) // control records leave gaps
			}
			first, below := tr.read, int64(7)
			for offset := int64(100); offset < at; offset++ {
				if unfinished[offset] > 0 {
					first = offset
					break
				}
				below = max(below, highest[offset])
			}
			if s := tr.place(); s.position != first || s.source != below {
				t.Fatalf("position %d, source %d; want %d, %d", s.position, s.source, first, below)
			}
			// Who goes on from there knows of each record whether it was finished, also after another crash before it has read them all again.
			next, again := from(t, tr.place()), int64(100)
			for again < first {
				again++
			}
			for ; again < at && rapid.Bool().Draw(t, "read again"); again++ {
				if n, is := unfinished[again]; is {
					next.begin(again, -1, min(n, 1))
				}
			}
			third := from(t, next.place())
			for offset, n := range unfinished {
				if got, want := third.finished(offset), n == 0; got != want {
					t.Fatalf("offset %d: finished %v, want %v; %+v, then %+v", offset, got, want, tr.place(), next.place())
				}
			}
			if third.finished(at) {
				t.Fatal("finished, and never read")
			}
		}
	})
}

// from gives a tracker as the next generation has it, from what was committed.
func from(t *rapid.T, s standing) *tracker {
	read, err := parseStanding(s.position, s.metadata())
	if err != nil {
		t.Fatal(err)
	}
	return newTracker("unique", read)
}

// What finds no room in the metadata counts as unfinished.
func TestStandingIsBounded(t *testing.T) {
	s := standing{position: 0, source: 1 << 60, upto: 1 << 20}
	for offset := int64(0); offset < s.upto; offset += 2 {
		s.add(offset, offset+1)
	}
	text := s.metadata()
	read, err := parseStanding(0, text)
	if err != nil || len(text) > 4096 || read.source != s.source || read.upto < 1000 {
		t.Fatalf("%d bytes, up to %d, %v", len(text), read.upto, err)
	}
	for offset := range s.upto {
		if got, want := read.finished(offset), offset%2 == 1 && offset < read.upto; got != want {
			t.Fatalf("offset %d: finished %v, want %v", offset, got, want)
		}
	}
}

func FuzzStanding(f *testing.F) {
	for _, text := range []string{"", "12", ".", "12.AQ", "12.BQABAgE", ".AAAA", "-1.", "x", "1.AQ=="} {
		f.Add(int64(100), text)
	}
	f.Fuzz(func(t *testing.T, position int64, text string) {
		s, err := parseStanding(position, text)
		if err != nil || position < 0 {
			return
		}
		for _, offset := range []int64{0, position - 1, position, position + 1, s.upto - 1, s.upto, math.MaxInt64} {
			if s.finished(offset) && offset >= s.upto {
				t.Errorf("%d is finished, behind %d", offset, s.upto)
			}
		}
		again, err := parseStanding(position, s.metadata())
		if err != nil || again.upto > s.upto {
			t.Errorf("%+v became %+v, %v", s, again, err)
		}
	})
}

// A topic that was made anew is read from its beginning, and no old source offset drops anything of it.
func TestTrackerRestarts(t *testing.T) {
	tr := newTracker("unique", standing{position: 100, source: 7, upto: 100})
	tr.begin(100, 9, 1)
	tr.restart(3)
	tr.begin(3, 1, 0)
	if s := tr.place(); s.position != 4 || s.source != 1 {
		t.Errorf("position %d, source %d; want 4, 1", s.position, s.source)
	}
}

func clicked() event.Event {
	minted := time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)
	return event.Event{
		ID: event.ID{Run: 7, Sequence: 9}, Type: event.Clicked, Time: minted, Tenant: 1, TenantName: "demo", Message: []byte("123"), Prospect: []byte("456"),
		Destination: []byte("https://example.com/"), Minted: minted, RetentionDays: 45, Method: []byte("GET"),
	}
}

func message(d *delivery) *kafkalog.Message {
	r := d.retryRecord()
	m := &kafkalog.Message{Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, kafkalog.Header{Key: []byte(h.Key), Value: h.Value})
	}
	return m
}

func TestDeliveryRecord(t *testing.T) {
	e := clicked()
	want := delivery{
		tenant: 1, endpoint: "crm", id: e.ID, attempts: 3, holds: 2, created: time.UnixMilli(1_800_000_000_123), due: time.UnixMilli(1_800_000_500_000),
		key: []byte("key"), document: event.AppendDocument(nil, &e),
	}
	got, err := readDelivery(message(&want))
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(delivery{})); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func FuzzReadDelivery(f *testing.F) {
	e := clicked()
	document := event.AppendDocument(nil, &e)
	f.Add([]byte("1"), []byte("crm"), []byte("3"), []byte("1800000000123"), []byte("0"), document)
	f.Add([]byte("-1"), []byte(""), []byte("x"), []byte(""), []byte("99999999999999999999"), []byte("{}"))
	f.Fuzz(func(t *testing.T, tenant, endpoint, attempts, created, due, value []byte) {
		m := kafkalog.Message{Value: value, Headers: []kafkalog.Header{
			{Key: []byte(tenantHeader), Value: tenant}, {Key: []byte(endpointHeader), Value: endpoint}, {Key: []byte(attemptsHeader), Value: attempts},
			{Key: []byte(createdHeader), Value: created}, {Key: []byte(dueHeader), Value: due},
		}}
		d, err := readDelivery(&m)
		if err != nil {
			return
		}
		again, err := readDelivery(message(&d))
		if diff := cmp.Diff(d, again, cmp.AllowUnexported(delivery{})); err != nil || diff != "" {
			t.Errorf("%v (-read +read again):\n%s", err, diff)
		}
	})
}

func testCourier(window int) *Courier {
	k := configs.DefaultKafka()
	c := &Courier{
		o:      Options{Kafka: k, Metrics: metrics.Discard()},
		window: window, active: map[*partition]bool{}, forgotten: newForgotten(),
	}
	c.states = newStates(c)
	c.lanes.Store(attempt.NewSet[*lane](nil))
	c.retry = ladder(k)
	c.sender = attempt.NewSender(configs.Dispatch{}, c.o.Metrics, slog.New(slog.DiscardHandler), nil, time.Now)
	return c
}

// testLane has a gate with all its passes out, so that what is queued stays.
func testLane(c *Courier, l gate.Limits) *lane {
	g := gate.New(l, func() float64 { return 0 })
	for range g.Limits().Concurrency {
		g.Begin(time.Now())
	}
	return &lane{Target: &attempt.Target{Tenant: &configs.Tenant{Number: 1}}, c: c, gate: g, condition: &condition{}}
}

// A wait goes through topics none of which is longer than what is left, and ends within half a second of its time.
func TestLadder(t *testing.T) {
	c := testCourier(1)
	for _, wait := range []time.Duration{time.Second, 5 * time.Second, 5*time.Second + 400*time.Millisecond, 7 * time.Second, time.Minute, 14 * time.Hour, 24 * time.Hour} {
		left, steps := wait, 0
		for left > leastWait {
			topic := c.scheduled(&delivery{}, left).topic
			i := slices.IndexFunc(c.retry, func(r rung) bool { return r.topic == topic })
			if c.retry[i].delay > left && i > 0 {
				t.Fatalf("%v left: to %s", left, topic)
			}
			left -= c.retry[i].delay
			steps++
		}
		if left < -leastWait || steps > 9 {
			t.Errorf("%v: %v left after %d steps", wait, left, steps)
		}
	}
}

// A lane that is full, or whose first has waited too long, takes no more; what is stale or another's comes out of it.
func TestLane(t *testing.T) {
	c := testCourier(4)
	l := testLane(c, gate.Limits{Concurrency: 1})
	mine, other := newPartition(c, nil, 1), newPartition(c, nil, 2)
	now := time.Now()
	job := func(p *partition) *job { return &job{owner: p} }
	for i, p := range []*partition{mine, other, mine} {
		if !l.admit(job(p), now.Add(time.Duration(i)*time.Second)) {
			t.Fatal("no room")
		}
	}
	if l.admit(job(mine), now) {
		t.Error("room for a fourth")
	}
	l.drop(mine)
	if len(l.queue) != 1 || l.queue[0].owner != other || c.inMemory.Load() != 1 {
		t.Fatalf("%d left, %d in memory", len(l.queue), c.inMemory.Load())
	}
	c.bytes.Add(sharedMemory + 1)
	if l.admit(job(mine), now) || !testLane(c, gate.Limits{}).admit(job(mine), now) {
		t.Error("with the common memory full: room beside another, or none for the first")
	}
	c.bytes.Add(-sharedMemory - 1)
	c.release(job(mine))
	if l.admit(job(mine), now.Add(4*time.Second)) {
		t.Error("room behind one that waits for three seconds")
	}
	if out := l.stale(now.Add(2 * time.Second)); len(out) != 1 || c.inMemory.Load() != 0 {
		t.Errorf("%d stale", len(out))
	}
}

// What finds no room comes again at the pace of its endpoint; where that was wrong often, or there is no endpoint, later and later.
func TestHolds(t *testing.T) {
	c := testCourier(1)
	p := newPartition(c, nil, 1)
	record := newTracker("unique", standing{source: -1}).begin(0, 0, 1000)
	l := testLane(c, gate.Limits{})
	for range 1000 {
		l.learn(time.Second / 100) // one at a time: 100 a second
	}
	begin := time.Now()
	var last *job
	for range 501 {
		last = &job{owner: p, record: record}
		c.hold(l, last)
		<-p.outputs
	}
	if due := last.due.Sub(begin); due < 5*time.Second || due > 60*time.Second {
		t.Errorf("the last of 501 at 100 a second comes after %v, want 6 s", due)
	}
	j, want := &job{owner: p, record: record}, firstHold
	for i := range 30 {
		begin := time.Now()
		c.hold(nil, j)
		<-p.outputs
		if wait := j.due.Sub(begin); wait < want || wait > want+10*time.Second {
			t.Fatalf("hold %d: %v, want %v", i, wait, want)
		}
		if i >= freeHolds {
			want = min(2*want, longestHold)
		}
	}
}

// With an open breaker nothing is admitted before the next probe, which waits for its time exactly; what waits consumes no attempt.
func TestLaneOfAFailingEndpoint(t *testing.T) {
	c := testCourier(10)
	p := newPartition(c, nil, 1)
	record := newTracker("unique", standing{source: -1}).begin(0, 0, 1000)
	l := testLane(c, gate.Limits{Concurrency: 2, Failures: 1, Longest: time.Hour})
	now := time.Now()
	waiting := &job{owner: p, record: record, delivery: delivery{holds: 30, attempts: 3}}
	if !l.admit(waiting, now) {
		t.Fatal("no room")
	}
	p.over = true // nothing is sent
	if j, _ := l.ended(gate.Usual, &attempt.Outcome{Word: attempt.Again}); j != nil || !l.gate.Open() {
		t.Fatal("not open, or an attempt begins")
	}
	if l.admit(&job{owner: p}, now) {
		t.Error("admitted before the probe's time")
	}
	out := l.stale(now.Add(-time.Hour))
	if len(out) != 1 || out[0] != waiting {
		t.Fatalf("%d taken out", len(out))
	}
	probe := l.gate.ProbeAt()
	c.hold(l, waiting)
	<-p.outputs
	if off := waiting.due.Sub(probe).Abs(); off > time.Minute || waiting.attempts != 3 {
		t.Errorf("the probe waits for %v more than it must, with %d attempts", off, waiting.attempts)
	}
	other := &job{owner: p, record: record, delivery: delivery{holds: 30}}
	c.hold(l, other)
	<-p.outputs
	if wait := other.due.Sub(now); wait < longestHold/2 {
		t.Errorf("a second one waits for %v", wait)
	}
	if !l.admit(&job{owner: p}, probe) {
		t.Error("the probe is not admitted at its time")
	}
	c.workers.Wait()
	if l.gate.Running() != 1 || !l.gate.Open() {
		t.Errorf("%d under way; a probe that was not made closed the breaker, or kept its pass", l.gate.Running())
	}
	l.ended(gate.Usual, &attempt.Outcome{Word: attempt.Delivered})
	if l.gate.Open() || !l.admit(&job{owner: p}, now) {
		t.Error("an attempt that worked did not close the breaker")
	}
	c.workers.Wait()
}

// Once a partition is over, what is written goes nowhere and blocks nobody.
func TestWriteAfterTheEnd(t *testing.T) {
	c := testCourier(1)
	p := newPartition(c, nil, 1)
	p.outputs = make(chan output)
	p.abandon()
	p.write(output{})
	p.over = true
	if p.begin() {
		t.Error("an attempt begins after the end")
	}
}

// No more deliveries end than a crash may repeat, before the positions are committed.
func TestFewEndBeforePositionsAreCommitted(t *testing.T) {
	c := testCourier(1)
	g := &generation{c: c, full: make(chan chan struct{})}
	p := newPartition(c, g, 0)
	g.partitions = []*partition{p}
	records := newTracker(c.unique, standing{source: -1})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var writer sync.WaitGroup
	writer.Go(func() { p.writing(ctx) })
	const more = 50
	for at := range int64(mostUnmarked + more) {
		p.write(output{record: records.begin(at, -1, 1)})
	}
	select {
	case committed := <-g.full:
		if n, at := p.unmarked.Load(), records.place().position; n != mostUnmarked || at != mostUnmarked {
			t.Errorf("%d have ended, up to %d, want %d", n, at, mostUnmarked)
		}
		p.unmarked.Store(0)
		close(committed)
	case <-ctx.Done():
		t.Fatal("nobody asked for the positions to be committed")
	}
	close(p.outputs)
	writer.Wait()
	if at := records.place().position; at != mostUnmarked+more {
		t.Errorf("position %d after all, want %d", at, mostUnmarked+more)
	}
}
