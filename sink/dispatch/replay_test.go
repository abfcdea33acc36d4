package dispatch

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"waypost/edge/event"
	"waypost/sink/internal/store"
)

// switched is a receiver that answers with a status until it is mended.
func switched(t *testing.T, code int) (*receiver, *atomic.Bool) {
	mended := &atomic.Bool{}
	return receive(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		if !mended.Load() {
			w.WriteHeader(code)
		}
	}), mended
}

func (h *harness) replay(q ReplayQuery) (all []Replayed) {
	h.t.Helper()
	if err := h.Replay(h.t.Context(), q, func(r *Replayed) { all = append(all, *r) }); err != nil {
		h.t.Fatal(err)
	}
	return all
}

func parseID(t *testing.T, text string) event.ID {
	t.Helper()
	id, err := event.ParseID([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Dead letters are sent again under their ids, those asked for and no others, and are letters no more.
func TestReplayDeadLetters(t *testing.T) {
	rc, mended := switched(t, http.StatusForbidden)
	h := start(t, fresh(), usual(), endpointTo("a", rc.URL, "postmark"))
	defer h.stop()
	ids := h.add(7)
	h.settle()
	orphan := h.letters()[0]
	if err := h.store.Set(store.DeadKey(1, 1, "gone", event.ID{Run: 1}), orphan.AppendTo(nil), nil); err != nil {
		t.Fatal(err)
	}
	first := parseID(t, ids[0])
	for _, q := range []ReplayQuery{
		{Waiting: true}, {Dead: true, Tenant: 2}, {Dead: true, Endpoint: "b"}, {Dead: true, To: 1}, {Dead: true, From: uint64(time.Now().Add(time.Hour).UnixMicro())},
		{Dead: true, Types: map[event.Type]bool{event.Opened: true}}, {Dead: true, WebhookIDs: map[event.ID]bool{{}: true}},
	} {
		if got := h.replay(q); len(got) != 0 {
			t.Errorf("%+v: %+v", q, got)
		}
	}
	if got := h.replay(ReplayQuery{Dead: true, List: true}); len(got) != 7 || len(h.letters()) != 8 {
		t.Errorf("listed %+v; letters %d", got, len(h.letters()))
	}
	mended.Store(true)
	one := h.replay(ReplayQuery{Dead: true, WebhookIDs: map[event.ID]bool{first: true}, Types: map[event.Type]bool{event.Clicked: true}})
	if len(one) != 1 || one[0].WebhookID != ids[0] || one[0].Status != 403 || one[0].Attempts != 1 || one[0].GivenUp == nil || one[0].Was != "dead" {
		t.Fatalf("%+v", one)
	}
	h.settle()
	if n := len(h.letters()); n != 7 {
		t.Errorf("%d letters", n)
	}
	if got := h.replay(ReplayQuery{Dead: true, Tenant: 1}); len(got) != 6 {
		t.Errorf("%+v", got)
	}
	h.settle()
	if n := len(h.letters()); n != 1 {
		t.Errorf("%d letters, want that of an endpoint that is not there", n)
	}
	for _, id := range ids {
		if n := rc.counts()[id]; n != 2 {
			t.Errorf("%s came %d times", id, n)
		}
	}
	states, err := h.States(t.Context())
	if err != nil || len(states) != 1 || states[0].Dead != 0 || states[0].Pending != 0 || states[0].FailingSince != 0 || states[0].LastSuccess == 0 || states[0].Status != 403 {
		t.Errorf("%+v, %v", states, err)
	}
}

// What waits for its next attempt is sent now, with its schedule from the beginning.
func TestReplayWaiting(t *testing.T) {
	rc, mended := switched(t, http.StatusInternalServerError)
	settings := usual()
	settings.Retries = []time.Duration{time.Hour}
	h := start(t, fresh(), settings, endpointTo("a", rc.URL, "standard"), endpointTo("b", rc.URL, "standard"))
	defer h.stop()
	ids := h.add(3)
	until(t, "all wait", func() bool {
		waiting := 0
		for _, d := range h.dues() {
			if d.attempts == 1 {
				waiting++
			}
		}
		return waiting == 6
	})
	until(t, "it is seen that they wait", func() bool {
		states, err := h.States(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return states[0].Pending == 3 && states[0].FailingSince != 0 && states[0].OldestDue > uint64(time.Now().Add(30*time.Minute).UnixMicro())
	})
	mended.Store(true)
	if got := h.replay(ReplayQuery{Waiting: true, Dead: true, Endpoint: "a"}); len(got) != 3 || got[0].Was != "waiting" || got[0].Attempts != 1 {
		t.Fatalf("%+v", got)
	}
	until(t, "endpoint a has nothing to do", func() bool { return h.endpoints.Load().All[0].waiting() == 0 })
	if n := h.endpoints.Load().All[1].waiting(); n != 3 {
		t.Errorf("endpoint b: %d pending", n)
	}
	for _, id := range ids {
		if n := rc.counts()[id]; n != 3 { // twice to a, once to b
			t.Errorf("%s came %d times", id, n)
		}
	}
}
