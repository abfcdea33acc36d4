package crash

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"waypost/bench/receiver"
	"waypost/bench/stack"
)

// Secrets of the two endpoints.
const (
	hookSecret   = "whsec_Y3Jhc2ggdGVzdDogbm90IGEgc2VjcmV0IGF0IGFsbCE="
	hookUser     = "crash"
	hookPassword = "crash-password"
)

// hookPaths are the endpoints' own: each is told of every first click.
var hookPaths = []string{"/standard", "/postmark"}

// hooks keeps what the receiver got.
type hooks struct {
	receiver *receiver.Receiver

	mu      sync.Mutex
	got     map[[2]string]*delivery // by path and id
	arrived int                     // of these, how many were accepted
	lives   []life                  // of the sink, by their numbers
	refused []string                // what did not verify
}

// life is what the receiver accepted from one life of the sink.
type life struct {
	accepted int // deliveries
	twice    int // of these, what this very life had delivered before
	again    int // of these, what a later life delivered again
}

// lifeHeader tells in which of its lives the sink makes a delivery: one that was under way when it died may be read when the next life has begun.
const lifeHeader = "Crash-Life"

// startHooks listens for both formats. One delivery in fifty fails at its first attempt, so that retries are among those that a kill meets.
func startHooks() (*hooks, error) {
	h := &hooks{got: map[[2]string]*delivery{}}
	r, err := receiver.Start(receiver.Options{
		Addr: "127.0.0.1:0",
		Endpoints: []receiver.Endpoint{
			{Path: "/standard", Secret: hookSecret},
			{Path: "/postmark", Secret: hookSecret, User: hookUser, Password: hookPassword},
		},
		OnDelivery: h.keep,
		Answer:     h.answer,
	})
	h.receiver = r
	return h, err
}

// endpoints are the tenant's, for the lives of the sink that have this number: 0 where nobody asks which it was.
func (h *hooks) endpoints(life int) []stack.Endpoint {
	url, headers := h.receiver.URL(), map[string]string{lifeHeader: strconv.Itoa(life)}
	return []stack.Endpoint{
		{ID: "standard", URL: url + "/standard", Format: "standard", Secret: hookSecret, Headers: headers},
		{ID: "postmark", URL: url + "/postmark", Format: "postmark", StandardSecrets: []string{hookSecret}, User: hookUser, Password: hookPassword, Headers: headers},
	}
}

func (h *hooks) answer(d receiver.Delivery) int {
	sum := fnv.New32a()
	sum.Write([]byte(d.Path + d.ID))
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.got[[2]string{d.Path, d.ID}] == nil && sum.Sum32()%50 == 0 {
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}

func (h *hooks) keep(d receiver.Delivery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d.Verified != nil {
		h.refused = append(h.refused, fmt.Sprintf("%s: %q did not verify: %v", d.Path, d.ID, d.Verified))
		return
	}
	at := [2]string{d.Path, d.ID}
	kept := h.got[at]
	if kept == nil {
		kept = &delivery{path: d.Path, id: d.ID, body: d.Body, bodies: 1}
		h.got[at] = kept
	} else if !bytes.Equal(kept.body, d.Body) {
		kept.bodies++
	}
	if d.Status == http.StatusOK {
		h.acceptLocked(kept, d.Header.Get(lifeHeader))
	}
}

// acceptLocked counts a delivery that is answered with 200. What came again counts for the life that made it before.
func (h *hooks) acceptLocked(d *delivery, number string) {
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 {
		h.refused = append(h.refused, fmt.Sprintf("%s: %q came with %s %q", d.path, d.id, lifeHeader, number))
		return
	}
	for len(h.lives) <= n {
		h.lives = append(h.lives, life{})
	}
	h.lives[n].accepted++
	switch {
	case d.accepted == 0:
		h.arrived++
	case d.life == n:
		h.lives[n].twice++
	default:
		h.lives[min(d.life, n)].again++
	}
	d.accepted++
	d.life = max(d.life, n)
}

// accepted counts the deliveries that were answered with 200, each id once a path.
func (h *hooks) accepted() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.arrived
}

// repeated counts the deliveries that were accepted before.
func (h *hooks) repeated() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.lives {
		n += l.twice + l.again
	}
	return n
}

// acceptedFrom counts what was accepted from one life.
func (h *hooks) acceptedFrom(n int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n >= len(h.lives) {
		return 0
	}
	return h.lives[n].accepted
}

// allLives is a copy of what is known of each.
func (h *hooks) allLives() []life {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.lives)
}

// all is a copy of what came, and of what was refused.
func (h *hooks) all() (deliveries []delivery, refused []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.got {
		deliveries = append(deliveries, *d)
	}
	return deliveries, append([]string(nil), h.refused...)
}
