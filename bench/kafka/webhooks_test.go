package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"waypost/bench/receiver"
)

// hooks is what a receiver got: by path, how often each webhook id was accepted.
type hooks struct {
	t      *testing.T
	server *receiver.Receiver
	mu     sync.Mutex
	got    map[string]map[string]int
	bodies map[string]string // by path and id
	answer func(path string) int
}

const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func newHooks(t *testing.T, addr string, answer func(path string) int, paths ...string) *hooks {
	t.Helper()
	h := &hooks{t: t, got: map[string]map[string]int{}, bodies: map[string]string{}, answer: answer}
	o := receiver.Options{Addr: addr, Answer: h.deliver}
	for _, path := range paths {
		h.got[path] = map[string]int{}
		o.Endpoints = append(o.Endpoints, receiver.Endpoint{Path: path, Secret: hookSecret})
	}
	var err error
	if h.server, err = receiver.Start(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = h.server.Close(ctx)
	})
	return h
}

func (h *hooks) deliver(d receiver.Delivery) int {
	status := h.answer(d.Path)
	h.mu.Lock()
	defer h.mu.Unlock()
	if was, ok := h.bodies[d.Path+d.ID]; ok && was != string(d.Body) {
		h.t.Errorf("%s: %s came with two bodies", d.Path, d.ID)
	}
	h.bodies[d.Path+d.ID] = string(d.Body)
	if status == http.StatusOK {
		h.got[d.Path][d.ID]++
	}
	return status
}

func (h *hooks) accepted(path string) map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.got[path])
}

// persons are the ids of the events that must become webhooks.
func (s *sinks) persons() []string {
	var ids []string
	for _, lines := range s.want {
		for _, line := range lines {
			if fields := strings.Fields(line); strings.Contains(fields[2], "person") {
				ids = append(ids, fields[1])
			}
		}
	}
	slices.Sort(ids)
	return ids
}

// awaitHooks waits until a path has got every webhook, and none that it must not get.
func (s *sinks) awaitHooks(ctx context.Context, h *hooks, path string) (repeats int) {
	s.t.Helper()
	want := s.persons()
	for {
		got := h.accepted(path)
		for id, n := range got {
			if _, ok := slices.BinarySearch(want, id); !ok {
				s.t.Fatalf("%s: webhook %s for what is no first of a person", path, id)
			}
			repeats += n - 1
		}
		if len(got) == len(want) {
			return repeats
		}
		repeats = 0
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			s.t.Fatalf("%s: %d of %d webhooks came", path, len(got), len(want))
		}
	}
}

// await waits until condition holds of what a sink says of itself.
func (p *sinkProcess) await(ctx context.Context, what string, condition func() bool) {
	p.t.Helper()
	for !condition() {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-p.ended:
			p.t.Fatalf("%s: ended: %s", what, p.log())
		case <-ctx.Done():
			p.t.Fatalf("not in time: %s; %s", what, p.log())
		}
	}
}

// records reads every record that a topic has now.
func (s *sinks) records(ctx context.Context, topic string) (all []kafka.Message) {
	s.t.Helper()
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(s.cluster.Bootstrap()...), Transport: transport}
	for p := range s.partitions {
		offsets, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: {kafka.LastOffsetOf(p)}}})
		if err != nil {
			s.t.Fatal(err)
		}
		end := offsets.Topics[topic][0].LastOffset
		r := kafka.NewReader(kafka.ReaderConfig{Brokers: s.cluster.Bootstrap(), Topic: topic, Partition: p, MaxWait: 100 * time.Millisecond, MaxBytes: 8 << 20})
		for at := int64(0); at < end; {
			m, err := r.FetchMessage(ctx)
			if err != nil {
				s.t.Fatal(err)
			}
			all = append(all, m)
			at = m.Offset + 1
		}
		_ = r.Close()
	}
	return all
}

// freeAddress is an address at which nobody listens, until somebody does: below the ports that the kernel gives to outgoing connections, so that none of these has it then.
func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := drawPort()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

