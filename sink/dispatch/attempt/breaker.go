package attempt

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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

// named are the endpoints that are in some state. The metrics count them, and name the first.
type named struct {
	count prometheus.Gauge
	since *prometheus.GaugeVec

	mu sync.Mutex
	is map[*Target]bool // true: the metrics name it
	n  int              // that are named
}

func newNamed(count prometheus.Gauge, since *prometheus.GaugeVec) *named {
	return &named{count: count, since: since, is: map[*Target]bool{}}
}

func (s *named) add(t *Target, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, is := s.is[t]; !is {
		s.is[t] = s.n < mostNamed
		if s.is[t] {
			s.n++
		}
	}
	if s.is[t] {
		s.since.WithLabelValues(t.labels()...).Set(float64(since.UnixMilli()) / 1000)
	}
	s.count.Set(float64(len(s.is)))
}

func (s *named) remove(t *Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.is[t] {
		s.n--
		s.since.DeleteLabelValues(t.labels()...)
	}
	delete(s.is, t)
	s.count.Set(float64(len(s.is)))
}

// Tell says in log and metrics that an endpoint's breaker opened or closed, and why. o is the attempt that did it.
func (s *Sender) Tell(t *Target, c gate.Change, o *Outcome) {
	switch c.Turn {
	case gate.Stays:
	case gate.Opens:
		s.failing.add(t, c.Since)
		s.log.Warn("endpoint fails: its deliveries wait, and one attempt at a time finds out whether it works again", "tenant", t.Tenant.Number, "endpoint", t.Config.ID,
			"failures", c.Failures, "since", c.Since.UTC(), "status", o.Status, "reason", o.logReason())
	case gate.Closes:
		s.failing.remove(t)
		s.log.Info("endpoint works again: its deliveries follow", "tenant", t.Tenant.Number, "endpoint", t.Config.ID,
			"failures", c.Failures, "since", c.Since.UTC(), "status", o.Status)
	}
}

// Forget takes an endpoint out of the metrics of those that fail and of those that are disabled: it works, or is no more.
func (s *Sender) Forget(t *Target) {
	s.failing.remove(t)
	s.disabled.remove(t)
}

// Disabled says in the metrics that an endpoint gets no attempts, not even probes. Enabled ends that.
func (s *Sender) Disabled(t *Target, at time.Time) {
	s.failing.remove(t)
	s.disabled.add(t, at)
}

// Enabled says in the metrics that an endpoint gets attempts again.
func (s *Sender) Enabled(t *Target) { s.disabled.remove(t) }

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
