package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"waypost/configs"
	"waypost/configs/ops"
	"waypost/edge/inbound"
	"waypost/edge/inbound/aside"
	"waypost/edge/internal/deliveries"
	"waypost/edge/journal"
	"waypost/edge/server"
)

type serveCommand struct {
	Replace bool `help:"Take the place of the edge that runs on the same journal: it hands its sockets over, answers what it has, and ends. No request fails. Where none runs, just start."`
}

// Run serves until a signal, or until another edge takes this one's place.
func (c *serveCommand) Run(p *program) error {
	settings, _, exit, done := configs.Open[configs.Edge](p.flags, p.env, p.stdout, p.stderr)
	if done {
		return configs.Told(exit)
	}
	log := settings.Log.Logger(p.stderr)
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	reload, err := newReloader(p, settings, log)
	if err != nil {
		return err
	}
	// The ports come before the journal: an edge that cannot serve begins no run.
	sockets, err := p.openSockets(settings, c.Replace, log)
	if err != nil {
		return err
	}
	defer sockets.close() // closed already after a drain
	admin := ops.Serve(sockets.admin, log)
	defer closeAdmin(admin)
	if err := p.awaitJournal(sockets, settings.DrainTimeout); err != nil {
		return err
	}
	writer, err := openJournal(&settings.Journal, log)
	if err != nil {
		return err
	}
	asides, err := aside.Open(settings.AsideDir(), settings.Aside.Bytes)
	if err != nil {
		return errors.Join(err, writer.Close())
	}
	in := inbound.New(inbound.Options{Keys: reload.rules.keys, Tenants: reload.rules.tenants, Machines: reload.rules.machines, Journal: writer, Asides: asides, Memory: settings.InboundMemory, Log: log})
	operators := &deliveries.API{Store: asides, Receiver: in, Logger: log}
	edge, err := server.New(server.Options{
		Keys: reload.rules.keys, Tenants: reload.rules.tenants, Blocks: reload.rules.blocks, Machines: reload.rules.machines, Journal: writer, Inbound: in,
		TrustedProxies: settings.TrustedProxies, ProxyProtocol: settings.ProxyProtocol, CacheBytes: settings.CacheBytes,
		MaxConnections: settings.MaxConnections, MaxPerAddress: settings.MaxPerAddress, Log: log,
	})
	if err != nil {
		return errors.Join(err, asides.Close(), writer.Close())
	}
	shipping, err := startShipping(settings, log)
	if err != nil {
		return errors.Join(err, asides.Close(), writer.Close())
	}
	reload.edge = edge
	admin.Registry.MustRegister(collector{edge, in, operators, writer, shipping, reload})
	operators.Register(admin.Handle)
	successor := makeOffer(settings.Journal.Dir, sockets, log)
	defer successor.withdraw()
	return p.serve(&parts{edge, operators, writer, shipping, reload, admin, sockets, successor}, hangup, settings.DrainTimeout)
}

// awaitJournal waits until the edge whose place this one takes has let go of the journal: as long as a drain takes, and some more.
func (p *program) awaitJournal(s *sockets, drain time.Duration) error {
	ctx, cancel := p.draining(drain + replaceWithin)
	defer cancel()
	return s.await(ctx)
}

// parts are what runs.
type parts struct {
	edge     *server.Server
	asides   *deliveries.API
	writer   *journal.Writer
	shipping *shipping
	reload   *reloader
	admin    *ops.Server
	sockets  *sockets
	offer    *offer
}

// openJournal opens the journal of the settings. Its directory's parent has to be there: a mount that is missing must not be filled below.
func openJournal(j *configs.Journal, log *slog.Logger) (*journal.Writer, error) {
	if err := os.Mkdir(j.Dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("journal.dir: %w", err)
	}
	return journal.Open(journalOptions(j, log))
}

// journalOptions says none where the settings say 0, which the journal takes for its default.
func journalOptions(j *configs.Journal, log *slog.Logger) journal.Options {
	keepBytes := j.KeepBytes
	if keepBytes == 0 || j.KeepAge == 0 {
		keepBytes = -1
	}
	return journal.Options{
		Dir: j.Dir, SegmentBytes: j.SegmentBytes, Budget: j.Budget, KeepBytes: keepBytes, KeepAge: j.KeepAge, Sync: j.Sync,
		Consumers: j.Consumers, Logger: log,
	}
}

