// Package topic is the sink on Kafka: the partitions of the events' topic are sources, the topic of unique clicks is the truth, and a store is only its
// memory.
//
//	members of the group ─▶ generation ─▶ each partition assigned, for itself:
//
//	  recover: store ◀─ unique, from the store's place to its end
//	  then, again and again:  fetch events ─▶ decide ─▶ produce firsts to the same partition of unique ─▶ one batch: keys, floors, both offsets
//
// # Why nothing is lost or doubled
//
// A record of unique carries the offset of the event behind it. Whoever writes a partition, writes the firsts in the events' order, beginning not behind the
// last one that stood in unique when it began. So of all records that a partition ever gets, those whose source offset is greater than any before
// them are every first, once, in order: the readers' rule. What a crash between produce and store repeats, what a member repeats that does not know yet that it was
// replaced, and what an aborted produce leaves behind, are repetitions with the same outcome, because deciding is a function of the log alone: the floor follows
// the log's own time (LogAppendTime).
//
// Two members may write a partition at the same time for a while, until the one that was replaced finds out. So the store's place in unique moves over a member's own
// records only where these follow the last one that it has applied; where another's stand in between, it recovers before it goes on.
//
// The end of a generation ends every loop at once. A produce under way is then given up: its outcome is unknown, no batch is written for it, and the next
// generation finds out from unique.
//
// # A record of unique
//
// Key and value are those of the event's record. Headers, all text:
//
//	content-type   application/cloudevents+json; charset=UTF-8
//	source-offset  the event's offset in the same partition of the events' topic, decimal
//	first          any: the first of any client; person: the first of a person; or any,person
//	floors         TENANT=DAY,...: tenants' floors that moved up to this event since the writer's last record; the first record of a generation carries all of them.
//	               Only those who rebuild the store need it. DAY: days since 2025-01-01 UTC. Absent where nothing moved.
//
// # When a partition stops
//
// It stops, with an alarm and a reason in /readyz, where going on would lose or double something unseen: the events' topic begins behind our place, or ends before
// it; the number of partitions has changed; the brokers refuse a record for good. A store that is missing, or of which unique knows less or no longer enough, is no such case: it is
// made anew from unique.
package topic
