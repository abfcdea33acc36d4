// Package metrics declares what the sink counts, as data: one table, which the README's table is checked against.
package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"waypost/configs/outbound"
)

// Type of a metric.
type Type string

// The types.
const (
	Counter   Type = "counter"
	Gauge     Type = "gauge"
	Histogram Type = "histogram"
)

// Metric is one entry of the table.
type Metric struct {
	Name    string
	Type    Type
	Help    string
	Labels  []string
	Buckets []float64 // of histograms
}

var (
	batchBuckets   = []float64{1, 3, 10, 30, 100, 300, 1000, 3000, 10000}
	commitBuckets  = []float64{.0003, .001, .003, .01, .03, .1, .3, 1, 3}
	webhookBuckets = []float64{.01, .03, .1, .3, 1, 3, 10, 60, 600, 3600, 36000}
	answerBuckets  = []float64{.001, .003, .01, .03, .1, .3, 1, 3, 10, 30}
)

// Table is every metric of the sink.
var Table = []Metric{
	{Name: "waypost_sink_events_read_total", Type: Counter, Help: "Events read, by source.", Labels: []string{"source"}},
	{Name: "waypost_sink_events_undecodable_total", Type: Counter, Help: "Records that were read and are no event: passed over.", Labels: []string{"source"}},
	{Name: "waypost_sink_events_repeated_total", Type: Counter, Help: "Records handed out again by a source and dropped by the position rule.", Labels: []string{"source"}},
	{Name: "waypost_sink_decisions_total", Type: Counter, Help: "Decisions: first (of a person), first_machine (of any client, a machine), repeat, forgotten (a first of somebody who was forgotten since, told to nobody).", Labels: []string{"decision"}},
	{Name: "waypost_sink_ineligible_total", Type: Counter, Help: "Events that cannot be unique, by reason.", Labels: []string{"reason"}},
	{Name: "waypost_sink_lag_seconds", Type: Gauge, Help: "Age of the newest event read, while there is more to read; 0 at the end.", Labels: []string{"source"}},
	{Name: "waypost_sink_batch_records", Type: Histogram, Help: "Records decided and committed together.", Buckets: batchBuckets},
	{Name: "waypost_sink_commit_seconds", Type: Histogram, Help: "Time to make a batch durable.", Buckets: commitBuckets},
	{Name: "waypost_sink_source_damage_total", Type: Counter, Help: "Damaged ranges of a journal that were passed over.", Labels: []string{"source"}},
	{Name: "waypost_sink_source_damaged_bytes_total", Type: Counter, Help: "Bytes in damaged ranges.", Labels: []string{"source"}},
	{Name: "waypost_sink_source_past_end_total", Type: Counter, Help: "Runs whose end lay before our position (a power cut took the tail).", Labels: []string{"source"}},
	{Name: "waypost_sink_source_errors_total", Type: Counter, Help: "Failed reads of a source and failed publications of a position; tried again.", Labels: []string{"source"}},
	{Name: "waypost_sink_deliveries_total", Type: Counter, Help: "Attempts by their outcome: delivered, retry, given_up, stopped, unsendable.", Labels: []string{"format", "outcome"}},
	{Name: "waypost_sink_deliveries_left_out_total", Type: Counter, Help: "Events that were not sent to an endpoint because its format has no document for them.", Labels: []string{"format", "type"}},
	{Name: "waypost_sink_refused_total", Type: Counter, Help: "Attempts that were refused before they connected, by what the place is.", Labels: []string{"kind"}},
	{Name: "waypost_sink_delivery_answer_seconds", Type: Histogram, Help: "Time from sending a webhook to its answer or failure.", Labels: []string{"format"}, Buckets: answerBuckets},
	{Name: "waypost_sink_deliveries_pending", Type: Gauge, Help: "Deliveries in the store: due, under way, or waiting for another attempt."},
	{Name: "waypost_sink_deliveries_in_memory", Type: Gauge, Help: "Deliveries held in memory by all endpoints."},
	{Name: "waypost_sink_delivery_oldest_due_seconds", Type: Gauge, Help: "How long the oldest delivery whose time has come has been waiting, but for those of disabled endpoints."},
	{Name: "waypost_sink_deliveries_orphaned", Type: Gauge, Help: "Deliveries for endpoints that are not there any more: kept, not sent."},
	{Name: "waypost_sink_breakers_open", Type: Gauge, Help: "Endpoints that fail and get probes only."},
	{Name: "waypost_sink_endpoint_failing", Type: Gauge, Help: "Since when an endpoint with an open breaker fails, in Unix seconds; the first 100 of them, and no other endpoint.", Labels: []string{"tenant", "endpoint"}},
	{Name: "waypost_sink_endpoints_disabled", Type: Gauge, Help: "Endpoints that get no attempts until they are enabled."},
	{Name: "waypost_sink_endpoint_disabled", Type: Gauge, Help: "Since when an endpoint is disabled, in Unix seconds; the first 100 of them, and no other endpoint.", Labels: []string{"tenant", "endpoint"}},
	{Name: "waypost_sink_dead_letters", Type: Gauge, Help: "Deliveries given up and kept."},
	{Name: "waypost_sink_dead_letters_dropped_total", Type: Counter, Help: "Dead letters removed, oldest first, because there were too many."},
	{Name: "waypost_sink_marks_batch_records", Type: Histogram, Help: "Finished attempts written to the store together.", Buckets: batchBuckets},
	{Name: "waypost_sink_attempt_log_bytes", Type: Gauge, Help: "Bytes of the log of attempts, before compression."},
	{Name: "waypost_sink_attempt_log_dropped_total", Type: Counter, Help: "Attempts removed from the log before their days were over, because it was full."},
	{Name: "waypost_sink_uniques_kept", Type: Gauge, Help: "Events that were told and are kept whole."},
	{Name: "waypost_sink_uniques_bytes", Type: Gauge, Help: "Bytes of kept events, before compression."},
	{Name: "waypost_sink_uniques_dropped_total", Type: Counter, Help: "Kept events removed before their time was over, because there were too many."},
	{Name: "waypost_sink_agents_total", Type: Counter, Help: "User agents that were asked for: hit (known), miss (read anew), shed (not read, because too many others were).", Labels: []string{"result"}},
	{Name: "waypost_sink_places_total", Type: Counter, Help: "Addresses that were looked up: found, not_found, unreadable (the database is damaged there).", Labels: []string{"result"}},
	{Name: "waypost_sink_geo_reloads_total", Type: Counter, Help: "Times that the database of places was taken up, the start included, or refused.", Labels: []string{"result"}},
	{Name: "waypost_sink_geo_built_timestamp_seconds", Type: Gauge, Help: "When the database of places in force was built, in Unix seconds; 0: there is none."},
	{Name: "waypost_sink_lag_records", Type: Gauge, Help: "Records of a partition that are not fetched yet.", Labels: []string{"source"}},
	{Name: "waypost_sink_kafka_partitions", Type: Gauge, Help: "Partitions that this sink was given."},
	{Name: "waypost_sink_kafka_generations_total", Type: Counter, Help: "Generations of the group that this sink took part in."},
	{Name: "waypost_sink_kafka_rebuilds_total", Type: Counter, Help: "Stores made anew from the topic of unique clicks: missing, ahead of it, behind its begin.", Labels: []string{"reason"}},
	{Name: "waypost_sink_kafka_restored_total", Type: Counter, Help: "Firsts taken from the topic of unique clicks at the begin of generations."},
	{Name: "waypost_sink_kafka_alarms_total", Type: Counter, Help: "What must not happen: see the README.", Labels: []string{"alarm"}},
	{Name: "waypost_sink_kafka_unique_total", Type: Counter, Help: "Firsts written to the topic of unique clicks."},
	{Name: "waypost_sink_kafka_produce_seconds", Type: Histogram, Help: "Time until a batch's firsts were acknowledged.", Buckets: answerBuckets},
	{Name: "waypost_sink_kafka_produce_retries_total", Type: Counter, Help: "Produces that failed and were repeated, by reason.", Labels: []string{"reason"}},
	{Name: "waypost_sink_kafka_webhook_seconds", Type: Histogram, Help: "Time from a first's record in the topic of unique clicks to the webhook that was accepted.", Buckets: webhookBuckets},
	{Name: "waypost_sink_kafka_held_total", Type: Counter, Help: "Deliveries put off without an attempt: no room for them, an open breaker, or no such endpoint."},
	{Name: "waypost_sink_kafka_forgotten_total", Type: Counter, Help: "Deliveries dropped, and firsts of which none was made, because their person was forgotten."},
	{Name: "waypost_sink_kafka_position_errors_total", Type: Counter, Help: "Commits of the webhooks' positions that failed; tried again."},
	{Name: "waypost_sink_kafka_webhooks", Type: Gauge, Help: "Webhooks made through the API that this sink knows: the same on every sink."},
	{Name: "waypost_sink_live_readers", Type: Gauge, Help: "Who reads the stream of events now."},
	{Name: "waypost_sink_live_events_total", Type: Counter, Help: "Events sent to readers of the stream."},
	{Name: "waypost_sink_live_cut_total", Type: Counter, Help: "Readers of the stream that were cut off because they were slow."},
	{Name: "waypost_sink_live_refused_total", Type: Counter, Help: "Readers that were refused because there were as many as may."},
	{Name: "waypost_sink_live_gaps_total", Type: Counter, Help: "Places at which a reader was told that events may be missing."},
	{Name: "waypost_sink_store_bytes", Type: Gauge, Help: "Bytes of the store on disk."},
}

