package dispatch

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
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

// sick are the receivers that a healthy endpoint may have beside it: none of them ever answers.
type sick struct{ refused, silent, dribbling string }

// ward starts them.
func ward(t testing.TB) sick {
	silent := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	dribbling := listen(t, func(c net.Conn) {
		reader := bufio.NewReader(c)
		for line := ""; line != "\r\n"; {
			var err error
			if line, err = reader.ReadString('\n'); err != nil {
				return
			}
		}
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for _, b := range []byte("HTTP/1.1 200 OK\r\nX-Pad: " + strings.Repeat("x", 1<<20)) {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			<-tick.C
		}
	})
	return sick{"http://" + refusing(t), "http://" + silent, "http://" + dribbling}
}

// refusing is an address that refuses connections until the test ends: its port is taken, so that nobody else listens there, nor connects from there to itself.
func refusing(t testing.TB) string {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(socket) })
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", bound.(*syscall.SockaddrInet4).Port)
}

// listen serves each connection until it is closed by the other side.
func listen(t testing.TB, serve func(net.Conn)) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() { listener.Close(); all.Wait() })
	return listener.Addr().String()
}

// pairs are tenants with a healthy endpoint each and, unless s is nil, a sick one.
func pairs(n int, healthy string, s *sick) (tenants []*configs.Tenant) {
	for i := range n {
		t := &configs.Tenant{Number: uint32(i + 1), Name: numbered("t", i+1), Stream: "outbound"}
		t.Endpoints = append(t.Endpoints, endpointTo("healthy", healthy, "standard"))
		if s != nil {
			t.Endpoints = append(t.Endpoints, endpointTo("sick", []string{s.refused, s.silent, s.dribbling}[i%3], "standard"))
		}
		tenants = append(tenants, t)
	}
	return tenants
}

func isolated() configs.Dispatch {
	return configs.Dispatch{
		Timeout: time.Hour, ConnectTimeout: time.Hour, HeadersTimeout: time.Hour, Concurrency: 2, Window: 4, MarkEvery: 10 * time.Millisecond,
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
	s := ward(t)
	settings := isolated()
	h := prepare(t, fresh(), Options{Settings: settings, Metrics: metrics.Discard(), Logger: slog.New(slog.DiscardHandler)}, pairs(n, healthy.URL, &s)...)
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
	if n := testutil.CollectAndCount(h.metrics.EndpointFailing); n != 100 {
		t.Errorf("%d endpoints are named as failing, want the first 100", n)
	}
	h.cancel() // nobody waits for the silent ones
	h.stop()
}

// BenchmarkIsolation measures from decision to delivery: the healthy half alone, and beside the sick half, in turns.
//
//	go test -run xxx -bench Isolation -benchtime 1x ./sink/dispatch
func BenchmarkIsolation(b *testing.B) {
	const n, clicks, every = 500, 4000, time.Millisecond
	s := ward(b)
	times := map[bool][]time.Duration{}
	for range b.N {
		for range 3 {
			for _, beside := range []bool{false, true} {
				var ill *sick
				if beside {
					ill = &s
				}
				times[beside] = append(times[beside], pace(b, n, clicks, every, ill)...)
			}
		}
	}
	p := func(beside bool, share float64) float64 {
		slices.Sort(times[beside])
		return times[beside][int(share*float64(len(times[beside])-1))].Seconds() * 1000
	}
	b.ReportMetric(0, "ns/op")
	for _, share := range []float64{0.5, 0.99} {
		b.ReportMetric(p(false, share), fmt.Sprintf("p%.0f-alone-ms", share*100))
		b.ReportMetric(p(true, share), fmt.Sprintf("p%.0f-beside-ms", share*100))
	}
	b.ReportMetric(p(true, 0.99)/p(false, 0.99), "p99-ratio")
}

// pace decides on clicks at an even pace, round the tenants, and returns how long each was on its way to the healthy endpoint.
func pace(b *testing.B, n, clicks int, every time.Duration, s *sick) (took []time.Duration) {
	var mu sync.Mutex
	began := map[string]time.Time{}
	done := make(chan struct{})
	healthy := receive(b, func(_ int, _ http.ResponseWriter, r *http.Request) {
		now := time.Now()
		mu.Lock()
		defer mu.Unlock()
		took = append(took, now.Sub(began[r.Header.Get("webhook-id")]))
		if len(took) == clicks {
			close(done)
		}
	})
	settings := isolated()
	settings.Concurrency, settings.Window, settings.MarkEvery = 16, 1000, 50*time.Millisecond
	settings.BreakerFailures = 10
	h := prepare(b, fresh(), Options{Settings: settings, Metrics: metrics.Discard(), Logger: slog.New(slog.DiscardHandler)}, pairs(n, healthy.URL, s)...)
	h.Start()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := range clicks {
		<-tick.C
		e := click(h.next)
		mu.Lock()
		began[e.ID.String()] = time.Now()
		mu.Unlock()
		h.decide(uint32(i%n + 1))
	}
	<-done
	h.cancel()
	h.stop()
	healthy.Close()
	return took
}
