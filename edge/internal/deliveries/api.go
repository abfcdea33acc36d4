// Package deliveries is how operators look after deliveries of providers that could not be mapped: a JSON API on the admin listener of a running edge, and the commands of `edge in` that ask it.
//
//	POST /inbound/replay   maps what was kept aside again, and takes out what is in the journal then
//
// A fault is answered as {"error": "..."}. Nothing here asks who comes, like everything on that listener; a request wants a body of type application/json, which no page in an operator's browser
// can send to another host unasked.
package deliveries

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"waypost/configs/ops/jsonbody"
	"waypost/edge/inbound"
	"waypost/edge/inbound/aside"
)

// Receiver takes a delivery again: nil where it is in the journal, or tells of nothing that has an event.
type Receiver interface {
	Again(tenant, provider string, at time.Time, headers []inbound.Header, body []byte) error
}

// API answers operators.
type API struct {
	Store    *aside.Store
	Receiver Receiver
	Logger   *slog.Logger

	ending   atomic.Bool
	replayed atomic.Uint64
}

// Request chooses deliveries; empty: all.
type Request struct {
	Tenant   string `json:"tenant,omitempty"`
	Provider string `json:"provider,omitempty"`
	Since    string `json:"since,omitempty"` // RFC 3339: when they came
}

// Answer is what became of them.
type Answer struct {
	Done    int      `json:"done"`    // in the journal, or of a kind that has no event, and not kept aside any more
	Stay    int      `json:"stay"`    // cannot be mapped
	Damaged int      `json:"damaged"` // lines of the files that are none
	Reasons []Reason `json:"reasons"` // why they stay, the most frequent first
}

// Reason is why deliveries stay.
type Reason struct {
	Tenant   string `json:"tenant"`
	Provider string `json:"provider"`
	Why      string `json:"why"`
	Count    int    `json:"count"`
}

// mostReasons bounds those of an answer: the expressions and words of many providers can make many.
const mostReasons = 50

// Replayed is how many deliveries replays have brought to an end. It is cheap enough for each scrape.
func (a *API) Replayed() uint64 { return a.replayed.Load() }

// Reasons say what somebody should look at.
func (a *API) Reasons() []string {
	if n, _ := a.Store.Size(); n > 0 {
		return []string{fmt.Sprintf("%d deliveries of providers could not be mapped: edge in aside", n)}
	}
	return nil
}

// Close has a replay under way stop after its delivery, refuses others, and closes the store: what replays append to may be closed after it.
func (a *API) Close() error {
	a.ending.Store(true)
	return a.Store.Close()
}

// Register adds the path to a listener.
func (a *API) Register(handle func(pattern string, h http.Handler)) {
	handle("/inbound/replay", http.HandlerFunc(a.replay))
}

// fault is an answer that is no success.
type fault struct {
	status int
	text   string
}

func (f *fault) Error() string { return f.text }

var errEnding = &fault{http.StatusServiceUnavailable, "the edge is ending"}

const maxBody = 1 << 16

func (a *API) replay(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	answer, err := a.answer(w, r)
	if err != nil {
		f := &fault{http.StatusInternalServerError, err.Error()}
		errors.As(err, &f)
		if f.status == http.StatusInternalServerError {
			a.Logger.Error("replay of deliveries failed", "error", err)
		}
		w.WriteHeader(f.status)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": f.text})
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (a *API) answer(w http.ResponseWriter, r *http.Request) (*Answer, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, &fault{http.StatusMethodNotAllowed, fmt.Sprintf("method %s is not known here; allowed is POST", r.Method)}
	}
	if !jsonbody.Is(r.Header) {
		return nil, &fault{http.StatusUnsupportedMediaType, fmt.Sprintf("Content-Type = %q: must be application/json", r.Header.Get("Content-Type"))}
	}
	var request Request
	if err := jsonbody.Decode(http.MaxBytesReader(w, r.Body, maxBody), &request); err != nil {
		return nil, &fault{http.StatusBadRequest, fmt.Sprintf("body: %v", err)}
	}
	since := time.Time{}
	if request.Since != "" {
		var err error
		if since, err = time.Parse(time.RFC3339Nano, request.Since); err != nil {
			return nil, &fault{http.StatusBadRequest, fmt.Sprintf("since = %s: must be a time such as 2026-11-28T05:21:29Z", request.Since)}
		}
	}
	return a.run(&request, since)
}

// run maps again what the request chooses.
func (a *API) run(request *Request, since time.Time) (*Answer, error) {
	answer := &Answer{Reasons: []Reason{}}
	reasons := map[Reason]int{}
	damaged, err := a.Store.Replay(func(e *aside.Entry) (bool, error) {
		if a.ending.Load() {
			return false, errEnding
		}
		if !e.Chosen(request.Tenant, request.Provider, since) {
			return false, nil
		}
		why := a.Receiver.Again(e.Tenant, e.Provider, e.Time, e.Headers, e.Body)
		if why == nil {
			answer.Done++
			a.replayed.Add(1)
		} else {
			answer.Stay++
			reasons[Reason{Tenant: e.Tenant, Provider: e.Provider, Why: why.Error()}]++
		}
		return why == nil, nil
	})
	if err != nil {
		return nil, err
	}
	answer.Damaged = damaged
	for r, n := range reasons {
		r.Count = n
		answer.Reasons = append(answer.Reasons, r)
	}
	slices.SortFunc(answer.Reasons, func(a, b Reason) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Why, b.Why))
	})
	answer.Reasons = answer.Reasons[:min(len(answer.Reasons), mostReasons)]
	return answer, nil
}
