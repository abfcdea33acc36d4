package live

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/sink/internal/kafkalog"
	"waypost/sink/internal/metrics"
)

// fakeLog is topics in memory.
type fakeLog struct {
	mu     sync.Mutex
	topics map[string][][]kafkalog.Message
	begins map[string]int64 // of topic/partition: the first offset that is kept
	away   bool
}

func (l *fakeLog) Partitions(context.Context, string) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		return 0, kafka.BrokerNotAvailable
	}
	return len(l.topics["events"]), nil
}

func (l *fakeLog) Span(_ context.Context, topic string, n int) (kafkalog.Span, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.spanLocked(topic, n), nil
}

func (l *fakeLog) spanLocked(topic string, n int) kafkalog.Span {
	return kafkalog.Span{First: l.begins[fmt.Sprintf("%s/%d", topic, n)], End: int64(len(l.topics[topic][n]))}
}

func (l *fakeLog) Since(_ context.Context, topic string, partitions int, at time.Time) ([]int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var offsets []int64
	for n := range partitions {
		offset := int64(slices.IndexFunc(l.topics[topic][n], func(m kafkalog.Message) bool { return !m.At.Before(at) }))
		offsets = append(offsets, offset)
	}
	return offsets, nil
}

func (l *fakeLog) Fetch(ctx context.Context, topic string, n int, offset int64) (kafkalog.Fetched, error) {
	l.mu.Lock()
	span := l.spanLocked(topic, n)
	messages := l.topics[topic][n]
	away := l.away
	l.mu.Unlock()
	switch {
	case away:
		return kafkalog.Fetched{}, kafka.BrokerNotAvailable
	case offset < span.First || offset > span.End:
		return kafkalog.Fetched{}, kafka.OffsetOutOfRange
	case offset == span.End:
		kafkalog.Wait(ctx, time.Millisecond)
		return kafkalog.Fetched{Next: offset, End: offset}, ctx.Err()
	}
	end := min(offset+3, span.End)
	return kafkalog.Fetched{Messages: messages[offset:end], Next: end, End: span.End}, nil
}

func (l *fakeLog) put(topic string, n int, e *event.Event, headers ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := kafkalog.Message{Offset: int64(len(l.topics[topic][n])), At: e.Time, Key: event.AppendKey(nil, e), Value: event.AppendDocument(nil, e)}
	for i := 0; i < len(headers); i += 2 {
		m.Headers = append(m.Headers, kafkalog.Header{Key: []byte(headers[i]), Value: []byte(headers[i+1])})
	}
	l.topics[topic][n] = append(l.topics[topic][n], m)
}

// event puts the n-th event of a run into a partition; it is tagged by partition and sequence.
func (l *fakeLog) event(partition int, run, sequence uint64, change ...func(*event.Event)) {
	e := click(int(sequence), change...)
	e.ID, e.Tag = event.ID{Run: run, Sequence: sequence}, fmt.Appendf(nil, "%d.%d.%d", partition, run, sequence)
	l.put("events", partition, &e)
}

// unique puts a first into a partition.
func (l *fakeLog) unique(partition int, source int64, first string, change ...func(*event.Event)) {
	e := click(int(source), change...)
	e.ID = event.ID{Run: 1, Sequence: 1 + uint64(source)}
	l.put("unique", partition, &e, "source-offset", strconv.FormatInt(source, 10), "first", first)
}

func newTopicDesk(t *testing.T, partitions int) (*desk, *fakeLog) {
	t.Helper()
	log := &fakeLog{topics: map[string][][]kafkalog.Message{"events": make([][]kafkalog.Message, partitions), "unique": make([][]kafkalog.Message, partitions)}, begins: map[string]int64{}}
	d := &desk{t: t, options: Options{
		Settings: configs.Live{Readers: 10, TenantReaders: 2, SlowAfter: within}, Tenants: tenants(), Metrics: metrics.Discard(), Logger: slog.New(slog.DiscardHandler),
		Log: log, Events: "events", Unique: "unique", Heartbeat: within,
	}}
	d.hub = New(d.options)
	d.server = httptest.NewServer(d.hub)
	t.Cleanup(d.end)
	return d, log
}

// wantSet reads events and compares their tags, in whatever order: partitions have none between them.
func (c *client) wantSet(want ...string) {
	c.t.Helper()
	got := strings.Fields(c.tags(len(want)))
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		c.t.Fatalf("got  %v\nwant %v", got, want)
	}
}

