package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"waypost/configs"
	"waypost/sink/dispatch"
	"waypost/sink/ingest"
	"waypost/sink/internal/forget"
	"waypost/sink/internal/hooks"
	"waypost/sink/internal/metrics"
	"waypost/sink/internal/store"
	"waypost/sink/internal/uniques"
)

// openForget lets operators have people forgotten.
func (s *service) openForget() error {
	journals, err := s.p.journals()
	if err != nil {
		return err
	}
	s.forget = forget.New(forget.Options{
		Store: s.store, Ingester: s.ingester, Dispatcher: s.dispatcher, Uniques: s.uniques, Journals: journals, Logger: s.log,
	})
	return s.checkSecret()
}

// checkSecret says that people who were forgotten may be told of again: nothing can be done about it but to bring the secret back.
func (s *service) checkSecret() error {
	_, known, err := s.store.Secret()
	if known || err != nil {
		return err
	}
	start, end := store.Tombstones.Range()
	iter, err := s.store.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
	if err != nil {
		return err
	}
	if iter.First() {
		s.log.Error("forget.key is missing in the store: the tombstones of people who were forgotten mean nothing without it, and what they click again is told as a first until it is brought back", "store", s.p.cfg.Store)
	}
	return iter.Close()
}

// forgetHere removes a person from the store of a sink that is not running. It knows no endpoint: every delivery is of none, and goes.
func (p *program) forgetHere(request hooks.ForgetRequest) (*forget.Answer, error) {
	if p.cfg.Kafka.On() {
		return nil, fmt.Errorf("forget: with Kafka a running sink must be asked, and none answers at %s (admin of the settings, or --admin)", p.cfg.Admin)
	}
	log := p.cfg.Log.Logger(p.stderr)
	s, err := store.Open(p.cfg.Store, store.Options{Existing: true, Logger: log})
	if errors.Is(err, store.ErrLocked) {
		err = fmt.Errorf("%w: give its admin address with --admin", err)
	}
	if err != nil {
		return nil, fmt.Errorf("forget: %w", err)
	}
	defer s.Close()
	var mu sync.Mutex
	var failed error
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		failed = err
	}
	set := metrics.Discard()
	kept, err := uniques.Open(uniques.Options{Store: s, Settings: p.cfg.Uniques, Metrics: set, Failed: fail})
	if err != nil {
		return nil, err
	}
	defer kept.Close()
	dispatcher, err := dispatch.New(dispatch.Options{
		Store: s, Uniques: kept, Tenants: &configs.Tenants{}, Metrics: set, Logger: slog.New(slog.DiscardHandler), Failed: fail,
	})
	if err != nil {
		return nil, err
	}
	journals, err := p.journals()
	if err != nil {
		return nil, err
	}
	api := hooks.API{Tenants: p.tenants, Forgetter: forget.New(forget.Options{
		Store: s, Ingester: ingest.New(ingest.Options{Store: s, Metrics: set, Logger: log}), Dispatcher: dispatcher, Uniques: kept, Journals: journals, Logger: log,
	})}
	answer, err := api.Forget(context.Background(), request)
	mu.Lock()
	defer mu.Unlock()
	if err == nil {
		err = failed
	}
	return answer, err
}
