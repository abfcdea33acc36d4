package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/sink/dispatch/attempt"
	"waypost/sink/dispatch/samples"
)

// tests are the tenants whose samples are being sent: one test each at a time, so that a program cannot have the sink send without end.
type tests struct {
	mu    sync.Mutex
	under map[uint32]bool
}

func (t *tests) begin(tenant uint32) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.under[tenant] {
		return false
	}
	if t.under == nil {
		t.under = map[uint32]bool{}
	}
	t.under[tenant] = true
	return true
}

func (t *tests) end(tenant uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.under, tenant)
}

type testAnswer struct {
	ID      uint32
	Samples []sample
}

// sample is what came back for one.
type sample struct {
	Type      event.Type
	WebhookID string
	Delivered bool    // the webhook's format takes the answer for success
	Status    int     // 0: no answer came
	Reason    string  // why none came
	TookMs    float64 // until the answer, or until it was clear that none comes
	Answer    string  // its first bytes
}

// test sends a sample of each type that a webhook is triggered by, also where it is disabled: that is how to see whether it works again.
func (s *Server) test(w http.ResponseWriter, r *http.Request, tenant *configs.Tenant, number string) (any, error) {
	if r.Method != http.MethodPost {
		return nil, notAllowed(w, "POST")
	}
	id, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return nil, noSuch(number)
	}
	current, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	if err := s.Book.current(current); err != nil {
		return nil, err
	}
	target, types, err := s.testTarget(tenant, uint32(id))
	if err != nil {
		return nil, err
	}
	if target == nil {
		return nil, noSuch(number)
	}
	if !s.tests.begin(tenant.Number) {
		return nil, refuse(http.StatusTooManyRequests, "samples of this tenant are being sent: one test at a time")
	}
	defer s.tests.end(tenant.Number)
	// The listener's own times are for answers that are made at once. That of reading counts too: when it is over the request's context ends.
	end := time.Now().Add(time.Duration(len(types))*(s.Settings.Timeout+s.Settings.BodyTimeout) + writeTimeout)
	connection := http.NewResponseController(w)
	if err := errors.Join(connection.SetReadDeadline(end), connection.SetWriteDeadline(end)); err != nil {
		return nil, err
	}
	results, err := samples.Send(r.Context(), s.Settings, target, types)
	if err != nil {
		return nil, err
	}
	answer := testAnswer{uint32(id), []sample{}}
	for _, t := range results {
		reason, _, _ := strings.Cut(t.Reason, "; allowed are") // what is allowed beside may name places that are no tenant's business
		answer.Samples = append(answer.Samples, sample{t.Type, t.ID.String(), t.Delivered, t.Status, reason, float64(t.Took.Microseconds()) / 1000, t.Answer})
	}
	return answer, nil
}

// testTarget finds a webhook, and the types that it is triggered by; nil: there is none.
func (s *Server) testTarget(tenant *configs.Tenant, id uint32) (*attempt.Target, []event.Type, error) {
	for i := range tenant.Endpoints {
		if fixed(tenant, &tenant.Endpoints[i]).ID == id {
			target, err := attempt.NewTarget(tenant, tenant.Endpoints[i])
			if err != nil {
				return nil, nil, err
			}
			return target, samples.Of(target), nil
		}
	}
	list := s.Book.of(tenant.Number)
	i := place(list, id)
	if i < 0 {
		return nil, nil, nil
	}
	streaming := *tenant // samples are of the webhook's stream
	streaming.Stream = list[i].MessageStream
	added := list[i].added(&streaming)
	target, err := attempt.NewTarget(added.Tenant, added.Endpoint)
	if err != nil {
		return nil, nil, err
	}
	return target, slices.DeleteFunc(samples.Of(target), func(t event.Type) bool { return !slices.Contains(added.Types, t) }), nil
}
