// Package load measures Waypost's programs under load, against yardsticks that run in the same minutes on the same cores.
//
// # How a figure comes about
//
// A run has rounds; in each round the contestants take turns (A B, A B, ...), so that a noisy minute hits all of them, and what is
// reported is the median over the rounds and the ratio within each round. A turn is: warm-up (thrown away), then the measured
// window. Each contestant is a process of its own, alone on one core; the generator has another core. Two kinds of turn exist:
//
//   - closed loop, for the maximum: every connection asks again as soon as it was answered. The maximum is void when the generator's
//     own core was more than 90 % busy: then the generator was measured, not the server.
//   - open loop, at a fixed rate: request k is due at start + k/rate (or when the mix's schedule says: see schedule.go), whatever happened to the others, and its latency counts from
//     then. A server that stalls for a second therefore shows a second of late answers, and not one slow request per connection
//     (coordinated omission). A due request that finds no idle connection waits, and its wait is part of its latency.
//
// Before the first turn an edge's journal is brought to its steady state (steady.go): segments that are used again, as they are after a minute of any edge's life.
//
// CPU per request is what the kernel charged to the server's process during the window (user and system), divided by the answers,
// and beside it what its core spent in the same window outside idle, which also holds interrupts and kernel threads.
//
// The generator is one thread that never sleeps inside the Go scheduler: preformatted requests, one write and one read a request, edge-triggered epoll
// with a deadline in nanoseconds. On loopback the sender pays for most of the receiver's kernel work; whatever a client spends above that is missing
// from the range in which a server can be measured with two cores.
package load
