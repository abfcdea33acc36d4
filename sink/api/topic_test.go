package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/segmentio/kafka-go"

	"waypost/configs"
	"waypost/configs/outbound"
	"waypost/edge/ship"
	"waypost/sink/dispatch"
	"waypost/sink/internal/kafkalog"
	"waypost/sink/internal/metrics"
)

// memory is a Kafka in memory with one topic of one partition.
type memory struct {
	mu       sync.Mutex
	messages []kafkalog.Message
	end      int64
	away     error         // what every request is answered with
	held     chan struct{} // fetches wait for it to be closed
	grown    chan struct{}
}

func newMemory() *memory { return &memory{grown: make(chan struct{})} }

func (k *memory) Produce(ctx context.Context, _ int, records []ship.Record) (int64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.away != nil {
		k.mu.Unlock()
		<-ctx.Done()
		k.mu.Lock()
		return ship.UnknownOffset, ctx.Err()
	}
	for _, r := range records {
		m := kafkalog.Message{Offset: k.end, Key: slices.Clone(r.Key), Value: slices.Clone(r.Value)}
		for _, h := range r.Headers {
			m.Headers = append(m.Headers, kafkalog.Header{Key: []byte(h.Key), Value: slices.Clone(h.Value)})
		}
		k.messages = append(k.messages, m)
		k.end++
	}
	close(k.grown)
	k.grown = make(chan struct{})
	return ship.UnknownOffset, nil
}

func (k *memory) Partitions(context.Context, string) (int, error) { return 1, nil }

func (k *memory) Span(context.Context, string, int) (kafkalog.Span, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return kafkalog.Span{End: k.end}, k.away
}

// Fetch gives two messages at most, so that a log takes several.
func (k *memory) Fetch(ctx context.Context, _ string, _ int, offset int64) (kafkalog.Fetched, error) {
	k.mu.Lock()
	held, grown := k.held, k.grown
	k.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return kafkalog.Fetched{}, ctx.Err()
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.away != nil {
		return kafkalog.Fetched{}, k.away
	}
	if offset > k.end {
		return kafkalog.Fetched{}, kafka.OffsetOutOfRange
	}
	f := kafkalog.Fetched{Next: offset, End: k.end}
	for _, m := range k.messages {
		if m.Offset >= offset && len(f.Messages) < 2 {
			f.Messages = append(f.Messages, m)
			f.Next = m.Offset + 1
		}
	}
	if len(f.Messages) == 0 {
		f.Next = k.end // what compaction took out
		k.mu.Unlock()
		select {
		case <-grown:
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
		k.mu.Lock()
	}
	return f, nil
}

// compact leaves the last record of each key.
func (k *memory) compact() {
	k.mu.Lock()
	defer k.mu.Unlock()
	last := map[string]int64{}
	for _, m := range k.messages {
		last[string(m.Key)] = m.Offset
	}
	k.messages = slices.DeleteFunc(k.messages, func(m kafkalog.Message) bool { return m.Offset < last[string(m.Key)] || m.Value == nil })
}

func (k *memory) set(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

// sinkOn is a sink on a topic.
type sinkOn struct {
	*harness
	topic   *Topic
	metrics *metrics.Set

	mu      sync.Mutex
	trouble map[string]string
}

func (s *sinkOn) troubles() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.trouble)
}

// awaitTroubles waits until /readyz would say so.
func (s *sinkOn) awaitTroubles(what string, are func(string) bool) {
	s.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !are(s.troubles()); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("troubles are %s, want %s", s.troubles(), what)
		}
	}
}

func none(troubles string) bool { return troubles == "map[]" }

// on starts a sink. It ends with the test.
func on(t *testing.T, k *memory) *sinkOn {
	t.Helper()
	h := &harness{t: t, client: &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{}}, tenants: twoTenants(), board: &board{is: map[string]dispatch.Added{}}}
	s := &sinkOn{harness: h, metrics: metrics.Discard(), trouble: map[string]string{}}
	o := TopicOptions{Kafka: configs.DefaultKafka(), Tenants: h.tenants, Metrics: s.metrics, Logger: slog.New(slog.DiscardHandler), Trouble: func(what, reason string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.trouble[what] = reason; reason == "" {
			delete(s.trouble, what)
		}
	}}
	s.topic = newTopic(o, k)
	s.topic.producer = k
	var err error
	h.Server, err = Start("127.0.0.1:0", Options{
		Book: s.topic.Book(), Tenants: h.tenants, Dispatcher: h.board, Rules: &outbound.Rules{Ports: []int{443}, RequireTLS: true}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.topic.Run(ctx, h.board) })
	t.Cleanup(func() {
		h.client.CloseIdleConnections()
		closing, done := context.WithTimeout(context.Background(), time.Minute)
		defer done()
		if err := h.Close(closing); err != nil {
			t.Error(err)
		}
		cancel()
		running.Wait()
	})
	return s
}

