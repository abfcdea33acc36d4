package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/segmentio/kafka-go"

	"waypost/bench/stack"
	"waypost/edge/event"
	"waypost/mint/link"
)

const (
	eventsTopic      = "waypost.events"
	eventsPartitions = 3
)

// visitors follow links of a real edge, each once. The number of a click is its message's id.
type visitors struct {
	t    *testing.T
	keys *link.Keyring
	url  string
	http *http.Transport

	mu       sync.Mutex
	sent     int
	failed   int // nobody listened, or who did died
	answered map[int]bool
}

// visit follows links from four sides until the step has happened, and at least for so long.
func (v *visitors) visit(atLeast time.Duration, step func() error) {
	v.t.Helper()
	ctx, cancel := context.WithCancel(v.t.Context())
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			tick := time.NewTicker(8 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					v.click()
				case <-ctx.Done():
					return
				}
			}
		})
	}
	end := time.After(atLeast)
	if err := step(); err != nil {
		v.t.Error(err)
	}
	<-end
	cancel()
	running.Wait()
}

func (v *visitors) click() {
	v.mu.Lock()
	v.sent++
	number := v.sent
	v.mu.Unlock()
	token, err := v.keys.AppendToken(nil, &link.Link{Tenant: 1, Minted: link.Minutes(time.Now()), Message: link.ParseID(strconv.AppendInt(nil, int64(number), 10)),
		Prospect: link.ParseID([]byte("456")), Destination: []byte("https://www.example.com/pricing")})
	if err != nil {
		v.t.Error(err)
		return
	}
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, v.url+"/"+string(token), nil)
	if err != nil {
		v.t.Error(err)
		return
	}
	response, err := v.http.RoundTrip(request)
	if err != nil {
		v.mu.Lock()
		v.failed++
		v.mu.Unlock()
		return
	}
	response.Body.Close()
	if response.StatusCode != http.StatusFound {
		v.t.Errorf("click %d: status %d", number, response.StatusCode)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answered[number] = true
}

// awaitFailure waits until a click has met nobody.
func (v *visitors) awaitFailure(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		v.mu.Lock()
		failed := v.failed
		v.mu.Unlock()
		if failed > 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("no click has met a dead edge: %w", ctx.Err())
		}
	}
}

// record is what a reader gets, whatever program it reads with.
type record struct {
	Partition int
	Offset    int64
	Key       string
	Payload   string
	Headers   []string // name, value, name, value ...
}

// readTopic reads everything with kcat. Where it is not installed kafka-go reads; in CI it must be there.
func readTopic(ctx context.Context, t *testing.T, cluster *Cluster) []record {
	t.Helper()
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Log("NOT READ WITH KCAT: it is not installed")
		return readTopicAll(ctx, t, cluster)
	}
	out, err := exec.CommandContext(ctx, kcat, "-b", cluster.Bootstrap()[0], "-t", eventsTopic, "-C", "-o", "beginning", "-e", "-q", "-J").Output()
	if err != nil {
		t.Fatal(err)
	}
	var records []record
	for line := range strings.Lines(string(out)) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		records = append(records, r)
	}
	return records
}

