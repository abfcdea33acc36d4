package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/alecthomas/kong"

	"waypost/mint/link"
)

// E2ECommand is `bench load e2e`.
type E2ECommand struct {
	Rate        float64 `help:"Clicks a second, each the first on its link." default:"1000"`
	SinkProgram string  `name:"sink" help:"The sink to run, if not the one beside this program." placeholder:"PATH" type:"path"`
	Course
}

// Run measures and reports. A click that was not told of exactly once is an error.
func (c *E2ECommand) Run(ctx context.Context, k *kong.Context) error {
	return conduct(ctx, k, c.JSON, c.measure)
}

// way is the whole way of a click: generator, edge, journal, sink, receiver.
type way struct {
	*lineup
	rate     float64
	sink     *child
	receiver *receiver
	click    *contestant // the edge
	read     int         // entries of the receiver's book that were looked at
}

// mostClicks bounds a receiver's book.
const mostClicks = 50_000_000

func (c *E2ECommand) measure(ctx context.Context, progress io.Writer) (*E2EReport, error) {
	clicks := c.Rate * (c.Warmup + c.Duration).Seconds() * float64(c.Rounds)
	if c.Rate <= 0 || clicks > mostClicks {
		return nil, fmt.Errorf("load: --rate must be above 0, and give at most %d clicks", mostClicks)
	}
	cores, err := allowedCores()
	if err != nil {
		return nil, err
	}
	l, err := c.lineup("bench load e2e")
	if err != nil {
		return nil, err
	}
	defer l.close()
	w := &way{lineup: l, rate: c.Rate}
	r := &E2EReport{Setup: c.setup(l.field)}
	r.SinkCore, r.ReceiverCore = l.spareCores(cores)
	if err := w.start(ctx, c, r, int(2*clicks)+1000); err != nil {
		return nil, err
	}
	r.Head = l.head
	if c.Steady {
		fmt.Fprintln(progress, "edge: loading it with HEADs, which are no clicks, until its journal uses its segments again")
		if err := l.cycle(ctx, w.click, cycleWithin); err != nil {
			return nil, err
		}
	}
	for round := 1; round <= c.Rounds; round++ {
		t, err := w.turn(ctx)
		if err != nil {
			return nil, err
		}
		t.Round = round
		r.Turns = append(r.Turns, t)
		fmt.Fprintf(progress, "round %d/%d: %d clicks, %d told of; p50 %.0f us, p99 %.0f us\n", round, c.Rounds, t.Clicks, t.Delivered, t.Latency["p50"], t.Latency["p99"])
	}
	w.sink.stop()
	w.receiver.book.read(w.read, func(uint64, int64) { r.Repeated++ })
	return r, nil
}

// spareCores are those of the sink and of the receiver: cores of their own where there are any, else the edge's and the generator's.
func (l *lineup) spareCores(cores []int) (sink, receiver int) {
	all := []int{l.serverCore, l.generatorCore}
	given := 0
	for _, core := range cores {
		if core != l.serverCore && core != l.generatorCore && given < len(all) {
			all[given] = core
			given++
		}
	}
	return all[0], all[1]
}

// start starts receiver, edge and sink.
func (w *way) start(ctx context.Context, c *E2ECommand, r *E2EReport, room int) error {
	path, err := program(c.SinkProgram, "sink")
	if err != nil {
		return err
	}
	w.head.Versions["sink"] = programVersion(path)
	if w.receiver, err = startReceiver(ctx, w.dir, r.ReceiverCore, room); err != nil {
		return err
	}
	w.closers = append(w.closers, w.receiver.stop)
	dir := filepath.Join(w.dir, "edge")
	e, err := startEdgeWith(ctx, dir, w.path, w.serverCore, edgeOptions{segmentBytes: w.segmentBytes, consumer: sinkConsumer}.settings())
	if err != nil {
		return err
	}
	w.closers = append(w.closers, e.stop)
	w.lead(e)
	w.links.made = 1000 // the edge's first click, when it was met, had another maker's first number
	w.plain = func(r *requests, m *linkMaker, n int) error { return headRequests(e.keys, m).fill(r, n) }
	w.click = w.edgeContestant("edge", "", e)
	sinkDir := filepath.Join(w.dir, "sink")
	if err := writeSinkFiles(sinkDir, filepath.Join(dir, "journal"), w.receiver.addr); err != nil {
		return err
	}
	if w.sink, err = startChild(ctx, r.SinkCore, filepath.Join(w.dir, "sink.log"), "sink", path, "--config", filepath.Join(sinkDir, "sink.yaml")); err != nil {
		return err
	}
	w.closers = append(w.closers, w.sink.stop)
	return nil
}

