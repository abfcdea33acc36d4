//go:build faults

// Package fault stops a program at a named point, in builds with the tag faults only: the crash tests' way to hit the gap between two steps.
//
// The points, in the order of a click's way: journal.reserved (room taken, record not published), edge.appended (in the journal, not
// answered), inbound.verified (a provider's delivery, not in the journal), inbound.appended (there, not answered),
// ingest.read (a batch read, not decided), ingest.decided (decided, not stored), ingest.committed (stored; position not
// published, nothing sent), ingest.positioned, dispatch.posted (answered by the receiver, not marked as done); of `sink forget`: forget.begun (remembered,
// nothing gone), forget.buried (unique keys are tombstones), forget.deliveries (what waited is gone), forget.removed (all is gone, files not rewritten), forget.scrubbed. With Kafka also ingest.produce (decided, not yet in
// unique), dispatch.read (a first read, nothing made of it), dispatch.answered (what follows is not written), dispatch.produce, dispatch.produced (written, position not
// moved), dispatch.position (moved, not committed). The switch edge.answer-first
// turns the edge's order round: the crash test's control run, which must fail.
package fault

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Enabled says whether this build has fault points.
const Enabled = true

// WAYPOST_FAULT is a comma-separated list of NAME:COUNT:SIGNAL: at the COUNTth passing of point NAME the process sends itself SIGNAL
// (KILL or STOP). A bare NAME switches On(NAME).
var points, switches = parse(os.Getenv("WAYPOST_FAULT"))

type point struct {
	left   atomic.Int64
	signal syscall.Signal
}

// Point counts one passing of the named point and stops the process when its turn has come.
func Point(name string) {
	p := points[name]
	if p == nil || p.left.Add(-1) != 0 {
		return
	}
	fmt.Fprintf(os.Stderr, "fault point %s: %v\n", name, p.signal)
	_ = syscall.Kill(os.Getpid(), p.signal)
	if p.signal == syscall.SIGKILL {
		select {}
	}
}

// On says whether a named switch was set.
func On(name string) bool { return switches[name] }

func parse(spec string) (map[string]*point, map[string]bool) {
	ps, ss := map[string]*point{}, map[string]bool{}
	for _, item := range strings.Split(spec, ",") {
		parts := strings.Split(item, ":")
		if len(parts) != 3 {
			ss[item] = true
			continue
		}
		n, err := strconv.ParseInt(parts[1], 10, 64)
		sig := map[string]syscall.Signal{"KILL": syscall.SIGKILL, "STOP": syscall.SIGSTOP}[parts[2]]
		if err != nil || n < 1 || sig == 0 {
			panic("WAYPOST_FAULT: " + item + ": want NAME:COUNT:KILL or NAME:COUNT:STOP")
		}
		p := &point{signal: sig}
		p.left.Store(n)
		ps[parts[0]] = p
	}
	return ps, ss
}