func endpointYAML(id, url string) string {
	return fmt.Sprintf("{id: %s, url: \"%s/%s\", format: standard, secret: %s}", id, url, id, hookSecret)
}

// forbiddenYAML is an endpoint whose 403 stops a delivery, and does not disable it.
func forbiddenYAML(id, url string) string {
	return fmt.Sprintf("{id: %s, url: \"%s/%s\", format: postmark, standard_secrets: [%s]}", id, url, id, hookSecret)
}

// A sink is killed at every step between reading a first and committing its position, beside endpoints that are dead, that stumble, and that want nothing more: every
// webhook comes, under one id; what was given up is among the dead.
func TestWebhooksOnKafka(t *testing.T) {
	long(t)
	s := newSinks(t, 1, 3)
	ctx := deadline(t, 8*time.Minute)
	stumbles, gone := 0, true
	var mu sync.Mutex
	here := newHooks(t, "127.0.0.1:0", func(path string) int {
		mu.Lock()
		defer mu.Unlock()
		switch path {
		case "/gone":
			if gone {
				return http.StatusForbidden
			}
		case "/stumbling":
			if stumbles++; stumbles%3 == 0 {
				return http.StatusServiceUnavailable
			}
		}
		return http.StatusOK
	}, "/good", "/stumbling", "/gone")
	later := freeAddress(t)
	s.endpoints = strings.Join([]string{
		endpointYAML("good", here.server.URL()), endpointYAML("stumbling", here.server.URL()), forbiddenYAML("gone", here.server.URL()), endpointYAML("late", "http://"+later),
	}, ", ")
	dir := t.TempDir()
	for _, point := range []string{"ingest.committed", "dispatch.read", "dispatch.posted", "dispatch.answered", "dispatch.produce", "dispatch.produced", "dispatch.position"} {
		s.click(ctx, 300)
		p := s.sink(dir, "WAYPOST_FAULT="+faultAt(point))
		select {
		case <-p.ended:
		case <-ctx.Done():
			t.Fatalf("never came to %s: %s", point, p.log())
		}
	}
	s.click(ctx, 300)
	p := s.sink(dir)
	t.Logf("good: %d repeats", s.awaitHooks(ctx, here, "/good"))
	t.Logf("stumbling: %d repeats", s.awaitHooks(ctx, here, "/stumbling"))
	if n, _ := p.metric(ctx, "waypost_sink_kafka_alarms_total"); n != 0 {
		t.Errorf("%v alarms: %s", n, p.log())
	}
	late := newHooks(t, later, func(string) int { return http.StatusOK }, "/late")
	t.Logf("late: %d repeats", s.awaitHooks(ctx, late, "/late"))
	// A webhook that the receiver had before a kill may wait once more in a retry topic whose reader has not looked: lag alone does not say that all have ended.
	p.await(ctx, "an accepted attempt of every webhook, and every letter dead", func() bool {
		return len(s.acceptedAttempts(ctx)) >= 3*len(s.persons()) && len(s.deadLetters(ctx)) >= len(s.persons())
	})
	p.await(ctx, "level", func() bool {
		lag, known := p.metric(ctx, "waypost_sink_lag_records")
		return known && lag == 0
	})
	p.stop()
	if got, want := len(s.acceptedAttempts(ctx)), 3*len(s.persons()); got != want {
		t.Errorf("%d webhooks have an accepted attempt, want %d", got, want)
	}
	if got, want := len(s.deadLetters(ctx)), len(s.persons()); got != want {
		t.Errorf("%d dead letters, want %d", got, want)
	}

	// A start in order sends nothing again; what was given up is sent when somebody asks for it.
	before := s.awaitHooks(ctx, here, "/good")
	mu.Lock()
	gone = false
	mu.Unlock()
	p = s.sink(dir)
	s.replay(dir)
	s.click(ctx, 200)
	if repeats := s.awaitHooks(ctx, here, "/good"); repeats != before {
		t.Errorf("a start in order sent %d webhooks again", repeats-before)
	}
	s.awaitHooks(ctx, here, "/gone")
	p.stop()
}

