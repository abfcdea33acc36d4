// Package hooks is how operators look at webhooks: a JSON API on the admin listener of a running sink, and the commands of `sink hooks`, which ask it.
//
//	GET  /hooks            each endpoint: what is due to it, how it does
//	GET  /hooks/attempts   the log of attempts, the newest first, in pages
//	POST /hooks/test       sends samples to an endpoint
//	POST /hooks/replay     sends dead letters, what waits, or what was delivered again now
//	POST /hooks/disable    ends attempts at an endpoint; what it would be told is kept
//	POST /hooks/enable     begins them again
//	POST /forget           removes a person from what is kept
//
// A fault is answered as {"error": "..."}. Nothing here asks who comes, like everything on that listener; what changes something wants a body of type
// application/json, which no page in an operator's browser can send to another host unasked.
package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"

	"waypost/configs"
	"waypost/configs/ops/jsonbody"
	"waypost/edge/event"
	"waypost/sink/dispatch"
	"waypost/sink/dispatch/attempt"
	"waypost/sink/dispatch/samples"
	"waypost/sink/dispatch/topic"
)

// Dispatcher is what is looked into: the store of one machine, or the topics of Kafka.
type Dispatcher interface {
	// Target is the endpoint of a tenant; nil: there is none.
	Target(tenant uint32, id string) *attempt.Target
	// States are all endpoints as they are now.
	States(ctx context.Context) ([]dispatch.State, error)
	// Attempts finds attempts, the newest first; next is where to go on, nil: that is all.
	Attempts(ctx context.Context, q dispatch.AttemptQuery) (found []dispatch.Attempt, next []byte, err error)
	// Replay makes deliveries due now, and visits each.
	Replay(ctx context.Context, q dispatch.ReplayQuery, visit func(*dispatch.Replayed)) error
}

// API answers operators.
type API struct {
	Dispatcher Dispatcher // nil where this sink sends no webhooks
	Forgetter  Forgetter  // likewise
	Tenants    *configs.Tenants
	Settings   configs.Dispatch
	Logger     *slog.Logger

	answering sync.RWMutex // held while the store is looked into
	closed    bool
}

// Close waits for questions under way and answers none after it: then the store may be closed.
func (a *API) Close() {
	a.answering.Lock()
	defer a.answering.Unlock()
	a.closed = true
}

// Register adds the paths to a listener.
func (a *API) Register(handle func(pattern string, h http.Handler)) {
	handle("/hooks", a.route(http.MethodGet, a.list))
	handle("/hooks/attempts", a.route(http.MethodGet, a.attempts))
	handle("/hooks/test", a.route(http.MethodPost, a.test))
	handle("/hooks/replay", a.route(http.MethodPost, a.replay))
	handle("/hooks/disable", a.route(http.MethodPost, func(r *http.Request) (any, error) { return a.turn(r, true) }))
	handle("/hooks/enable", a.route(http.MethodPost, func(r *http.Request) (any, error) { return a.turn(r, false) }))
	handle("/forget", a.route(http.MethodPost, a.forget))
	handle("/hooks/", a.route("", func(*http.Request) (any, error) {
		return nil, &Fault{http.StatusNotFound, "there is no such path; there are /hooks, /hooks/attempts, /hooks/test, /hooks/replay, /hooks/disable and /hooks/enable"}
	}))
}

// Fault is an answer that is no success.
type Fault struct {
	Status int
	Text   string
}

func (f *Fault) Error() string { return f.Text }

func bad(format string, args ...any) error {
	return &Fault{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

const maxBody = 1 << 20

// route checks the method, and writes what f found or why not.
func (a *API) route(method string, f func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		a.answering.RLock()
		defer a.answering.RUnlock()
		var answer any
		var err error
		if a.closed {
			err = &Fault{http.StatusServiceUnavailable, "the sink is ending"}
		} else if method != "" && r.Method != method {
			w.Header().Set("Allow", method)
			err = &Fault{http.StatusMethodNotAllowed, fmt.Sprintf("method %s is not known here; allowed is %s", r.Method, method)}
		} else {
			answer, err = f(r)
		}
		status := http.StatusOK
		if err != nil {
			fault := faultOf(err)
			if fault.Status >= http.StatusInternalServerError && fault.Status != http.StatusNotImplemented {
				a.Logger.Error("hooks: an operator's question failed", "path", r.URL.Path, "error", err)
			}
			status, answer = fault.Status, map[string]string{"error": fault.Text}
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_ = encode(w, answer)
	})
}

// faultOf is an error as it is answered.
func faultOf(err error) *Fault {
	var fault *Fault
	switch {
	case errors.As(err, &fault):
		return fault
	case errors.Is(err, dispatch.ErrAfter):
		return &Fault{http.StatusBadRequest, err.Error()}
	case errors.Is(err, topic.ErrAway):
		return &Fault{http.StatusServiceUnavailable, err.Error()}
	case errors.Is(err, errors.ErrUnsupported):
		return &Fault{http.StatusNotImplemented, err.Error()}
	}
	return &Fault{http.StatusInternalServerError, err.Error()}
}

func encode(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// body reads the JSON of a request.
func body(r *http.Request, into any) error {
	if !jsonbody.Is(r.Header) {
		return &Fault{http.StatusUnsupportedMediaType, fmt.Sprintf("Content-Type = %q: must be application/json", r.Header.Get("Content-Type"))}
	}
	if err := jsonbody.Decode(r.Body, into); err != nil {
		return bad("body: %v", err)
	}
	return nil
}

var errNoWebhooks = &Fault{http.StatusNotImplemented, "this sink sends no webhooks: no tenant has an endpoint, or a token of the API, in tenants.yaml"}

// dispatcher is what is looked into.
func (a *API) dispatcher() (Dispatcher, error) {
	if a.Dispatcher == nil {
		return nil, errNoWebhooks
	}
	return a.Dispatcher, nil
}

// tenant finds a tenant by its name or number; "" is 0: all.
func (a *API) tenant(text string) (uint32, error) {
	if text == "" {
		return 0, nil
	}
	if t := a.Tenants.Named(text); t != nil {
		return t.Number, nil
	}
	return 0, &Fault{http.StatusNotFound, fmt.Sprintf("tenant = %s: must be the name or number of a tenant in tenants.yaml", text)}
}

// target finds an endpoint.
func (a *API) target(tenant uint32, id string) (*attempt.Target, error) {
	if a.Dispatcher != nil {
		if t := a.Dispatcher.Target(tenant, id); t != nil {
			return t, nil
		}
	}
	return nil, &Fault{http.StatusNotFound, fmt.Sprintf("endpoint = %s: tenant %d has no such endpoint", id, tenant)}
}

// types reads names of event types, with or without "email.".
func types(names []string) (all []event.Type, err error) {
	for _, name := range names {
		t, ok := samples.TypeOf(name)
		if !ok {
			return nil, bad("type = %s: must be one of %s", name, samples.ShortNames(samples.Types()))
		}
		all = append(all, t)
	}
	return all, nil
}
