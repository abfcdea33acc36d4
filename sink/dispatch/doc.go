// Package dispatch sends webhooks: at least once to the receiver, once in intent.
//
// A delivery is made durable in the batch that also holds the decision behind it (see Due), and leaves the store only when an attempt has
// ended it (see mark). In between it is in memory when there is room, and is read from the store when there is not:
//
//	ingest ─ Due ──▶ batch ─ commit ─ Committed ──▶ window of its endpoint ──▶ attempt ──▶ mark ──▶ gone, or dead letter
//	                   │                 │ no room      ▲                        │
//	                   ▼                 ▼              │ refill, when due       │ failed: later
//	                 store  ◀────────────────────────────────────────────────────┘
//
// Every endpoint stands for itself: its own window, its own limits of attempts and breaker (see package gate), its own timers. There is no queue that two of them
// share, and the memory that they share keeps room for what each can have under way. No goroutine belongs to an endpoint that has nothing to do.
//
// Rejected: one queue with workers (a slow endpoint takes them all); one goroutine an endpoint (ten thousand of them, mostly idle); retries
// in memory (a crash forgets them).
package dispatch
