package gate

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	mail = 2500         // bytes of a usual request
	huge = 1 << 20      // bytes of a large one
	fast = 1e6 / 3524.0 // the pace at which a mail takes a millisecond
	soon = 1125 * time.Millisecond
)

// enter is Enter with a begin that is due at after from now.
func enter(g *Gate, bytes int, after time.Duration) (Pass, error) {
	now := time.Now()
	return g.Enter(bytes, now, now.Add(after), false)
}

// mustEnter is for requests that get a slot.
func mustEnter(t *testing.T, g *Gate, bytes int) Pass {
	t.Helper()
	p, err := enter(g, bytes, soon)
	if err != nil {
		t.Error(err)
	}
	return p
}

// Oldest first, and a large one only when no small one waits.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(1)
		held := []Pass{mustEnter(t, g, mail), mustEnter(t, g, huge)}
		requests := []int{huge, mail, mail, huge, mail}
		begin := make([]time.Duration, len(requests))
		var began time.Time
		var all sync.WaitGroup
		for i, bytes := range requests {
			all.Go(func() {
				p := mustEnter(t, g, bytes)
				begin[i] = time.Since(began)
				time.Sleep(time.Millisecond)
				g.Leave(p)
			})
			synctest.Wait()
		}
		began = time.Now()
		for _, p := range held {
			g.Leave(p)
		}
		all.Wait()
		if want := []time.Duration{2 * time.Millisecond, 0, time.Millisecond, 3 * time.Millisecond, 2 * time.Millisecond}; !slices.Equal(begin, want) {
			t.Errorf("began at %v, want %v", begin, want)
		}
		if small, large := g.Queues(); small.Requests != 0 || large.Requests != 0 || g.state.Load() != 0 || g.busy != 0 {
			t.Errorf("left behind: %+v, %+v, state %x, busy %d", small, large, g.state.Load(), g.busy)
		}
	})
}

// A burst of large requests leaves the slots of the small ones alone.
func TestLargeOnesHaveSlotsOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(4)
		var all sync.WaitGroup
		end := make(chan struct{})
		for range 20 {
			all.Go(func() {
				p, err := enter(g, huge, time.Hour)
				if err != nil {
					t.Error(err)
					return
				}
				<-end
				g.Leave(p)
			})
		}
		synctest.Wait()
		if _, large := g.Queues(); large.Requests != 18 {
			t.Errorf("%d large requests wait, want 18: two have slots", large.Requests)
		}
		var passes []Pass
		for range 4 {
			passes = append(passes, mustEnter(t, g, mail)) // would hang, and end the bubble as a deadlock
		}
		for _, p := range passes {
			g.Leave(p)
		}
		close(end)
		all.Wait()
	})
}

// Whom the queue would keep too long is told at once; who waits in vain, when its time is over.
func TestTurnedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(1)
		g.small.pace.ns = fast
		held := mustEnter(t, g, mail)
		began := time.Now()
		var waiting, admitted, busy atomic.Int64
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				waiting.Add(1)
				switch _, err := enter(g, mail, 150*time.Millisecond); {
				case err == ErrBusy && time.Since(began) == 0:
					busy.Add(1)
				case err == ErrWaited && time.Since(began) == 150*time.Millisecond:
					admitted.Add(1)
				default:
					t.Errorf("%v after %v", err, time.Since(began))
				}
			})
		}
		synctest.Wait()
		small, _ := g.Queues()
		// Each is a millisecond, and the wait counts one and a half times.
		if small.Requests != 101 || small.Wait < 100*time.Millisecond || small.Wait > 102*time.Millisecond {
			t.Errorf("queue %+v, want 101 requests and their 101 ms", small)
		}
		all.Wait()
		if admitted.Load() != 101 || busy.Load() != 899 {
			t.Errorf("%d waited, %d were turned away at once", admitted.Load(), busy.Load())
		}
		g.Leave(held)
		g.Leave(mustEnter(t, g, mail))
		if g.state.Load() != 0 {
			t.Errorf("state %x", g.state.Load())
		}
	})
}

