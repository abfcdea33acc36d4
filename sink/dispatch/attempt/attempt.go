// Package attempt makes one attempt at a webhook: the request, what its answer means, and what follows. Who keeps what is due, and until when, is not its business.
package attempt

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"waypost/configs"
	"waypost/configs/fault"
	"waypost/configs/outbound"
	"waypost/configs/throttle"
	"waypost/edge/event"
	"waypost/sink/dispatch/formats"
	"waypost/sink/enrich"
	"waypost/sink/internal/metrics"
)

const maxRetryAfter = 24 * time.Hour // a receiver cannot put a delivery off for longer

// Outcome is what one attempt brought, whole: metrics, marks and the log of attempts are made of it.
type Outcome struct {
	Status  int           // 0: no answer
	Reason  string        // why there was no answer, for people. Never the endpoint's URL, which may hold a secret
	Refused outbound.Kind // why no connection was made; "": it was tried
	Answer  []byte        // the first bytes of the answer's body
	Took    time.Duration
	Type    event.Type // of the event; "" where the event is not readable
	Message string     // the mail's id, as the event has it
	Gone    bool       // the receiver wants no other delivery either
	Cut     bool       // by the end of the context: as if it had not been made; the rest means nothing

	Word string        // what follows: one of the words below
	Wait time.Duration // with Again: until the next attempt

	verdict    formats.Verdict
	retryAfter time.Duration
}

// What follows an attempt; the labels of the metric.
const (
	Delivered  = "delivered"
	Again      = "retry"
	GivenUp    = "given_up"   // the schedule is used up
	Stopped    = "stopped"    // the receiver wants no further attempt
	Unsendable = "unsendable" // the format has no document for it
)

// Dead says whether the delivery has ended without being delivered.
func (o *Outcome) Dead() bool { return o.Word == GivenUp || o.Word == Stopped || o.Word == Unsendable }

// Sender makes attempts, any number at once.
type Sender struct {
	settings configs.Dispatch
	client   *http.Client
	metrics  *metrics.Set
	log      *slog.Logger
	who      *enrich.Enricher
	now      func() time.Time
	givenUp  throttle.Every
	failing  *named // with an open breaker
	disabled *named
}

// NewSender prepares the client that all endpoints share. who tells who did it and where, or is nil; now is the clock.
func NewSender(s configs.Dispatch, m *metrics.Set, log *slog.Logger, who *enrich.Enricher, now func() time.Time) *Sender {
	return &Sender{
		settings: s, client: newClient(s), metrics: m, log: log, who: who, now: now,
		failing: newNamed(m.BreakersOpen, m.EndpointFailing), disabled: newNamed(m.EndpointsDisabled, m.EndpointDisabled),
	}
}

// Close gives up the connections that are kept.
func (s *Sender) Close() { s.client.CloseIdleConnections() }

// Delivery is an event on its way to an endpoint.
type Delivery struct {
	ID       event.ID
	Attempts int       // that failed before
	Created  time.Time // when it became due
	Document []byte    // the CloudEvent
}

// Attempt sends a delivery and says what follows.
func (s *Sender) Attempt(ctx context.Context, t *Target, d Delivery) Outcome {
	message, err := t.message(&d, s.who)
	var o Outcome
	if err != nil {
		o = Outcome{Word: Unsendable, Reason: err.Error()}
	} else {
		o = s.send(ctx, t, d.ID, message)
	}
	o.Type, o.Message = message.of, message.mail
	if o.Cut {
		return o
	}
	fault.Point("dispatch.posted")
	s.metrics.AnswerSeconds.WithLabelValues(t.Format.Name()).Observe(o.Took.Seconds())
	switch {
	case o.Word == Unsendable:
	case o.verdict == formats.Delivered:
		o.Word = Delivered
	case o.verdict == formats.Stop, o.verdict == formats.Gone:
		o.Word, o.Gone = Stopped, o.verdict == formats.Gone
	default:
		var ok bool
		if o.Wait, ok = s.wait(message.waits, d.Attempts, o.retryAfter); ok {
			o.Word = Again
		} else {
			o.Word = GivenUp
		}
	}
	s.metrics.Deliveries.WithLabelValues(t.Format.Name(), o.Word).Inc()
	if o.Refused != "" {
		s.metrics.Refused.WithLabelValues(string(o.Refused)).Inc()
	}
	if o.Dead() {
		s.logDead(t, &d, &o)
	}
	return o
}

func (s *Sender) logDead(t *Target, d *Delivery, o *Outcome) {
	if held, ok := s.givenUp.Allow(time.Now()); ok {
		s.log.Warn("delivery given up", "tenant", t.Tenant.Number, "endpoint", t.Config.ID, "event", d.ID.String(), "why", o.Word,
			"attempts", d.Attempts+1, "status", o.Status, "reason", o.logReason(), "held_back", held)
	}
}

// wait is how long the next attempt has to wait; false: there is none. The schedule is the format's, or the settings'.
func (s *Sender) wait(waits []time.Duration, attempts int, retryAfter time.Duration) (time.Duration, bool) {
	if len(s.settings.Retries) > 0 {
		waits = s.settings.Retries
	}
	if attempts >= len(waits) {
		return 0, false
	}
	wait := max(waits[attempts], min(retryAfter, maxRetryAfter))
	return wait + time.Duration(rand.Float64()*JitterShare*float64(wait)), true
}

// JitterShare is the share of a wait that is added to it at most, at random: receivers that come back are not hit by all at once.
const JitterShare = 0.1
