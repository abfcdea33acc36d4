// Package journal is the durable log that clicks are written to before they are answered.
//
// An append reserves room in a mapped file, copies the record there, and publishes it; what it has returned survives the death of the
// process, because the pages belong to the file and not to the process. Readers, here or in another process, map the same files.
//
// # Files
//
//	DIR/lock                       flock of the living writer; its content and time mean nothing
//	DIR/0000000000000042.segment   segment 42: a header and records; numbers grow for ever within a directory
//	DIR/0000000000000043.spare     a file that will be a segment: no reader looks at it
//	DIR/consumers/NAME             how far consumer NAME has synced, see PublishPosition
//
// Every opening for writing begins a run: a random 64-bit number and new segments, ordinals 0, 1, 2 ... with consecutive numbers. Nothing
// is ever appended to an older run. A sequence is a place in the run, in units of 8 bytes: ordinal * (size / 8) + offset / 8.
//
// # Segment (version 1, all numbers little-endian)
//
//	offset 0         64        128       136      144             4096                          size-64     size
//	      +---------+---------+---------+--------+---------------+----------+----------+-- ... -+----------+
//	      | header  | zero    | settled | end    | zero          | record   | record   |        | header   |
//	      | copy 1  |         | below   |        |               |          |          |        | copy 2   |
//	      +---------+---------+---------+--------+---------------+----------+----------+-- ... -+----------+
//
//	header:  0          8         12        16     24       32        40     48       56      60      64
//	        +----------+---------+---------+------+--------+---------+------+--------+-------+-------+
//	        | WAYPOSTJ | version | 4096    | run  | number | ordinal | size | begun  | crc   | zero  |
//	        |          | u32     | u32     | u64  | u64    | u64     | u64  | i64 ns | u32   |       |
//	        +----------+---------+---------+------+--------+---------+------+--------+-------+-------+
//
// crc is the CRC-32C of the 56 bytes before it. Size is a power of two, 64 KiB to 1 GiB. The two words between the copies change while the
// segment lives: "settled below" N says that nobody appends any more to the run's segments with numbers below N and that they were synced
// (it stands in a later segment of the run, so that it can be told of one whose own pages fail); "end" is the offset of the end mark, noted
// when this segment is settled.
//
// # Record (at a multiple of 8)
//
//	 0         4          8                16                  16+length
//	+---------+----------+----------------+-------------------+------------+
//	| length  | checksum | commit word    | payload           | to 8 bytes |
//	| u32     | u32      | u64            |                   | undefined  |
//	+---------+----------+----------------+-------------------+------------+
//
// The two highest bits of length are the kind: 0 record, 1 end of segment (the run goes on in its next), 2 end of run, 3 skipped hole. A
// mark has no payload; its length is the room that it covers. A payload has at most min(size/4, 1 MiB) - 16 bytes.
//
//	commit word = mix(seed + sequence*0x9e3779b97f4a7c15 + length*0xd6e8feb86659fd93), 1 where that is 0
//	seed        = mix(run ^ mix(number + 1))
//	mix(x)      : x ^= x>>30; x *= 0xbf58476d1ce4e5b9; x ^= x>>27; x *= 0x94d049bb133111eb; x ^= x>>31
//	checksum    = CRC-32C of the payload, continued from the commit word's two halves xored; of nothing, for marks
//
// So bytes of a segment's earlier life, of another place or of another run never validate, and files are used again without being cleared.
//
// Version rule: a reader refuses a version that it does not know (as a segment with an unreadable header, which is reported); any change of
// what stands above is another version. New kinds of marks cannot be added to version 1.
//
// # How an append stays lock-free
//
//   - One atomic addition to segment.tail reserves. Sums up to limit belong to exactly one appender each; exactly one sum crosses limit, and
//     who made it writes the end mark: closing a segment is nothing but a reserve that does not fit, so closing early (a failing device, age,
//     Close) is the addition of the segment's size. Sums never come down again, so an appender that still holds a segment that was left long
//     ago overshoots, touches no memory, and looks again.
//   - The commit word is stored last and atomically: who sees it sees the payload.
//   - segment.settled counts what appenders have finished with, failed ones too. Once it equals closedAt, nobody will touch the mapping, and
//     only then is it unmapped, or the file used again.
//   - Appenders that overshoot meet in turn, under a mutex: the first takes the prepared segment, the others find it taken. They wait only
//     while one is being prepared, at most Options.Patience, all of them together; when the budget or the disk is known to be spent nobody
//     waits.
//
// # Closing what a crash left
//
// Only the next writer closes a run, before its own first segment exists. A run is over when it has its end mark or when a segment of another
// run has a higher number; until then a reader waits at a place where nothing valid stands (in a segment that is not settled). The gaps
// between two steps, and who finds them:
//
//   - File made, header not yet in it: it has no segment name; a spare of the wrong size is deleted, another is used.
//   - Segment renamed to spare, not yet to its next number: a spare. A reader that has it mapped sees the number in the header change.
//   - Named as segment, never begun: behind the run's last record, set aside as a spare again.
//   - Room reserved, not published: a hole. What follows it proves that it is one: it is marked as skipped. At the very end nothing follows,
//     and nothing was acknowledged: it is cut.
//   - Closer between reserve and end mark, others already in the next segment: the rest of the segment is such a hole.
//   - End mark written, nothing in the next segment: a reader may stand there already, so the run is ended there and not at the mark.
//   - Two overshot, neither has turned: as above; overshooting reserves nothing.
//
// # What a power cut costs
//
// Every Options.Sync / 2 the syncer hands to the device what appends have filled: whole pages, and the page that is being filled only when
// it was left out the time before. So what was answered more than Options.Sync (100 ms) and one sync's duration ago is on the device; what
// came later may be lost, whole pages of it in any order. The next writer finds what is left as after any crash: records that are whole
// count, gaps between them are skipped and counted, and a consumer whose position lies behind the new end goes on with the next run
// (OnPastEnd).
//
// On ext4 and XFS the syncer uses sync_file_range on the filled range and then flushes the device's cache by syncing the lock file (which it
// touches first while blocks of the segment's file may never have been written before, so that the file system commits them too). fdatasync of the segment
// itself writes back, and so write-protects, every page that was prefaulted ahead; the appends then faulted on each page anew (p99 3 to 15 us
// instead of 0.6 to 1.5 us, and twice the bytes written). On other file systems fdatasync is used and that is the price.
//
// # What holds up an append
//
// Nothing but memory, nearly always. What may take long is done ahead and beside: segments are made, and their pages touched for writing, before the tail gets there; and
// whatever goes to the device or the file system runs where it cannot hold up Go's scheduler (edge/internal/blocking), which on one core it would for up to 10 ms.
// Pages are touched in small steps, in a new file without reading ahead: a device with a read-ahead of 8 MiB had the kernel clear that much in one page fault, 10 to 25 ms.
//
// # Rejected
//
//   - write(2) to a file: 5 times the time of an append (testdata/benchmarks.txt), and a lock in the kernel for each.
//   - A length in the segment's header that says how much is published: a second shared word to write in order, which makes every appender
//     wait for the slowest before it.
//   - Clearing files before they are used again: costs the disk what the records cost. The commit word makes it needless.
//   - Waiting for the published prefix instead of counting what is settled: needs no counter, but an append that failed would hold the
//     segment for ever.
//   - A reader that closes crashed runs: two readers would race, and one without the right to write could not go on.
//   - Taking the lock in a reader to learn whether the writer lives: for a moment it would keep a starting writer out.
//   - An anonymous mapping copied to the file in the background, which no writeback can stall: what is in it dies with the process, which is
//     the one thing that must not happen. Measured stalls did not ask for it.
package journal
