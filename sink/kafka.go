package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"waypost/configs"
	"waypost/configs/broker"
	"waypost/sink/api"
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
	if err := s.checkTopics(); err != nil {
		return err
	}
	o := ingesttopic.Options{
		Kafka: cfg.Kafka, Group: cfg.Group, Dir: cfg.Store, BatchRecords: cfg.BatchRecords, Decisions: lines, Metrics: s.metrics, Logger: s.log,
		Failed: s.fail, Fatal: s.fatal, Trouble: s.sourcesTrouble,
	}
	var book *api.Book
	if s.sendsWebhooks() {
		trouble := func(what, reason string) { s.member.SetTrouble(what, reason) }
		s.made, err = api.NewTopic(api.TopicOptions{Kafka: cfg.Kafka, Tenants: s.p.tenants, Metrics: s.metrics, Logger: s.log, Trouble: trouble})
		if err != nil {
			return err
		}
		book = s.made.Book()
		s.courier, err = dispatchtopic.New(dispatchtopic.Options{
			Kafka: cfg.Kafka, Group: cfg.Group, Tenants: s.p.tenants, Settings: cfg.Dispatch, Who: s.who, Metrics: s.metrics, Logger: s.log,
			Trouble: trouble, Known: s.made.Known(),
		})
		if err != nil {
			return err
		}
		o.Dispatch = s.courier
	}
	s.openHooks()
	if s.member, err = ingesttopic.New(o); err != nil {
		return err
	}
	if err := s.openLive(); err != nil {
		return err
	}
	return s.openAPI(book, s.courier)
}

// sendsWebhooks says whether there is anybody to send to, or may be.
func (s *service) sendsWebhooks() bool {
	return s.p.tenants.HasTokens() || slices.ContainsFunc(s.p.tenants.List, func(t *configs.Tenant) bool { return len(t.Endpoints) > 0 })
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
	if !s.sendsWebhooks() { // then no webhook is sent, and none needs a topic
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

// decideTopics runs the member, and follows the webhooks that are made through the API.
func (s *service) decideTopics(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	if s.made != nil {
		following.Go(func() { s.made.Run(ctx, s.courier) })
	}
	err := s.member.Run(ctx)
	cancel()
	following.Wait()
	return err
}

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
