// Package machines tells visits of programs from those of people, by user agent and address: scanners, crawlers, previews, image proxies.
//
// The rules come from a file (configs.Machines, configs/machines.yaml). They decide who was the first person, so they are asked before the event is in the journal, on the way of each redirect:
//
//	user agent ─▶ seen lately? ─▶ what was found then               15 ns
//	                   └─ no ──▶ whole agents, parts (automaton)    one step a byte, 1,024 at most
//	address ─▶ table of networks, the narrowest counts              where no rule matched the agent
//
// # What was seen
//
// A table of fixed size, each place one word: bits of the agent's hash, the rules for a click and for an open, and a credit. A hit earns credit, up to 15; an agent that hashes to a place that
// another one has takes one credit away once in sixteen tries, and gets the place when none is left. So what many people use stays, however many agents somebody makes up: to push one out it takes
// more than sixteen times its own visits at that very place, which the seed of the hash keeps secret. Who is pushed out costs one more walk of the automaton, a quarter of a microsecond for a usual
// agent and 3 for the longest: there is nothing else to win. Rejected: a map with locks (contended, and it grows), ristretto (entering costs more than the walk), no table at all (the walk takes longer than the journal).
//
// Nothing here allocates after New, and a Set never changes but for that table: any number of goroutines may ask it.
package machines
