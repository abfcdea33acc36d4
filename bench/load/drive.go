package load

import (
	"math"
	"slices"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// wire carries requests and answers. The real one is epollWire; the tests' one has a clock of its own, so that the arithmetic below
// can be shown without waiting. All times are nanoseconds since the wire's start.
type wire interface {
	now() int64
	// send begins a request on an idle connection. A failure shows up as an answer with status 0.
	send(conn int, request []byte)
	// wait gives the answers that have arrived; none when the time until has come first. The slice is valid until the next wait.
	wait(until int64) ([]answer, error)
}

// answer ends the request under way on conn. Status 0: the connection broke first.
type answer struct {
	conn   int32
	status int32
}

// driver sends at a rate, or as fast as answers come.
type driver struct {
	rate        float64 // requests a second; 0: closed loop
	schedule    []int64 // of an open loop: when its requests are due, in ns after the start, rising; nil: evenly, at the rate
	connections int
	duration    int64 // ns in which requests become due
	drain       int64 // ns that answers may take after that
	want        int32 // the status that counts as right
	shed        int32 // the status by which a server refuses what is too much, where that is no fault; 0: none
}

// outcome is what one window of load gave.
type outcome struct {
	due        uint64 // requests that should have been sent
	sent       uint64
	right      uint64 // answered with the wanted status
	shed       uint64 // answered with the status of what is too much
	wrong      uint64 // answered with another
	broken     uint64 // sent, and never answered
	start      int64  // by the wire's clock
	elapsed    int64  // ns from the start to the last answer
	exhausted  bool   // the prepared requests ran out before the time did
	latency    *hdrhistogram.Histogram
	shedAfter  *hdrhistogram.Histogram // latency of what was shed
	late       *hdrhistogram.Histogram // how long after it was due a request was sent: the generator's and the connections' part
	wrongFirst int32                   // the first wrong status
}

// Latencies are kept from 1 ns to a minute with three digits.
const (
	latencyMax    = int64(60e9)
	latencyDigits = 3
)

func newOutcome() *outcome {
	return &outcome{
		latency:   hdrhistogram.New(1, latencyMax, latencyDigits),
		shedAfter: hdrhistogram.New(1, latencyMax, latencyDigits),
		late:      hdrhistogram.New(1, latencyMax, latencyDigits),
	}
}

func (o *outcome) answered() uint64 { return o.right + o.shed + o.wrong }

// perSecond is the rate of answers over the time that they took.
func (o *outcome) perSecond() float64 {
	if o.elapsed == 0 {
		return 0
	}
	return float64(o.answered()) / (float64(o.elapsed) / 1e9)
}

// flight is one run of a driver.
type flight struct {
	driver
	w        wire
	next     func() []byte // nil when there are no more
	start    int64
	intended []int64 // by connection: when the request under way was due
	idle     *ring
	out      *outcome
}

// ring holds the connections without a request. The one that has rested longest comes first: so all are used alike, and none rests until its server closes it.
type ring struct {
	conns    []int32
	first, n int
}

// newRing holds connections 0 to n-1.
func newRing(n int) *ring {
	r := &ring{conns: make([]int32, n)}
	for c := range n {
		r.put(int32(c))
	}
	return r
}

func (r *ring) put(conn int32) {
	r.conns[(r.first+r.n)%len(r.conns)] = conn
	r.n++
}

func (r *ring) take() int32 {
	conn := r.conns[r.first]
	r.first = (r.first + 1) % len(r.conns)
	r.n--
	return conn
}

// run drives w until every due request is answered, or the drain time is over.
func (d driver) run(w wire, next func() []byte) (*outcome, error) {
	f := &flight{driver: d, w: w, next: next, start: w.now(), intended: make([]int64, d.connections), idle: newRing(d.connections), out: newOutcome()}
	f.out.start = f.start
	end := f.start + d.duration
	for {
		now := w.now()
		f.sendDue(now, end)
		if f.done(now, end) {
			break
		}
		answers, err := w.wait(f.wakeAt(now, end))
		if err != nil {
			return f.out, err
		}
		if len(answers) > 0 {
			f.take(answers, w.now())
		}
	}
	if d.rate > 0 && !f.out.exhausted {
		f.out.due = f.dueBy(end - 1)
	}
	f.out.broken = f.out.sent - f.out.answered()
	return f.out, nil
}

// dueAt is when request k (from 0) of an open loop is due.
func (f *flight) dueAt(k uint64) int64 {
	if f.schedule != nil {
		if k >= uint64(len(f.schedule)) {
			return math.MaxInt64
		}
		return f.start + f.schedule[k]
	}
	return f.start + int64(float64(k)*1e9/f.rate)
}

// dueBy is how many requests of an open loop are due at time t.
func (f *flight) dueBy(t int64) uint64 {
	if f.schedule != nil {
		n, _ := slices.BinarySearch(f.schedule, t-f.start+1)
		return uint64(n)
	}
	k := uint64(math.Max(0, float64(t-f.start)*f.rate/1e9))
	for f.dueAt(k) <= t {
		k++
	}
	return k
}

func (f *flight) sendDue(now, end int64) {
	for f.idle.n > 0 && !f.out.exhausted {
		at := now
		if f.rate > 0 {
			at = f.dueAt(f.out.sent)
		}
		if at > now || at >= end {
			return
		}
		request := f.next()
		if request == nil {
			f.out.exhausted = true
			return
		}
		conn := f.idle.take()
		f.intended[conn] = at
		f.w.send(int(conn), request)
		f.out.sent++
		if f.rate == 0 {
			f.out.due++
			continue
		}
		now = f.w.now()
		record(f.out.late, now-at)
	}
}

func (f *flight) take(answers []answer, now int64) {
	f.out.elapsed = now - f.start
	for _, a := range answers {
		f.idle.put(a.conn)
		switch a.status {
		case f.want:
			f.out.right++
		case 0:
			continue
		case f.shed:
			f.out.shed++
			record(f.out.shedAfter, now-f.intended[a.conn])
			continue
		default:
			if f.out.wrong++; f.out.wrong == 1 {
				f.out.wrongFirst = a.status
			}
		}
		record(f.out.latency, now-f.intended[a.conn])
	}
}

// done says that nothing is under way and nothing more will be due, or that the drain time is over.
func (f *flight) done(now, end int64) bool {
	if now >= end+f.drain {
		return true
	}
	if f.idle.n < f.connections {
		return false
	}
	if f.rate > 0 && !f.out.exhausted {
		return f.dueAt(f.out.sent) >= end
	}
	return now >= end || f.out.exhausted
}

// wakeAt is until when nothing is to be done unless an answer comes.
func (f *flight) wakeAt(now, end int64) int64 {
	if f.rate > 0 && f.idle.n > 0 && !f.out.exhausted {
		if at := f.dueAt(f.out.sent); at < end {
			return at
		}
	}
	if now < end {
		return end
	}
	return end + f.drain
}

func record(h *hdrhistogram.Histogram, ns int64) {
	_ = h.RecordValue(min(max(ns, 1), latencyMax)) // in range: cannot fail
}
