package main

import (
	"path/filepath"

	"waypost/configs/broker"
	"waypost/sink/internal/kafkalog"
	"waypost/sink/live"
)

// openLive lets operators watch what is decided; programs of tenants do so through the API.
func (s *service) openLive() error {
	k := s.p.cfg.Kafka
	o := live.Options{Settings: s.p.cfg.Live, Tenants: s.p.tenants, Metrics: s.metrics, Logger: s.log, Store: s.store, Add: s.who.Append}
	var err error
	if o.Journals, err = s.p.journals(); err != nil {
		return err
	}
	if k.On() {
		cluster, err := broker.New(k)
		if err != nil {
			return err
		}
		s.streamed = cluster
		o.Log, o.Events, o.Unique = kafkalog.NewSmall(cluster, k.ClientID), k.Topics.Events, k.Topics.Unique
	}
	s.live = live.New(o)
	s.admin.Handle(live.Path, s.live)
	return nil
}

// closeLive ends all streams: they do not end by themselves.
func (s *service) closeLive() {
	if s.live != nil {
		s.live.Close()
	}
	if s.streamed != nil {
		s.streamed.Close()
	}
}

// journals are the directories that are read, as the store names them.
func (p *program) journals() (dirs []string, err error) {
	for _, dir := range p.cfg.Journals {
		absolute, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, absolute)
	}
	return dirs, nil
}
