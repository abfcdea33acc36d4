package topic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"waypost/configs/broker"
	"waypost/edge/event"
	"waypost/edge/ship"
	"waypost/sink/dispatch"
	"waypost/sink/dispatch/attempt"
	"waypost/sink/internal/kafkalog"
)

// ErrAway says that Kafka cannot be asked now; why stands behind it.
var ErrAway = errors.New("kafka cannot be asked now")

// unsupported is an error that says what cannot be done with Kafka.
type unsupported string

func (u unsupported) Error() string { return string(u) }

func (unsupported) Is(target error) bool { return target == errors.ErrUnsupported }

// away is what an operator is told of an error of Kafka.
func away(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %s", ErrAway, broker.Explain(err))
}

// slack is by how much the time at which an attempt ended may differ from that at which a broker took its record: clocks, and records that waited for brokers.
const slack = 5 * time.Minute

// Attempts finds attempts of all sinks in their topic, the newest first: in the order in which the brokers took them. next is where to go on; nil: that is all.
func (c *Courier) Attempts(ctx context.Context, q dispatch.AttemptQuery) (found []dispatch.Attempt, next []byte, err error) {
	w := walk{log: c.log, topic: c.o.Kafka.Topics.Deliveries, partitions: c.o.Kafka.Partitions}
	if q.From > 0 {
		w.from = time.UnixMicro(int64(q.From)).Add(-slack)
	}
	if q.To > 0 {
		w.to = time.UnixMicro(int64(q.To)).Add(slack)
	}
	if q.After != nil {
		after, err := parseMark(q.After)
		if err != nil {
			return nil, nil, err
		}
		w.after = &after
	}
	last, err := w.each(ctx, func(m *kafkalog.Message) bool {
		if a, err := readAttempt(m.Value); err == nil && q.Fits(&a) {
			found = append(found, a)
		}
		return len(found) < max(q.Limit, 1)
	})
	if err != nil || last == nil {
		return found, nil, away(err)
	}
	return found, last.bytes(), nil
}

// readAttempt reads a record of the topic of deliveries. The result has memory of its own.
func readAttempt(value []byte) (dispatch.Attempt, error) {
	var d attemptDocument
	if err := json.Unmarshal(value, &d); err != nil {
		return dispatch.Attempt{}, errRecord
	}
	if _, err := event.ParseID([]byte(d.WebhookID)); err != nil || d.Tenant == 0 || d.Endpoint == "" || d.Number < 1 || d.At.IsZero() || d.Outcome == "" {
		return dispatch.Attempt{}, errRecord
	}
	return d.Attempt, nil
}

// statesFor is how far back States looks for an endpoint's last success and failure.
const statesFor = 24 * time.Hour

// States are all endpoints, as the topics tell: what came of the attempts of all sinks in the last day, the dead letters that the topic still has, and what waits in the retry topics. Where these hold more than one walk reads, older
// ones are not counted.
func (c *Courier) States(ctx context.Context) ([]dispatch.State, error) {
	lanes := c.lanes.Load()
	states := make([]dispatch.State, len(lanes.All))
	type owner struct {
		tenant   uint32
		endpoint string
	}
	of := map[owner]*dispatch.State{}
	for i, l := range lanes.All {
		states[i].Target, states[i].Disabled = l.taker.Load().Target, l.condition.cause()
		of[owner{l.Tenant.Number, l.Config.ID}] = &states[i]
	}
	unknown := len(states)
	attempts := walk{log: c.log, topic: c.o.Kafka.Topics.Deliveries, partitions: c.o.Kafka.Partitions, from: time.Now().Add(-statesFor)}
	_, err := attempts.each(ctx, func(m *kafkalog.Message) bool {
		a, err := readAttempt(m.Value)
		if err != nil {
			return true
		}
		if s := of[owner{a.Tenant, a.Endpoint}]; s != nil && s.LastSuccess == 0 {
			if before(s, &a); s.LastSuccess != 0 {
				unknown--
			}
		}
		return unknown > 0
	})
	if err != nil {
		return nil, away(err)
	}
	dead := walk{log: c.log, topic: c.o.Kafka.Topics.Dead, partitions: c.o.Kafka.Partitions}
	_, err = dead.each(ctx, func(m *kafkalog.Message) bool {
		tenant, _ := strconv.ParseUint(string(m.Header(tenantHeader)), 10, 32)
		if s := of[owner{uint32(tenant), string(m.Header(endpointHeader))}]; s != nil {
			s.Dead++
		}
		return true
	})
	if err != nil {
		return nil, away(err)
	}
	err = c.eachWaiting(ctx, func(d *waitingHeaders) {
		s := of[owner{d.tenant, d.endpoint}]
		if s == nil {
			return
		}
		s.Pending++
		if s.OldestDue == 0 || d.due < s.OldestDue {
			s.OldestDue = d.due
		}
	})
	return states, away(err)
}

// before takes an attempt into account that ended before all that the state has.
func before(s *dispatch.State, a *dispatch.Attempt) {
	at := uint64(max(a.At.UnixMicro(), 0))
	switch {
	case a.Outcome == attempt.Unsendable:
	case a.Outcome == attempt.Delivered:
		s.LastSuccess = at
	case s.LastFailure == 0:
		s.LastFailure, s.FailingSince, s.Failures, s.Status, s.Reason = at, at, 1, a.Status, a.Reason
	default:
		s.FailingSince = at
		s.Failures++
	}
}

