package topic

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"waypost/edge/ship"
)

// sleeper is a sink of which some produces sleep, before or after they write, until it is woken or ends.
type sleeper struct {
	*memory
	dir string

	mu     sync.Mutex
	random *rand.Rand
	asleep chan struct{} // closed to wake it; nil while it is awake

	o      *options
	cancel func() // nil while it does not work
	done   chan struct{}
	ending bool
}

func (s *sleeper) sleep() {
	s.mu.Lock()
	if s.ending || s.random.IntN(3) > 0 {
		s.mu.Unlock()
		return
	}
	woken := make(chan struct{})
	s.asleep = woken
	s.mu.Unlock()
	<-woken
}

func (s *sleeper) Produce(ctx context.Context, partition int, records []ship.Record) (int64, error) {
	s.sleep()
	defer s.sleep()
	return s.memory.Produce(ctx, partition, records)
}

func (s *sleeper) wakeUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asleep != nil {
		close(s.asleep)
		s.asleep = nil
	}
}

func (s *sleeper) begin(t *testing.T) {
	s.o = testOptions(t, s.memory, s.dir)
	s.o.producer = s
	ctx, cancel := context.WithCancel(t.Context())
	s.cancel, s.done, s.ending = cancel, make(chan struct{}), false
	go func() { newWorker(s.o, 0).run(ctx); close(s.done) }()
}

// end is the end of its generation, of which a sleeping one hears when it wakes.
func (s *sleeper) end() {
	if s.cancel == nil {
		return
	}
	s.cancel()
	s.mu.Lock()
	s.ending = true
	s.mu.Unlock()
	s.wakeUp()
	<-s.done
	s.cancel = nil
}

// settled says whether it sleeps, or has decided everything.
func (s *sleeper) settled(t *testing.T) bool {
	s.mu.Lock()
	asleep := s.asleep != nil
	s.mu.Unlock()
	all, _ := s.Span(t.Context(), "events", 0)
	return asleep || s.o.source(t) == all.End
}

// Whichever sink has the partition, and whenever those that were replaced wake up and go on: in the end unique says what one undisturbed sink says, and so does
// every store.
func TestReplacedAtAnyMoment(t *testing.T) {
	for seed := range uint64(4) {
		random := rand.New(rand.NewPCG(seed, 9))
		calm, wild := newMemory(), newMemory()
		sinks := make([]*sleeper, 3)
		for i := range sinks {
			sinks[i] = &sleeper{memory: wild, dir: t.TempDir(), random: rand.New(rand.NewPCG(seed, uint64(i)))}
		}
		for range 12 {
			wild.fill(random, 25)
			who := random.IntN(len(sinks))
			for i, s := range sinks {
				if i == who || random.IntN(4) == 0 {
					s.end()
				}
				if random.IntN(2) == 0 {
					s.wakeUp()
				}
			}
			sinks[who].begin(t)
			for deadline := time.Now().Add(patience); !sinks[who].settled(t); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("seed %d: sink %d neither sleeps nor is it level", seed, who)
				}
			}
		}
		for _, s := range sinks {
			s.end()
		}
		for _, m := range wild.topics["events"] {
			calm.append("events", m)
		}
		calmDir := t.TempDir()
		level(t, calm, testOptions(t, calm, calmDir))
		for i, s := range sinks {
			level(t, wild, testOptions(t, wild, s.dir))
			if diff := cmp.Diff(contents(t, calmDir), contents(t, s.dir)); diff != "" {
				t.Fatalf("seed %d: store of sink %d (-calm +wild):\n%s", seed, i, diff)
			}
		}
		want, _ := calm.ruled(t)
		got, repeated := wild.ruled(t)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d (-calm +wild):\n%s", seed, diff)
		}
		t.Logf("seed %d: %d records of unique, %d of them repeated", seed, len(got)+repeated, repeated)
	}
}
