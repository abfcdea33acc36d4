// Package topic sends webhooks of a sink on Kafka. It reads the topic of unique clicks with positions of its own, is never fed by who decides, and keeps what is due
// later in topics: there is no database beside Kafka.
//
//	unique/N ──▶ readers' rule ──▶ one delivery an endpoint ──▶ lane of the endpoint ──▶ attempt ──▶ deliveries/N
//	                                        │ no room in the lane        ▲                  │ failed
//	                                        ▼                            │ due              ├──▶ dead/N
//	                                 retry.1s/N … retry.10h/N ───────────┘◀─────────────────┘
//
// # Positions
//
// A position passes a record only when each of its deliveries has ended in a topic: as an attempt that was answered, in a retry topic, or among the dead. It is
// committed to the group, under the generation and member that own the partition, so that a sink that was replaced unknowingly moves nothing. In the commit's metadata stands what else
// is known (standing.go): the offset that the readers' rule needs, the highest source offset below the position; and which records behind the position are finished. One delivery
// that waits in a lane, or whose receiver is slow, holds the position back by what thousands of others pass meanwhile: without that, each crash sent those again, and what had
// been put off behind the position stood in the retry topics twice from then on, after the next crash four times.
//
// Partition N of unique and of every retry topic belongs to whom the group gave partition N of the events. When a generation ends, nothing more is begun; attempts
// under way may end within a second and are then cut. What was finished and not committed is sent again by the next owner, under the same id.
//
// # The schedule
//
// All records of one retry topic wait for the same time, so its order is the order in which they are due, and its reader waits for the first one only. A delivery goes
// to the longest topic that is not longer than its wait, and from there, when that is over, on to shorter ones: 14 h are 10 h, 2 h, 2 h. What is left below a second is
// not waited for. Memory holds what is in lanes, and nothing of what waits.
//
// Rejected: one compacted topic with a key for each delivery. A start would have to read all that is due for dead endpoints, perhaps millions, and to keep an index of it in memory;
// and compaction rewrites what merely waits. The price of the ladder is a record for each step, at most eight for the longest wait of a format.
//
// # No endpoint delays another
//
// A lane takes at most dispatch.window deliveries, and none for longer than two seconds: what finds no room, or waits too long in it, goes to the schedule without having been
// attempted, until the endpoint should have come to it at the pace that it has shown; where that was wrong several times, for twice as long each time, up to half an hour. So a dead endpoint costs a bounded part of the memory, no reader ever waits for one, and
// no position stays behind for longer than one attempt may take.
//
// The endpoints are a set that may change (change.go): those that programs make stand in a topic of their own, which sink/api reads, and nothing is sent before it has.
//
// While an endpoint's breaker is open (see sink/dispatch/gate) its lane is empty: what is due is put off the same way, but for one delivery that waits for the next probe. Each sink
// has a breaker of its own for each endpoint, and finds out for itself.
//
// Since when an endpoint fails, and whether it is disabled, is the same for all sinks: it stands in a compacted topic that each of them reads (see states). What is due to a disabled endpoint is put off like
// what is due to one that the settings do not name.
//
// # What operators ask
//
// Attempts, states and dead letters of all sinks are found in the topics (operator.go), without an index: a walk (scan.go) goes back in time, window by window, by the time at which the brokers took records. A window that holds too much
// is halved, one that holds little doubles the next. Rejected: an index in each sink's store (a sink has those of its partitions only, and they move), and reading from the end backwards by offset (Kafka reads forwards only, and partitions would be out of step).
package topic
