// Package store is the sink's Pebble: what was decided, how far the sources were read, what is to be delivered.
//
// # Keys
//
// The first byte says what a key is. Numbers are big-endian, so that the order of the bytes is the order of the numbers.
//
//	version      'v'                                         -> u8 (1)
//
//	unique   0   1     3        7       11               27      -> value, 32 bytes
//	        ┌───┬─────┬────────┬───────┬────────────────┐         0          8          16         24         32
//	        │'u'│ day │ tenant │ part. │ unique key     │         ┌──────────┬──────────┬──────────┬──────────┐
//	        │   │ u16 │ u32    │ u32   │ 16 bytes       │         │ run      │ sequence │ run      │ sequence │
//	        └───┴─────┴────────┴───────┴────────────────┘         └─ first of any client┴─ first of a person ─┘
//	         day: days since 2025-01-01 UTC of the minting time. part.: murmur2 of the Kafka key (its order is the partitions' order,
//	         and a range of it moves with a partition). A run and sequence of zero: none yet.
//
//	floor        'f' tenant u32                              -> day u16: no unique key of the tenant is written below it
//	position     'p' journal directory, 0, run u64           -> u64, the lowest sequence that has not been read
//	topic        'k' events topic, 0, unique topic           -> u64 next source offset, u64 unique offset, u32 number of partitions
//	due          'd' tenant u32, n u8, endpoint id (n bytes), due u64, run u64, sequence u64   -> a delivery (package dispatch)
//	dead         'x' given up u64, tenant u32, n u8, endpoint id (n bytes), run u64, sequence u64 -> a delivery and why
//	attempt      'a' ended u64, tenant u32, n u8, endpoint id (n bytes), run u64, sequence u64, number u16 -> what came of it (package dispatch)
//	health       'h' tenant u32, endpoint id                 -> the endpoint's last success and failures (package dispatch)
//	disabled     'e' tenant u32, endpoint id                 -> u8 (1), JSON: since when and why the endpoint gets no attempts (package dispatch); none: it gets them
//	kept         'b' segment u32, tenant u32, oldest u64, newest u64, run u64, sequence u64 -> a block of events that were told (package uniques)
//	index        'i' the same                                -> who they are, by time (package uniques)
//	segment      's' segment u32                             -> u8 (1), began, oldest, newest, count, bytes, each u64 (package uniques)
//	tombstone    't' day u16, tenant u32, 'u', keyed hash (16 bytes) -> u8: which firsts a unique key of somebody had who was forgotten
//	forgotten    't' day u16, tenant u32, 'p', keyed hash (16 bytes) -> until u64, u8: whether all of it is gone
//	webhook      'w' tenant u32, number u32                  -> u8 (1), JSON: a webhook in Postmark's form, with its password (package api)
//	last webhook 'l'                                         -> u32, the highest number that a webhook ever had
//
// Keyed hashes are made with the 32 random bytes in the file forget.key beside Pebble's own (mode 0600), which the first of them makes.
//
// due, given up, ended, until, and the times of blocks and segments are microseconds since 1970. With Kafka there is one store a partition, with unique, floor and topic keys only.
//
// # Who writes
//
// The webhooks' API writes its own keys only, each change in a synced batch, under a lock of its own. Beside it two goroutines write: ingest (unique,
// floor, position, due, kept: one batch, synced, before anything of it is sent) and dispatch (due, dead, attempt,
// health, disabled: marks, synced at least every 50 ms). They touch no key at the same time: dispatch removes or moves a due delivery only after ingest's batch is
// on disk. Rejected: one store each, which cannot make "decided" and "due" one step.
//
// A third one takes the oldest attempts away, in ranges and without a sync: the log of attempts is in the order of time for that, and is searched by
// endpoint or delivery by reading it. Rejected: an index for each, which would double or treble the writes of every attempt for a search that is seldom.
// A fourth one takes segments of kept events away, whole and without a sync, and never one that ingest's batch touches.
//
// Who is forgotten (package forget) is so by the same hands: unique keys, tombstones and kept events change between two batches of ingest, due deliveries among dispatch's marks.
package store
