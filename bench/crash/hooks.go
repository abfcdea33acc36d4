package crash

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"net/http"
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

// hooks keeps what the receiver got.
type hooks struct {
	receiver *receiver.Receiver

	mu      sync.Mutex
	got     map[[2]string]*delivery // by path and id
	refused []string                // what did not verify
}

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

// endpoints are the tenant's.
func (h *hooks) endpoints() []stack.Endpoint {
	url := h.receiver.URL()
	return []stack.Endpoint{
		{ID: "standard", URL: url + "/standard", Format: "standard", Secret: hookSecret},
		{ID: "postmark", URL: url + "/postmark", Format: "postmark", StandardSecrets: []string{hookSecret}, User: hookUser, Password: hookPassword},
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
		kept.accepted++
	}
}

// accepted counts the deliveries that were answered with 200, each id once a path.
func (h *hooks) accepted() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.got {
		if d.accepted > 0 {
			n++
		}
	}
	return n
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
