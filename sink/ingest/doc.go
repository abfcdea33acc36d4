// Package ingest takes events in, decides who was first, and makes that durable.
//
// One step, again and again, in one goroutine:
//
//	sources ─ Fill ─▶ batch ─▶ decide ─▶ one Pebble batch, synced: keys, floors, positions, deliveries ─▶ positions published ─▶ deliveries sent
//
// A crash between any two of these repeats what was not committed, with the same outcome, and sends nothing that is not on disk.
//
// # What is unique
//
// The first click of a recipient on a link of a message, twice over: of any client, and of one that is not labelled as a machine. It can be
// one only if
//
//   - it is a click, neither HEAD nor prefetch, with message and recipient;
//   - it came within the retention that it carries, counted from the minting time: event time - minted <= retention. An event older than its
//     mail (two clocks) is within it;
//   - the mail's day is not below the tenant's floor.
//
// # Floor
//
// Keys must go some day. A tenant's floor is the highest that min(event time, sink's clock) - retention - 7 days ever was, as a day. It is
// written in the batch that moves it, and never moves back: below it nobody can tell any more who was first. So:
//
//   - an edge whose clock is a year ahead moves nothing beyond what the sink's own clock allows;
//   - an edge that is up to seven days late finds the keys that it needs;
//   - retention raised from 45 to 365 days reaches back only to where keys still are, and grows from there;
//   - with several retentions in one log (a setting rolled out edge by edge) the shortest moves the floor.
//
// # Midnight
//
// A key's day is the mail's minting day, so that days leave whole. A request that comes twice can be minted on both sides of midnight:
// within an hour of it the neighbouring day is looked up too, and what stands there counts. One mail keeps one key, where it was written
// first. The day just below the floor stays in the store (nothing is written there) as the neighbour of the lowest day.
package ingest
