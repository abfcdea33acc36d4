// Package uniques keeps what was told: each event that yields webhooks, whole, for a bounded time. Tenants pull them (package api), operators send them again
// (package dispatch).
//
// An event is written in the batch that also holds its decision, so it is there exactly when the decision is, over SIGKILL too:
//
//	ingest ─ Keep ─▶ noted ─ Write ─▶ batch: decisions, deliveries, blocks of events ─ commit ─▶ Committed
//
// # Blocks and segments
//
// The events of a batch are written in blocks of one tenant each, by time: their documents under one key, compressed where they are many, and who they are under another, so that
// who searches reads no document that is not asked for. A sink that has little to do writes blocks of one event, a busy one of a hundred.
//
// Blocks are put into segments in the order in which they are decided. A segment is closed when it is full or has been open for long, and leaves as a whole, by two range
// deletes: when all of its events are older than what is kept, or, the oldest first, when there are more bytes than are kept.
//
// Who reads looks into the segments' indexes in the order of their times, and merges those that overlap. Those of one machine hardly do, so mostly one or two are open at once.
//
// Rejected: a key an event, with another under its message (measured at 18 us of a decision's CPU, six times the decision itself: most of it Pebble's, for placing, flushing and
// compacting keys by the hundred thousand); keys by tenant and time alone (the oldest of all tenants then lie in as many places as there are tenants); keys by day (a busy day holds
// more than all that is kept, and would have to leave while it is written).
package uniques