func (p *program) serve(r *parts, hangup <-chan os.Signal, drainTimeout time.Duration) error {
	ended := make(chan error, 1)
	go func() { ended <- r.edge.Serve(r.sockets.links) }()
	var watching sync.WaitGroup
	stopWatching := make(chan struct{})
	watching.Go(func() { r.watch(stopWatching) })
	watching.Go(func() { r.reload.watch(hangup, stopWatching) })
	_, _ = fmt.Fprintf(p.stdout, "edge ready on http://%s admin http://%s\n", r.sockets.links.Addr(), r.admin.Addr())

	var failed error
	var successor net.Conn // nil: none
	select {
	case err := <-ended:
		failed = fmt.Errorf("listener ended: %w", err)
	case <-p.signals:
	case conn := <-r.offer.taken:
		successor = conn
	}
	close(stopWatching)
	watching.Wait()
	r.admin.SetReady("draining")
	ctx, cancel := p.draining(drainTimeout)
	defer cancel()
	if successor != nil {
		return r.handOver(ctx, successor, drainTimeout)
	}
	err := drained(r.edge.Drain(ctx), drainTimeout)
	// After the answers, the journal: nothing is appended any more, unless the drain was cut. Then Kafka: what is not shipped in time stays in the journal.
	err = errors.Join(failed, err, r.asides.Close(), r.writer.Close())
	r.shipping.finish(ctx)
	return err
}

// handOver ends the edge so that its successor can go on: the end of the connection to it says that the journal is free. What is not shipped the successor ships.
func (r *parts) handOver(ctx context.Context, successor net.Conn, drainTimeout time.Duration) error {
	defer successor.Close()
	r.offer.withdraw() // the successor makes its own in the same place
	closeAdmin(r.admin)
	var leaving sync.WaitGroup
	leaving.Go(r.shipping.leave)
	err := drained(r.edge.HandOver(ctx, r.sockets.links), drainTimeout)
	leaving.Wait()
	return errors.Join(err, r.asides.Close(), r.writer.Close())
}

// draining is done after the timeout or a second signal.
func (p *program) draining(timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	go func() {
		select {
		case <-p.signals:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// drained says what cut a drain.
func drained(err error, timeout time.Duration) error {
	switch err {
	case nil:
		return nil
	case context.DeadlineExceeded:
		return fmt.Errorf("drain_timeout (%v) is over: connections were cut", timeout)
	case context.Canceled:
		return errors.New("second signal: connections were cut")
	default:
		return fmt.Errorf("drain: %w", err)
	}
}

// lossWindow is how long /readyz names a loss after the last one.
const lossWindow = 10 * time.Second

// watch keeps /readyz in step with the losses: an edge that loses events redirects, but somebody has to look.
// Kafka being away, and files that could not be taken up, are told beside: the edge stays ready.
func (r *parts) watch(stop <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	r.admin.SetReady()
	last, since := map[string]uint64{}, map[string]time.Time{}
	for {
		select {
		case <-stop:
			return
		case now := <-tick.C:
			lost := r.edge.Counts().Lost
			r.admin.SetTrouble(slices.Concat(r.shipping.reasons(), r.reload.Reasons(), r.asides.Reasons())...)
			r.admin.SetReady(lossReasons(lost, last, since, now)...)
			last = lost
		}
	}
}

// lossReasons names the reasons for which events were lost within the window before now. It keeps the times in since.
func lossReasons(lost, last map[string]uint64, since map[string]time.Time, now time.Time) []string {
	var reasons []string
	for _, reason := range server.LossReasons() {
		if lost[reason] > last[reason] {
			since[reason] = now
		}
		if at, ok := since[reason]; ok && now.Sub(at) < lossWindow {
			reasons = append(reasons, "events lost: "+reason)
		}
	}
	return reasons
}

func closeAdmin(admin *ops.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = admin.Close(ctx)
}
