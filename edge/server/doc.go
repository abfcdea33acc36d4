// Package server is the redirect path: a link comes in, the click goes into the journal, the destination goes out.
//
// # The way of a request
//
//	method ─▶ path ─▶ token ─▶ cache or open ─▶ tenant, host ─▶ blocks ─▶ event ─▶ journal ─▶ 302
//	  405     robots     │           ▲                │          410          a loss is counted,
//	                     │           └ repair         │                       the redirect goes on
//	                     └─────────── 404 ────────────┘
//
// Other methods are refused (405), but for providers' deliveries, which package inbound answers. It reads their bodies; all others are passed over.
//
// One goroutine of fasthttp serves a connection. What a request needs lies in one visit, taken from a pool: the opened link, the event and
// the record's bytes. A link, a cache hit, a refusal: none allocates.
//
// # Rules
//
//   - Only what opens under our keys redirects, on its tenant's hosts only. Everything else gets the same page, which repeats nothing of
//     the request. The exception is switched on by a tenant: NexoMailer's links, to hosts that it lists or with a signature (nexomailer.go).
//     Their page names the destination, escaped.
//   - The destination leaves as the bytes that were minted: nothing here parses or normalises it.
//   - The event is in the journal before the answer is written. What the journal refuses is counted by reason, logged (throttled), and
//     the person gets there all the same.
//   - Keys, tenants and blocks are one value that a reload replaces: a request sees the old ones or the new ones.
//   - Nothing here waits for anything but the journal's memory.
package server