func (s *sinkOn) awaitKnown() {
	s.t.Helper()
	select {
	case <-s.topic.Known():
	case <-time.After(2 * time.Minute):
		s.t.Fatal("the topic is not read")
	}
}

// told is what the dispatcher has, by tenant and id.
func (s *sinkOn) told() map[string]string {
	s.board.mu.Lock()
	defer s.board.mu.Unlock()
	all := map[string]string{}
	for name, a := range s.board.is {
		all[name] = a.Endpoint.URL
	}
	return all
}

// awaitTold waits until the dispatcher has just this.
func (s *sinkOn) awaitTold(want map[string]string) {
	s.t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Millisecond) {
		diff := cmp.Diff(want, s.told())
		if diff == "" {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("the dispatcher is not told (-want +got):\n%s", diff)
		}
	}
}

// What is made, changed and removed at one sink is so at the other, also for one that starts when the topic has been compacted.
func TestTwoSinksOnATopic(t *testing.T) {
	k := newMemory()
	a, b := on(t, k), on(t, k)
	a.want(tokenOne, "POST", "/webhooks", `{"Url":"https://a.example.com/","Triggers":{"Click":{"Enabled":true}}}`, 200, `"ID":1,`)
	if told := a.told(); told["1 api:1"] != "https://a.example.com/" {
		t.Errorf("the answer came before the webhook was in force: %v", told)
	}
	b.want(tokenOne, "GET", "/webhooks/1", "", 200, `"Url":"https://a.example.com/"`) // however soon
	b.awaitTold(map[string]string{"1 api:1": "https://a.example.com/"})
	b.want(tokenOne, "PUT", "/webhooks/1", `{"Url":"https://b.example.com/"}`, 200, `"Url":"https://b.example.com/"`)
	a.want(tokenOne, "GET", "/webhooks", "", 200, `"Url":"https://b.example.com/"`)
	a.want(tokenTwo, "GET", "/webhooks/1", "", 404, "there is no webhook 1")
	b.want(tokenTwo, "POST", "/webhooks", `{"Url":"https://two.example.com/"}`, 200, `"ID":4,`) // records: a number, a webhook, a change of it
	want := map[string]string{"1 api:1": "https://b.example.com/", "2 api:4": "https://two.example.com/"}
	a.awaitTold(want)
	b.awaitTold(want)
	a.want(tokenOne, "DELETE", "/webhooks/1", "", 200, `{"ErrorCode":0,"Message":"Webhook 1 removed."}`)
	b.want(tokenOne, "GET", "/webhooks/1", "", 404, "there is no webhook 1")
	b.want(tokenOne, "DELETE", "/webhooks/1", "", 404, "there is no webhook 1")
	delete(want, "1 api:1")
	b.awaitTold(want)

	k.compact()
	c := on(t, k)
	c.awaitKnown()
	c.awaitTold(want)
	if n := testutil.ToFloat64(c.metrics.APIWebhooks); n != 1 {
		t.Errorf("the gauge says %v webhooks", n)
	}
	c.want(tokenOne, "POST", "/webhooks", `{"Url":"https://c.example.com/"}`, 200, `"ID":7,`) // none that was given before
	path := fmt.Sprintf("/webhooks/%d", fixed(c.tenants.List[0], &c.tenants.List[0].Endpoints[0]).ID)
	c.want(tokenOne, "PUT", path, "{}", 403, "is the endpoint crm of tenants.yaml")
	for _, s := range []*sinkOn{a, b, c} {
		s.awaitTroubles("none", none)
		if n := testutil.ToFloat64(s.metrics.KafkaAlarms.WithLabelValues("unreadable")); n != 0 {
			t.Errorf("%v records not readable", n)
		}
	}
}

