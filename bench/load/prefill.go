package load

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"waypost/edge/event"
	"waypost/edge/journal"
	"waypost/mint/link"
)

// meanAge is how long after its mail a click comes, on average: most within hours, a tail of weeks.
const meanAge = 36 * time.Hour

// prefill writes n clicks of a tenant into a fresh journal and finishes its run. repeats is the share of clicks that repeat an earlier one. It gives the last
// record's place, and how many clicks are the first of their kind.
func prefill(dir string, n int, repeats float64, seed uint64) (last journal.Position, firsts int, err error) {
	w, err := journal.Open(journal.Options{Dir: dir, Budget: math.MaxInt64 / 2, Sync: -1, Consumers: []string{sinkConsumer}})
	if err != nil {
		return last, 0, err
	}
	defer func() {
		if fault := w.Close(); err == nil {
			err = fault
		}
	}()
	c := newClickMaker(seed, uint64(w.Run()))
	last.Run = w.Run()
	for range n {
		var first bool
		if last.Sequence, first, err = c.append(w, repeats); err != nil {
			return last, firsts, err
		}
		if first {
			firsts++
		}
	}
	return last, firsts, nil
}

// clickMaker makes clicks on the links that linkMaker makes.
type clickMaker struct {
	random *rand.Rand
	links  *linkMaker
	link   link.Link
	ids    [3][]byte
	click  event.Event
	begun  bool // there is a click to repeat
	record []byte
}

func newClickMaker(seed, run uint64) *clickMaker {
	return &clickMaker{
		random: rand.New(rand.NewPCG(seed, 2)), links: newLinkMaker(seed),
		click: event.Event{
			ID: event.ID{Run: run}, Type: event.Clicked, Tenant: loadTenant, TenantName: "load", Place: "html", RetentionDays: 45,
			Stream: []byte("outbound"), Method: []byte("GET"), Address: []byte("127.0.0.1"), Language: []byte("en-US,en;q=0.9"),
			UserAgent: []byte("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"),
		},
	}
}

// append writes the next click: the first of its kind, or with the share of repeats the last one once more.
func (c *clickMaker) append(w *journal.Writer, repeats float64) (sequence uint64, first bool, err error) {
	if first = !c.begun || c.random.Float64() >= repeats; first {
		c.fresh()
		c.begun = true
	}
	c.click.Time = time.Now().UTC().Truncate(time.Microsecond)
	var at [2]int
	c.record, at = event.AppendRecord(c.record[:0], &c.click)
	if sequence, err = w.Append(c.record, at[:]...); err != nil {
		err = fmt.Errorf("load: filling the journal: %w", err)
	}
	return sequence, first, err
}

// fresh turns to a link that nobody clicked yet. A repeated click is the same click once more: a short time later, by the same person.
func (c *clickMaker) fresh() {
	c.links.next(&c.link)
	for i, id := range []link.ID{c.link.Message, c.link.Prospect, c.link.User} {
		c.ids[i] = id.AppendTo(c.ids[i][:0])
	}
	age := time.Duration(min(c.random.ExpFloat64()*float64(meanAge), float64(40*24*time.Hour)))
	e := &c.click
	e.Message, e.Prospect, e.User, e.Recipient = c.ids[0], c.ids[1], c.ids[2], c.link.Recipient
	e.LinkNumber, e.Destination, e.Original = c.link.Number, c.link.Destination, c.link.Destination
	e.Minted = time.Now().Add(-age).UTC().Truncate(time.Minute)
}
