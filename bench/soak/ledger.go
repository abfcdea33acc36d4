package soak

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"waypost/bench/receiver"
)

// maxFaults bounds the faults that are listed one by one.
const maxFaults = 20

// refuseEvery is how many webhooks share one whose first attempt is refused.
const refuseEvery = 100

// fate is what became of a link.
type fate struct {
	webhook uint64 // hash of the id under which it was told of; 0: not yet
	state   state
}

type state uint8

const (
	tried    state = 1 << iota // a click on it was sent
	answered                   // one was answered
	refused                    // the first attempt of its webhook
)

// ledger is what was minted and what became of it. Its methods may be called from several goroutines.
type ledger struct {
	mu       sync.Mutex
	links    []fate
	faults   []string
	count    int // of faults
	sent     int
	answered int
	excused  int // not answered while the edge was restarted
	told     int // links with a webhook
	repeated int // webhooks that came again
	refused  int
}

// enter makes room for n more links, and gives the number of the first.
func (l *ledger) enter(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := len(l.links)
	l.links = append(l.links, make([]fate, n)...)
	return first
}

func (l *ledger) fault(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faultLocked(format, args...)
}

func (l *ledger) faultLocked(format string, args ...any) {
	if l.count++; l.count <= maxFaults {
		l.faults = append(l.faults, fmt.Sprintf(format, args...))
	}
}

// try enters a click before it is sent: its webhook may come before its answer is noted.
func (l *ledger) try(link int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	l.links[link].state |= tried
}

// settle enters what became of a click; excused says that the edge was being restarted.
func (l *ledger) settle(link int, ok bool, wrong string, excused bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case ok && wrong != "":
		l.faultLocked("a click on link %d was answered wrongly: %s", link, wrong)
	case ok:
		l.answered++
		l.links[link].state |= answered
	case excused:
		l.excused++
	default:
		l.faultLocked("a click on link %d was not answered while the edge was up", link)
	}
}

// hear enters a webhook and says how to answer it.
func (l *ledger) hear(d receiver.Delivery) int {
	link, err := linkOf(d.Body)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil || link >= len(l.links) {
		l.faultLocked("webhook %s tells of no link of ours: %v", d.ID, err)
		return http.StatusOK
	}
	f := &l.links[link]
	if link%refuseEvery == 0 && f.state&refused == 0 {
		f.state |= refused
		l.refused++
		return http.StatusServiceUnavailable
	}
	switch id := hashID(d.ID); f.webhook {
	case 0:
		f.webhook = id
		l.told++
	case id:
		l.repeated++
	default:
		l.faultLocked("link %d was told of twice: under another id and as %s", link, d.ID)
	}
	return http.StatusOK
}

// missing counts the links whose click was answered and that were not told of.
func (l *ledger) missing() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.links {
		if f.state&answered != 0 && f.webhook == 0 {
			n++
		}
	}
	return n
}

// close draws the sum when nothing is under way any more.
func (l *ledger) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, f := range l.links {
		switch {
		case f.state&answered != 0 && f.webhook == 0:
			l.faultLocked("a click on link %d was answered, and no webhook told of it", i)
		case f.state&tried == 0 && f.webhook != 0:
			l.faultLocked("a webhook told of link %d, which nobody clicked", i)
		}
	}
}

// uniques is how many links were told of.
func (l *ledger) uniques() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told
}

// hashID is never 0.
func hashID(id string) uint64 {
	sum := fnv.New64a()
	sum.Write([]byte(id))
	return max(sum.Sum64(), 1)
}

// offers are where the links lead, each to a page of its own.
const offers = "https://shop.example/offer/"

func destination(link int) string { return offers + strconv.Itoa(link) }

// linkOf finds the number of the link that a webhook tells of.
func linkOf(body []byte) (int, error) {
	var document struct {
		Data struct {
			Link struct {
				Destination string `json:"destination"`
			} `json:"link"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return 0, err
	}
	digits, found := strings.CutPrefix(document.Data.Link.Destination, offers)
	n, err := strconv.ParseUint(digits, 10, 48)
	if !found || err != nil {
		return 0, fmt.Errorf("it leads to %q", document.Data.Link.Destination)
	}
	return int(n), nil
}