func readTopicAll(ctx context.Context, t *testing.T, cluster *Cluster) (records []record) {
	for p := range eventsPartitions {
		r := kafka.NewReader(kafka.ReaderConfig{Brokers: cluster.Bootstrap(), Topic: eventsTopic, Partition: p, MaxWait: 200 * time.Millisecond, MaxBytes: 8 << 20})
		for {
			m, err := fetch(ctx, r, 3*time.Second)
			if errors.Is(err, context.DeadlineExceeded) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			out := record{Partition: m.Partition, Offset: m.Offset, Key: string(m.Key), Payload: string(m.Value)}
			for _, h := range m.Headers {
				out.Headers = append(out.Headers, h.Key, string(h.Value))
			}
			records = append(records, out)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	return records
}

// check reads the topic as a stranger does: with kcat, the CloudEvents SDK, Java's partitioner (kafka-go's copy of it), and the readers' rule. It gives how many events the rule dropped.
func (v *visitors) check(records []record) (repeated int) {
	t := v.t
	t.Helper()
	rules := make([]event.ReadersRule, eventsPartitions)
	seen := map[int]int{}
	for _, r := range records {
		where := fmt.Sprintf("partition %d, offset %d", r.Partition, r.Offset)
		if want := (kafka.Murmur2Balancer{}).Balance(kafka.Message{Key: []byte(r.Key)}, 0, 1, 2); r.Partition != want {
			t.Fatalf("%s: key %q belongs to partition %d", where, r.Key, want)
		}
		if h := r.Headers; len(h) != 2 || h[0] != "content-type" || h[1] != "application/cloudevents+json; charset=UTF-8" {
			t.Fatalf("%s: headers %q", where, h)
		}
		document := cloudevents.New()
		if err := document.UnmarshalJSON([]byte(r.Payload)); err != nil {
			t.Fatalf("%s: %v in %s", where, err, r.Payload)
		}
		if err := document.Validate(); err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		var data struct {
			Message, Prospect string
			Tenant            int
		}
		if err := document.DataAs(&data); err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		id, err := event.ParseID([]byte(document.ID()))
		if err != nil || document.Type() != "email.clicked" || document.Extensions()["run"] != document.ID()[:16] || document.Extensions()["sequence"] != document.ID()[17:] {
			t.Fatalf("%s: %v in %s", where, err, r.Payload)
		}
		if want := fmt.Sprintf("%d/%s/%s", data.Tenant, data.Message, data.Prospect); r.Key != want {
			t.Fatalf("%s: key %q, want %q", where, r.Key, want)
		}
		if !rules[r.Partition].Fresh(id) {
			repeated++
			continue
		}
		number, err := strconv.Atoi(data.Message)
		if err != nil {
			t.Fatal(err)
		}
		seen[number]++
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for number := range v.sent + 1 {
		if n := seen[number]; n > 1 || v.answered[number] && n == 0 {
			t.Errorf("click %d: answered %v, %d times in the topic", number, v.answered[number], n)
		}
	}
	return repeated
}

// A real edge on a real broker: what it answered is in the topic, also when the broker dies under it, and when it dies itself with events that were never shipped.
func TestEdgeShipsWhatItAnswers(t *testing.T) {
	cluster := startTest(t, Options{})
	ctx := deadline(t, 8*time.Minute)
	if err := cluster.CreateTopic(ctx, eventsTopic, eventsPartitions, map[string]string{"message.timestamp.type": "LogAppendTime"}); err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := stack.Build(ctx, bin); err != nil {
		t.Fatal(err)
	}
	s, err := stack.New(stack.Config{Dir: t.TempDir(), Bin: bin, Consumers: []string{"kafka"}, Edge: stack.Keys{
		"drain_timeout": "30s", "journal": stack.Keys{"segment_bytes": "1MiB"},
		"kafka": stack.Keys{"brokers": cluster.Bootstrap(), "replication": 1, "min_insync": 1, "partitions": eventsPartitions, "request_timeout": "3s"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	edge := s.Edges[0]
	s.Tenants = []stack.Tenant{{Number: 1, Name: "demo", Secrets: []string{"test-secret"}}}
	if err := errors.Join(s.Prepare(ctx), edge.Start(ctx)); err != nil {
		t.Fatal(err)
	}
	keys, err := link.LoadKeyring(s.KeyFile())
	if err != nil {
		t.Fatal(err)
	}
	// A connection for each click: on a kept one net/http may send a click twice.
	v := &visitors{t: t, keys: keys, url: edge.URL, http: &http.Transport{DisableKeepAlives: true}, answered: map[int]bool{}}

	v.visit(time.Second, func() error { return nil })
	v.visit(time.Second, func() error { return errors.Join(cluster.Kill(1), awaitReady(ctx, edge, "kafka: ")) })
	v.visit(time.Second, func() error { return cluster.Start(ctx, 1) })
	v.visit(time.Second, func() error { return awaitReady(ctx, edge, "") })

	// Dead with a backlog: SIGKILL while the broker is away.
	v.visit(time.Second, func() error {
		return errors.Join(cluster.Kill(1), awaitReady(ctx, edge, "kafka: "), edge.Kill(), v.awaitFailure(ctx))
	})
	if err := cluster.Start(ctx, 1); err != nil {
		t.Fatal(err)
	}
	for _, again := range []bool{false, true} {
		out, err := s.Run(ctx, "edge", "--config", s.Settings(edge), "journal", "ship", s.JournalDir(0))
		if err != nil || strings.HasPrefix(string(out), "0 events shipped to waypost.events") != again {
			t.Fatalf("journal ship, again %v: %v, %s", again, err, out)
		}
	}
	v.check(readTopic(ctx, t, cluster))

	// The next life, and its drain.
	if err := edge.Start(ctx); err != nil {
		t.Fatal(err)
	}
	v.visit(time.Second, func() error { return nil })
	// Other processes take its place, one after the other: nobody notices, here or in the topic.
	unanswered := v.sent - len(v.answered)
	v.visit(2*time.Second, func() error { return errors.Join(edge.Replace(ctx), edge.Replace(ctx), edge.Replace(ctx)) })
	if now := v.sent - len(v.answered); now != unanswered {
		t.Errorf("%d clicks failed while edges took over", now-unanswered)
	}
	if err := edge.Stop(ctx); err != nil {
		t.Error(err)
	}
	repeated := v.check(readTopic(ctx, t, cluster))
	if unanswered == 0 {
		t.Error("no click met a dead edge: the kill tells nothing")
	}
	t.Logf("%d clicks, %d answered; %d events repeated and dropped by the readers' rule", v.sent, len(v.answered), repeated)
}

// awaitReady waits until /readyz, which must stay 200, holds text, or, with an empty one, no reason.
func awaitReady(ctx context.Context, edge *stack.Process, text string) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		var answer struct{ Reasons []string }
		response, err := client.Get(edge.Admin + "/readyz")
		if err != nil {
			return err
		}
		err = json.NewDecoder(response.Body).Decode(&answer)
		response.Body.Close()
		if err != nil {
			return fmt.Errorf("readyz: %w", err)
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("readyz: status %d, %q", response.StatusCode, answer.Reasons)
		}
		if all := strings.Join(answer.Reasons, "\n"); text == "" && all == "" || text != "" && strings.Contains(all, text) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("readyz: waited for %q, last %q: %w", text, answer.Reasons, ctx.Err())
		}
	}
}
