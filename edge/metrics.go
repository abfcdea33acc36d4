package main

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"waypost/configs"
	"waypost/edge/inbound"
	"waypost/edge/internal/deliveries"
	"waypost/edge/journal"
	"waypost/edge/server"
)

// definitions are all metrics of the edge, as data. README.md tells what to do about each.
var definitions = []struct {
	name, kind, help string
	labels           []string
}{
	{"waypost_edge_requests_total", "counter", "Requests answered, by outcome.", []string{"outcome"}},
	{"waypost_edge_tenant_links_total", "counter", "Links of a tenant that were followed or blocked.", []string{"tenant", "outcome"}},
	{"waypost_edge_untracked_total", "counter", "Links of a tenant that were followed, and pictures shown, of which nothing was written, by why.", []string{"tenant", "by"}},
	{"waypost_edge_labels_total", "counter", "Events by label.", []string{"label"}},
	{"waypost_edge_machines", "gauge", "Rules in the file of machines.", nil},
	{"waypost_edge_refusals_total", "counter", "Links that did not open, by reason.", []string{"reason"}},
	{"waypost_edge_blocked_total", "counter", "Links that were not followed because they are blocked, by what blocks them.", []string{"by"}},
	{"waypost_edge_blocks", "gauge", "Entries in the file of blocks.", nil},
	{"waypost_edge_reloads_total", "counter", "Times that changed files were taken up or refused.", []string{"result"}},
	{"waypost_edge_reload_timestamp_seconds", "gauge", "When files were taken up last, the start included, in Unix time.", nil},
	{"waypost_edge_links_changed_total", "counter", "Links that had been changed on their way, by what was recognised.", []string{"class"}},
	{"waypost_edge_nexomailer_total", "counter", "Links and pictures of mails that NexoMailer sent, by outcome.", []string{"outcome"}},
	{"waypost_edge_events_lost_total", "counter", "Events that the journal did not take; their redirects were answered.", []string{"reason"}},
	{"waypost_edge_cache_hits_total", "counter", "Links found in the cache.", nil},
	{"waypost_edge_cache_misses_total", "counter", "Links opened because the cache did not hold them.", nil},
	{"waypost_edge_cache_bytes", "gauge", "Memory of the cache's links.", nil},
	{"waypost_edge_connections", "gauge", "Connections open.", nil},
	{"waypost_edge_connections_rejected_total", "counter", "Connections closed because there were too many, by limit.", []string{"limit"}},
	{"waypost_edge_handle_seconds", "histogram", "From the end of a request's headers to its answer handed over, of one request in sixteen.", nil},
	{"waypost_edge_inbound_deliveries_total", "counter", "Deliveries of providers' webhooks, by result.", []string{"tenant", "provider", "result"}},
	{"waypost_edge_inbound_unknown_total", "counter", "Deliveries to a tenant or of a provider that there is not.", nil},
	{"waypost_edge_inbound_events_total", "counter", "Events that providers told, by what names their message: tag, or the provider's own id.", []string{"tenant", "provider", "message"}},
	{"waypost_edge_inbound_body_bytes", "gauge", "Memory of deliveries under way.", nil},
	{"waypost_edge_aside_deliveries", "gauge", "Deliveries that could not be mapped, and are kept.", nil},
	{"waypost_edge_aside_bytes", "gauge", "Bytes of their files.", nil},
	{"waypost_edge_aside_replayed_total", "counter", "Deliveries that a replay has taken out.", nil},
	{"waypost_edge_journal_records_total", "counter", "Events written to the journal.", nil},
	{"waypost_edge_journal_bytes_total", "counter", "Bytes written to the journal.", nil},
	{"waypost_edge_journal_segments", "gauge", "Segment files in the journal's directory.", nil},
	{"waypost_edge_journal_used_bytes", "gauge", "Bytes of the journal held by unread and kept events.", nil},
	{"waypost_edge_journal_holes_total", "counter", "Records that a crash left unfinished, skipped.", nil},
	{"waypost_edge_journal_recycled_total", "counter", "Segments used again.", nil},
	{"waypost_edge_journal_lag_bytes", "gauge", "Bytes that a consumer has not read.", []string{"consumer"}},
	{"waypost_edge_journal_sync_errors_total", "counter", "Background syncs that failed.", nil},
	{"waypost_edge_journal_sync_seconds", "gauge", "How long the last background sync took.", nil},

	// Only where kafka.brokers is set.
	{"waypost_edge_ship_records_total", "counter", "Events that Kafka acknowledged.", nil},
	{"waypost_edge_ship_batches_total", "counter", "Batches that Kafka acknowledged.", nil},
	{"waypost_edge_ship_bytes_total", "counter", "Bytes of the acknowledged events, before compression.", nil},
	{"waypost_edge_ship_sent_bytes_total", "counter", "Bytes of the acknowledged batches, as sent.", nil},
	{"waypost_edge_ship_ack_seconds_total", "counter", "All batches' times from first sending to acknowledgement together.", nil},
	{"waypost_edge_ship_retries_total", "counter", "Attempts that failed, by error.", []string{"error"}},
	{"waypost_edge_ship_renewals_total", "counter", "Producer ids that the brokers had forgotten.", nil},
	{"waypost_edge_ship_refused_total", "counter", "Events that Kafka refuses for good, in the side file.", nil},
	{"waypost_edge_ship_returns_total", "counter", "Times that the shipper went back for what a failing partition had missed.", nil},
	{"waypost_edge_ship_damaged_total", "counter", "Records of the journal that were no event, passed over.", nil},
	{"waypost_edge_ship_state_errors_total", "counter", "Failed writes of the shipper's places.", nil},
	{"waypost_edge_ship_lag_records", "gauge", "Events that are not acknowledged, reckoned from the journal's lag in bytes.", nil},
	{"waypost_edge_ship_lag_seconds", "gauge", "Age of the oldest event that is not acknowledged.", nil},
	{"waypost_edge_ship_since_ack_seconds", "gauge", "Since the last acknowledgement, or since the start.", nil},
	{"waypost_edge_ship_trouble", "gauge", "Partitions that fail now; also 1 when the shipper cannot begin.", nil},
}