// However many make webhooks at once at two sinks: no number is given twice, and both know all of them.
func TestNumbersNeverCollide(t *testing.T) {
	k := newMemory()
	sinks := []*sinkOn{on(t, k), on(t, k)}
	var mu sync.Mutex
	want := map[string]string{}
	var making sync.WaitGroup
	for i := range 40 {
		making.Go(func() {
			url := fmt.Sprintf("https://%d.example.com/", i)
			code, answer := sinks[i%2].do(tokenTwo, "POST", "/webhooks", fmt.Sprintf(`{"Url":%q}`, url))
			var made struct{ ID int }
			if err := json.Unmarshal([]byte(answer), &made); err != nil || code != 200 {
				t.Errorf("%d %s", code, answer)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			id := fmt.Sprintf("2 api:%d", made.ID)
			if other, twice := want[id]; twice {
				t.Errorf("%s is %s and %s", id, other, url)
			}
			want[id] = url
		})
	}
	making.Wait()
	for _, s := range sinks {
		s.awaitTold(want)
	}
}

// While the topic cannot be read every request is answered with 503 and why; /readyz has the reason; afterwards all is as before.
func TestTopicAway(t *testing.T) {
	k := newMemory()
	s := on(t, k)
	s.want(tokenOne, "POST", "/webhooks", `{"Url":"https://a.example.com/"}`, 200, "")
	k.set(func() { k.away = kafka.LeaderNotAvailable })
	const why = "waypost.endpoints cannot be read: a partition has no leader just now"
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		s.want(tokenOne, method, "/webhooks/1", "{}", 503, why)
	}
	s.want(tokenOne, "POST", "/webhooks", `{"Url":"https://b.example.com/"}`, 503, why)
	s.awaitTroubles(why, func(troubles string) bool { return strings.Contains(troubles, why) })
	if len(s.told()) != 1 {
		t.Error("what was known is not in force any more")
	}
	late := on(t, k)
	select {
	case <-late.topic.Known():
		t.Error("known without having been read")
	case <-time.After(20 * time.Millisecond):
	}
	k.set(func() { k.away = nil })
	late.awaitKnown()
	late.awaitTold(s.told())
	s.want(tokenOne, "GET", "/webhooks/1", "", 200, "")
	s.awaitTroubles("none", none)
	late.awaitTroubles("none", none)
}

// A change that is not read back is not answered as done.
func TestNotReadBack(t *testing.T) {
	k := newMemory()
	s := on(t, k)
	s.awaitKnown()
	held := make(chan struct{})
	k.set(func() { k.held = held })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var p *problem
	if _, err := s.topic.write(ctx, removedRecord(9)); !errors.As(err, &p) || p.status != 503 || !strings.Contains(p.Message, "may still come into force") {
		t.Errorf("%v", err)
	}
	close(held)
	if _, err := s.topic.write(t.Context(), removedRecord(9)); err != nil {
		t.Error(err)
	}
	s.topic.mu.Lock()
	defer s.topic.mu.Unlock()
	if len(s.topic.waiting) != 0 {
		t.Error("somebody still waits")
	}
}

// What is no webhook is counted and passed over; a webhook of a tenant that is not in the settings is kept, and told nothing.
func TestForeignRecords(t *testing.T) {
	k := newMemory()
	w := webhook{ID: 5, URL: "https://a.example.com/", MessageStream: "outbound"}
	good, err := recordOf(1, &w)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := recordOf(77, &webhook{ID: 6, URL: "https://b.example.com/", MessageStream: "outbound"})
	if err != nil {
		t.Fatal(err)
	}
	bad := []ship.Record{
		{Key: []byte("x"), Value: []byte("{}")}, {Key: nil, Value: good.Value}, {Key: []byte("07"), Value: good.Value}, {Key: []byte("1000000000"), Value: good.Value},
		{Key: []byte("9"), Value: []byte("{")}, {Key: []byte("9"), Value: []byte(`{"version":2,"tenant":1,"webhook":{"Url":"https://a.example.com/","MessageStream":"s"}}`)},
		{Key: []byte("9"), Value: []byte(`{"version":1,"tenant":1,"webhook":{"MessageStream":"s"}}`)}, {Key: []byte(numberKey)}, {Key: []byte(numberKey), Value: []byte(`{"version":1,"above":1000000000}`)},
	}
	if _, err := k.Produce(t.Context(), 0, append(slices.Clone(bad), good, stranger)); err != nil {
		t.Fatal(err)
	}
	s := on(t, k)
	s.awaitKnown()
	s.awaitTold(map[string]string{"1 api:5": w.URL})
	if n := testutil.ToFloat64(s.metrics.KafkaAlarms.WithLabelValues("unreadable")); int(n) != len(bad) {
		t.Errorf("%v of %d counted", n, len(bad))
	}
	// The same webhook for another tenant is the other's.
	moved, err := recordOf(2, &w)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Produce(t.Context(), 0, append(bad, moved)); err != nil {
		t.Fatal(err)
	}
	s.awaitTold(map[string]string{"2 api:5": w.URL})
	s.want(tokenOne, "GET", "/webhooks/5", "", 404, "")
	if n := testutil.ToFloat64(s.metrics.KafkaAlarms.WithLabelValues("unreadable")); int(n) != 2*len(bad) {
		t.Errorf("%v of %d counted", n, 2*len(bad))
	}
}