// A large request begins when the last small one before it has given up.
func TestWithdrawnMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(1)
		held := mustEnter(t, g, mail)
		go func() {
			if _, err := enter(g, mail, 100*time.Millisecond); err != ErrWaited {
				t.Errorf("the small one: %v", err)
			}
		}()
		synctest.Wait()
		began := time.Now()
		p := mustEnter(t, g, huge)
		if took := time.Since(began); took != 100*time.Millisecond {
			t.Errorf("the large one began after %v", took)
		}
		g.Leave(p)
		g.Leave(held)
	})
}

// With one goroutine running at a time, each would find the slot of the one before free again, and nobody would ever see that many wait. Who is behind lets the
// others come first, so that they join the queue.
func TestBehind(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	g := New(1)
	var most atomic.Int64
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			now := time.Now()
			p, err := g.Enter(mail, now, now.Add(time.Hour), true)
			if err != nil {
				t.Error(err)
				return
			}
			small, _ := g.Queues()
			most.Store(max(most.Load(), int64(small.Requests)))
			g.Leave(p)
		})
	}
	all.Wait()
	if most.Load() == 0 {
		t.Error("nobody was ever seen waiting")
	}
	t.Logf("%d waited at a time", most.Load())
}

// What is measured is the time that requests take all together, be it spent on them or not; a queue that was empty in between begins anew.
func TestPace(t *testing.T) {
	now := time.Now()
	p := pace{ns: 1}
	p.begin(now)
	for range 10 {
		for i := range 100 { // a mail a millisecond: most in no time, then something else for long
			if i == 99 {
				now = now.Add(100 * time.Millisecond)
			}
			p.note(mail, now)
		}
	}
	if p.ns < 0.99*fast || p.ns > 1.01*fast {
		t.Errorf("pace %v, want %v", p.ns, fast)
	}
	now = now.Add(time.Hour)
	p.begin(now)
	p.note(mail, now.Add(window-1))
	if p.ns > 1.01*fast {
		t.Errorf("pace %v after an hour without a queue", p.ns)
	}
}

// Any number of goroutines: no more of them hold slots than there are, none is forgotten.
func TestCrowd(t *testing.T) {
	const slots = 3
	g := New(slots)
	var small, large, through, refused atomic.Int64
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 1))
			for range 500 {
				bytes, held, most := mail, &small, int64(slots)
				if random.IntN(8) == 0 {
					bytes, held, most = huge, &large, 1
				}
				p, err := enter(g, bytes, time.Duration(random.IntN(int(5*time.Millisecond))))
				if err != nil {
					refused.Add(1)
					continue
				}
				if n := held.Add(1); n > most {
					t.Errorf("%d at once, of %d bytes", n, bytes)
				}
				if random.IntN(16) == 0 {
					time.Sleep(time.Duration(random.IntN(int(time.Millisecond))))
				}
				held.Add(-1)
				through.Add(1)
				g.Leave(p)
			}
		})
	}
	all.Wait()
	t.Logf("%d went through, %d were turned away", through.Load(), refused.Load())
	if through.Load()+refused.Load() != 32*500 || g.state.Load() != 0 || g.busy != 0 || g.small.queue.length+g.large.queue.length != 0 {
		t.Errorf("left behind: state %x, busy %d, %d small and %d large waiting", g.state.Load(), g.busy, g.small.queue.length, g.large.queue.length)
	}
}

func TestFreeSlotAllocatesNothing(t *testing.T) {
	g := New(1)
	now := time.Now()
	if n := testing.AllocsPerRun(100, func() {
		p, err := g.Enter(mail, now, now.Add(time.Hour), false)
		if err != nil {
			t.Fatal(err)
		}
		g.Leave(p)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFreeSlot(b *testing.B) {
	g := New(64)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		now := time.Now()
		for pb.Next() {
			p, err := g.Enter(mail, now, now.Add(time.Hour), false)
			if err != nil {
				b.Fatal(err)
			}
			g.Leave(p)
		}
	})
}
