package dispatch

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/sink/ingest"
	"waypost/sink/internal/metrics"
	"waypost/sink/internal/uniques"
)

// keeping is a dispatcher beside which what was told is kept.
func keeping(t *testing.T, files *vfs.MemFS, settings configs.Dispatch, endpoints ...configs.Endpoint) (*harness, *uniques.Keeper) {
	t.Helper()
	tenant := &configs.Tenant{Number: 1, Name: "demo", Stream: "outbound", Endpoints: endpoints}
	h := prepare(t, files, Options{Settings: settings, Metrics: metrics.Discard(), Logger: slog.New(slog.DiscardHandler), maxDeadLetters: 10}, tenant)
	kept, err := uniques.Open(uniques.Options{
		Store: h.store, Settings: configs.DefaultSink().Uniques, Metrics: metrics.Discard(), Failed: func(err error) { t.Error(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	h.uniques = kept
	h.Start()
	return h, kept
}

// tell decides n clicks, a second apart up to now.
func (h *harness) tell(kept *uniques.Keeper, n int) (ids []string) {
	h.t.Helper()
	b := h.store.NewBatch()
	defer b.Close()
	for i := range n {
		e := click(h.next)
		e.Time = time.Now().UTC().Truncate(time.Microsecond).Add(-time.Duration(n-i) * time.Second)
		h.next++
		ids = append(ids, e.ID.String())
		f := ingest.First{ID: e.ID, Type: e.Type, Tenant: 1, Time: e.Time, Key: event.AppendKey(nil, &e), Document: event.AppendDocument(nil, &e)}
		if err := errors.Join(h.Due(b, f), kept.Keep(f)); err != nil {
			h.t.Fatal(err)
		}
	}
	if err := kept.Write(b); err != nil {
		h.t.Fatal(err)
	}
	if err := b.Commit(pebble.Sync); err != nil {
		h.t.Fatal(err)
	}
	h.Committed()
	kept.Committed()
	return ids
}

// What was delivered is sent again under its ids, with the same bodies, the oldest first; those asked for and no others. What waits or was given up is not among it.
func TestReplayDelivered(t *testing.T) {
	rc := receive(t, nil)
	dead := receive(t, status(http.StatusForbidden))
	later := usual()
	later.Retries = []time.Duration{time.Hour}
	away := receive(t, status(http.StatusServiceUnavailable))
	h, kept := keeping(t, fresh(), later, endpointTo("good", rc.URL, "standard"), endpointTo("dead", dead.URL, "postmark"), endpointTo("away", away.URL, "standard"))
	defer kept.Close()
	defer h.stop()
	ids := h.tell(kept, 5)
	until(t, "each endpoint had its five", func() bool {
		return len(rc.got()) == 5 && len(h.letters()) == 5 && len(away.got()) == 5 && h.pending.Load() == 5
	})
	second := parseID(t, ids[1])
	hour := uint64(time.Now().Add(-time.Hour).UnixMicro())
	for _, q := range []ReplayQuery{
		{Delivered: true, Tenant: 2}, {Delivered: true, Endpoint: "dead"}, {Delivered: true, Endpoint: "away"}, {Delivered: true, To: hour},
		{Delivered: true, From: uint64(time.Now().Add(time.Hour).UnixMicro())}, {Delivered: true, Types: map[event.Type]bool{event.Opened: true}},
		{Delivered: true, WebhookIDs: map[event.ID]bool{{}: true}},
	} {
		if got := h.replay(q); len(got) != 0 {
			t.Errorf("%+v: %+v", q, got)
		}
	}
	var listed []string
	for _, r := range h.replay(ReplayQuery{Delivered: true, From: hour, List: true}) {
		if r.Was != "delivered" || r.Endpoint != "good" || r.Type != event.Clicked || r.GivenUp != nil {
			t.Errorf("%+v", r)
		}
		listed = append(listed, r.WebhookID)
	}
	if !slices.Equal(listed, ids) {
		t.Errorf("listed %v, want %v", listed, ids)
	}
	if got := h.replay(ReplayQuery{Delivered: true, WebhookIDs: map[event.ID]bool{second: true}}); len(got) != 1 {
		t.Errorf("%+v", got)
	}
	until(t, "it came again", func() bool { return rc.counts()[ids[1]] == 2 && h.pending.Load() == 5 })
	bodies := map[string][]byte{}
	for _, r := range rc.got() {
		if first, ok := bodies[r.id]; ok && !bytes.Equal(first, r.body) {
			t.Errorf("%s came as\n%s\nthen as\n%s", r.id, first, r.body)
		}
		bodies[r.id] = r.body
	}

	// All of it: each of the five to each of the three, once.
	if got := h.replay(ReplayQuery{Dead: true, Waiting: true, Delivered: true, From: hour}); len(got) != 15 {
		t.Errorf("%d deliveries: %+v", len(got), got)
	}
	until(t, "everything came again", func() bool {
		return len(rc.got()) == 11 && len(dead.got()) == 10 && len(away.got()) == 10 && len(h.letters()) == 5 && h.pending.Load() == 5
	})
}

// An endpoint that came later is told what it missed; one that wants other events is not.
func TestReplayToANewEndpoint(t *testing.T) {
	rc, opens := receive(t, nil), receive(t, nil)
	h, kept := keeping(t, fresh(), usual())
	defer kept.Close()
	defer h.stop()
	ids := h.tell(kept, 3)
	tenant := &configs.Tenant{Number: 1, Name: "demo", Stream: "outbound"}
	for _, a := range []Added{
		{Tenant: tenant, Endpoint: endpointTo("new", rc.URL, "standard")},
		{Tenant: tenant, Endpoint: endpointTo("opens", opens.URL, "standard"), Types: []event.Type{event.Opened}},
		{Tenant: tenant, Endpoint: endpointTo("other", opens.URL, "standard"), Stream: "other"},
	} {
		if err := h.Put(a, func() error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if got := h.replay(ReplayQuery{Delivered: true, From: 1}); len(got) != 3 {
		t.Errorf("%+v", got)
	}
	h.settle()
	expectOnce(t, rc, ids)
	if got := opens.got(); len(got) != 0 {
		t.Errorf("%d came to endpoints that did not ask for them", len(got))
	}
	kept.Close()
	if err := h.Replay(t.Context(), ReplayQuery{Delivered: true}, func(*Replayed) {}); !errors.Is(err, uniques.ErrEnded) {
		t.Error(err)
	}
}