// headRequests are HEADs of distinct links: events, and no clicks.
func headRequests(k *link.Keyring, m *linkMaker) maker {
	var l link.Link
	return func(dst []byte) (head, to []byte, err error) {
		m.next(&l)
		head, err = k.AppendToken(append(dst, "HEAD /"...), &l)
		return append(head, lineEnd...), l.Destination, err
	}
}

// deliverWithin is how long a window's last webhook may take.
const deliverWithin = time.Minute

// turn is one warm-up and one window, each until the last webhook has arrived.
func (w *way) turn(ctx context.Context) (E2ETurn, error) {
	wire, err := dialWire(w.click.addr, w.connections, false)
	if err != nil {
		return E2ETurn{}, err
	}
	defer wire.close()
	d := driver{rate: w.rate, connections: w.connections, drain: int64(10 * time.Second), want: http.StatusFound}
	if w.warmup > 0 {
		d.duration = int64(w.warmup)
		if _, err := w.window(ctx, wire, d); err != nil {
			return E2ETurn{}, fmt.Errorf("warm-up: %w", err)
		}
	}
	d.duration = int64(w.duration)
	before, err := w.cpu()
	if err != nil {
		return E2ETurn{}, err
	}
	t, err := w.window(ctx, wire, d)
	if err != nil {
		return t, err
	}
	after, err := w.cpu()
	if err != nil || t.Delivered == 0 {
		return t, err
	}
	each := func(i int) float64 { return float64(after[i]-before[i]) / 1e3 / float64(t.Delivered) }
	t.EdgeCPU, t.SinkCPU, t.ReceiverCPU = each(0), each(1), each(2)
	return t, nil
}

// cpu is what edge, sink and receiver have used so far, in ns.
func (w *way) cpu() (used [3]int64, err error) {
	for i, pid := range []int{w.click.pid, w.sink.pid(), w.receiver.pid()} {
		if used[i], err = processTime(pid); err != nil {
			return used, err
		}
	}
	return used, nil
}

// window sends the clicks, waits for their webhooks, and sets the one against the other.
func (w *way) window(ctx context.Context, wire *epollWire, d driver) (E2ETurn, error) {
	if err := w.prepare(w.click, d); err != nil {
		return E2ETurn{}, err
	}
	first := uint64(firstMessage) + w.links.made - uint64(w.requests.left()) + 1
	offset := monotonic() - wire.now()
	t := E2ETurn{Time: time.Now().UTC(), Offered: d.rate}
	o, err := d.run(wire, w.requests.next)
	if err != nil {
		return t, err
	}
	t.Clicks, t.Answered, t.Wrong, t.Broken = o.due, o.right, o.wrong, o.broken
	t.Redirect, t.Late = latencies(o.latency), float64(o.late.ValueAtPercentile(99))/1e3
	arrived := make([]int64, o.sent)
	look := func() bool {
		w.read = w.receiver.book.read(w.read, func(message uint64, at int64) {
			k := message - first
			switch {
			case message == firstMessage+1: // the click by which the edge was met
			case k >= o.sent || arrived[k] != 0:
				t.Repeated++
			default:
				arrived[k] = at
				t.Delivered++
			}
		})
		return t.Delivered >= o.sent
	}
	bounded, cancel := context.WithTimeout(ctx, deliverWithin)
	defer cancel()
	if err := w.sink.await(bounded, look); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return t, err
	}
	h := hdrhistogram.New(1, latencyMax, latencyDigits)
	for k, at := range arrived {
		if at != 0 {
			record(h, at-offset-o.start-int64(float64(k)*1e9/d.rate))
		}
	}
	t.Missing, t.Latency, t.Curve = t.Clicks-t.Delivered, latencies(h), curve(h)
	return t, nil
}
