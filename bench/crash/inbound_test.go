package crash

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waypost/bench/receiver"
	"waypost/bench/stack"
)

const (
	inboundSecret = "inbound-test"
	webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

// TestInbound: providers' deliveries to an edge that is killed between receipt and answer, at each step, under load. Senders send again until they are answered 2xx, as providers do, and
// some once more after that. Every delivery that was answered is told to the receiver, each under one id: none is lost, none is two.
func TestInbound(t *testing.T) {
	const patience = 2 * time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	told := newBookOfTold()
	hooks, err := receiver.Start(receiver.Options{Addr: "127.0.0.1:0", Endpoints: []receiver.Endpoint{{Path: "/standard", Secret: webhookSecret}}, OnDelivery: told.note})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hooks.Close(context.Background()) })
	dir := t.TempDir()
	s, err := stack.New(stack.Config{Dir: dir, Bin: programs, Edge: stack.Keys{"journal": stack.Keys{"segment_bytes": "256KiB"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		if t.Failed() {
			t.Log(logs(dir))
		}
	})
	s.Tenants = []stack.Tenant{{Number: 1, Name: "demo", Endpoints: []stack.Endpoint{{ID: "standard", URL: hooks.URL() + "/standard", Format: "standard", Secret: webhookSecret}},
		Keys: stack.Keys{"inbound": stack.Keys{"maileroo": stack.Keys{"secrets": []string{inboundSecret}}}}}}
	edge := s.Edges[0]
	points := []string{"inbound.verified:150:KILL", "inbound.appended:150:KILL", "journal.reserved:150:KILL", "inbound.appended:1:KILL"}
	edge.SetEnv("WAYPOST_FAULT=" + points[0])
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}

	var sending sync.WaitGroup
	senders := newSenders(edge.URL)
	for n := range 8 {
		sending.Go(func() { senders.run(ctx, n) })
	}
	for i := range points { // each life ends at its point
		select {
		case <-edge.Exited():
		case <-ctx.Done():
			t.Fatalf("the edge outlived the point %s", points[i])
		}
		if log := edge.Log(); !strings.Contains(log, "fault point "+strings.Split(points[i], ":")[0]) {
			t.Fatalf("the edge died elsewhere than at %s: %s", points[i], edge.Epitaph())
		}
		edge.SetEnv()
		if i+1 < len(points) {
			edge.SetEnv("WAYPOST_FAULT=" + points[i+1])
		}
		if err := edge.Start(ctx); err != nil && i+1 == len(points) {
			t.Fatal(err)
		}
	}
	after := senders.answered.Load()
	waitUntil(ctx, t, "deliveries to the last life", func() bool { return senders.answered.Load() > after+100 })
	senders.stop.Store(true)
	sending.Wait()
	for _, fault := range senders.faults {
		t.Error(fault)
	}
	waitUntil(ctx, t, "the webhooks", func() bool { return told.has(senders.ids) })
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	told.mu.Lock()
	defer told.mu.Unlock()
	for id, n := range senders.ids {
		if got := len(told.ids[id]); got != 1 {
			t.Errorf("delivery %s, answered 2xx %d times, is %d events", id, n, got)
		}
	}
	for id := range told.ids {
		if senders.ids[id] == 0 {
			t.Errorf("delivery %s was told and never sent to the end", id)
		}
	}
	t.Logf("%d deliveries, %d attempts of them failed, %d were sent twice", len(senders.ids), senders.failed.Load(), senders.again.Load())
	if len(senders.ids) < 300 || senders.failed.Load() == 0 || senders.again.Load() == 0 {
		t.Error("too few to prove anything")
	}
}

func waitUntil(ctx context.Context, t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited too long for %s", what)
		case <-tick.C:
		}
	}
}

// bookOfTold keeps under which ids of events each of the provider's was told.
type bookOfTold struct {
	mu  sync.Mutex
	ids map[string]map[string]bool
}

func newBookOfTold() *bookOfTold { return &bookOfTold{ids: map[string]map[string]bool{}} }

func (b *bookOfTold) note(d receiver.Delivery) {
	var document struct {
		ID   string
		Data struct {
			ProviderEvent string `json:"provider_event"`
		}
	}
	if json.Unmarshal(d.Body, &document) != nil || d.Verified != nil {
		document.Data.ProviderEvent = "unreadable"
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	id := document.Data.ProviderEvent
	if b.ids[id] == nil {
		b.ids[id] = map[string]bool{}
	}
	b.ids[id][document.ID] = true
}

func (b *bookOfTold) has(ids map[string]int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := range ids {
		if b.ids[id] == nil {
			return false
		}
	}
	return true
}

// senders are a provider's machines.
type senders struct {
	url                     string
	client                  *http.Client
	stop                    atomic.Bool
	answered, failed, again atomic.Int64

	mu     sync.Mutex
	ids    map[string]int // how often each was answered 2xx
	faults []string
}

func newSenders(url string) *senders {
	return &senders{url: url + "/in/demo/maileroo", client: &http.Client{Transport: &http.Transport{}}, ids: map[string]int{}}
}

// run sends one delivery after the other, each until it is answered 2xx: what was begun is ended, so that all that was told can be accounted for.
func (s *senders) run(ctx context.Context, n int) {
	defer s.client.CloseIdleConnections()
	for i := 0; !s.stop.Load() && ctx.Err() == nil; i++ {
		id := fmt.Sprintf("%d-%d", n, i)
		kind := []string{"deferred", "failed", "delivered"}[i%3]
		body := fmt.Sprintf(`{"event_type":%q,"event_time":%d,"event_id":%q,"message_id":"<%s@example.com>","event_data":{"to":"jane@example.com","reason":"452 later"}}`,
			kind, time.Now().Unix(), id, id)
		times := 1
		if i%5 == 0 {
			times = 2
			s.again.Add(1)
		}
		for range times {
			for !s.send(ctx, body, id) {
				if ctx.Err() != nil {
					return
				}
				time.Sleep(5 * time.Millisecond) // a provider waits longer
			}
		}
	}
}

// send is one attempt.
func (s *senders) send(ctx context.Context, body, id string) (done bool) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader(body))
	if err != nil {
		return s.fault(err.Error())
	}
	mac := hmac.New(sha256.New, []byte(inboundSecret))
	mac.Write([]byte(body))
	q.Header.Set("X-Maileroo-Signature", hex.EncodeToString(mac.Sum(nil)))
	response, err := s.client.Do(q)
	if err != nil {
		s.failed.Add(1)
		return false
	}
	text, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	switch {
	case err != nil || response.StatusCode == http.StatusServiceUnavailable:
		s.failed.Add(1)
		return false
	case response.StatusCode != http.StatusOK || string(text) != `{"result":"recorded"}`:
		return s.fault(fmt.Sprintf("delivery %s: %d %s", id, response.StatusCode, text))
	}
	s.answered.Add(1)
	s.mu.Lock()
	s.ids[id]++
	s.mu.Unlock()
	return true
}

// fault notes what must not be, and ends the sending.
func (s *senders) fault(text string) bool {
	s.mu.Lock()
	s.faults = append(s.faults, text)
	s.mu.Unlock()
	s.stop.Store(true)
	return true
}
