package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"waypost/configs/broker"
	dispatchtopic "waypost/sink/dispatch/topic"
	ingesttopic "waypost/sink/ingest/topic"
)

// openKafka is open for a sink that reads topics.
func (s *service) openKafka() (err error) {
	cfg := s.p.cfg
	if err := s.openAdmin(); err != nil {
		return err
	}
	var lines io.Writer
	if cfg.PrintDecisions {
		lines = &lockedWriter{to: s.p.stdout}
	}
	s.openHooks()
	if err := s.checkTopics(); err != nil {
		return err
	}
	o := ingesttopic.Options{
		Kafka: cfg.Kafka, Group: cfg.Group, Dir: cfg.Store, BatchRecords: cfg.BatchRecords, Decisions: lines, Metrics: s.metrics, Logger: s.log,
		Failed: s.fail, Fatal: s.fatal, Trouble: s.sourcesTrouble,
	}
	if s.endpoints() > 0 {
		s.courier, err = dispatchtopic.New(dispatchtopic.Options{
			Kafka: cfg.Kafka, Group: cfg.Group, Tenants: s.p.tenants, Settings: cfg.Dispatch, Metrics: s.metrics, Logger: s.log,
			Trouble: func(what, reason string) { s.member.SetTrouble(what, reason) },
		})
		if err != nil {
			return err
		}
		o.Dispatch = s.courier
	}
	if s.member, err = ingesttopic.New(o); err != nil {
		return err
	}
	return s.openAPI(nil)
}

func (s *service) endpoints() (n int) {
	for _, tenant := range s.p.tenants.List {
		n += len(tenant.Endpoints)
	}
	return n
}

// checkTopics refuses topics that are weaker than what the sink promises. Brokers that do not answer now are no reason to end: they are waited for.
func (s *service) checkTopics() error {
	k := s.p.cfg.Kafka
	cluster, err := broker.New(k)
	if err != nil {
		return err
	}
	defer cluster.Close()
	topics := broker.Of(broker.Sink, broker.Topics(k, s.p.tenants))
	if s.endpoints() == 0 { // then no webhook is sent, and none needs a topic
		topics = slices.DeleteFunc(topics, func(t broker.Topic) bool { return t.Name != k.Topics.Events && t.Name != k.Topics.Unique })
	}
	for _, problem := range broker.Check(context.Background(), cluster, broker.Sink, topics, s.p.cfg.Group) {
		if !problem.Passing {
			return fmt.Errorf("kafka: %s", problem)
		}
		s.log.Warn("kafka: waiting for it", "problem", problem.String())
	}
	return nil
}

// decideTopics runs the member.
func (s *service) decideTopics(ctx context.Context) error { return s.member.Run(ctx) }

// lockedWriter lets the partitions share an output: each writes whole lines.
type lockedWriter struct {
	mu sync.Mutex
	to io.Writer
}

func (w *lockedWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(b)
}
