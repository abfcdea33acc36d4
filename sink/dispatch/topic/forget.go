package topic

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"

	"waypost/configs"
	"waypost/configs/broker"
	"waypost/sink/ingest"
	"waypost/sink/internal/forget"
	"waypost/sink/internal/person"
)

// forgetWithin is how long Forget waits for brokers.
const forgetWithin = 15 * time.Second

// Forget has all sinks drop what waits for a person, and says what stays in the topics: nothing in them can be taken out before its time. The errors are person's, and ErrAway, with which it may have happened nonetheless.
func (c *Courier) Forget(ctx context.Context, r forget.Request) (*forget.Answer, error) {
	p, err := person.New(r.Tenant.Number, r.Recipient, r.Prospect)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, forgetWithin)
	defer cancel()
	topics, longest, err := kept(ctx, c.cluster, c.o.Kafka, c.o.Tenants)
	if err == nil {
		until := time.Now().UTC().Truncate(time.Microsecond)
		leaves := leavesAt(until, longest)
		if err = c.states.remember(ctx, p, until, leaves); err == nil {
			c.o.Logger.Info("a person was forgotten: what waits is dropped by all sinks", "tenant", r.Tenant.Name)
			return &forget.Answer{Tenant: r.Tenant.Number, TenantName: r.Tenant.Name, Until: until, Stays: c.stays(topics, until, leaves)}, nil
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = kafka.RequestTimedOut
	}
	return nil, away(err)
}

// leavesAt is from when on nothing of before is in any topic; zero: something always is.
func leavesAt(until time.Time, longest time.Duration) (t time.Time) {
	if longest >= 0 {
		t = until.Add(longest)
	}
	return t
}

// keeping is a topic that holds events of people, and for how long.
type keeping struct {
	name, what string
	retention  time.Duration // negative: for ever
}

// Kept is for how long a topic keeps what webhooks may be made of; negative: one does for ever.
func Kept(ctx context.Context, cluster *broker.Cluster, k configs.Kafka, tenants *configs.Tenants) (time.Duration, error) {
	_, longest, err := kept(ctx, cluster, k, tenants)
	return longest, err
}

// kept are the topics that may hold something of a person, and for how long a first, or a delivery, stays in any of them. Without a cluster each is as it must be.
func kept(ctx context.Context, cluster *broker.Cluster, settings configs.Kafka, tenants *configs.Tenants) (all []keeping, longest time.Duration, err error) {
	k := settings.Topics
	what := map[string]string{
		k.Events: "every event", k.Unique: "first clicks and opens: by these no click is a first again", k.Deliveries: "attempts, with the mail and the answer, without the address",
		k.Dead: "webhooks given up: never sent again",
	}
	for _, r := range ladder(settings) {
		what[r.topic] = "webhooks that wait: dropped when their time comes"
	}
	var topics []broker.Topic
	for _, t := range broker.Topics(settings, tenants) {
		if what[t.Name] != "" {
			topics = append(topics, t)
		}
	}
	states := make([]broker.State, len(topics))
	for i := range topics {
		states[i].Topic = topics[i]
	}
	if cluster != nil {
		if states, err = cluster.Look(ctx, topics); err != nil {
			return nil, 0, err
		}
	}
	for i := range states {
		kept := keeping{states[i].Topic.Name, what[states[i].Topic.Name], retention(&states[i])}
		all = append(all, kept)
		if kept.name == k.Events || kept.name == k.Deliveries || longest < 0 {
			continue // no webhook is made of it
		}
		if longest = max(longest, kept.retention); kept.retention < 0 {
			longest = -1
		}
	}
	return all, longest, nil
}

// retention is for how long a topic keeps a record: as it is set, or where that is not told, as it must be.
func retention(s *broker.State) time.Duration {
	text := s.Settings["retention.ms"]
	for _, want := range s.Topic.Settings {
		if want.Name == "retention.ms" && text == "" {
			text = want.Want
		}
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms < 0 || ms > int64(longestWalk/time.Millisecond) {
		return -1
	}
	return time.Duration(ms) * time.Millisecond
}

func (c *Courier) stays(topics []keeping, until, leaves time.Time) (all []forget.Stay) {
	// A broker drops whole files of a partition, whose last record must be old enough.
	end := func(t time.Time) string { return t.Format(time.RFC3339) + ", and until its segment is full" }
	for _, t := range topics {
		s := forget.Stay{Where: t.name, What: t.what, Until: "its retention ends, which is never"}
		if t.retention >= 0 {
			s.Until = end(until.Add(t.retention))
		}
		all = append(all, s)
	}
	mark := forget.Stay{Where: c.o.Kafka.Topics.States, What: "keyed hashes of the person, by which all sinks drop what waits", Until: "nothing of before is in the topics, which is never"}
	if !leaves.IsZero() {
		mark.Until = fmt.Sprintf("%s, and until the topic is compacted", leaves.Format(time.RFC3339))
	}
	return append(all, mark,
		forget.Stay{Where: "stores of the sinks", What: "hashes of message, recipient and link, as in " + c.o.Kafka.Topics.Unique + ", without the address", Until: fmt.Sprintf("the tenant's retention and %d days are over", ingest.DaysPastRetention)},
		forget.Stay{Where: "journals of the edges", What: "what they have not dropped yet", Until: "the edge drops its segment: within twice journal.keep_age of edge.yaml (14 days as shipped)"},
		forget.Stay{Where: "receivers of webhooks", What: "what was delivered to them", Until: "they delete it"})
}
