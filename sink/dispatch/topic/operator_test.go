package topic

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"
	"pgregory.net/rapid"

	"waypost/edge/event"
	"waypost/edge/ship"
	"waypost/sink/dispatch"
	"waypost/sink/dispatch/attempt"
	"waypost/sink/internal/kafkalog"
)

// archive is a Kafka in memory, of which partitions are read by offset and time.
type archive struct {
	mu       sync.Mutex
	messages map[string][][]kafkalog.Message // by topic and partition
	first    int64                           // of every partition
	away     error
	fetches  int
}

func (k *archive) Partitions(context.Context, string) (int, error) { return 3, nil }

func (k *archive) of(topic string, partition int) []kafkalog.Message {
	if all := k.messages[topic]; partition < len(all) {
		return all[partition]
	}
	return nil
}

func (k *archive) Span(_ context.Context, topic string, partition int) (kafkalog.Span, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return kafkalog.Span{First: k.first, End: k.first + int64(len(k.of(topic, partition)))}, k.away
}

func (k *archive) Fetch(_ context.Context, topic string, partition int, offset int64) (kafkalog.Fetched, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fetches++
	all := k.of(topic, partition)
	end := k.first + int64(len(all))
	if offset < k.first || offset > end {
		return kafkalog.Fetched{}, kafka.OffsetOutOfRange
	}
	all = all[offset-k.first:]
	all = all[:min(len(all), 5)]
	return kafkalog.Fetched{Messages: slices.Clone(all), Next: offset + int64(len(all)), End: end}, k.away
}

func (k *archive) Since(_ context.Context, topic string, partitions int, at time.Time) ([]int64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	offsets := make([]int64, partitions)
	for p := range offsets {
		offsets[p] = -1
		for _, m := range k.of(topic, p) {
			if m.At.UnixMilli() >= at.UnixMilli() {
				offsets[p] = m.Offset
				break
			}
		}
	}
	return offsets, k.away
}

// Produce is of every topic: a test gives the courier one for each.
type archiveProducer struct {
	k     *archive
	topic string
	at    time.Time
}

func (p *archiveProducer) Produce(_ context.Context, partition int, records []ship.Record) (int64, error) {
	for _, r := range records {
		p.k.put(p.topic, partition, p.at, r)
	}
	return ship.UnknownOffset, nil
}

func (k *archive) put(topic string, partition int, at time.Time, r ship.Record) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.messages[topic] == nil {
		k.messages[topic] = make([][]kafkalog.Message, 3)
	}
	m := kafkalog.Message{Offset: k.first + int64(len(k.messages[topic][partition])), At: at, Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, kafkalog.Header{Key: []byte(h.Key), Value: h.Value})
	}
	k.messages[topic][partition] = append(k.messages[topic][partition], m)
}

func courierOn(k *archive) *Courier {
	c := testCourier(4)
	c.o.Kafka.Partitions, c.log, c.producers = 3, k, map[string]producer{}
	for _, r := range c.retry {
		c.producers[r.topic] = &archiveProducer{k, r.topic, time.Now().UTC()}
	}
	return c
}

func newArchive() *archive {
	return &archive{messages: map[string][][]kafkalog.Message{}, first: 1000}
}

