// Package soak keeps a whole stack under a steady load for as long as one likes, restarts its programs one after the other, and says what grew.
//
// # The load
//
// Mails come all the time: mint makes the links of each, ten a mail, a few seconds before they are clicked. Clicks begin at a fixed rate whatever the edge does (an open loop: a
// click's latency counts from when it was due); three in four follow a link for the first time, the others repeat one of the last thousands. The receiver verifies each webhook and
// answers the first attempt of one in a hundred with 503, so that retries are among what could pile up.
//
// In the order edge, sink, mint one program after the other gets SIGTERM and is started again. Clicks that meet no edge, and mails that meet no mint, are not repeated: they are
// excused while the restart lasts, and faults at any other time.
//
// # What must not grow
//
// Every few seconds: anonymous and resident memory, descriptors, threads and goroutines of each program, and what journal, store and logs take on the disk. The first quarter
// of a process's life is its warm-up; the second is compared with the last. Something grew when both of
//
//   - the difference between the medians of the last and the second quarter, and
//   - the robust slope (Theil-Sen: the median of the slopes between all pairs of samples) of the last three quarters, over the same time,
//
// are above what is allowed (limits.go has the figures, and says why). So a spike is no growth, nor is a single step, nor a saw-tooth that many samples see; a leak is, from some ten
// bytes a click on in a life of an hour, some hundred in one of minutes. Lives with fewer than minSamples samples, or shorter than minLife, are shown and not judged.
//
// What survives restarts, the files, is judged over the whole run. The store is meant to grow, by the keys of the links that were clicked: it may grow by storePerKey each.
//
// # What must arrive
//
// The ledger keeps 16 bytes for each link: whether a click on it was answered, and under which id its webhook came. At the end, when nothing is under way any more: every link with
// an answered click was told of, under one id however often; no other was, but for clicks that were recorded and not answered. It is smaller than the oracle of the crash test, which keeps
// every event and would itself grow; what it cannot see (an event that is in the journal twice) is that test's.
package soak
