package crash

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"waypost/bench/traffic"
)

// kind is how a click comes in.
type kind uint8

const (
	get      kind = iota // a person
	head                 // labelled head: never a click
	prefetch             // labelled prefetch: never a click
)

// visit is a click of this kind.
func (k kind) visit(path, agent string) traffic.Visit {
	return traffic.Visit{Method: k.method(), Path: path, UserAgent: agent, Prefetch: k == prefetch}
}

func (k kind) method() string {
	if k == head {
		return http.MethodHead
	}
	return http.MethodGet
}

// mail is one outgoing mail.
type mail struct {
	mailing, prospect, email string
	minted                   time.Time
	links                    []mailLink
}

// mailLink is one link of a mail, and the path that took its place.
type mailLink struct {
	traffic.Link
	path string
}

// key is what uniqueness goes by: tenant (there is one), message, recipient and original link, as the sender wrote them.
type key struct {
	message, recipient, original string
}

func (m *mail) key(link int) key {
	recipient := m.prospect
	if recipient == "" {
		recipient = strings.ToLower(m.email)
	}
	return key{m.mailing, recipient, m.links[link].Original}
}

// click is one request of the load.
type click struct {
	mail *mail
	link int
	kind kind
	edge int // which edge it was sent to
	// Which lives of that edge it can have met: the last one begun when it was sent, and when its outcome was known.
	life, lastLife int

	answered bool
	wrong    string // an answer that is not the redirect; empty when right
}

// book is what was sent and what was answered. Its methods may be called from several goroutines.
type book struct {
	mu     sync.Mutex
	mails  []*mail
	stock  []unfollowed
	clicks []*click
}

// unfollowed is a link that nobody has followed.
type unfollowed struct {
	mail *mail
	link int
}

func (b *book) addMail(m *mail) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mails = append(b.mails, m)
}

// addStock enters a mail each of whose links is to be followed once.
func (b *book) addStock(m *mail) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n := range m.links {
		b.stock = append(b.stock, unfollowed{m, n})
	}
}

// take gives a link that nobody has followed, as long as there are some.
func (b *book) take() (u unfollowed, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.stock) == 0 {
		return u, false
	}
	u, b.stock = b.stock[0], b.stock[1:]
	return u, true
}

// addClick enters a click and gives its number.
func (b *book) addClick(c *click) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clicks = append(b.clicks, c)
	return len(b.clicks) - 1
}

// sent counts the clicks.
func (b *book) sent() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.clicks)
}

// settle enters what became of a click.
func (b *book) settle(c *click, lastLife int, answered bool, wrong string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.lastLife, c.answered, c.wrong = lastLife, answered, wrong
}

// pick chooses a mail: two times in three one of the last hundred, so that new keys and repeats are mixed. roll gives numbers below n.
func (b *book) pick(roll func(n int) int) *mail {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.mails)
	if recent := min(n, 100); roll(3) > 0 {
		return b.mails[n-1-roll(recent)]
	}
	return b.mails[roll(n)]
}

const agentPrefix = "waypost-crash/1 click/"

// agent is the user agent that carries a click's number.
func agent(number int) string { return fmt.Sprint(agentPrefix, number) }

// clickNumber reads what agent wrote.
func clickNumber(agent string) (int, error) {
	digits, found := strings.CutPrefix(agent, agentPrefix)
	if !found {
		return 0, fmt.Errorf("user agent %q is none of ours", agent)
	}
	return strconv.Atoi(digits)
}
