package gate

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// load is a simulation in a bubble of fake time, where to hold a slot is to sleep: what takes seconds here takes none, and is exact.
type load struct {
	t       *testing.T
	g       *Gate
	within  time.Duration // from arrival to beginning
	all     sync.WaitGroup
	done    [2]atomic.Int64 // small, large
	busy    [2]atomic.Int64
	waited  [2]atomic.Int64
	slowest [2]atomic.Int64 // ns from arrival to beginning
}

func (l *load) request(bytes int, work time.Duration) {
	kind := 0
	if bytes > Large {
		kind = 1
	}
	l.all.Go(func() {
		began := time.Now()
		p, err := enter(l.g, bytes, l.within)
		took := time.Since(began)
		switch err {
		case nil:
			time.Sleep(work)
			l.g.Leave(p)
			l.done[kind].Add(1)
			l.slowest[kind].Store(max(l.slowest[kind].Load(), int64(took)))
		case ErrBusy:
			if took != 0 {
				l.t.Errorf("turned away after %v, which is not at once", took)
			}
			l.busy[kind].Add(1)
		case ErrWaited:
			l.waited[kind].Add(1)
		}
		if took > l.within {
			l.t.Errorf("an answer to whether it begins took %v", took)
		}
	})
}

// Three times as many as can be answered, for four seconds: nearly as many are answered as the slots can, each in time; the others know at once.
func TestOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slots, each = 4, 400 * time.Microsecond // 10,000 a second
		l := &load{t: t, g: New(slots), within: soon}
		random := rand.New(rand.NewPCG(1, 2))
		for range 4 * 30_000 {
			time.Sleep(time.Second / 30_000)
			l.request(mail, time.Duration(float64(each)*(0.5+random.Float64())))
		}
		l.all.Wait()
		t.Logf("%d answered, the last of them begun after %v; %d turned away at once, %d after waiting",
			l.done[0].Load(), time.Duration(l.slowest[0].Load()), l.busy[0].Load(), l.waited[0].Load())
		if l.done[0].Load() < 39_000 {
			t.Error("fewer were answered than the slots could")
		}
		if l.waited[0].Load() > 120 {
			t.Error("more than one in a thousand waited in vain")
		}
	})
}

// The scheduler takes the owner of a slot from its core now and then, for much longer than a request takes, and does other work.
func TestUneven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &load{t: t, g: New(1), within: soon}
		for i := range 60_000 {
			time.Sleep(100 * time.Microsecond)
			work := 100 * time.Microsecond
			if i%100 == 0 {
				work = 30 * time.Millisecond // three of four milliseconds
			}
			l.request(mail, work)
		}
		l.all.Wait()
		t.Logf("%d answered, %d turned away at once, %d after waiting", l.done[0].Load(), l.busy[0].Load(), l.waited[0].Load())
		if l.waited[0].Load() > l.busy[0].Load()/10 {
			t.Error("more than a tenth of the refusals came late")
		}
	})
}

// A machine that gets four times slower while the queue is full turns away more; who waits already leaves in time.
func TestSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &load{t: t, g: New(2), within: soon}
		for i := range 60_000 {
			time.Sleep(100 * time.Microsecond)
			work := 400 * time.Microsecond
			if i > 20_000 {
				work = 1600 * time.Microsecond
			}
			l.request(mail, work)
		}
		l.all.Wait()
		t.Logf("%d answered, %d turned away at once, %d after waiting", l.done[0].Load(), l.busy[0].Load(), l.waited[0].Load())
		if l.done[0].Load() < 14_000 {
			t.Error("fewer were answered than the slots could")
		}
		if l.waited[0].Load() > l.busy[0].Load()/10 {
			t.Error("more than a tenth of the refusals came late")
		}
	})
}

// A burst of a thousand huge requests among mails: all mails are answered, as if the others were not there; of the huge ones as many as there is time for.
func TestHugeBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &load{t: t, g: New(2), within: soon}
		for i := range 20_000 {
			time.Sleep(100 * time.Microsecond)
			l.request(mail, 100*time.Microsecond) // half of the small slots' time
			if i == 5000 {
				for range 1000 {
					l.request(huge, 30*time.Millisecond)
				}
			}
		}
		l.all.Wait()
		t.Logf("mails: %d answered, at the latest after %v; huge: %d answered, %d turned away at once, %d after waiting",
			l.done[0].Load(), time.Duration(l.slowest[0].Load()), l.done[1].Load(), l.busy[1].Load(), l.waited[1].Load())
		if l.done[0].Load() != 20_000 || l.slowest[0].Load() > int64(time.Millisecond) {
			t.Error("mails waited for huge requests")
		}
		if l.done[1].Load() == 0 || l.done[1].Load()+l.busy[1].Load()+l.waited[1].Load() != 1000 {
			t.Error("not one huge request came through, or some have no answer")
		}
	})
}
