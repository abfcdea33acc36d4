package crash

import (
	"os"
	"slices"
	"time"

	"waypost/bench/stack"
	"waypost/mint/link"
)

// scenario is one twist of the crash test.
type scenario struct {
	name  string
	what  string
	edges int
	run   func(*round) error
	rate  int  // clicks a second, where nobody names one; 0: the usual
	fails bool // the check must find faults
}

// scenarios in the order in which a round runs them.
var scenarios = []scenario{
	{name: "random", what: "edge and sink killed at random moments", edges: 1, run: randomKills},
	{name: "points", what: "edge and sink killed at each fault point", edges: 1, run: faultPoints},
	{name: "wiped", what: "the journal's directory deleted while the edge is down", edges: 1, run: wipedJournal},
	{name: "cut", what: "the journal's tail cut behind the sink's position", edges: 1, run: cutTail},
	{name: "twins", what: "two edges with equal settings", edges: 2, run: twins},
	{name: "retention", what: "the retention changed between kill and restart", edges: 1, run: changedRetention},
	{name: "deliveries", what: "the sink killed while it delivers as fast as it can", edges: 1, run: killDelivering, rate: deliveriesRate},
	{name: "control", what: "an edge that answers before it appends: must fail", edges: 1, run: answerFirst, fails: true},
}

// point is a fault point, with the largest passing at which a life may end there. Those of the sink's batches are small: the first batches of
// a life hold what has piled up, later ones a few events each.
type point struct {
	name string
	most int
}

// unheardPoint lies between journal and answer.
const unheardPoint = "edge.appended"

var (
	edgePoints = []point{{"journal.reserved", 800}, {unheardPoint, 800}}
	sinkPoints = []point{{"ingest.read", 3}, {"ingest.decided", 3}, {"ingest.committed", 3}, {"ingest.positioned", 3}, {"dispatch.posted", 100}}
)

// randomKills kills edges and sink in random order, as often and as long as asked.
func randomKills(r *round) error {
	victims := append(append([]*stack.Process(nil), r.stack.Edges...), r.stack.Sinks...)
	for i := 0; i < r.options.kills || time.Since(r.begun) < r.lasts; i++ {
		victim := victims[r.roll.IntN(len(victims))]
		if i < len(victims) {
			victim = victims[i] // everyone once
		}
		if err := r.killAndRestart(victim); err != nil {
			return err
		}
	}
	return r.waitAnswered()
}

// faultPoints ends lives at every point.
func faultPoints(r *round) error {
	for {
		for _, p := range edgePoints {
			if err := r.dieAt(r.stack.Edges[0], p.name, 1+r.roll.IntN(p.most)); err != nil {
				return err
			}
		}
		for _, p := range sinkPoints {
			if err := r.dieAt(r.stack.Sinks[0], p.name, 1+r.roll.IntN(p.most)); err != nil {
				return err
			}
		}
		if time.Since(r.begun) >= r.lasts {
			break
		}
	}
	for _, p := range slices.Concat(edgePoints, sinkPoints) {
		if r.points[p.name] == 0 {
			r.complain("the fault point %s was never hit", p.name)
		}
	}
	return r.waitAnswered()
}

// twins has two edges, and a sink that also dies where it could decide twice, each time over another mixture of the two journals.
func twins(r *round) error {
	if err := randomKills(r); err != nil {
		return err
	}
	for _, p := range sinkPoints {
		if err := r.dieAt(r.stack.Sinks[0], p.name, 1+r.roll.IntN(20)); err != nil {
			return err
		}
	}
	return r.waitAnswered()
}

// wipedJournal deletes the journal of a killed edge. What it held was read before: only what comes later is at stake.
func wipedJournal(r *round) error {
	r.damageExpected = true // files vanish one by one, and a reader may look in between
	return r.betweenLives(func() error {
		dir := r.stack.JournalDir(0)
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		r.say("  deleted the journal")
		return os.Mkdir(dir, 0o755) // as whoever replaced the disk would
	})
}

// cutTail takes the last events out of the journal of a killed edge, as a power cut would; the sink has read them.
func cutTail(r *round) error {
	r.damageExpected = true
	return r.betweenLives(func() error {
		log, err := readLog(r.copyPath(0))
		if err != nil {
			return err
		}
		n := min(20+r.roll.IntN(150), len(log))
		var ids []string
		for _, rec := range log[len(log)-n:] {
			ids = append(ids, rec.ID)
		}
		cut, err := cutJournal(r.stack.JournalDir(0), ids)
		r.say("  cut the last %d events out of the journal, in %d segments", n, cut)
		return err
	})
}

// betweenLives kills edge and sink, changes something on the disk, and goes on; twice, so that the second time the change meets its own traces.
func (r *round) betweenLives(change func() error) error {
	edge, sink := r.stack.Edges[0], r.stack.Sinks[0]
	for i := range 2 {
		if err := r.killAndRestart(sink); err != nil {
			return err
		}
		if err := r.killAndRestart(edge); err != nil {
			return err
		}
		if err := r.waitAnswered(); err != nil {
			return err
		}
		if err := r.quiet(); err != nil {
			return err
		}
		r.remember(edge)
		if err := edge.Kill(); err != nil {
			return err
		}
		if i == 0 { // once the sink lives on, once it must start on what it finds
			if err := sink.Kill(); err != nil {
				return err
			}
		}
		if err := change(); err != nil {
			return err
		}
		if err := r.restart(edge); err != nil {
			return err
		}
		if i == 0 {
			if err := r.restart(sink); err != nil {
				return err
			}
		}
		r.startLoad()
	}
	return randomKills(r)
}

// agedDays is how old the mails are for which a changed retention matters: older than the shortest retention, and younger than that and the
// seven days for which the sink keeps decided keys beyond it.
const agedDays = 10

// changedRetention shortens and lengthens the tenant's retention between lives of the edge.
func changedRetention(r *round) error {
	if err := r.addAgedMails(60); err != nil {
		return err
	}
	for _, days := range []int{45, 7, 45, 365, 7, 365} {
		edge := r.stack.Edges[0]
		if err := r.kill(edge); err != nil {
			return err
		}
		r.stack.Tenants[0].RetentionDays = days
		if err := r.stack.WriteSettings(); err != nil {
			return err
		}
		r.say("  retention is %d days now", days)
		if err := r.restart(edge); err != nil {
			return err
		}
		if err := r.killAndRestart(r.stack.Sinks[0]); err != nil {
			return err
		}
	}
	return r.waitAnswered()
}

// addAgedMails enters mails that were sent some days ago. Mint makes links of now only, so these are sealed here.
func (r *round) addAgedMails(n int) error {
	keys, err := link.LoadKeyring(r.stack.KeyFile())
	if err != nil {
		return err
	}
	for i := range n {
		m := compose(i)
		m.mailing = "aged-" + m.mailing
		m.minted = time.Now().Add(-agedDays * 24 * time.Hour)
		if err := m.seal(keys); err != nil {
			return err
		}
		r.book.addMail(m)
	}
	return nil
}

// answerFirst is the control: an edge that breaks the rule, killed.
func answerFirst(r *round) error {
	edge := r.stack.Edges[0]
	for range max(r.options.kills/2, 2) {
		if err := r.kill(edge); err != nil {
			return err
		}
		if err := r.restart(edge, "WAYPOST_FAULT=edge.answer-first"); err != nil {
			return err
		}
	}
	return r.killAndRestart(edge)
}
