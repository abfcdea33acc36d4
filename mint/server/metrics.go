package server

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"waypost/configs/ops"
)

// left says why a link of a mail stays as it is.
type left int

const (
	leftScheme left = iota
	leftHost
	leftControl
	leftBudget
	leftOwn
	leftExcluded
	leftFilter
	leftUnfiltered
	leftNotString
	leftSurrogate
	leftLate
	leftCount
)

var leftNames = [leftCount]string{"scheme", "host", "control", "budget", "own", "excluded", "filter", "filter_failed", "not_string", "surrogate", "late"}

// member is a part of meta that was not of its type, and so counts as absent.
type member int

const (
	memberMeta member = iota
	memberMailing
	memberProspect
	memberUser
	memberURLs
	memberCount
)

var memberNames = [memberCount]string{"meta", "meta.mailing", "meta.prospect", "meta.user", "meta.urls"}

// shed says why a request was answered 503.
type shed int

const (
	shedExpected shed = iota
	shedWaited
	shedUnseen
	shedMemory
	shedCount
)

var shedNames = [shedCount]string{"expected", "waited", "unseen", "memory"}

// statuses are those that mint answers; each tenant has its counters ready.
var statuses = [...]int{200, 400, 401, 404, 405, 408, 413, 415, 431, 500, 503}

// noTenant is the label of requests that name no tenant of ours.
const noTenant = "none"

// seconds are the histogram's bounds, from the first byte of a request: fine where answers are, and at the budget of 1.5 s and Outreach's 2 s.
var seconds = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 1.5, 2}

// definitions are all metrics of the server, as data.
var definitions = []struct {
	name, kind, help string
	labels           []string
}{
	{"waypost_mint_requests_total", "counter", "Requests answered, by tenant and HTTP status.", []string{"tenant", "status"}},
	{"waypost_mint_links_total", "counter", "Links minted.", []string{"tenant"}},
	{"waypost_mint_links_left_total", "counter", "Links of a mail that stay as they are, by reason.", []string{"reason"}},
	{"waypost_mint_members_ignored_total", "counter", "Parts of meta that were not of their type and count as absent.", []string{"member"}},
	{"waypost_mint_panics_total", "counter", "Requests that met a bug of ours and were answered 500.", nil},
	{"waypost_mint_request_seconds", "histogram", "From a request's arrival to its answer handed to the kernel.", nil},
	{"waypost_mint_late_answers_total", "counter", "Answers that went out later than answer_within.", []string{"tenant"}},
	{"waypost_mint_shed_total", "counter", "Requests answered 503, by reason.", []string{"reason"}},
	{"waypost_mint_queue_requests", "gauge", "Requests that wait for their turn, by size.", []string{"size"}},
	{"waypost_mint_queue_seconds", "gauge", "How long a request would wait that came now, by size.", []string{"size"}},
	{"waypost_mint_large_bytes", "gauge", "Memory of large requests under way.", nil},
}

// metrics are the counters, looked up once.
type metrics struct {
	requests, links, late *prometheus.CounterVec
	left                  [leftCount]prometheus.Counter
	ignored               [memberCount]prometheus.Counter
	shed                  [shedCount]prometheus.Counter
	panics                prometheus.Counter
	seconds               prometheus.Histogram

	byTenant ops.ByTenant[tenantMetrics]
}

func newMetrics(registry prometheus.Registerer, s *Server) *metrics {
	counters := map[string]*prometheus.CounterVec{}
	m := &metrics{}
	var now gauges
	for _, d := range definitions {
		switch d.kind {
		case "histogram":
			m.seconds = prometheus.NewHistogram(prometheus.HistogramOpts{Name: d.name, Help: d.help, Buckets: seconds})
			registry.MustRegister(m.seconds)
		case "gauge":
			now.descriptors = append(now.descriptors, prometheus.NewDesc(d.name, d.help, d.labels, nil))
		default:
			counters[d.name] = prometheus.NewCounterVec(prometheus.CounterOpts{Name: d.name, Help: d.help}, d.labels)
			registry.MustRegister(counters[d.name])
		}
	}
	now.server = s
	registry.MustRegister(now)
	m.requests = counters["waypost_mint_requests_total"]
	m.links = counters["waypost_mint_links_total"]
	m.late = counters["waypost_mint_late_answers_total"]
	m.panics = counters["waypost_mint_panics_total"].WithLabelValues()
	each(m.left[:], counters["waypost_mint_links_left_total"], leftNames[:])
	each(m.ignored[:], counters["waypost_mint_members_ignored_total"], memberNames[:])
	each(m.shed[:], counters["waypost_mint_shed_total"], shedNames[:])
	return m
}

func each(to []prometheus.Counter, of *prometheus.CounterVec, names []string) {
	for i, name := range names {
		to[i] = of.WithLabelValues(name)
	}
}

// gauges reads what is the case now, at each scrape.
type gauges struct {
	server      *Server
	descriptors []*prometheus.Desc // in the order of definitions
}

// Describe tells all gauges.
func (g gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range g.descriptors {
		out <- d
	}
}

// Collect sends their values.
func (g gauges) Collect(out chan<- prometheus.Metric) {
	send := func(i int, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(g.descriptors[i], prometheus.GaugeValue, value, labels...)
	}
	small, large := g.server.gate.Queues()
	send(0, float64(small.Requests), "small")
	send(0, float64(large.Requests), "large")
	send(1, small.Wait.Seconds(), "small")
	send(1, large.Wait.Seconds(), "large")
	send(2, float64(g.server.bodies.Load()))
}

// tenantMetrics are the counters of one tenant.
type tenantMetrics struct {
	byStatus [len(statuses)]prometheus.Counter
	links    prometheus.Counter
	late     prometheus.Counter
}

func (m *metrics) of(name string) *tenantMetrics { return m.byTenant.Of(name, m.forTenant) }

func (m *metrics) forTenant(label string) *tenantMetrics {
	t := &tenantMetrics{links: m.links.WithLabelValues(label), late: m.late.WithLabelValues(label)}
	for i, status := range statuses {
		t.byStatus[i] = m.requests.WithLabelValues(label, strconv.Itoa(status))
	}
	return t
}

func (t *tenantMetrics) count(status int) {
	for i, s := range statuses {
		if s == status {
			t.byStatus[i].Inc()
			return
		}
	}
}

// took notes how long a request of t's took from its arrival to its answer.
func (m *metrics) took(t *tenantMetrics, d, budget time.Duration) {
	m.seconds.Observe(d.Seconds())
	if d > budget {
		t.late.Inc()
	}
}