// descriptors are the definitions as Prometheus wants them.
var descriptors = func() map[string]*prometheus.Desc {
	m := make(map[string]*prometheus.Desc, len(definitions))
	for _, d := range definitions {
		m[d.name] = prometheus.NewDesc(d.name, d.help, d.labels, nil)
	}
	return m
}()

// collector reads the counters of the server and the journal at each scrape; the redirect path never meets Prometheus.
type collector struct {
	edge     *server.Server
	inbound  *inbound.Handler
	asides   *deliveries.API
	journal  *journal.Writer
	shipping *shipping // nil: Kafka is off
	reload   *reloader
}

// Describe tells all metrics.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range descriptors {
		out <- d
	}
}

// Collect sends their values.
func (c collector) Collect(out chan<- prometheus.Metric) {
	counts := c.edge.Counts()
	byLabel(out, "waypost_edge_requests_total", prometheus.CounterValue, counts.Requests)
	for name, t := range counts.Tenants {
		links := descriptors["waypost_edge_tenant_links_total"]
		out <- prometheus.MustNewConstMetric(links, prometheus.CounterValue, float64(t.Redirects), name, "redirect")
		out <- prometheus.MustNewConstMetric(links, prometheus.CounterValue, float64(t.Opens), name, "opened")
		out <- prometheus.MustNewConstMetric(links, prometheus.CounterValue, float64(t.Blocked), name, "blocked")
		for by, n := range t.Untracked {
			out <- prometheus.MustNewConstMetric(descriptors["waypost_edge_untracked_total"], prometheus.CounterValue, float64(n), name, by)
		}
	}
	byLabel(out, "waypost_edge_labels_total", prometheus.CounterValue, counts.Labels)
	gauge(out, "waypost_edge_machines", float64(counts.Machines))
	byLabel(out, "waypost_edge_refusals_total", prometheus.CounterValue, counts.Refusals)
	byLabel(out, "waypost_edge_blocked_total", prometheus.CounterValue, counts.Blocked)
	gauge(out, "waypost_edge_blocks", float64(counts.Blocks))
	done, refused, last := c.reload.Stats()
	byLabel(out, "waypost_edge_reloads_total", prometheus.CounterValue, map[string]uint64{"done": done, "refused": refused})
	gauge(out, "waypost_edge_reload_timestamp_seconds", float64(last.UnixMilli())/1000)
	byLabel(out, "waypost_edge_links_changed_total", prometheus.CounterValue, counts.Changed)
	byLabel(out, "waypost_edge_nexomailer_total", prometheus.CounterValue, counts.Nexo)
	byLabel(out, "waypost_edge_events_lost_total", prometheus.CounterValue, counts.Lost)
	counter(out, "waypost_edge_cache_hits_total", counts.CacheHits)
	counter(out, "waypost_edge_cache_misses_total", counts.CacheMisses)
	gauge(out, "waypost_edge_cache_bytes", float64(counts.CacheBytes))
	gauge(out, "waypost_edge_connections", float64(counts.Connections))
	byLabel(out, "waypost_edge_connections_rejected_total", prometheus.CounterValue, counts.Rejected)
	l := counts.Latency
	out <- prometheus.MustNewConstHistogram(descriptors["waypost_edge_handle_seconds"], l.Count, l.Seconds, l.Buckets)
	collectInbound(out, c.inbound.Counts())
	kept, bytes := c.asides.Store.Size()
	gauge(out, "waypost_edge_aside_deliveries", float64(kept))
	gauge(out, "waypost_edge_aside_bytes", float64(bytes))
	counter(out, "waypost_edge_aside_replayed_total", c.asides.Replayed())

	stats := c.journal.Stats()
	counter(out, "waypost_edge_journal_records_total", stats.Records)
	counter(out, "waypost_edge_journal_bytes_total", stats.Bytes)
	gauge(out, "waypost_edge_journal_segments", float64(stats.Segments))
	gauge(out, "waypost_edge_journal_used_bytes", float64(stats.UsedBytes))
	counter(out, "waypost_edge_journal_holes_total", stats.HolesSkipped)
	counter(out, "waypost_edge_journal_recycled_total", stats.Recycled)
	byLabel(out, "waypost_edge_journal_lag_bytes", prometheus.GaugeValue, stats.ConsumerLag)
	counter(out, "waypost_edge_journal_sync_errors_total", stats.SyncErrors)
	gauge(out, "waypost_edge_journal_sync_seconds", stats.LastSyncDuration.Seconds())
	if c.shipping != nil {
		c.shipping.collect(out, stats, time.Now())
	}
}

