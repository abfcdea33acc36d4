// Package crash kills the real programs under load and checks afterwards that no click was lost or doubled.
//
// How it works:
//
//   - Every click carries a number of its own in the user agent and is never retried. Clicks begin at a fixed rate, whatever the edge does
//     (an open loop); each picks a mail, a link and a kind (a GET, a HEAD, a prefetch), so that most links are followed several times.
//   - Edge and sink get SIGKILL at random moments, while requests are written and not answered, and after at least 500 answers since the last
//     kill. Builds with the tag faults also die at named points between two steps.
//   - Journal segments are small, so that they are recycled many times. A named consumer of the test's own reads the journals and keeps a copy
//     of every event.
//   - At the end, the oracle (oracle.go) reads the copy, the book of what was sent, the sink's decisions and the receiver's deliveries, and
//     lists every difference. It shares no code with edge or sink: it knows the documents' JSON and the rule of uniqueness, nothing else.
//
// What must hold: a click that was answered stands in the log exactly once, one that was not at most once; the sink's decisions are those of
// the oracle; for every unique click each endpoint got one webhook, under one id and with one body however often it was sent, and nobody else
// caused one; and the sink keeps each unique click's event once, as the log has it.
//
// The scenario deliveries asks besides how much is delivered again after each kill: the sink tells its life with every delivery, so that a delivery which was under way when it
// died, and is read after its next life has begun, counts for the right one.
//
// Each scenario has its own twist, see scenarios. The control scenario breaks the edge on purpose (it answers before it appends): there the
// check must fail, else the test proves nothing.
package crash