// Alarms are the labels of waypost_sink_kafka_alarms_total.
var Alarms = []string{"disagree", "log_end", "log_start", "partitions", "refused", "store_ahead", "store_behind", "unreadable"}

// Set is the table's handles.
type Set struct {
	Read, Undecodable, Repeated                   *prometheus.CounterVec
	Decisions, Ineligible                         *prometheus.CounterVec
	Lag                                           *prometheus.GaugeVec
	BatchRecords, CommitSeconds                   prometheus.Histogram
	Damage, DamagedBytes, PastEnd, SourceErrors   *prometheus.CounterVec
	Deliveries, LeftOut, Refused                  *prometheus.CounterVec
	AnswerSeconds                                 *prometheus.HistogramVec
	Pending, InMemory, OldestDue, Orphaned, Deads prometheus.Gauge
	BreakersOpen                                  prometheus.Gauge
	EndpointFailing                               *prometheus.GaugeVec
	EndpointsDisabled                             prometheus.Gauge
	EndpointDisabled                              *prometheus.GaugeVec
	DeadsDropped                                  prometheus.Counter
	MarksBatch                                    prometheus.Histogram
	StoreBytes, AttemptLogBytes                   prometheus.Gauge
	AttemptLogDropped                             prometheus.Counter
	Uniques, UniquesBytes                         prometheus.Gauge
	UniquesDropped                                prometheus.Counter

	LiveReaders                                prometheus.Gauge
	LiveEvents, LiveCut, LiveRefused, LiveGaps prometheus.Counter

	Agents, Places, GeoReloads *prometheus.CounterVec
	GeoBuilt                   prometheus.Gauge

	LagRecords                            *prometheus.GaugeVec
	Partitions, APIWebhooks               prometheus.Gauge
	Generations, Restored, UniqueRecords  prometheus.Counter
	Rebuilds, KafkaAlarms, ProduceRetries *prometheus.CounterVec
	ProduceSeconds                        prometheus.Histogram
	WebhookSeconds                        prometheus.Histogram
	Held, PositionErrors, Forgotten       prometheus.Counter
}

