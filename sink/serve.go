package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"waypost/configs/broker"
	"waypost/configs/ops"
	"waypost/sink/api"
	"waypost/sink/dispatch"
	dispatchtopic "waypost/sink/dispatch/topic"
	"waypost/sink/enrich"
	"waypost/sink/ingest"
	ingesttopic "waypost/sink/ingest/topic"
	"waypost/sink/internal/forget"
	"waypost/sink/internal/hooks"
	"waypost/sink/internal/metrics"
	"waypost/sink/internal/store"
	"waypost/sink/internal/uniques"
	"waypost/sink/live"
)

// measureEvery is how often the gauges are set that cost more than a load.
const measureEvery = time.Second

type serveCommand struct{}

// errSecondSignal says that somebody would not wait for the drain.
var errSecondSignal = errors.New("ended by a second signal; what was under way is delivered again at the next start")

// service is a running sink.
type service struct {
	p          *program
	log        *slog.Logger
	admin      *ops.Server
	api        *api.Server // where it is on
	metrics    *metrics.Set
	who        *enrich.Enricher
	store      *store.Store           // nil with Kafka: each partition has one
	member     *ingesttopic.Member    // with Kafka only; then there is no dispatcher, nor an ingester of this service's own
	made       *api.Topic             // with Kafka: the webhooks that were made through the API
	courier    *dispatchtopic.Courier // with Kafka, where there are endpoints or may be
	sources    []ingest.Source
	uniques    *uniques.Keeper // nil with Kafka
	dispatcher *dispatch.Dispatcher
	hooks      *hooks.API
	live       *live.Hub
	streamed   *broker.Cluster   // with Kafka: what the stream reads from
	forget     *forget.Forgetter // nil with Kafka
	ingester   *ingest.Ingester
	failed     chan error // holds the first failure

	mu      sync.Mutex
	trouble []string // of the sources
	ending  bool
}

// Run is `sink serve`.
func (serveCommand) Run(p *program) error {
	s := &service{p: p, log: p.cfg.Log.Logger(p.stderr), failed: make(chan error, 1)}
	open := s.open
	if p.cfg.Kafka.On() {
		open = s.openKafka
	}
	if err := open(); err != nil {
		s.close()
		return err
	}
	defer s.close()
	return s.work()
}

func (s *service) open() (err error) {
	cfg := s.p.cfg
	if err := s.openAdmin(); err != nil {
		return err
	}
	if s.store, err = store.Open(cfg.Store, store.Options{Logger: s.log, Fatal: s.fatal}); err != nil {
		return err
	}
	if s.uniques, err = uniques.Open(uniques.Options{Store: s.store, Settings: cfg.Uniques, Metrics: s.metrics, Failed: s.fail}); err != nil {
		return err
	}
	book, err := api.Load(s.store)
	if err != nil {
		return err
	}
	s.dispatcher, err = dispatch.New(dispatch.Options{
		Store: s.store, Uniques: s.uniques, Tenants: s.p.tenants, Added: book.Added(s.p.tenants, s.log), Settings: cfg.Dispatch, Who: s.who, Metrics: s.metrics, Logger: s.log,
		Failed: s.fail,
	})
	if err != nil {
		return err
	}
	if err := s.openLive(); err != nil {
		return err
	}
	if err := s.openAPI(book, s.dispatcher); err != nil {
		return err
	}
	if err := s.openSources(); err != nil {
		return err
	}
	var lines io.Writer
	if cfg.PrintDecisions {
		lines = s.p.stdout
	}
	s.ingester = ingest.New(ingest.Options{
		Store: s.store, Sources: s.sources, Outbox: s.dispatcher, Archive: s.uniques, BatchRecords: cfg.BatchRecords, Decisions: lines,
		Metrics: s.metrics, Logger: s.log, Trouble: s.sourcesTrouble, Decided: s.live.Wake,
	})
	if err := s.openForget(); err != nil {
		return err
	}
	s.openHooks()
	return nil
}

// openAdmin comes first: a port is the cheapest to find taken, and tells of a second sink before anything of the first is touched.
func (s *service) openAdmin() (err error) {
	if s.admin, err = ops.Start(s.p.cfg.Admin, s.log); err != nil {
		return fmt.Errorf("admin: %w", err)
	}
	s.metrics = metrics.New(s.admin.Registry)
	s.who, err = enrich.New(enrich.Options{Database: s.p.cfg.Geo.Database, Metrics: s.metrics, Logger: s.log})
	return err
}

// openHooks lets operators look at webhooks and send them again.
func (s *service) openHooks() {
	s.hooks = &hooks.API{Tenants: s.p.tenants, Settings: s.p.cfg.Dispatch, Logger: s.log}
	switch {
	case s.dispatcher != nil:
		s.hooks.Dispatcher, s.hooks.Forgetter = s.dispatcher, s.forget
	case s.courier != nil:
		s.hooks.Dispatcher, s.hooks.Forgetter = s.courier, s.courier
	}
	s.hooks.Register(s.admin.Handle)
}

