package dispatch

import (
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"waypost/configs"
	"waypost/configs/outbound"
	"waypost/edge/event"
	"waypost/sink/ingest"
	"waypost/sink/internal/metrics"
)

// pairs are tenants with a healthy endpoint each and, where there are sick receivers, one that leads to one of them.
func pairs(n int, healthy string, sick []string) (tenants []*configs.Tenant) {
	for i := range n {
		t := &configs.Tenant{Number: uint32(i + 1), Name: numbered("t", i+1), Stream: "outbound"}
		t.Endpoints = append(t.Endpoints, endpointTo("healthy", healthy, "standard"))
		if len(sick) > 0 {
			t.Endpoints = append(t.Endpoints, endpointTo("sick", sick[i%len(sick)], "standard"))
		}
		tenants = append(tenants, t)
	}
	return tenants
}

func isolated() configs.Dispatch {
	return configs.Dispatch{
		Timeout: time.Hour, ConnectTimeout: time.Hour, HeadersTimeout: time.Hour, Concurrency: 16, Window: 4, MarkEvery: 10 * time.Millisecond,
		Retries: []time.Duration{time.Hour}, Allow: outbound.ThisMachine(), BreakerFailures: 2, BreakerLongest: time.Minute,
	}
}

// decide makes one click of each of these tenants due, as ingest would.
func (h *harness) decide(tenants ...uint32) (ids []string) {
	h.t.Helper()
	b := h.store.NewBatch()
	defer b.Close()
	for _, tenant := range tenants {
		e := click(h.next)
		e.Tenant = tenant
		h.next++
		ids = append(ids, e.ID.String())
		if err := h.Due(b, ingest.First{ID: e.ID, Type: e.Type, Tenant: tenant, Document: event.AppendDocument(nil, &e)}); err != nil {
			h.t.Fatal(err)
		}
	}
	if err := b.Commit(pebble.Sync); err != nil {
		h.t.Fatal(err)
	}
	h.Committed()
	return ids
}

// A thousand endpoints, half of them refuse, say nothing, or answer byte by byte: the other half have everything, and memory stays within its bounds.
func TestSickEndpointsDelayNoOther(t *testing.T) {
	const n, rounds = 500, 3
	done := make(chan struct{})
	healthy := receive(t, func(came int, _ http.ResponseWriter, _ *http.Request) {
		if came == n*rounds {
			close(done)
		}
	})
	settings := isolated()
	h := prepare(t, fresh(), Options{Settings: settings, Metrics: metrics.Discard(), Logger: slog.New(slog.DiscardHandler)}, pairs(n, healthy.URL, openWard(t).all())...)
	h.Start()
	var all []uint32
	for tenant := range uint32(n) {
		all = append(all, tenant+1)
	}
	var ids []string
	for range rounds {
		ids = append(ids, h.decide(all...)...)
		if held, most := h.inMemory.Load(), int64(2*n*settings.Window); held > most {
			t.Errorf("%d deliveries in memory, at most %d endpoints with %d each", held, 2*n, settings.Window)
		}
		if bytes := h.memory.Load(); bytes > h.share {
			t.Errorf("%d bytes in memory, %d allowed", bytes, h.share)
		}
	}
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		t.Fatalf("%d of %d came", len(healthy.got()), len(ids))
	}
	expectOnce(t, healthy, ids)
	refused := (n + 2) / 3
	until(t, "the breakers of those that refuse are open, and no other", func() bool {
		return testutil.ToFloat64(h.metrics.BreakersOpen) == float64(refused)
	})
	// Of those that refuse the next probe stays in memory, of the others what their windows hold; of the healthy nothing.
	until(t, "memory holds no more than it must", func() bool {
		return h.inMemory.Load() <= int64(refused+(n-refused)*settings.Window)
	})
	for _, e := range h.endpoints.Load().All {
		e.mu.Lock()
		if running := e.gate.Running(); running > 2 {
			t.Errorf("tenant %d: %d attempts under way at an endpoint that has never answered", e.Tenant.Number, running)
		}
		e.mu.Unlock()
	}
	if n := testutil.CollectAndCount(h.metrics.EndpointFailing); n != 100 {
		t.Errorf("%d endpoints are named as failing, want the first 100", n)
	}
	h.cancel() // nobody waits for the silent ones
	h.stop()
}