// replay sends again what /gone refused.
func (s *sinks) replay(dir string) {
	s.t.Helper()
	replay := func(args ...string) string {
		out, err := exec.Command(s.program, append([]string{"replay", "--config", filepath.Join(dir, "sink.yaml")}, args...)...).CombinedOutput()
		if err != nil {
			s.t.Fatalf("replay %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	if out := replay("--endpoint", "good"); out != "0 deliveries will be sent again\n" {
		s.t.Errorf("replay of an endpoint that has no dead letters: %s", out)
	}
	if out := replay("--until", "2026-01-01T00:00:00Z"); out != "0 deliveries will be sent again\n" {
		s.t.Errorf("replay of a time before: %s", out)
	}
	if out := replay("--list"); strings.Count(out, " endpoint gone given up ") < len(s.persons()) || strings.Contains(out, "again") {
		s.t.Errorf("list: %.500s", out)
	}
	if out := replay("--endpoint", "gone", "--since", "2026-01-01T00:00:00Z"); !strings.HasSuffix(out, " deliveries will be sent again\n") {
		s.t.Errorf("replay: %.500s", out)
	}
}

// deadLetters are the ids of the webhooks given up; all of them are those that /gone refused.
func (s *sinks) deadLetters(ctx context.Context) map[string]bool {
	s.t.Helper()
	ids := map[string]bool{}
	for _, m := range s.records(ctx, "waypost.dead") {
		headers := map[string]string{}
		for _, h := range m.Headers {
			headers[h.Key] = string(h.Value)
		}
		if headers["endpoint"] != "gone" || headers["status"] != "403" || headers["reason"] != "stopped" {
			s.t.Fatalf("a dead letter with headers %v", headers)
		}
		var document struct{ ID string }
		if err := json.Unmarshal(m.Value, &document); err != nil {
			s.t.Fatal(err)
		}
		ids[document.ID] = true
	}
	return ids
}

// acceptedAttempts are the webhooks, by endpoint and id, that have an accepted attempt in the topic of deliveries.
func (s *sinks) acceptedAttempts(ctx context.Context) map[string]bool {
	s.t.Helper()
	accepted := map[string]bool{}
	for _, m := range s.records(ctx, "waypost.deliveries") {
		var a struct {
			WebhookID string `json:"webhook_id"`
			Endpoint  string
			Status    int
			Outcome   string
		}
		if err := json.Unmarshal(m.Value, &a); err != nil {
			s.t.Fatal(err)
		}
		if a.Outcome == "delivered" && a.Status == http.StatusOK {
			accepted[a.Endpoint+" "+a.WebhookID] = true
		}
	}
	return accepted
}

// Two sinks; one is stopped for longer than its session and wakes up, the other is killed: every webhook comes, and the partitions' webhooks move with them.
func TestWebhooksMoveWithThePartitions(t *testing.T) {
	long(t)
	s := newSinks(t, 1, 4)
	ctx := deadline(t, 8*time.Minute)
	here := newHooks(t, "127.0.0.1:0", func(string) int { return http.StatusOK }, "/good")
	s.endpoints = endpointYAML("good", here.server.URL())
	first, second := s.sink(t.TempDir()), s.sink(t.TempDir())
	s.click(ctx, 1000)
	first.awaitLevel(ctx, 2)
	second.awaitLevel(ctx, 2)
	s.awaitHooks(ctx, here, "/good")
	first.signal(syscall.SIGSTOP)
	s.click(ctx, 1000)
	second.awaitLevel(ctx, 4)
	s.awaitHooks(ctx, here, "/good")
	first.signal(syscall.SIGCONT)
	s.click(ctx, 1000)
	first.awaitLevel(ctx, 2)
	s.awaitHooks(ctx, here, "/good")
	second.kill()
	s.click(ctx, 1000)
	first.awaitLevel(ctx, 4)
	repeats := s.awaitHooks(ctx, here, "/good")
	t.Log(strconv.Itoa(repeats) + " repeats")
	first.stop()
}
