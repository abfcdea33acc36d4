package crash

import (
	"errors"
	"fmt"
	"time"

	"waypost/bench/stack"
	"waypost/mint/link"
)

const (
	// deliveriesRate is how many clicks a second are offered, nearly each the first on its link: each of the two endpoints is to be told of it. What the sink does not get done
	// waits for it, so that it delivers as fast as this machine lets it.
	deliveriesRate = 2500
	// mostWaiting is how many deliveries wait at most, so that a round ends soon after its last kill, however slow the machine: more than a life delivers.
	mostWaiting = 20 * deliveredBetween
	// deliveredBetween is how much a life of the sink delivers at least before it is killed, and how much more at random.
	deliveredBetween = 500

	// What may be delivered again after a kill: what was under way at both endpoints, and what had ended and not been marked on the disk yet, as the sink's README says.
	concurrency = 16
	unmarked    = 1000
	mostAgain   = 2*concurrency + unmarked

	// On Kafka the sink that lives on ends its generation too. What comes again may stand in a retry topic beyond the next kill: so the bound holds for all kills together.
	mostAgainOnKafka = 2 * mostAgain
)

// killDelivering kills a sink while it delivers. Of several, that share the partitions, another takes over what it had, and gives half back when it lives again. Every life of
// one says its number with each delivery.
func killDelivering(r *round) error {
	r.stopLoad() // for good, but for its clicks: mint is not asked for so many links
	keys, err := link.LoadKeyring(r.stack.KeyFile())
	if err != nil {
		return err
	}
	r.mostAgain = mostAgain
	if r.kafka {
		r.mostAgain = mostAgainOnKafka
	}
	sinks := r.stack.Sinks
	lives := make([]int, len(sinks))
	last := 0 // number of the last life
	begin := func(i int) error {
		last++
		lives[i] = last
		return r.beginLife(sinks[i], last)
	}
	for _, sink := range sinks {
		if err := sink.Kill(); err != nil {
			return err
		}
	}
	before := r.hooks.accepted()
	r.load.start(r.ctx)
	for i := range sinks {
		if err := begin(i); err != nil {
			return err
		}
	}
	for r.kills < r.options.kills || time.Since(r.begun) < r.lasts {
		victim := r.roll.IntN(len(sinks))
		if err := r.killWhileDelivering(sinks[victim], lives[victim], func() error { return r.stockLinks(keys, before) }); err != nil {
			return err
		}
		r.againAt = append(r.againAt, r.hooks.repeated())
		if len(sinks) == 1 && r.roll.IntN(2) == 0 {
			if err := r.pileUp(sinks[victim]); err != nil {
				return err
			}
		}
		if err := begin(victim); err != nil {
			return err
		}
	}
	return r.waitAnswered()
}

// beginLife begins the sink's life of this number.
func (r *round) beginLife(sink *stack.Process, life int) error {
	r.stack.Tenants[0].Endpoints = r.hooks.endpoints(life)
	if err := r.stack.WriteSettings(); err != nil {
		return err
	}
	return r.restart(sink)
}

// killWhileDelivering waits until the sink has delivered for a while, and kills it as soon as one more delivery has come. stock keeps work before it all the time: of two sinks the
// other may have done all that there was.
func (r *round) killWhileDelivering(sink *stack.Process, life int, stock func() error) error {
	begun := time.Now()
	want := deliveredBetween + r.roll.IntN(6*deliveredBetween)
	var failed error
	err := r.wait(fmt.Sprintf("%d deliveries", want), r.settles(), func() bool {
		failed = stock()
		return failed != nil || r.hooks.acceptedFrom(life) >= want
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	if err := sink.Kill(); err != nil {
		return err
	}
	r.kills++
	n, took := r.hooks.acceptedFrom(life), time.Since(begun)
	r.say("  killed %-6s after %5d deliveries, %5.0f a second", sink.Name, n, float64(n)/took.Seconds())
	return nil
}

// firstUnfollowed is the number of the first mail of the stock: mailings that nobody else has.
const firstUnfollowed = 1_000_000

// stockLinks seals links that nobody has followed, until stock and sinks have mostWaiting deliveries before them. before is what was accepted before there was a stock.
func (r *round) stockLinks(keys *link.Keyring, before int) error {
	for waiting := r.stocked*len(hookPaths) - (r.hooks.accepted() - before); waiting < mostWaiting; {
		n := firstUnfollowed + r.sealed
		r.sealed++
		if repeats(n) {
			continue
		}
		m := compose(n)
		m.minted = time.Now()
		if err := m.seal(keys); err != nil {
			return err
		}
		r.book.addStock(m)
		r.stocked += len(m.links)
		waiting += len(m.links) * len(hookPaths)
	}
	return nil
}
