package crash

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"waypost/bench/traffic"
)

// maxUnderWay bounds the requests under way, for a machine that stalls: the loop is no longer open then, and heldBack counts it.
const maxUnderWay = 4096

// load offers clicks at a fixed rate from start to stop.
type load struct {
	book     *book
	visitors []*traffic.Visitor // by edge
	rate     int                // a second
	roll     *rand.Rand

	lives    []atomic.Int64 // by edge: how often it was started
	answered atomic.Int64
	heldBack atomic.Int64

	stop    context.CancelFunc
	running sync.WaitGroup
}

func newLoad(b *book, edges []string, rate int, seed uint64) *load {
	l := &load{book: b, rate: rate, roll: rand.New(rand.NewPCG(seed, 1)), lives: make([]atomic.Int64, len(edges))}
	for _, url := range edges {
		l.visitors = append(l.visitors, traffic.NewVisitor(url))
	}
	return l
}

// start begins to send; halt ends it and waits for what is under way.
func (l *load) start(ctx context.Context) {
	ctx, l.stop = context.WithCancel(ctx)
	l.running.Go(func() { l.loop(ctx) })
}

func (l *load) halt() {
	l.stop()
	l.running.Wait()
	for _, v := range l.visitors {
		v.Drop()
	}
}

// inFlight counts the requests that are written and not answered.
func (l *load) inFlight() (n int64) {
	for _, v := range l.visitors {
		n += v.InFlight.Load()
	}
	return n
}

// loop releases each click at its own time; those that a pause of this program made late go at once.
func (l *load) loop(ctx context.Context) {
	slots := make(chan struct{}, maxUnderWay)
	begin := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for sent := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		due := int(time.Since(begin).Seconds() * float64(l.rate))
		for ; sent < due; sent++ {
			select {
			case slots <- struct{}{}:
				l.release(slots)
			default:
				l.heldBack.Add(1)
			}
		}
		timer.Reset(time.Millisecond)
	}
}

func (l *load) release(slots chan struct{}) {
	edge := l.roll.IntN(len(l.visitors))
	c := &click{edge: edge, life: int(l.lives[edge].Load())}
	if u, ok := l.book.take(); ok {
		c.mail, c.link = u.mail, u.link
	} else {
		c.mail = l.book.pick(l.roll.IntN)
		c.link, c.kind = l.roll.IntN(len(c.mail.links)), l.rollKind()
	}
	number := l.book.addClick(c)
	link := c.mail.links[c.link]
	l.running.Go(func() {
		answered, wrong := l.visitors[edge].Follow(c.kind.visit(link.path, agent(number)), link.Destination)
		l.book.settle(c, int(l.lives[edge].Load()), answered, wrong)
		if answered {
			l.answered.Add(1)
		}
		<-slots
	})
}

// rollKind makes one click in ten a HEAD and one a prefetch.
func (l *load) rollKind() kind {
	switch l.roll.IntN(10) {
	case 0:
		return head
	case 1:
		return prefetch
	}
	return get
}
