//go:build !faults

// Package fault stops a program at a named point, in builds with the tag faults only: the crash tests' way to hit the gap between two steps.
//
// The points, in the order of a click's way: journal.reserved (room taken, record not published), edge.appended (in the journal, not
// answered), inbound.verified (a provider's delivery, not in the journal), inbound.appended (there, not answered),
// ingest.read (a batch read, not decided), ingest.decided (decided, not stored), ingest.committed (stored; position not
// published, nothing sent), ingest.positioned, dispatch.posted (answered by the receiver, not marked as done); of `sink forget`: forget.begun (remembered,
// nothing gone), forget.buried (unique keys are tombstones), forget.deliveries (what waited is gone), forget.removed (all is gone, files not rewritten), forget.scrubbed. The switch edge.answer-first
// turns the edge's order round: the crash test's control run, which must fail.
package fault

// Enabled says whether this build has fault points.
const Enabled = false

// Point does nothing in this build.
func Point(name string) {}

// On is false in this build.
func On(name string) bool { return false }
