// Package uniques keeps what was told: each event that yields webhooks, whole, for a bounded time. Tenants pull them (package api), operators send them again
// (package dispatch).
//
// An event is written in the batch that also holds its decision, so it is there exactly when the decision is, over SIGKILL too:
//
//	ingest ─ Due ─▶ batch: decision, deliveries, the event in the last segment ─ commit ─▶ Committed
//
// # Segments
//
// Events are put into segments in the order in which they are decided. A segment is closed when it is full or has been open for long, and leaves
// as a whole, by two range deletes: when all of its events are older than the days that are kept, or, the oldest first, when there are more bytes than are
// kept. Within it events stand by tenant, kind and time; a second set of keys, without values, has them by tenant and message.
//
// Who reads merges the segments by time. Those of one machine hardly overlap, so mostly one or two are open at once.
//
// Rejected: keys by tenant and time alone (the oldest of all tenants then lie in as many places as there are tenants, and a message's places cannot leave in
// ranges); keys by day (a busy day holds more than all that is kept, and would have to leave while it is written); an index by recipient (as many bytes again
// for a search that may as well read: a million events take about two seconds).
package uniques