// However records lie in time and partitions, and however long the pages are: each comes once, none is left out, the newest first, within the bounds of time.
func TestWalk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := newArchive()
		now := time.Now().Truncate(time.Millisecond)
		begin := now.Add(-time.Duration(rapid.IntRange(0, 400).Draw(t, "hours")) * time.Hour)
		at, n := begin, rapid.IntRange(0, 60).Draw(t, "records")
		for i := range n {
			at = at.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "unit")) * []time.Duration{time.Millisecond, time.Second, time.Hour}[rapid.IntRange(0, 2).Draw(t, "step")])
			stamp := at.Add(-time.Duration(rapid.IntRange(0, 1).Draw(t, "behind")) * 2 * time.Millisecond) // another leader's clock
			k.put("t", rapid.IntRange(0, 2).Draw(t, "partition"), stamp, ship.Record{Key: fmt.Append(nil, i)})
		}
		w := walk{log: k, topic: "t", partitions: 3}
		if rapid.Bool().Draw(t, "from") {
			w.from = begin.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "from hours")) * time.Hour)
		}
		if rapid.Bool().Draw(t, "to") {
			w.to = begin.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "to hours")) * time.Hour)
		}
		want := map[string]bool{}
		for _, partition := range k.messages["t"] {
			taken := time.Time{}
			for _, m := range partition {
				if taken = later(taken, m.At); (w.from.IsZero() || !taken.Before(w.from)) && (w.to.IsZero() || taken.Before(w.to)) {
					want[string(m.Key)] = true
				}
			}
		}
		page := rapid.IntRange(1, 10).Draw(t, "page")
		got, last := map[string]bool{}, mark{taken: mostMillis}
		for {
			count := 0
			next, err := w.each(t.Context(), func(m *kafkalog.Message) bool {
				if got[string(m.Key)] {
					t.Fatalf("%s came twice", m.Key)
				}
				got[string(m.Key)] = true
				count++
				return count < page
			})
			if err != nil {
				t.Fatal(err)
			}
			if next == nil {
				break
			}
			if next.compare(last) >= 0 {
				t.Fatalf("page after %v ends at %v", last, *next)
			}
			last = *next
			again, err := parseMark(next.bytes())
			if err != nil || again != last {
				t.Fatalf("%v, %v", again, err)
			}
			w.after = &again
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// More records than are read at once, at one moment and spread: the windows shrink, and a walk ends at its bound.
func TestWalkIsBounded(t *testing.T) {
	k := newArchive()
	now := time.Now().Truncate(time.Millisecond)
	const records = mostWalked + 5*mostWindow
	for i := range records {
		k.put("t", i%3, now.Add(-time.Duration(records-i)*time.Millisecond), ship.Record{})
	}
	w := walk{log: k, topic: "t", partitions: 3}
	seen := 0
	for pages := 1; ; pages++ {
		before := seen
		next, err := w.each(t.Context(), func(*kafkalog.Message) bool { seen++; return true })
		if err != nil {
			t.Fatal(err)
		}
		if seen-before > mostWalked+mostWindow {
			t.Errorf("a walk went over %d records", seen-before)
		}
		if next == nil {
			break
		}
		w.after = next
	}
	if seen != records {
		t.Errorf("%d of %d records", seen, records)
	}
}

func attemptOf(l *lane, id event.ID, o attempt.Outcome, number int, at time.Time) ship.Record {
	d := delivery{tenant: l.Tenant.Number, endpoint: l.Config.ID, id: id, attempts: number - 1, key: []byte("key")}
	return attemptRecord(l.taker.Load().Target, &d, &o, at)
}

// Attempts of all partitions come by what is asked for, in pages, and as they were written.
func TestAttemptsInTopics(t *testing.T) {
	k := newArchive()
	c := courierOn(k)
	if err := c.Put(added("https://a.example.com/"), good); err != nil {
		t.Fatal(err)
	}
	l, now := c.lane(1, "api:1"), time.Now().UTC().Truncate(time.Millisecond)
	topic := c.o.Kafka.Topics.Deliveries
	at := func(i int) time.Time { return now.Add(time.Duration(i-10) * time.Hour) }
	for i := range 9 {
		o := attempt.Outcome{Word: attempt.Again, Status: 503, Answer: []byte("away"), Took: time.Millisecond, Type: event.Clicked, Message: fmt.Sprint("m", i%2), Wait: time.Second}
		if i%3 == 0 {
			o = attempt.Outcome{Word: attempt.Delivered, Status: 200, Answer: []byte("thanks"), Type: event.Clicked}
		}
		k.put(topic, i%3, at(i), attemptOf(l, event.ID{Run: 7, Sequence: uint64(i)}, o, 2, at(i)))
	}
	k.put(topic, 1, at(9), ship.Record{Value: []byte("{}")}) // no attempt: passed over
	numbers := func(q dispatch.AttemptQuery) (all []uint64) {
		t.Helper()
		for {
			found, next, err := c.Attempts(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range found {
				id, err := event.ParseID([]byte(a.WebhookID))
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, id.Sequence)
			}
			if next == nil {
				return all
			}
			q.After = next
		}
	}
	for _, test := range []struct {
		name string
		q    dispatch.AttemptQuery
		want []uint64
	}{
		{"all", dispatch.AttemptQuery{Limit: 100}, []uint64{8, 7, 6, 5, 4, 3, 2, 1, 0}},
		{"in pages", dispatch.AttemptQuery{Limit: 2}, []uint64{8, 7, 6, 5, 4, 3, 2, 1, 0}},
		{"failed", dispatch.AttemptQuery{Limit: 1, Failed: true}, []uint64{8, 7, 5, 4, 2, 1}},
		{"from, to", dispatch.AttemptQuery{Limit: 3, From: uint64(at(2).UnixMicro()), To: uint64(at(5).UnixMicro())}, []uint64{4, 3, 2}},
		{"one", dispatch.AttemptQuery{WebhookID: event.ID{Run: 7, Sequence: 5}}, []uint64{5}},
		{"mail", dispatch.AttemptQuery{Message: "m0", Endpoint: "api:1", Tenant: 1}, []uint64{8, 4, 2}},
		{"status", dispatch.AttemptQuery{Statuses: [2]int{200, 299}}, []uint64{6, 3, 0}},
		{"other endpoint", dispatch.AttemptQuery{Endpoint: "crm"}, nil},
		{"other tenant", dispatch.AttemptQuery{Tenant: 2}, nil},
	} {
		if diff := cmp.Diff(test.want, numbers(test.q)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	found, _, err := c.Attempts(t.Context(), dispatch.AttemptQuery{WebhookID: event.ID{Run: 7, Sequence: 4}})
	want := dispatch.Attempt{
		At: at(4), WebhookID: event.ID{Run: 7, Sequence: 4}.String(), Tenant: 1, Endpoint: "api:1", Type: event.Clicked, Message: "m0", Number: 2, Outcome: attempt.Again, Status: 503,
		TookMS: 1, NextMS: 1000, Answer: "away",
	}
	if diff := cmp.Diff([]dispatch.Attempt{want}, found, cmp.AllowUnexported(dispatch.Attempt{})); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, _, err := c.Attempts(t.Context(), dispatch.AttemptQuery{After: []byte{1}}); err != dispatch.ErrAfter {
		t.Errorf("a place that no answer gave: %v", err)
	}
	k.away = kafka.LeaderNotAvailable
	if _, _, err := c.Attempts(t.Context(), dispatch.AttemptQuery{}); !errors.Is(err, ErrAway) {
		t.Errorf("away: %v", err)
	}
}

// Dead letters are sent again once each, as they are chosen; those of endpoints that are not there stay.
func TestReplayOfTopics(t *testing.T) {
	k := newArchive()
	c := courierOn(k)
	if err := c.Put(added("https://a.example.com/"), good); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	letter := func(partition int, endpoint string, sequence uint64, at time.Time) {
		e := clicked()
		e.ID.Sequence = sequence
		d := delivery{tenant: 1, endpoint: endpoint, id: e.ID, attempts: 3, created: at.Add(-time.Hour), key: []byte("key"), document: event.AppendDocument(nil, &e)}
		k.put(c.o.Kafka.Topics.Dead, partition, at, d.deadRecord(410, "stopped"))
	}
	letter(0, "api:1", 1, now.Add(-3*time.Hour))
	letter(0, "api:1", 2, now.Add(-2*time.Hour))
	letter(0, "api:1", 1, now.Add(-time.Hour)) // given up once more
	letter(1, "gone", 3, now)
	letter(2, "api:1", 4, now)
	k.put(c.o.Kafka.Topics.Dead, 2, now, ship.Record{Value: []byte("{}")})
	replay := func(q dispatch.ReplayQuery) (all []uint64) {
		t.Helper()
		q.Dead = true
		err := c.Replay(t.Context(), q, func(r *dispatch.Replayed) {
			id, err := event.ParseID([]byte(r.WebhookID))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, id.Sequence)
			if r.Was != "dead" || r.Status != 410 || r.Reason != "stopped" || r.Attempts != 3 || r.Type != event.Clicked || r.GivenUp == nil || r.Created.IsZero() {
				t.Errorf("%+v", r)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	sent := func() (n int) {
		for _, partition := range k.messages[c.retry[0].topic] {
			n += len(partition)
		}
		return n
	}
	for _, test := range []struct {
		q    dispatch.ReplayQuery
		want []uint64
	}{
		{dispatch.ReplayQuery{List: true}, []uint64{1, 2, 4}},
		{dispatch.ReplayQuery{List: true, From: uint64(now.Add(-2 * time.Hour).UnixMicro())}, []uint64{2, 1, 4}},
		{dispatch.ReplayQuery{List: true, To: uint64(now.Add(-2 * time.Hour).UnixMicro())}, []uint64{1}},
		{dispatch.ReplayQuery{List: true, Endpoint: "gone"}, nil},
		{dispatch.ReplayQuery{List: true, Tenant: 2}, nil},
		{dispatch.ReplayQuery{List: true, Types: map[event.Type]bool{event.Opened: true}}, nil},
		{dispatch.ReplayQuery{List: true, WebhookIDs: map[event.ID]bool{{Run: 7, Sequence: 2}: true}}, []uint64{2}},
	} {
		if diff := cmp.Diff(test.want, replay(test.q)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", test.q, diff)
		}
	}
	if sent() != 0 {
		t.Fatal("a list sends")
	}
	if got := replay(dispatch.ReplayQuery{}); len(got) != 3 || sent() != 3 {
		t.Errorf("%v, %d sent", got, sent())
	}
	again, err := readDelivery(&k.messages[c.retry[0].topic][2][0])
	if err != nil || again.attempts != 0 || again.id.Sequence != 4 {
		t.Errorf("%+v, %v", again, err)
	}
	for name, q := range map[string]dispatch.ReplayQuery{"waiting": {Waiting: true}, "failed": {Dead: true, Waiting: true}, "delivered": {Delivered: true, From: 1}} {
		if err := c.Replay(t.Context(), q, nil); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Bytes that are no attempt are passed over; an attempt comes back.
func FuzzReadAttempt(f *testing.F) {
	f.Add([]byte(`{"at":"2026-11-28T10:07:26.463228Z","webhook_id":"351c2ffaed6cdb2a-0000000000000512","tenant":1,"endpoint":"crm","attempt":1,"outcome":"retry","status":503,"took_ms":8.059,"format":"postmark"}`))
	f.Add([]byte(`{"at":"x"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, value []byte) {
		a, err := readAttempt(value)
		if err != nil {
			return
		}
		q := dispatch.AttemptQuery{Message: a.Message, Tenant: a.Tenant, Endpoint: a.Endpoint}
		if !q.Fits(&a) {
			t.Errorf("%+v does not fit %+v", a, q)
		}
	})
}

// Any place to go on from is refused or stands in the order.
func FuzzParseMark(f *testing.F) {
	f.Add(mark{1_800_000_000_000, 3, 77}.bytes())
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMark(b)
		if err == nil && !slices.Equal(m.bytes(), b) {
			t.Errorf("%v does not come back", m)
		}
	})
}
