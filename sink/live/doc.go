// Package live shows events to those who watch: GET /v1/events/stream, server-sent events that end when the reader does.
//
//	id: AQFkBdsBDWAAaD9_gQTCEd4C
//	event: email.clicked
//	data: {"specversion":"1.0","id":"db010d6000683f7f-0000000000000512", ... ,"data":{ ... ,"first":"any,person"}}
//
// # Who reads
//
// Each reader reads for itself, the journals in place or the partitions of a topic, at its own pace. Nothing is handed to readers by who decides: one that is slow costs nobody
// anything but its own goroutine and 64 KiB (with Kafka, beside them a goroutine and up to three of the brokers' answers a partition), and events are kept for it where they are kept
// anyway. With journals, an event is shown when its decision is on the disk: then the store knows whether it was a first, and a restart decides nothing differently. The decider only
// rings a bell after each batch.
//
// Rejected: a ring of recent events that all readers share. It saves decoding and asking the store (go test ./sink/live -bench Reader), and needs a second way for who is behind it, a
// handing over between the two, and a goroutine in the decider's way.
//
// # Cursors
//
// The id of an event is a cursor: all that a reader needs to go on behind it, at this sink or, with Kafka, at any other. It is base64url of
//
//	version and kind, u8 | content | CRC-32C of all before it, u32 big-endian
//
//	kind 1, journals:  n, n x { run u64 big-endian, the lowest sequence not shown }
//	kind 2, events:    p, p x { next offset }, n, n x { run u64 big-endian, top, p x { 0, or 1 + top - last sequence seen in the partition } }
//	kind 3, unique:    p, p x { next offset }, p x { 1 + last source offset seen, or 0 }
//
// All other numbers are unsigned varints. Kinds 2 and 3 carry what the readers' rules need (edge/event), so that what a producer repeated is not shown twice, also when a reader
// comes back amid a repetition. A run says by itself which journal it is of, so that journals can be added and their directories moved. A cursor moves over events that were not
// for the reader too: the stream sends it alone, with each heartbeat.
//
// Version rule: the upper four bits of the first byte are 0; a reader refuses what it does not know.
//
// Limits: 4,500 bytes; runs that were seen longest ago are left out where there are more (about 100 at 12 partitions).
package live
