package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"waypost/configs/broker"
	"waypost/edge/event"
	"waypost/edge/ship"
	dispatchtopic "waypost/sink/dispatch/topic"
	"waypost/sink/internal/kafkalog"
)

type replayCommand struct {
	Endpoint string    `placeholder:"ID" help:"Of this endpoint only."`
	Tenant   uint32    `placeholder:"NUMBER" help:"Of this tenant only."`
	Since    time.Time `format:"2006-01-02T15:04:05Z07:00" placeholder:"TIME" help:"Given up at this time or later: 2026-11-27T18:00:00Z."`
	Until    time.Time `format:"2006-01-02T15:04:05Z07:00" placeholder:"TIME" help:"Given up before this time."`
	List     bool      `help:"Only print which they are."`
}

// Run is `sink replay`. Every letter that fits is sent again, under its old id and with its schedule from the beginning; the letters stay where they are, so that a second replay
// sends them once more.
func (c *replayCommand) Run(p *program) error {
	k := p.cfg.Kafka
	if !k.On() {
		return errors.New("replay: this is for Kafka; without it, `sink hooks replay` has the running sink send dead letters again")
	}
	cluster, err := broker.New(k)
	if err != nil {
		return err
	}
	defer cluster.Close()
	log, producers, replayed := kafkalog.New(cluster, k.ClientID), map[string]*ship.Producer{}, 0
	defer func() {
		for _, producer := range producers {
			producer.Close()
		}
	}()
	ctx := context.Background()
	for n := range k.Partitions {
		err := c.letters(ctx, log, k.Topics.Dead, n, func(l *dispatchtopic.Letter, at time.Time) error {
			_, _ = fmt.Fprintf(p.stdout, "%s tenant %d endpoint %s given up %s\n", l.ID, l.Tenant, l.Endpoint, at.UTC().Format(time.RFC3339))
			if c.List {
				return nil
			}
			topic, record := l.Again(k)
			producer, err := topicProducer(cluster, k, producers, topic)
			if err == nil {
				_, err = producer.Produce(ctx, int(event.PartitionHash(record.Key)%uint32(k.Partitions)), []ship.Record{record})
				replayed++
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("replay: %s/%d: %w", k.Topics.Dead, n, err)
		}
	}
	if !c.List {
		_, _ = fmt.Fprintf(p.stdout, "%d deliveries will be sent again\n", replayed)
	}
	return nil
}

// letters visits the letters of a partition that fit, up to the end that it has now.
func (c *replayCommand) letters(ctx context.Context, log kafkalog.Log, topic string, n int, visit func(*dispatchtopic.Letter, time.Time) error) error {
	span, err := log.Span(ctx, topic, n)
	if err != nil {
		return err
	}
	for at := span.First; at < span.End; {
		f, err := log.Fetch(ctx, topic, n, at)
		if err != nil {
			return err
		}
		for i := range f.Messages {
			m := &f.Messages[i]
			l, ok := dispatchtopic.ReadLetter(m)
			if !ok || m.Offset >= span.End || !c.fits(&l, m.At) {
				continue
			}
			if err := visit(&l, m.At); err != nil {
				return err
			}
		}
		at = f.Next
	}
	return nil
}

func (c *replayCommand) fits(l *dispatchtopic.Letter, at time.Time) bool {
	return (c.Endpoint == "" || c.Endpoint == l.Endpoint) && (c.Tenant == 0 || c.Tenant == l.Tenant) &&
		(c.Since.IsZero() || !at.Before(c.Since)) && (c.Until.IsZero() || at.Before(c.Until))
}
