package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"waypost/bench/traffic"
)

// secret is Outreach's, of the one tenant.
const secret = "soak-secret"

const (
	linksPerMail = 10
	recentLinks  = 8192                   // among which repeated clicks choose
	stockSeconds = 8                      // of first clicks that are minted ahead: a restart of mint is not felt
	mailers      = 4                      // mails under way at once
	mintAgain    = 100 * time.Millisecond // after a mail that mint did not take
)

// agent is the user agent of all clicks.
const agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"

// minted is a link that mint made.
type minted struct {
	number int
	path   string
}

// crowd mints and clicks from start to halt.
type crowd struct {
	ledger     *ledger
	edge, mint *program
	visitor    *traffic.Visitor
	outreach   traffic.Outreach
	rate       float64
	clickers   int

	stock  chan minted  // not clicked yet
	mails  atomic.Int64 // written so far
	begin  time.Time
	next   atomic.Int64 // number of the next click
	missed atomic.Int64 // mails that mint did not take while it was restarted
	shed   atomic.Int64 // mails that it shed

	mu      sync.Mutex
	recent  []minted // a ring of those clicked last
	at      int
	latency *hdrhistogram.Histogram // of answered clicks, ns

	stop    context.CancelFunc
	running sync.WaitGroup
}

func newCrowd(l *ledger, edge, mint *program, rate float64, connections int) *crowd {
	return &crowd{
		ledger: l, edge: edge, mint: mint, rate: rate, clickers: connections, visitor: traffic.NewVisitor(edge.URL),
		outreach: traffic.Outreach{URL: mint.URL + "/outreach/" + tenant, Secret: secret, Client: http.Client{Transport: &http.Transport{}}},
		stock:    make(chan minted, max(linksPerMail, int(rate*stockSeconds))), latency: hdrhistogram.New(1, int64(time.Minute), 3),
	}
}

// start begins to send once there is something to click.
func (c *crowd) start(ctx context.Context) error {
	if err := c.mail(ctx); err != nil {
		return err
	}
	ctx, c.stop = context.WithCancel(ctx)
	c.begin = time.Now()
	for range mailers {
		c.running.Go(func() { c.mailAll(ctx) })
	}
	for range c.clickers {
		c.running.Go(func() { c.click(ctx) })
	}
	return nil
}

// halt ends it and waits for what is under way. It may be called again, and without start.
func (c *crowd) halt() {
	if c.stop != nil {
		c.stop()
	}
	c.running.Wait()
	c.visitor.Drop()
	c.outreach.Client.CloseIdleConnections()
}

// mailAll keeps the stock full.
func (c *crowd) mailAll(ctx context.Context) {
	for ctx.Err() == nil {
		watch := c.mint.watch()
		err := c.mail(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
			continue
		case watch.excuses():
			c.missed.Add(1)
		case errors.Is(err, traffic.ErrBusy):
			c.shed.Add(1)
		default:
			c.ledger.fault("a mail while mint was up: %v", err)
		}
		until(ctx, time.Now().Add(mintAgain))
	}
}

// mail writes one mail, and puts its links into the stock as soon as there is room.
func (c *crowd) mail(ctx context.Context) error {
	first, number := c.ledger.enter(linksPerMail), c.mails.Add(1)
	m := traffic.Mail{Mailing: fmt.Sprint(100_000 + number/50), Prospect: fmt.Sprint(number), Email: fmt.Sprintf("p%d@prospect.example", number)}
	for i := range linksPerMail {
		to := destination(first + i)
		m.Links = append(m.Links, traffic.Link{Original: to, Destination: to})
	}
	paths, err := c.outreach.Paths(ctx, &m)
	if err != nil {
		return err
	}
	for i, path := range paths {
		select {
		case c.stock <- minted{first + i, path}:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// click claims one click after the other, waits until it is due, and sends it. With all clickers busy a click is late, and its latency tells.
func (c *crowd) click(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		due := c.begin.Add(time.Duration(float64(c.next.Add(1)-1) / c.rate * float64(time.Second)))
		timer.Reset(time.Until(due))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		link := c.choose()
		c.ledger.try(link.number)
		watch := c.edge.watch()
		ok, wrong := c.visitor.Follow(traffic.Visit{Method: http.MethodGet, Path: link.path, UserAgent: agent}, destination(link.number))
		c.ledger.settle(link.number, ok, wrong, watch.excuses())
		if ok {
			c.record(time.Since(due))
		}
	}
}

// choose takes a link that nobody clicked, three times in four, else one that was clicked lately; that also when the stock is empty.
func (c *crowd) choose() minted {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.recent) == 0 || rand.IntN(4) > 0 {
		select {
		case link := <-c.stock:
			c.keepLocked(link)
			return link
		default:
		}
	}
	return c.recent[rand.IntN(len(c.recent))]
}

func (c *crowd) keepLocked(link minted) {
	if len(c.recent) < recentLinks {
		c.recent = append(c.recent, link)
		return
	}
	c.recent[c.at] = link
	c.at = (c.at + 1) % recentLinks
}

func (c *crowd) record(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.latency.RecordValue(min(max(int64(d), 1), int64(time.Minute))) // in range: cannot fail
}