// All partitions are read, what a producer repeats is dropped, and a reader that comes back amid a repetition sees none of it.
func TestTopic(t *testing.T) {
	d, log := newTopicDesk(t, 3)
	log.event(0, 1, 9)
	c := d.get("", "")
	log.event(0, 1, 10)
	log.event(1, 1, 11)
	log.event(2, 2, 5)
	c.wantSet("0.1.10", "1.1.11", "2.2.5")
	log.event(0, 1, 12)
	c.want("0.1.12")
	log.event(0, 1, 10) // repeated
	log.event(0, 2, 7)
	c.want("0.2.7")
	c.close()
	log.event(0, 1, 12) // repeated, while the reader is away
	log.event(0, 1, 13)
	log.event(0, 2, 7)
	log.event(0, 2, 8)
	c = d.get("", c.last)
	c.want("0.1.13 0.2.8")
	d.get("?last=2", "").wantSet("0.1.13", "0.2.8")
	oldest := d.get("?since=oldest", "")
	oldest.wantSet("0.1.9", "0.1.10", "1.1.11", "2.2.5", "0.1.12", "0.2.7", "0.1.13", "0.2.8")
	log.event(1, 3, 1, other)
	oldest.want("1.3.1")
	c.want("1.3.1")
	d.get("?since=oldest&tenant=2", "").want("1.3.1")
	d.get("?since=1h&type=clicked&tenant=2", "").want("1.3.1")
	if m := d.get("?last=1", "").next(); m.first != "" {
		t.Errorf("a first, where nobody knows: %+v", m)
	}
}

// Firsts are those of waypost.unique, by its readers' rule.
func TestTopicOfFirsts(t *testing.T) {
	d, log := newTopicDesk(t, 2)
	c := d.get("?first=any", "")
	log.unique(0, 10, "any")
	log.unique(0, 12, "any,person")
	log.unique(0, 13, "person")
	log.unique(0, 12, "any,person") // repeated
	log.unique(0, 14, "any")
	c.want("10:any 12:any,person 14:any", true)
	persons := d.get("?first=person&since=oldest", "")
	persons.want("12:any,person 13:person", true)
	persons.close()
	log.unique(0, 13, "person") // repeated, while the reader is away
	log.unique(0, 20, "any,person")
	d.get("?first=person", persons.last).want("20:any,person", true)
	log.unique(1, 1, "any", anyCounts)
	d.get("?first=unique&last=2", "").wantSet("20", "1")
	back := d.get("", persons.last) // of all events, by a cursor of firsts
	if m := back.next(); m.reason != gapKind {
		t.Errorf("came %+v", m)
	}
}

// What the topic no longer holds is told.
func TestTopicGaps(t *testing.T) {
	d, log := newTopicDesk(t, 2)
	d.hub.newLeader = 10 * time.Millisecond
	c := d.get("", "")
	begin := c.last
	for i := range uint64(10) {
		log.event(0, 1, 1+i)
	}
	c.tags(10)
	c.close()
	log.mu.Lock()
	log.begins["events/0"] = 4
	log.mu.Unlock()
	back := d.get("", begin)
	if m := back.next(); m.kind != "gap" || !strings.Contains(m.reason, "partition 0 begins at offset 4 now, and 0 was to come") {
		t.Errorf("came %+v", m)
	}
	back.want("0.1.5 0.1.6 0.1.7 0.1.8 0.1.9 0.1.10")
	log.mu.Lock()
	log.topics["events"][0], log.begins["events/0"] = nil, 0 // made anew
	log.mu.Unlock()
	back = d.get("", c.last)
	if m := back.next(); m.kind != "gap" || !strings.Contains(m.reason, "partition 0 ends at offset 0, and 10 was to come") {
		t.Errorf("came %+v", m)
	}
	log.event(0, 1, 20)
	back.want("0.1.20")
}

// Brokers that are away are waited for by who reads, and told to who begins.
func TestTopicAway(t *testing.T) {
	d, log := newTopicDesk(t, 1)
	c := d.get("", "")
	set := func(away bool) {
		log.mu.Lock()
		defer log.mu.Unlock()
		log.away = away
	}
	set(true)
	response, err := transport.RoundTrip(request(t.Context(), t, d.server.URL+Path, ""))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != 503 {
		t.Error(response.Status)
	}
	log.event(0, 1, 1)
	set(false)
	c.want("0.1.1")
}
