package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"waypost/configs"
	"waypost/configs/broker"
	"waypost/edge/event"
	"waypost/edge/journal"
	"waypost/edge/ship"
	"waypost/sink/api"
	"waypost/sink/dispatch"
	dispatchtopic "waypost/sink/dispatch/topic"
	ingesttopic "waypost/sink/ingest/topic"
	"waypost/sink/internal/kafkalog"
	"waypost/sink/internal/store"
)

type migrateCommand struct {
	From string `required:"" placeholder:"DIR" help:"The store of the sink that read journals; no sink may be running on it."`
}

// migration brings what a sink on one machine knew to Kafka.
type migration struct {
	kafka     configs.Kafka
	tenants   *configs.Tenants
	from      *store.Store
	cluster   *broker.Cluster
	log       kafkalog.Log
	producers map[string]*ship.Producer
	floors    map[uint32]uint16

	keys, due, dead, journals, webhooks int
}

// Run is `sink migrate`.
func (c migrateCommand) Run(p *program) error {
	if !p.cfg.Kafka.On() {
		return errors.New("migrate: the settings are those of one machine: it wants those with kafka.brokers, to which the sink moves")
	}
	from, err := store.Open(c.From, store.Options{Existing: true})
	if err != nil {
		return err
	}
	m := &migration{kafka: p.cfg.Kafka, tenants: p.tenants, from: from, producers: map[string]*ship.Producer{}, floors: map[uint32]uint16{}}
	defer m.from.Close()
	if m.cluster, err = broker.New(p.cfg.Kafka); err != nil {
		return err
	}
	defer m.cluster.Close()
	m.log = kafkalog.New(m.cluster, p.cfg.Kafka.ClientID)
	defer func() {
		for _, producer := range m.producers {
			producer.Close()
		}
	}()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-p.signals:
			cancel()
		case <-ctx.Done():
		}
	}()
	for _, problem := range broker.Check(ctx, m.cluster, broker.Sink, broker.Topics(p.cfg.Kafka, p.tenants), p.cfg.Group) {
		return fmt.Errorf("kafka: %s", problem)
	}
	for _, step := range []func(context.Context) error{m.refuseDecided, m.readFloors, m.carryWebhooks, m.carryForgotten, m.sow, m.carryDue, m.carryDead, m.beginShipping} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
	}
	_, _ = fmt.Fprintf(p.stdout, "%d unique clicks, %d due deliveries, %d dead letters and %d webhooks of the API are in Kafka; %d journals will be shipped from where the sink was. Now start the edges with kafka.brokers, then the sinks.\n",
		m.keys, m.due, m.dead, m.webhooks, m.journals)
	return nil
}

// refuseDecided holds unique to have nothing but seeds: what a sink decided there did not know what is to be carried over.
func (m *migration) refuseDecided(ctx context.Context) error {
	for n := range m.kafka.Partitions {
		span, err := m.log.Span(ctx, m.kafka.Topics.Unique, n)
		if err != nil {
			return err
		}
		for at := span.First; at < span.End; {
			f, err := m.log.Fetch(ctx, m.kafka.Topics.Unique, n, at)
			if err != nil {
				return err
			}
			for i := range f.Messages {
				if !ingesttopic.IsSeed(&f.Messages[i]) {
					return fmt.Errorf("%s/%d holds a first already, at offset %d: a sink has decided there without knowing what is to be carried over; use new topics", m.kafka.Topics.Unique, n, f.Messages[i].Offset)
				}
			}
			at = f.Next
		}
	}
	return nil
}

func (m *migration) readFloors(context.Context) error {
	return m.from.Each(store.Floors, func(key, value []byte) error {
		tenant, day, err := store.ParseFloor(key, value)
		m.floors[tenant] = day
		return err
	})
}

