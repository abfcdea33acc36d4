package configs

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"waypost/configs/outbound"
)

// The tables of edge.yaml, mint.yaml and sink.yaml: each key, where it goes, what is allowed. Their order is the order of the shipped files.

func (e *Edge) group() group {
	return group{
		settings: []setting{
			{"listen", listenAddress(&e.Listen)},
			{"admin", listenAddress(&e.Admin)},
			{"keys", path(&e.Keys)},
			{"tenants", path(&e.Tenants)},
			{"blocks", path(&e.Blocks)},
			{"machines", optional(path(&e.Machines))},
			{"reload_on_change", boolean(&e.ReloadOnChange)},
			{"trusted_proxies", list[netip.Prefix]{&e.TrustedProxies, prefix, "networks", 1000}},
			{"proxy_protocol", boolean(&e.ProxyProtocol)},
			{"max_connections", numberIn(&e.MaxConnections, 0, 262_144)},
			{"max_connections_per_address", numberIn(&e.MaxPerAddress, 0, 262_144)},
			{"cache_bytes", bytesIn(&e.CacheBytes, 0, 1*tib)},
			{"inbound_memory", bytesIn(&e.InboundMemory, 2*mib, 1*tib)},
			{"drain_timeout", durationIn(&e.DrainTimeout, 0, 10*time.Minute)},
			{"journal", e.Journal.group()},
			{"aside", group{settings: []setting{{"dir", optional(path(&e.Aside.Dir))}, {"bytes", bytesIn(&e.Aside.Bytes, 2*mib, 1*tib)}}}},
			{"kafka", e.Kafka.group()},
			{"log", e.Log.group()},
		},
		check: e.check,
	}
}

func (e *Edge) check(r *reader, _ string) {
	if e.ProxyProtocol && len(e.TrustedProxies) == 0 {
		r.late("trusted_proxies", "[]", "must name the proxies where proxy_protocol is true: nobody else is believed")
	}
	if e.Kafka.On() && !slices.Contains(e.Journal.Consumers, Shipper) {
		inline, _ := list[string]{to: &e.Journal.Consumers, item: named}.render()
		r.late("journal.consumers", inline, "must name "+Shipper+" where kafka.brokers is set: segments are free before they are shipped otherwise")
	}
}

func (j *Journal) group() group {
	return group{
		settings: []setting{
			{"dir", path(&j.Dir)},
			{"segment_bytes", bytesIn(&j.SegmentBytes, 64*kib, 1*gib)},
			{"budget", bytesIn(&j.Budget, 128*kib, 16*tib)},
			{"keep_bytes", bytesIn(&j.KeepBytes, 0, 16*tib)},
			{"keep_age", durationIn(&j.KeepAge, 0, 365*day)},
			{"sync", durationOrNever(&j.Sync, time.Millisecond, time.Hour)},
			{"consumers", list[string]{&j.Consumers, named, "names", 64}},
		},
		check: j.check,
	}
}

// pageBytes is what a segment is mapped in.
const pageBytes = 4096

func (j *Journal) check(r *reader, key string) {
	at := func(name string) string { return join(key, name) }
	if j.SegmentBytes%pageBytes != 0 {
		r.late(at("segment_bytes"), formatBytes(j.SegmentBytes), "must be a multiple of 4KiB")
	}
	if j.Budget < 2*j.SegmentBytes {
		r.late(at("budget"), formatBytes(j.Budget), "must be at least two segments: "+formatBytes(2*j.SegmentBytes))
	}
	if j.KeepBytes > j.Budget {
		r.late(at("keep_bytes"), formatBytes(j.KeepBytes), "must be at most the budget: "+formatBytes(j.Budget))
	}
	if len(j.Consumers) == 0 {
		r.late(at("consumers"), "[]", "must name at least one: the journal is read by nobody otherwise")
	}
	twice(r, at("consumers"), "", j.Consumers)
}

func (l *Log) group() group {
	return group{settings: []setting{
		{"level", oneOf(&l.Level, "debug", "info", "warn", "error")},
		{"format", oneOf(&l.Format, "text", "json")},
	}}
}

func (m *Mint) group() group {
	return group{
		settings: []setting{
			{"listen", listenAddress(&m.Listen)},
			{"admin", listenAddress(&m.Admin)},
			{"keys", path(&m.Keys)},
			{"tenants", path(&m.Tenants)},
			{"reload_on_change", boolean(&m.ReloadOnChange)},
			{"answer_within", durationIn(&m.AnswerWithin, 10*time.Millisecond, 2*time.Second)},
			{"max_body", bytesIn(&m.MaxBody, 1*kib, 64*mib)},
			{"body_memory", bytesIn(&m.BodyMemory, 1*mib, 1*tib)},
			{"drain_timeout", durationIn(&m.DrainTimeout, 0, 10*time.Minute)},
			{"log", m.Log.group()},
		},
		check: m.check,
	}
}

// headerBytes is what a request has beside its body, at most.
const headerBytes = 64 * kib

func (m *Mint) check(r *reader, _ string) {
	if m.BodyMemory < m.MaxBody+headerBytes {
		r.late("body_memory", formatBytes(m.BodyMemory), "must be at least max_body and 64KiB: "+formatBytes(m.MaxBody+headerBytes))
	}
}