// New registers the table on r. A metric registered twice is a mistake in the program.
func New(r prometheus.Registerer) *Set {
	b := builder{r}
	s := &Set{
		Read:          b.counters("waypost_sink_events_read_total"),
		Undecodable:   b.counters("waypost_sink_events_undecodable_total"),
		Repeated:      b.counters("waypost_sink_events_repeated_total"),
		Decisions:     b.counters("waypost_sink_decisions_total"),
		Ineligible:    b.counters("waypost_sink_ineligible_total"),
		Lag:           b.gauges("waypost_sink_lag_seconds"),
		BatchRecords:  b.histograms("waypost_sink_batch_records").WithLabelValues().(prometheus.Histogram),
		CommitSeconds: b.histograms("waypost_sink_commit_seconds").WithLabelValues().(prometheus.Histogram),
		Damage:        b.counters("waypost_sink_source_damage_total"),
		DamagedBytes:  b.counters("waypost_sink_source_damaged_bytes_total"),
		PastEnd:       b.counters("waypost_sink_source_past_end_total"),
		SourceErrors:  b.counters("waypost_sink_source_errors_total"),
		Deliveries:    b.counters("waypost_sink_deliveries_total"),
		LeftOut:       b.counters("waypost_sink_deliveries_left_out_total"),
		Refused:       b.counters("waypost_sink_refused_total"),
		AnswerSeconds: b.histograms("waypost_sink_delivery_answer_seconds"),
		Pending:       b.gauges("waypost_sink_deliveries_pending").WithLabelValues(),
		InMemory:      b.gauges("waypost_sink_deliveries_in_memory").WithLabelValues(),
		OldestDue:     b.gauges("waypost_sink_delivery_oldest_due_seconds").WithLabelValues(),
		Orphaned:      b.gauges("waypost_sink_deliveries_orphaned").WithLabelValues(),
		BreakersOpen:  b.gauges("waypost_sink_breakers_open").WithLabelValues(),
		Deads:         b.gauges("waypost_sink_dead_letters").WithLabelValues(),
		DeadsDropped:  b.counters("waypost_sink_dead_letters_dropped_total").WithLabelValues(),
		MarksBatch:    b.histograms("waypost_sink_marks_batch_records").WithLabelValues().(prometheus.Histogram),
		StoreBytes:    b.gauges("waypost_sink_store_bytes").WithLabelValues(),

		AttemptLogBytes:   b.gauges("waypost_sink_attempt_log_bytes").WithLabelValues(),
		AttemptLogDropped: b.counters("waypost_sink_attempt_log_dropped_total").WithLabelValues(),
		EndpointFailing:   b.gauges("waypost_sink_endpoint_failing"),
		EndpointsDisabled: b.gauges("waypost_sink_endpoints_disabled").WithLabelValues(),
		EndpointDisabled:  b.gauges("waypost_sink_endpoint_disabled"),

		Uniques:        b.gauges("waypost_sink_uniques_kept").WithLabelValues(),
		UniquesBytes:   b.gauges("waypost_sink_uniques_bytes").WithLabelValues(),
		UniquesDropped: b.counters("waypost_sink_uniques_dropped_total").WithLabelValues(),

		Agents:     b.counters("waypost_sink_agents_total"),
		Places:     b.counters("waypost_sink_places_total"),
		GeoReloads: b.counters("waypost_sink_geo_reloads_total"),
		GeoBuilt:   b.gauges("waypost_sink_geo_built_timestamp_seconds").WithLabelValues(),

		LagRecords:     b.gauges("waypost_sink_lag_records"),
		Partitions:     b.gauges("waypost_sink_kafka_partitions").WithLabelValues(),
		APIWebhooks:    b.gauges("waypost_sink_kafka_webhooks").WithLabelValues(),
		Generations:    b.counters("waypost_sink_kafka_generations_total").WithLabelValues(),
		Rebuilds:       b.counters("waypost_sink_kafka_rebuilds_total"),
		Restored:       b.counters("waypost_sink_kafka_restored_total").WithLabelValues(),
		KafkaAlarms:    b.counters("waypost_sink_kafka_alarms_total"),
		UniqueRecords:  b.counters("waypost_sink_kafka_unique_total").WithLabelValues(),
		ProduceSeconds: b.histograms("waypost_sink_kafka_produce_seconds").WithLabelValues().(prometheus.Histogram),
		ProduceRetries: b.counters("waypost_sink_kafka_produce_retries_total"),
		WebhookSeconds: b.histograms("waypost_sink_kafka_webhook_seconds").WithLabelValues().(prometheus.Histogram),
		LiveReaders:    b.gauges("waypost_sink_live_readers").WithLabelValues(),
		LiveEvents:     b.counters("waypost_sink_live_events_total").WithLabelValues(),
		LiveCut:        b.counters("waypost_sink_live_cut_total").WithLabelValues(),
		LiveRefused:    b.counters("waypost_sink_live_refused_total").WithLabelValues(),
		LiveGaps:       b.counters("waypost_sink_live_gaps_total").WithLabelValues(),
		Held:           b.counters("waypost_sink_kafka_held_total").WithLabelValues(),
		Forgotten:      b.counters("waypost_sink_kafka_forgotten_total").WithLabelValues(),
		PositionErrors: b.counters("waypost_sink_kafka_position_errors_total").WithLabelValues(),
	}
	for _, alarm := range Alarms {
		s.KafkaAlarms.WithLabelValues(alarm)
	}
	for _, kind := range outbound.Kinds() {
		s.Refused.WithLabelValues(string(kind))
	}
	for _, decision := range []string{"first", "first_machine", "repeat", "forgotten"} {
		s.Decisions.WithLabelValues(decision) // there from the start, so that a rate sees the first one
	}
	return s
}

// Discard is a set that nobody scrapes, for tests and tools.
func Discard() *Set { return New(prometheus.NewRegistry()) }

type builder struct{ r prometheus.Registerer }

func find(name string, t Type) Metric {
	for _, m := range Table {
		if m.Name == name && m.Type == t {
			return m
		}
	}
	panic("BUG: no " + string(t) + " in the table: " + name)
}

func (b builder) counters(name string) *prometheus.CounterVec {
	m := find(name, Counter)
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.Name, Help: m.Help}, m.Labels)
	b.r.MustRegister(v)
	return v
}

func (b builder) gauges(name string) *prometheus.GaugeVec {
	m := find(name, Gauge)
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: m.Name, Help: m.Help}, m.Labels)
	b.r.MustRegister(v)
	return v
}

func (b builder) histograms(name string) *prometheus.HistogramVec {
	m := find(name, Histogram)
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: m.Name, Help: m.Help, Buckets: m.Buckets}, m.Labels)
	b.r.MustRegister(v)
	return v
}