// sow writes the keys to the partitions of their recipients. Every partition gets the floors, also one without a key.
func (m *migration) sow(ctx context.Context) error {
	entries := make([][]byte, m.kafka.Partitions)
	counts := make([]int, m.kafka.Partitions)
	flush := func(n int) error {
		err := m.produce(ctx, m.kafka.Topics.Unique, n, ingesttopic.SeedRecord(entries[n], m.floors))
		entries[n], counts[n] = nil, 0
		return err
	}
	err := m.from.Each(store.Uniques, func(key, value []byte) error {
		k, err := store.ParseUniqueKey(key)
		if err != nil {
			return err
		}
		firsts, err := store.ParseFirsts(value)
		if err != nil {
			return err
		}
		n := int(k.Partition() % uint32(m.kafka.Partitions))
		entries[n] = ingesttopic.AppendSeedEntry(entries[n], k, firsts)
		counts[n]++
		m.keys++
		if counts[n] < ingesttopic.SeedEntries {
			return nil
		}
		return flush(n)
	})
	for n := 0; n < len(entries) && err == nil; n++ {
		err = flush(n)
	}
	return err
}

// carryForgotten brings who was forgotten: tombstones of unique keys to every partition, and people to all sinks.
func (m *migration) carryForgotten(ctx context.Context) error {
	secret, known, err := m.from.Secret()
	if !known || err != nil {
		return err
	}
	longest, err := dispatchtopic.Kept(ctx, m.cluster, m.kafka, m.tenants)
	if err != nil {
		return err
	}
	var entries, people []ship.Record
	var some []byte
	err = m.from.Each(store.Tombstones, func(key, value []byte) error {
		t, err := store.ParseTombstone(key)
		if err != nil {
			return err
		}
		if !t.Person {
			if some = append(append(some, key...), value...); len(some) == ingesttopic.SeedEntries*store.TombstoneEntry {
				entries, some = append(entries, ingesttopic.TombstonesRecord(secret, some)), nil
			}
			return nil
		}
		f, err := store.ParseForgotten(value)
		people = append(people, dispatchtopic.ForgottenRecord(t.Tenant, t.Hash, secret, time.UnixMicro(int64(f.Until)).UTC(), longest))
		return err
	})
	if len(some) > 0 {
		entries = append(entries, ingesttopic.TombstonesRecord(secret, some))
	}
	for n := 0; n < m.kafka.Partitions && err == nil && len(entries) > 0; n++ {
		err = m.produce(ctx, m.kafka.Topics.Unique, n, entries...)
	}
	if err == nil && len(people) > 0 {
		err = m.produce(ctx, m.kafka.Topics.States, 0, people...)
	}
	return err
}

// carryWebhooks brings those that were made through the API, with their numbers. What an earlier migration brought stands; what sinks made there may have the same numbers.
func (m *migration) carryWebhooks(ctx context.Context) error {
	records, err := api.Carried(m.from)
	if err != nil || len(records) == 0 {
		return err
	}
	topic := m.kafka.Topics.Endpoints
	span, err := m.log.Span(ctx, topic, 0)
	if err != nil {
		return err
	}
	for at := span.First; at < span.End; {
		f, err := m.log.Fetch(ctx, topic, 0, at)
		if err != nil {
			return err
		}
		for i := range f.Messages {
			if api.MadeBeside(&f.Messages[i], records) {
				return fmt.Errorf("%s holds a webhook already that the store does not have, at offset %d: one was made there, perhaps with a number of the store's; use a new topic", topic, f.Messages[i].Offset)
			}
		}
		at = f.Next
	}
	m.webhooks = len(records) - 1
	return m.produce(ctx, topic, 0, records...)
}

// carryDue moves the deliveries that wait. Each leaves the store when it stands in a retry topic, so that a repeated migration sends none again.
func (m *migration) carryDue(ctx context.Context) error {
	return m.move(ctx, store.Dues, &m.due, func(key, value []byte) (string, ship.Record, error) {
		tenant, endpoint, due, _, err := store.ParseDue(key)
		if err != nil {
			return "", ship.Record{}, err
		}
		d, err := dispatch.ParseDelivery(value)
		if err != nil {
			return "", ship.Record{}, err
		}
		w, err := waiting(tenant, endpoint, &d)
		if err != nil {
			return "", ship.Record{}, err
		}
		topic, record := w.Scheduled(m.kafka, time.UnixMicro(int64(due)))
		return topic, record, nil
	})
}

