package load

import (
	"container/heap"
	"testing"
)

// simWire is a server in simulated time: one request after the other, each taking service ns, and nothing at all between stallFrom and stallTo.
type simWire struct {
	clock     int64
	service   int64
	stallFrom int64
	stallTo   int64
	freeAt    int64
	pending   arrivals
	got       []answer
	breaks    int // every so many requests one breaks; 0: none
	sent      int
}

type arrival struct {
	at     int64
	answer answer
}

type arrivals []arrival

func (a arrivals) Len() int           { return len(a) }
func (a arrivals) Less(i, j int) bool { return a[i].at < a[j].at }
func (a arrivals) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *arrivals) Push(x any)        { *a = append(*a, x.(arrival)) }
func (a *arrivals) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

func (s *simWire) now() int64 { return s.clock }

func (s *simWire) send(conn int, _ []byte) {
	s.sent++
	begin := max(s.clock, s.freeAt)
	if begin >= s.stallFrom && begin < s.stallTo {
		begin = s.stallTo
	}
	s.freeAt = begin + s.service
	status := int32(302)
	if s.breaks > 0 && s.sent%s.breaks == 0 {
		status = 0
	}
	heap.Push(&s.pending, arrival{s.freeAt, answer{int32(conn), status}})
}

func (s *simWire) wait(until int64) ([]answer, error) {
	s.got = s.got[:0]
	if len(s.pending) == 0 || s.pending[0].at > until {
		s.clock = max(s.clock, until)
		return nil, nil
	}
	s.clock = max(s.clock, s.pending[0].at)
	for len(s.pending) > 0 && s.pending[0].at <= s.clock {
		s.got = append(s.got, heap.Pop(&s.pending).(arrival).answer)
	}
	return s.got, nil
}

const (
	millisecond = int64(1e6)
	second      = int64(1e9)
)

func endless() []byte { return []byte("x") }

func fly(t *testing.T, d driver, w wire, next func() []byte) *outcome {
	t.Helper()
	d.want = 302
	o, err := d.run(w, next)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// A server stalls for a second in ten. At 1,000 requests a second, 1,000 of 10,000 were due in that second: an honest 95th percentile is
// half a second. The closed loop beside it, which asks only when it was answered, sees one late answer.
func TestAStallIsSeenByEveryRequestDueInIt(t *testing.T) {
	stalling := func() *simWire {
		return &simWire{service: millisecond / 10, stallFrom: 4 * second, stallTo: 5 * second}
	}
	open := fly(t, driver{rate: 1000, connections: 1, duration: 10 * second, drain: 5 * second}, stalling(), endless)
	if open.due != 10_000 || open.right != 10_000 || open.broken != 0 {
		t.Fatalf("open loop: due %d, right %d, broken %d; want 10000, 10000, 0", open.due, open.right, open.broken)
	}
	// The backlog of 1,000 drains in 111 ms more; those late by over 500 ms were due in the stall's first half, or nearly.
	if late := countAbove(open, 500*millisecond); late < 500 || late > 560 {
		t.Errorf("open loop: %d answers later than 500 ms, want 500 to 560", late)
	}
	if p := open.latency.ValueAtPercentile(95); p < 450*millisecond || p > 650*millisecond {
		t.Errorf("open loop: p95 = %d ns, want about half a second", p)
	}
	if m := open.latency.Max(); m < 990*millisecond || m > 1010*millisecond {
		t.Errorf("open loop: max = %d ns, want a second", m)
	}
	closed := fly(t, driver{connections: 1, duration: 10 * second, drain: 5 * second}, stalling(), endless)
	if late := countAbove(closed, 500*millisecond); late != 1 {
		t.Errorf("closed loop: %d answers later than 500 ms, want 1", late)
	}
	if closed.right < 89_990 || closed.right > 90_010 {
		t.Errorf("closed loop: %d answers, want 90000: nine seconds of 10000", closed.right)
	}
}

func countAbove(o *outcome, ns int64) (n int64) {
	for _, bar := range o.latency.Distribution() {
		if bar.From > ns {
			n += bar.Count
		}
	}
	return n
}

func TestDueTimesDoNotDrift(t *testing.T) {
	f := &flight{driver: driver{rate: 70_001}, start: 17}
	if at := f.dueAt(70_001 * 3600); at != 17+3600*second {
		t.Errorf("an hour's last request is due at %d", at)
	}
	for _, k := range []uint64{0, 1, 2, 69_999, 1 << 30} {
		if got := f.dueBy(f.dueAt(k)); got != k+1 {
			t.Errorf("when request %d is due, %d are due", k, got)
		}
		if got := f.dueBy(f.dueAt(k) - 1); got != k {
			t.Errorf("just before request %d is due, %d are due", k, got)
		}
	}
}

func TestAServerTooSlowForTheRateLeavesRequestsUnsent(t *testing.T) {
	o := fly(t, driver{rate: 1000, connections: 4, duration: second, drain: second / 2}, &simWire{service: 10 * millisecond}, endless)
	if o.due != 1000 {
		t.Errorf("due %d, want 1000", o.due)
	}
	if o.right < 145 || o.right > 155 || o.broken > 4 || o.sent != o.right+o.broken {
		t.Errorf("sent %d, right %d, broken %d; want about 150 answered in one and a half seconds", o.sent, o.right, o.broken)
	}
}

func TestBrokenConnectionsCountAsBroken(t *testing.T) {
	o := fly(t, driver{rate: 1000, connections: 4, duration: second, drain: second}, &simWire{service: 1000, breaks: 10}, endless)
	if o.right != 900 || o.broken != 100 || o.latency.TotalCount() != 900 {
		t.Errorf("right %d, broken %d, latencies %d; want 900, 100, 900", o.right, o.broken, o.latency.TotalCount())
	}
}

func TestALoopEndsWhenThePreparedRequestsDo(t *testing.T) {
	left := 50
	next := func() []byte {
		if left == 0 {
			return nil
		}
		left--
		return []byte("x")
	}
	for _, rate := range []float64{0, 1000} {
		left = 50
		o := fly(t, driver{rate: rate, connections: 8, duration: second, drain: second}, &simWire{service: millisecond}, next)
		if !o.exhausted || o.right != 50 {
			t.Errorf("rate %v: exhausted %v, right %d; want true, 50", rate, o.exhausted, o.right)
		}
	}
}

func TestWrongStatusesAreCountedApart(t *testing.T) {
	d := driver{rate: 100, connections: 1, duration: second, drain: second, want: 200}
	o, err := d.run(&simWire{service: 1000}, endless)
	if err != nil {
		t.Fatal(err)
	}
	if o.wrong != 100 || o.right != 0 || o.wrongFirst != 302 {
		t.Errorf("wrong %d, right %d, first %d; want 100, 0, 302", o.wrong, o.right, o.wrongFirst)
	}
}

// What a server refuses because it is too much is counted apart, with its own latency.
func TestShedIsNoWrongAnswer(t *testing.T) {
	d := driver{rate: 100, connections: 1, duration: second, drain: second, want: 200, shed: 302}
	o, err := d.run(&simWire{service: millisecond}, endless)
	if err != nil {
		t.Fatal(err)
	}
	if o.shed != 100 || o.wrong != 0 || o.broken != 0 || o.answered() != 100 || o.latency.TotalCount() != 0 || o.shedAfter.TotalCount() != 100 {
		t.Errorf("%d shed, %d wrong, %d broken, %d latencies", o.shed, o.wrong, o.broken, o.latency.TotalCount())
	}
}