func collectInbound(out chan<- prometheus.Metric, c inbound.Counts) {
	for _, s := range c.Sources {
		for result, n := range s.Deliveries {
			out <- prometheus.MustNewConstMetric(descriptors["waypost_edge_inbound_deliveries_total"], prometheus.CounterValue, float64(n), s.Tenant, s.Provider, result)
		}
		events := descriptors["waypost_edge_inbound_events_total"]
		out <- prometheus.MustNewConstMetric(events, prometheus.CounterValue, float64(s.Tagged), s.Tenant, s.Provider, "tag")
		out <- prometheus.MustNewConstMetric(events, prometheus.CounterValue, float64(s.Untagged), s.Tenant, s.Provider, "provider")
	}
	counter(out, "waypost_edge_inbound_unknown_total", c.Unknown)
	gauge(out, "waypost_edge_inbound_body_bytes", float64(c.BodyBytes))
}

// collect sends the shipper's values; j is the journal's.
func (s *shipping) collect(out chan<- prometheus.Metric, j journal.Stats, now time.Time) {
	st := s.shipper.Stats()
	counter(out, "waypost_edge_ship_records_total", st.Records)
	counter(out, "waypost_edge_ship_batches_total", st.Batches)
	counter(out, "waypost_edge_ship_bytes_total", st.Bytes)
	counter(out, "waypost_edge_ship_sent_bytes_total", st.SentBytes)
	out <- prometheus.MustNewConstMetric(descriptors["waypost_edge_ship_ack_seconds_total"], prometheus.CounterValue, st.AckSeconds)
	byLabel(out, "waypost_edge_ship_retries_total", prometheus.CounterValue, st.Retries)
	counter(out, "waypost_edge_ship_renewals_total", st.Renewals)
	counter(out, "waypost_edge_ship_refused_total", st.Refused)
	counter(out, "waypost_edge_ship_returns_total", st.Returns)
	counter(out, "waypost_edge_ship_damaged_total", st.Damaged)
	counter(out, "waypost_edge_ship_state_errors_total", st.StateErrors)
	gauge(out, "waypost_edge_ship_lag_records", lagRecords(j.ConsumerLag[configs.Shipper], j.Bytes, j.Records))
	lag := 0.0
	if !st.Oldest.IsZero() {
		lag = max(0, now.Sub(st.Oldest).Seconds())
	}
	gauge(out, "waypost_edge_ship_lag_seconds", lag)
	last := st.LastAck
	if last.IsZero() {
		last = s.begun
	}
	gauge(out, "waypost_edge_ship_since_ack_seconds", now.Sub(last).Seconds())
	gauge(out, "waypost_edge_ship_trouble", float64(len(s.reasons())))
}

// usualRecord is an event's size in a journal while none was written that could be measured.
const usualRecord = 512

// lagRecords reckons a lag in bytes in records of the size that they have here.
func lagRecords(lag, bytes, records uint64) float64 {
	size := float64(usualRecord)
	if records > 0 {
		size = float64(bytes) / float64(records)
	}
	return math.Round(float64(lag) / size)
}

func byLabel(out chan<- prometheus.Metric, name string, kind prometheus.ValueType, values map[string]uint64) {
	for label, n := range values {
		out <- prometheus.MustNewConstMetric(descriptors[name], kind, float64(n), label)
	}
}

func counter(out chan<- prometheus.Metric, name string, n uint64) {
	out <- prometheus.MustNewConstMetric(descriptors[name], prometheus.CounterValue, float64(n))
}

func gauge(out chan<- prometheus.Metric, name string, value float64) {
	out <- prometheus.MustNewConstMetric(descriptors[name], prometheus.GaugeValue, value)
}