func (m *migration) carryDead(ctx context.Context) error {
	return m.move(ctx, store.Deads, &m.dead, func(key, value []byte) (string, ship.Record, error) {
		_, tenant, endpoint, _, err := store.ParseDead(key)
		if err != nil {
			return "", ship.Record{}, err
		}
		l, err := dispatch.ParseDeadLetter(value)
		if err != nil {
			return "", ship.Record{}, err
		}
		w, err := waiting(tenant, endpoint, &l.Delivery)
		if err != nil {
			return "", ship.Record{}, err
		}
		return m.kafka.Topics.Dead, w.Dead(l.Status, l.Reason), nil
	})
}

func waiting(tenant uint32, endpoint string, d *dispatch.Delivery) (dispatchtopic.Waiting, error) {
	var decoder event.Decoder
	e := new(event.Event)
	document := slices.Clone(d.Document)
	if err := decoder.Decode(e, document); err != nil {
		return dispatchtopic.Waiting{}, err
	}
	return dispatchtopic.Waiting{
		Tenant: tenant, Endpoint: endpoint, Attempts: int(d.Attempts), Created: time.UnixMicro(int64(d.Created)), Event: e, Document: document,
	}, nil
}

// moveAtOnce is how many deliveries are written before they leave the store.
const moveAtOnce = 1000

// move empties a space of the store into topics.
func (m *migration) move(ctx context.Context, space store.Space, count *int, record func(key, value []byte) (string, ship.Record, error)) error {
	type place struct {
		topic     string
		partition int
	}
	for {
		records, keys := map[place][]ship.Record{}, [][]byte(nil)
		err := m.from.Each(space, func(key, value []byte) error {
			topic, r, err := record(key, value)
			if err != nil {
				return fmt.Errorf("key %x: %w", key, err)
			}
			at := place{topic, int(event.PartitionHash(r.Key) % uint32(m.kafka.Partitions))}
			records[at] = append(records[at], r)
			if keys = append(keys, slices.Clone(key)); len(keys) == moveAtOnce {
				return errEnough
			}
			return nil
		})
		if err != nil && err != errEnough || len(keys) == 0 {
			return err
		}
		for at, batch := range records {
			if err := m.produce(ctx, at.topic, at.partition, batch...); err != nil {
				return err
			}
		}
		if err := m.from.DeleteAll(keys); err != nil {
			return err
		}
		*count += len(keys)
	}
}

// errEnough ends a walk over a space early.
var errEnough = errors.New("enough")

// beginShipping tells each journal's shipper where this sink was. What an earlier migration told stands.
func (m *migration) beginShipping(context.Context) error {
	places := map[string]map[journal.Run]uint64{}
	err := m.from.Each(store.Positions, func(key, value []byte) error {
		dir, run, sequence, err := store.ParsePosition(key, value)
		if err != nil {
			return err
		}
		if places[dir] == nil {
			places[dir] = map[journal.Run]uint64{}
		}
		places[dir][journal.Run(run)] = sequence
		return nil
	})
	if err != nil {
		return err
	}
	for dir, known := range places {
		runs, err := journal.Runs(dir)
		if err != nil {
			return err
		}
		var positions []journal.Position
		for _, run := range runs {
			if sequence, ok := known[run]; ok {
				positions = append(positions, journal.Position{Run: run, Sequence: sequence})
			}
		}
		if len(positions) == 0 {
			continue // the journal is gone, or begun anew
		}
		if err := ship.BeginAt(ship.Dir(dir), m.kafka.Topics.Events, m.kafka.Partitions, positions); err != nil && !errors.Is(err, ship.ErrBegun) {
			return err
		}
		m.journals++
	}
	return nil
}

func (m *migration) produce(ctx context.Context, topic string, partition int, records ...ship.Record) error {
	producer, err := topicProducer(m.cluster, m.kafka, m.producers, topic)
	if err != nil {
		return err
	}
	_, err = producer.Produce(ctx, partition, records)
	return err
}

// topicProducer gives the producer of a topic, one each.
func topicProducer(cluster *broker.Cluster, k configs.Kafka, all map[string]*ship.Producer, topic string) (*ship.Producer, error) {
	if p := all[topic]; p != nil {
		return p, nil
	}
	p, err := ship.NewProducer(ship.ProducerOptions{
		Connection: ship.Connection{Client: cluster.Client, Topic: topic}, Compression: ship.Compression(k.Compression), BatchBytes: int(k.BatchBytes),
	})
	if err == nil {
		all[topic] = p
	}
	return p, err
}