func (s *Sink) group() group {
	return group{
		settings: []setting{
			{"admin", listenAddress(&s.Admin)},
			{"tenants", path(&s.Tenants)},
			{"journals", list[string]{&s.Journals, path, "directories", 1000}},
			{"consumer", named(&s.Consumer)},
			{"kafka", s.Kafka.group()},
			{"group", words(&s.Group, 1, 200)},
			{"store", path(&s.Store)},
			{"batch_records", numberIn(&s.BatchRecords, 1, 1_000_000)},
			{"print_decisions", boolean(&s.PrintDecisions)},
			{"drain_timeout", durationIn(&s.DrainTimeout, 0, 10*time.Minute)},
			{"dispatch", s.Dispatch.group()},
			{"uniques", s.Uniques.group()},
			{"geo", s.Geo.group()},
			{"api", s.API.group()},
			{"live", s.Live.group()},
			{"log", s.Log.group()},
		},
		check: s.check,
	}
}

func (s *Sink) check(r *reader, _ string) {
	switch {
	case len(s.Journals) == 0 && !s.Kafka.On():
		r.late("journals", "[]", "must name at least one directory where kafka.brokers is empty: there is nothing to read otherwise")
	case len(s.Journals) > 0 && s.Kafka.On():
		inline, _ := list[string]{to: &s.Journals, item: path}.render()
		r.late("journals", inline, "must be [] where kafka.brokers is set: events come from the journals or from Kafka, never from both")
	}
	twice(r, "journals", "", s.Journals)
}

func (u *Uniques) group() group {
	return group{settings: []setting{
		{"keep", durationIn(&u.Keep, 0, 3650*day)},
		{"keep_bytes", bytesIn(&u.KeepBytes, 0, 16*tib)},
	}}
}

func (g *Geo) group() group {
	return group{settings: []setting{{"database", optional(path(&g.Database))}}}
}

func (a *API) group() group {
	return group{settings: []setting{{"listen", listenAddressOrNone(&a.Listen)}}}
}

func (l *Live) group() group {
	return group{settings: []setting{
		{"readers", numberIn(&l.Readers, 0, 1000)},
		{"tenant_readers", numberIn(&l.TenantReaders, 0, 1000)},
		{"slow_after", durationIn(&l.SlowAfter, 100*time.Millisecond, 10*time.Minute)},
	}}
}

func (d *Dispatch) group() group {
	return group{check: d.check, settings: []setting{
		{"timeout", attemptTime(&d.Timeout)},
		{"connect_timeout", attemptTime(&d.ConnectTimeout)},
		{"tls_timeout", attemptTime(&d.TLSTimeout)},
		{"headers_timeout", attemptTime(&d.HeadersTimeout)},
		{"body_timeout", attemptTime(&d.BodyTimeout)},
		{"concurrency", numberIn(&d.Concurrency, 1, mostAtOnce)},
		{"rate", numberIn(&d.Rate, 0, mostASecond)},
		{"window", numberIn(&d.Window, 1, 1_000_000)},
		{"retries", list[time.Duration]{&d.Retries, retryWait, "waits", 100}},
		{"mark_every", durationIn(&d.MarkEvery, time.Millisecond, 10*time.Second)},
		{"attempts_days", numberIn(&d.AttemptsDays, 0, 3650)},
		{"attempts_bytes", bytesIn(&d.AttemptsBytes, 0, 16*tib)},
		{"breaker_failures", numberIn(&d.BreakerFailures, 0, 10_000)},
		{"breaker_longest", durationIn(&d.BreakerLongest, 100*time.Millisecond, 1*day)},
		{"disable_after", durationOrNever(&d.DisableAfter, time.Second, 365*day)},
		{"operator", d.Operator.group()},
		{"allow", list[outbound.Allowed]{&d.Allow, allowed, "networks and hosts", 1000}},
		{"ports", list[int]{&d.Ports, func(n *int) value { return numberIn(n, 1, 65535) }, "ports", 100}},
		{"require_https", boolean(&d.RequireHTTPS)},
	}}
}

// check warns of an operator to whom nothing will be sent.
func (d *Dispatch) check(r *reader, key string) {
	u, err := url.Parse(d.Operator.URL)
	if d.Operator.URL == "" || err != nil {
		return
	}
	if err := d.Outbound().CheckURL(u); err != nil {
		r.warn(join(key, "operator.url"), d.Operator.URL, fmt.Sprintf("nothing will be sent to it: %v", err))
	}
}

func (o *Operator) group() group {
	return group{
		settings: []setting{
			{"url", optional(webhookURL(&o.URL))},
			{"secrets", list[Secret]{&o.Secrets, standardSecret, "secrets of Standard Webhooks (whsec_)", mostSecrets}},
		},
		check: func(r *reader, key string) {
			if (o.URL == "") != (len(o.Secrets) == 0) {
				r.late(join(key, "secrets"), "", "url and secrets must be set together: the webhook is signed with each of them")
			}
		},
		secret: true,
	}
}

// Bounds of an endpoint's limits, in dispatch and of its own.
const (
	mostAtOnce  = 10_000
	mostASecond = 1_000_000
)

func attemptTime(d *time.Duration) value { return durationIn(d, 10*time.Millisecond, 10*time.Minute) }

func retryWait(d *time.Duration) value { return durationIn(d, time.Millisecond, 30*day) }

// twice notes the entries of a list that repeat an earlier one. items are what stands in each entry, or below it under member, such as .id.
func twice(r *reader, key, member string, items []string) {
	for i, item := range items {
		if first := slices.Index(items, item); item != "" && first < i {
			r.late(fmt.Sprintf("%s[%d]%s", key, i, member), item, fmt.Sprintf("must not repeat %s[%d]%s", key, first, member))
		}
	}
}