// waitingHeaders are what a count of waiting deliveries needs of one.
type waitingHeaders struct {
	tenant   uint32
	endpoint string
	due      uint64 // microseconds since 1970
}

// eachWaiting visits what stands in the retry topics behind the positions of the group, at most mostWalked.
func (c *Courier) eachWaiting(ctx context.Context, visit func(*waitingHeaders)) error {
	left := mostWalked
	topics := make([]string, len(c.retry))
	for i, r := range c.retry {
		topics[i] = r.topic
	}
	for n := range c.o.Kafka.Partitions {
		positions, err := c.committed(ctx, n, topics)
		if err != nil {
			return err
		}
		for _, topic := range topics {
			span, err := c.log.Span(ctx, topic, n)
			if err != nil {
				return err
			}
			came := positions[topic] // nothing, where there is none
			err = eachBetween(ctx, c.log, topic, n, max(span.First, came.position), span.End, func(m *kafkalog.Message) error {
				if came.finished(m.Offset) {
					return nil
				}
				if left--; left < 0 {
					return errEnough
				}
				tenant, _ := strconv.ParseUint(string(m.Header(tenantHeader)), 10, 32)
				due, _ := strconv.ParseInt(string(m.Header(dueHeader)), 10, 64)
				visit(&waitingHeaders{uint32(tenant), string(m.Header(endpointHeader)), uint64(max(due, 0)) * 1000})
				return nil
			})
			if err == errEnough {
				return nil
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// errEnough ends a walk early.
var errEnough = errors.New("enough")

// mostReplayed are written together.
const mostReplayed = 1000

// Replay sends dead letters again, under their old ids and with their schedule from the beginning, and visits each. The letters stay where they are, so that a second replay sends them once more; several letters of one delivery are sent
// once. Those of endpoints that are not there stay unsent.
func (c *Courier) Replay(ctx context.Context, q dispatch.ReplayQuery, visit func(*dispatch.Replayed)) error {
	if q.Delivered {
		return unsupported("with Kafka what was delivered cannot be sent again: it stands in waypost.unique, and is not looked for there; dead letters can (which: dead)")
	}
	if q.Waiting {
		return unsupported("with Kafka what waits for its next attempt cannot be sent early: it stands in topics whose order is their schedule; dead letters can (which: dead)")
	}
	type name struct {
		tenant   uint32
		endpoint string
		id       event.ID
	}
	seen := map[name]bool{}
	begins := make([]int64, c.o.Kafka.Partitions)
	topic, rung := c.o.Kafka.Topics.Dead, c.retry[0].topic
	if q.From > 0 {
		var err error
		if begins, err = c.log.Since(ctx, topic, len(begins), time.UnixMicro(int64(q.From))); err != nil {
			return away(err)
		}
	}
	for n, begin := range begins {
		span, err := c.log.Span(ctx, topic, n)
		if err != nil {
			return away(err)
		}
		if begin < 0 {
			continue // nothing was given up since then
		}
		var records []ship.Record
		send := func() error {
			_, err := c.producers[rung].Produce(ctx, n, records)
			records = records[:0]
			return err
		}
		err = eachBetween(ctx, c.log, topic, n, max(begin, span.First), span.End, func(m *kafkalog.Message) error {
			l, ok := ReadLetter(m)
			if !ok || !c.wanted(&q, &l, m.At) || c.forgotten.document(l.record.document, l.record.created) || seen[name{l.Tenant, l.Endpoint, l.ID}] {
				return nil
			}
			r := replayed(&l, m)
			if len(q.Types) > 0 && !q.Types[r.Type] {
				return nil
			}
			seen[name{l.Tenant, l.Endpoint, l.ID}] = true
			visit(&r)
			if q.List {
				return nil
			}
			_, record := l.Again(c.o.Kafka)
			if records = append(records, record); len(records) < mostReplayed {
				return nil
			}
			return send()
		})
		if err == nil && len(records) > 0 {
			err = send()
		}
		if err != nil {
			return away(err)
		}
	}
	return nil
}

// wanted says whether a letter that was given up then is one of those asked for, but for its type.
func (c *Courier) wanted(q *dispatch.ReplayQuery, l *Letter, given time.Time) bool {
	at := uint64(max(given.UnixMicro(), 0))
	return (q.Tenant == 0 || q.Tenant == l.Tenant) && (q.Endpoint == "" || q.Endpoint == l.Endpoint) && at >= q.From && (q.To == 0 || at < q.To) &&
		(len(q.WebhookIDs) == 0 || q.WebhookIDs[l.ID]) && c.lane(l.Tenant, l.Endpoint) != nil
}

func replayed(l *Letter, m *kafkalog.Message) dispatch.Replayed {
	given := m.At
	r := dispatch.Replayed{
		WebhookID: l.ID.String(), Tenant: l.Tenant, Endpoint: l.Endpoint, Was: "dead", Created: l.record.created.UTC(), GivenUp: &given, Attempts: l.record.attempts,
		Reason: string(m.Header(reasonHeader)),
	}
	r.Status, _ = strconv.Atoi(string(m.Header(statusHeader)))
	var decoder event.Decoder
	var e event.Event
	if decoder.Decode(&e, m.Value) == nil {
		r.Type = e.Type
	}
	return r
}