// A topic that was made anew is read from its beginning: what it does not hold is no webhook any more.
func TestTopicMadeAnew(t *testing.T) {
	k := newMemory()
	s := on(t, k)
	for range 3 {
		s.want(tokenOne, "POST", "/webhooks", `{"Url":"https://a.example.com/"}`, 200, "")
	}
	k.set(func() { k.messages, k.end = nil, 0 })
	s.awaitTold(map[string]string{})
	if n := testutil.ToFloat64(s.metrics.KafkaAlarms.WithLabelValues("log_end")); n != 1 {
		t.Errorf("%v alarms", n)
	}
	s.want(tokenOne, "POST", "/webhooks", `{"Url":"https://b.example.com/"}`, 200, `"ID":1,`)
	s.awaitTold(map[string]string{"1 api:1": "https://b.example.com/"})
}

// What a store on one machine has is brought over with its numbers, and those that it ever gave are not given again.
func TestCarried(t *testing.T) {
	h := start(t)
	for range 3 {
		h.want(tokenOne, "POST", "/webhooks", `{"Url":"https://a.example.com/","HttpAuth":{"Username":"u","Password":"p"}}`, 200, "")
	}
	for _, id := range []int{2, 3} {
		h.want(tokenOne, "DELETE", fmt.Sprintf("/webhooks/%d", id), "", 200, "")
	}
	records, err := Carried(h.Book.keeper.(*shelf).store)
	if err != nil || len(records) != 2 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	k := newMemory()
	for range 2 { // a migration may be repeated
		if _, err := k.Produce(t.Context(), 0, records); err != nil {
			t.Fatal(err)
		}
	}
	s := on(t, k)
	s.want(tokenOne, "GET", "/webhooks/1", "", 200, `"HttpAuth":{"Username":"u","Password":"p"}`)
	for i := range k.messages {
		if MadeBeside(&k.messages[i], records) {
			t.Errorf("record %d was not carried", i)
		}
	}
	s.want(tokenOne, "POST", "/webhooks", `{"Url":"https://b.example.com/"}`, 200, `"ID":8,`) // 3 and its offset, 4, and 1
	if !MadeBeside(&k.messages[4], nil) || !MadeBeside(&k.messages[5], records) {
		t.Error("what was made in the topic passes for carried")
	}
}

// Bytes of the topic that are no record are refused, never a panic; what is one comes back.
func FuzzReadRecord(f *testing.F) {
	good, err := recordOf(1, &webhook{ID: 7, URL: "https://a.example.com/", MessageStream: "outbound", HTTPAuth: &login{"u", "p"}, HTTPHeaders: []header{{"X-A", "b"}}})
	if err != nil {
		f.Fatal(err)
	}
	number := numberRecord(4)
	f.Add(good.Key, good.Value)
	f.Add(number.Key, number.Value)
	f.Add([]byte("7"), []byte(nil))
	f.Add([]byte("4294967296"), []byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		r, err := readRecord(key, value)
		if err != nil || r.webhook == nil {
			return
		}
		again, err := recordOf(r.tenant, r.webhook)
		if err != nil || string(again.Key) != string(key) {
			t.Fatalf("%v, key %q", err, again.Key)
		}
		same, err := readRecord(again.Key, again.Value)
		if diff := cmp.Diff(r, same, cmp.AllowUnexported(record{})); err != nil || diff != "" {
			t.Errorf("%v (-read +read again):\n%s", err, diff)
		}
		_ = r.webhook.faults(&outbound.Rules{})
		_ = r.webhook.added(&configs.Tenant{})
	})
}
