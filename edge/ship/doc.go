// Package ship carries a journal's events to Kafka: each at least once, those of a partition in journal order, and repeated only where a reader that follows the
// readers' rule (event.ReadersRule) drops the repetition.
//
//	journal ── Reader ──▶ one goroutine: key ─ murmur2 ─▶ partition's batch ──▶ one sender a partition ──▶ its leader
//	                      owns the ledger of places  ◀──────── acknowledged ────────┘
//
// # What it promises
//
//   - A partition has one batch in flight. It is repeated with identical bytes (producer id, epoch, sequence) until the leader, whoever that is by then, has taken it; a
//     leader that has it already answers so, and that counts as taken.
//   - When the brokers have forgotten the producer (its sequence makes no sense to them), the batch is sent again under a new producer id. That can repeat
//     it; nothing of the partition was sent after it.
//   - The place up to which a partition's events are acknowledged is written to Options.State, synced, before it is published to the journal's writer. After a crash
//     shipping goes on from there, and repeats what was acknowledged since the last write (a second by default).
//   - An answer that no repetition can cure stops nothing silently. A batch that is too large is halved; a single record that the brokers refuse for what it is goes to the side
//     file Options.Refused, is counted, and lets the next pass. Anything else (no permission, a wrong password, a topic that is gone) stops the partition: tried again every few
//     seconds, told in Stats.Trouble, its events kept in the journal.
//   - A backlog is shipped at a pace that leaves the cores to others, and still in half the time in which it arose, at most; in smaller batches, with pauses in which redirects go first (pace).
//   - Memory is bounded: three batches a partition. A partition that fails for longer than a second does not hold up the others: the reader passes over its records,
//     remembers the first, and comes back when the partition works again.
//
// # The record batch
//
// Kafka's format version 2, big endian. Varints are zigzag.
//
//	┌──────────────┬──────────────┬──────────────────┬───────┬───────────┬────────────┐
//	│ base offset  │ length of    │ leader epoch: -1 │ magic │ CRC-32C   │ attributes │
//	│ 8 bytes: 0   │ what follows │ 4                │ 1: 2  │ of what   │ 2: codec   │
//	│              │ 4            │                  │       │ follows 4 │ in 3 bits  │
//	├──────────────┼──────────────┼──────────────────┼───────┴──────┬────┴───────┬────┴──────────┬─────────┐
//	│ last offset  │ base         │ largest          │ producer id  │ producer   │ base sequence │ records │
//	│ delta 4      │ timestamp 8  │ timestamp 8      │ 8            │ epoch 2    │ 4             │ count 4 │
//	├──────────────┴──────────────┴──────────────────┴──────────────┴────────────┴───────────────┴─────────┤
//	│ records, as a whole compressed by the codec                                                          │
//	└──────────────────────────────────────────────────────────────────────────────────────────────────────┘
//
//	record: varint length │ attributes 1: 0 │ varint timestamp delta: 0 │ varint offset delta │ varint length, key │ varint length, value │
//	        varint headers: 1 │ varint length, "content-type" │ varint length, "application/cloudevents+json; charset=UTF-8"
//
// # The state file
//
// Text: a head line with the topic and its number of partitions, one line a run in the order in which the journal was written (run, end, then the place of each partition; no
// places where all are at the end and nothing more will come, or, in the last line, may), and a CRC-32C line. It is replaced as a whole.
package ship
