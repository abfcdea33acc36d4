package dispatch

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"waypost/configs"
	"waypost/configs/outbound"
)

// accepted counts what a receiver that fails at random has taken.
type accepted struct {
	mu     sync.Mutex
	random *rand.Rand
	share  float64 // of requests that fail
	counts map[string]int
}

func (a *accepted) answer(_ int, w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.random.Float64() < a.share {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	a.counts[r.Header.Get("webhook-id")]++
}

// Windows that are too small, memory that others hold, rates, breakers that open at once, receivers that fail at random, restarts and crashes at any moment: in the end every
// endpoint has taken every delivery, once where nothing crashed.
func TestEverythingArrives(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			everythingArrives(t, seed)
		})
	}
}

func everythingArrives(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	settings := configs.Dispatch{
		Timeout: quickly, Concurrency: 1 + random.IntN(4), Window: 1 + random.IntN(8), MarkEvery: time.Millisecond,
		Retries: slices.Repeat([]time.Duration{time.Duration(random.IntN(3000)) * time.Microsecond}, 60_000),
		Allow:   outbound.ThisMachine(),

		BreakerFailures: random.IntN(4), BreakerLongest: time.Duration(1+random.IntN(5)) * time.Millisecond,
	}
	var endpoints []configs.Endpoint
	var takers []*accepted
	for i := range 1 + random.IntN(3) {
		a := &accepted{random: rand.New(rand.NewPCG(seed, uint64(i+2))), share: random.Float64() * 0.5, counts: map[string]int{}}
		takers = append(takers, a)
		e := endpointTo(numbered("e", i), receive(t, a.answer).URL, "standard")
		e.Concurrency, e.Rate = random.IntN(6), random.IntN(2)*(500+random.IntN(2000))
		endpoints = append(endpoints, e)
	}
	crashes, share := random.IntN(2) == 0, int64(1+random.IntN(4000))
	files := fresh()
	h := startSharing(t, files, share, settings, endpoints...)
	var ids []string
	for range 8 {
		ids = append(ids, h.add(1+random.IntN(20))...)
		next := h.next
		switch random.IntN(4) {
		case 0:
			h.stop()
		case 1:
			if !crashes {
				continue
			}
			clone := files.CrashClone(vfs.CrashCloneCfg{})
			h.stop() // what it still does is lost on the clone
			files = clone
		default:
			continue
		}
		h = startSharing(t, files, share, settings, endpoints...)
		h.next = next
	}
	h.settle()
	for _, e := range h.endpoints.Load().All {
		until(t, "every pass is given back", func() bool {
			e.mu.Lock()
			defer e.mu.Unlock()
			return !e.refilling && e.gate.Running() == 0
		})
	}
	if memory, held := h.memory.Load(), h.inMemory.Load(); memory != 0 || held != 0 {
		t.Errorf("%d bytes and %d deliveries still count as held", memory, held)
	}
	h.stop()
	for i, a := range takers {
		for _, id := range ids {
			if n := a.counts[id]; n < 1 || n > 1 && !crashes {
				t.Errorf("endpoint %d took %s %d times", i, id, n)
			}
		}
		if len(a.counts) != len(ids) {
			t.Errorf("endpoint %d took %d ids, want %d", i, len(a.counts), len(ids))
		}
	}
}
