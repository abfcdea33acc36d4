package attempt

import (
	"math/rand/v2"
	"strconv"
	"sync"

	"waypost/configs"
	"waypost/sink/dispatch/gate"
)

// NewGate is what lets attempts at the endpoint begin: its own limits, and those of the settings where it has none.
func (t *Target) NewGate(s configs.Dispatch) *gate.Gate {
	l := gate.Limits{Concurrency: s.Concurrency, Rate: s.Rate, Failures: s.BreakerFailures, Longest: s.BreakerLongest}
	if t.Config.Concurrency > 0 {
		l.Concurrency = t.Config.Concurrency
	}
	if t.Config.Rate > 0 {
		l.Rate = t.Config.Rate
	}
	return gate.New(l, rand.Float64)
}

// Result is what the attempt says about its endpoint. Who wants no further attempt has read the delivery and answered it: with a breaker open for that, what is
// due would wait for probes, each of which ends one delivery.
func (o *Outcome) Result() gate.Result {
	switch {
	case o.Cut || o.Word == Unsendable:
		return gate.Untried
	case o.Word == Delivered, o.Word == Stopped:
		return gate.Worked
	}
	return gate.Failed
}

// mostNamed bounds the endpoints that the metrics name: behind a broken network all of them fail.
const mostNamed = 100

// breakers are the endpoints whose breakers are open.
type breakers struct {
	mu   sync.Mutex
	open map[*Target]bool // true: the metrics name it
	n    int              // that are named
}

// Tell says in log and metrics that an endpoint's breaker opened or closed, and why. o is the attempt that did it.
func (s *Sender) Tell(t *Target, c gate.Change, o *Outcome) {
	switch c.Turn {
	case gate.Stays:
	case gate.Opens:
		s.opened(t, c)
		s.log.Warn("endpoint fails: its deliveries wait, and one attempt at a time finds out whether it works again", "tenant", t.Tenant.Number, "endpoint", t.Config.ID,
			"failures", c.Failures, "since", c.Since.UTC(), "status", o.Status, "reason", o.logReason())
	case gate.Closes:
		s.Forget(t)
		s.log.Info("endpoint works again: its deliveries follow", "tenant", t.Tenant.Number, "endpoint", t.Config.ID,
			"failures", c.Failures, "since", c.Since.UTC(), "status", o.Status)
	}
}

func (s *Sender) opened(t *Target, c gate.Change) {
	b := &s.breakers
	b.mu.Lock()
	defer b.mu.Unlock()
	named := b.n < mostNamed
	if named {
		b.n++
		s.metrics.EndpointFailing.WithLabelValues(t.labels()...).Set(float64(c.Since.UnixMilli()) / 1000)
	}
	b.open[t] = named
	s.metrics.BreakersOpen.Set(float64(len(b.open)))
}

// Forget takes an endpoint out of the metrics of those that fail: it works, or is no more.
func (s *Sender) Forget(t *Target) {
	b := &s.breakers
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open[t] {
		b.n--
		s.metrics.EndpointFailing.DeleteLabelValues(t.labels()...)
	}
	delete(b.open, t)
	s.metrics.BreakersOpen.Set(float64(len(b.open)))
}

func (t *Target) labels() []string {
	return []string{strconv.FormatUint(uint64(t.Tenant.Number), 10), t.Config.ID}
}

// logReason is the reason without addresses: logs hold none.
func (o *Outcome) logReason() string {
	if o.Refused != "" {
		return "refused: " + string(o.Refused)
	}
	return o.Reason
}