// openAPI listens where a tenant has a token.
func (s *service) openAPI(book *api.Book, d api.Dispatcher) (err error) {
	cfg := s.p.cfg
	if cfg.API.Listen == "" || !s.p.tenants.HasTokens() {
		return nil
	}
	s.api, err = api.Start(cfg.API.Listen, api.Options{
		Book: book, Tenants: s.p.tenants, Dispatcher: d, Uniques: s.uniques, Who: s.who, Rules: cfg.Dispatch.Outbound(), Settings: cfg.Dispatch, Stream: s.live.ServeTenant,
		Logger: s.log,
	})
	if err != nil {
		return fmt.Errorf("api: %w", err)
	}
	return nil
}

func (s *service) closeAPI() {
	if s.api == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.api.Close(ctx)
}

func (s *service) openSources() error {
	dirs, err := s.p.journals()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		source, err := ingest.NewJournal(ingest.JournalOptions{
			Dir: dir, Consumer: s.p.cfg.Consumer, Store: s.store, Metrics: s.metrics, Logger: s.log,
		})
		if err != nil {
			return err
		}
		s.sources = append(s.sources, source)
	}
	return nil
}

// work reads, decides and delivers until a signal comes or something fails.
func (s *service) work() error {
	ctx, stopReading := context.WithCancel(context.Background())
	defer stopReading()
	run := s.decideTopics
	if s.member == nil {
		run = s.ingester.Run
		s.dispatcher.Start()
	}
	stopWatching := s.watch()
	defer stopWatching()
	ingested := make(chan error, 1)
	go func() { ingested <- run(ctx) }()
	s.ready()
	line := "sink ready admin http://" + s.admin.Addr()
	if s.api != nil {
		line += " api http://" + s.api.Addr()
	}
	_, _ = fmt.Fprintln(s.p.stdout, line)

	err := s.wait(ingested)
	s.mu.Lock()
	s.ending = true
	s.mu.Unlock()
	s.admin.SetReady("ending")
	s.closeLive()
	if s.forget != nil {
		s.forget.Close()
	}
	s.closeAPI()
	stopReading()
	if drainErr := s.drain(ingested, err != nil); err == nil {
		err = drainErr
	}
	return err
}

// watch keeps in step with files that change, until what it returns is called.
func (s *service) watch() (stop func()) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	stopped := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { s.who.Watch(hangup, stopped) })
	return func() {
		signal.Stop(hangup)
		close(stopped)
		watching.Wait()
	}
}

// wait returns nil for a signal, and what failed otherwise.
func (s *service) wait(ingested chan error) error {
	measure := time.NewTicker(measureEvery)
	defer measure.Stop()
	for {
		select {
		case <-s.p.signals:
			return nil
		case err := <-s.failed:
			return err
		case err := <-ingested:
			ingested <- err // drain waits for it too
			return err
		case <-measure.C:
			s.measure()
		}
	}
}

func (s *service) measure() {
	s.admin.SetTrouble(s.who.Reasons()...)
	if s.member != nil {
		s.metrics.StoreBytes.Set(float64(s.member.Measure()))
		if s.courier != nil {
			s.courier.Measure()
		}
		return
	}
	s.dispatcher.Measure()
	s.metrics.StoreBytes.Set(float64(s.store.Metrics().DiskSpaceUsage()))
}

// drain lets the batch and the deliveries under way end: until drain_timeout, or a second signal.
func (s *service) drain(ingested <-chan error, failing bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.p.cfg.DrainTimeout)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		err := <-ingested
		if s.dispatcher != nil {
			s.dispatcher.Stop(ctx)
		}
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-s.p.signals:
	}
	if !failing {
		s.log.Warn("second signal: cutting off deliveries under way")
	}
	cancel()
	if err := <-done; err != nil {
		return err
	}
	return errSecondSignal
}

// fail takes the first failure; the program then ends.
func (s *service) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// fatal is the store's word that it cannot go on. Pebble must not return from it, so the process ends here; every restart goes on from what
// is on disk.
func (s *service) fatal(reason string) {
	_, _ = fmt.Fprintf(s.p.stderr, "sink: the store cannot be written: %s\n", reason)
	os.Exit(1)
}

func (s *service) sourcesTrouble(reasons []string) {
	s.mu.Lock()
	s.trouble = slices.Clone(reasons)
	s.mu.Unlock()
	s.ready()
}

func (s *service) ready() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ending {
		s.admin.SetReady(s.trouble...)
	}
}

// close ends what operators ask first: it looks into what is closed next.
func (s *service) close() {
	s.closeLive()
	s.closeAPI()
	if s.admin != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.admin.Close(ctx)
	}
	if s.hooks != nil {
		s.hooks.Close()
	}
	for _, source := range s.sources {
		_ = source.Close()
	}
	if s.member != nil {
		_ = s.member.Close()
	}
	if s.courier != nil {
		s.courier.Close()
	}
	if s.made != nil {
		s.made.Close()
	}
	s.who.Close()
	if s.uniques != nil {
		s.uniques.Close()
	}
	if s.store != nil {
		if err := s.store.Close(); err != nil {
			s.log.Error("store not closed in order", "error", err)
		}
	}
}
