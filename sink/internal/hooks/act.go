package hooks

import (
	"errors"
	"fmt"
	"net/http"

	"waypost/edge/event"
	"waypost/sink/dispatch"
	"waypost/sink/dispatch/attempt"
	"waypost/sink/dispatch/samples"
	"waypost/sink/internal/uniques"
)

// TestRequest is the body of POST /hooks/test.
type TestRequest struct {
	Tenant   string   `json:"tenant"` // name or number
	Endpoint string   `json:"endpoint"`
	Types    []string `json:"types,omitempty"` // none: all that the endpoint's format has a document for
}

// TestAnswer is the answer of POST /hooks/test.
type TestAnswer struct {
	Format  string       `json:"format"`
	Samples []TestResult `json:"samples"`
}

// TestResult is what an endpoint did with a sample.
type TestResult struct {
	Type      event.Type `json:"type"`
	WebhookID string     `json:"webhook_id"`
	Delivered bool       `json:"delivered"`        // the format takes the answer for success
	Status    int        `json:"status,omitempty"` // none where no answer came
	Reason    string     `json:"reason,omitempty"` // why none came
	TookMS    float64    `json:"took_ms"`
	Answer    string     `json:"answer,omitempty"` // its first bytes
}

func (a *API) test(r *http.Request) (any, error) {
	var request TestRequest
	if err := body(r, &request); err != nil {
		return nil, err
	}
	tenant, err := a.tenant(request.Tenant)
	if err != nil {
		return nil, err
	}
	if tenant == 0 || request.Endpoint == "" {
		return nil, bad("tenant and endpoint must be set")
	}
	target, err := a.target(tenant, request.Endpoint)
	if err != nil {
		return nil, err
	}
	wanted, err := a.testTypes(target, request.Types)
	if err != nil {
		return nil, err
	}
	results, err := samples.Send(r.Context(), a.Settings, target, wanted)
	if err != nil {
		return nil, err
	}
	answer := TestAnswer{target.Format.Name(), []TestResult{}}
	for _, s := range results {
		answer.Samples = append(answer.Samples, TestResult{
			Type: s.Type, WebhookID: s.ID.String(), Delivered: s.Delivered, Status: s.Status, Reason: s.Reason, TookMS: float64(s.Took.Microseconds()) / 1000, Answer: s.Answer,
		})
	}
	return answer, nil
}

// testTypes are the types asked for, or all that the format has.
func (a *API) testTypes(target *attempt.Target, names []string) ([]event.Type, error) {
	asked, err := types(names)
	if err != nil {
		return nil, err
	}
	has := samples.Of(target)
	for _, t := range asked {
		if !target.Format.Has(t) {
			return nil, bad("type = %s: the format %s has no document for it; it has %s", t, target.Format.Name(), samples.ShortNames(has))
		}
	}
	if len(asked) > 0 {
		return asked, nil
	}
	return has, nil
}

// ReplayRequest is the body of POST /hooks/replay. What is not set asks for all of it.
type ReplayRequest struct {
	Which    string   `json:"which,omitempty"` // dead (also when empty), waiting, failed (both), delivered, all
	Tenant   string   `json:"tenant,omitempty"`
	Endpoint string   `json:"endpoint,omitempty"`
	IDs      []string `json:"ids,omitempty"`
	Types    []string `json:"types,omitempty"`
	From     string   `json:"from,omitempty"`
	To       string   `json:"to,omitempty"`
	List     bool     `json:"list,omitempty"` // only say which they are
}

// ReplayAnswer is the answer of POST /hooks/replay.
type ReplayAnswer struct {
	Count      int                 `json:"count"`
	Deliveries []dispatch.Replayed `json:"deliveries"` // the first of them
}

// mostTold is how many deliveries an answer names.
const mostTold = 1000

func (a *API) replay(r *http.Request) (any, error) {
	var request ReplayRequest
	if err := body(r, &request); err != nil {
		return nil, err
	}
	d, err := a.dispatcher()
	if err != nil {
		return nil, err
	}
	q, err := a.replayQuery(&request)
	if err != nil {
		return nil, err
	}
	answer := ReplayAnswer{Deliveries: []dispatch.Replayed{}}
	err = d.Replay(r.Context(), q, func(found *dispatch.Replayed) {
		if answer.Count++; answer.Count <= mostTold {
			answer.Deliveries = append(answer.Deliveries, *found)
		}
	})
	switch {
	case errors.Is(err, uniques.ErrOff):
		return nil, &Fault{http.StatusNotImplemented, fmt.Sprintf("which = %s: nothing of what was delivered is kept: uniques.keep or uniques.keep_bytes of sink.yaml is 0", request.Which)}
	case errors.Is(err, uniques.ErrEnded):
		return nil, &Fault{http.StatusServiceUnavailable, "the sink is ending"}
	}
	return answer, err
}

func (a *API) replayQuery(request *ReplayRequest) (q dispatch.ReplayQuery, err error) {
	switch request.Which {
	case "", "dead":
		q.Dead = true
	case "waiting":
		q.Waiting = true
	case "failed":
		q.Dead, q.Waiting = true, true
	case "delivered":
		q.Delivered = true
	case "all":
		q.Dead, q.Waiting, q.Delivered = true, true, true
	default:
		return q, bad("which = %s: must be dead, waiting, failed, delivered or all", request.Which)
	}
	if q.Delivered && len(request.IDs) == 0 && request.From == "" {
		return q, bad("which = %s: needs ids or from: without, all that was told in all the time that is kept would be sent again", request.Which)
	}
	q.Endpoint, q.List = request.Endpoint, request.List
	if q.Tenant, err = a.tenant(request.Tenant); err != nil {
		return q, err
	}
	if q.Tenant != 0 && q.Endpoint != "" {
		if _, err := a.target(q.Tenant, q.Endpoint); err != nil {
			return q, err
		}
	}
	if q.From, q.To, err = span(request.From, request.To); err != nil {
		return q, err
	}
	wanted, err := types(request.Types)
	if err != nil {
		return q, err
	}
	q.Types, q.WebhookIDs = map[event.Type]bool{}, map[event.ID]bool{}
	for _, t := range wanted {
		q.Types[t] = true
	}
	for _, text := range request.IDs {
		id, err := event.ParseID([]byte(text))
		if err != nil {
			return q, bad("id = %s: must be a webhook-id, such as c47266e7e251d51e-0000000000000512", text)
		}
		q.WebhookIDs[id] = true
	}
	return q, nil
}
