package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"waypost/configs"
	"waypost/configs/throttle"
	"waypost/edge/event"
	"waypost/sink/internal/kafkalog"
	"waypost/sink/internal/metrics"
	"waypost/sink/internal/store"
)

// Path is where the stream is, on every listener that has it.
const Path = "/v1/events/stream"

const (
	heartbeat  = 15 * time.Second
	retryAfter = 2 * time.Second  // what readers are told to wait before they come back
	openWithin = 15 * time.Second // until a stream begins: brokers may be slow
	chunk      = 64 << 10         // what is written at once, at most, but for one event
	// breath is the least time between two looks of a reader at the end: a busy decider rings the bell more often than anybody reads.
	breath = 5 * time.Millisecond
)

// Options of a Hub.
type Options struct {
	Settings configs.Live
	Tenants  *configs.Tenants
	Metrics  *metrics.Set
	Logger   *slog.Logger

	// On one machine: what decides, and where from.
	Store    *store.Store
	Journals []string // as the store's positions have them

	// With Kafka: the topics' names, and who reads them.
	Log            kafkalog.Timed
	Events, Unique string

	// Add appends the document of an event with what the sink knows more of it, as the webhooks have it. Optional.
	Add func(dst, document []byte, e *event.Event) []byte

	Heartbeat time.Duration // 15 s
}

// Hub serves the stream to its readers.
type Hub struct {
	o      Options
	bell   bell
	ending chan struct{}
	faults throttle.Every

	newLeader time.Duration

	mu      sync.Mutex
	readers map[*reader]struct{}
	tenants map[uint32]int // readers with a token
	ended   bool
	gone    sync.WaitGroup
}

// New makes a Hub.
func New(o Options) *Hub {
	if o.Heartbeat == 0 {
		o.Heartbeat = heartbeat
	}
	return &Hub{o: o, ending: make(chan struct{}), readers: map[*reader]struct{}{}, tenants: map[uint32]int{}, newLeader: newLeader}
}

// Wake says that more is decided. It does not wait.
func (h *Hub) Wake() { h.bell.ring() }

// Close ends all streams, and waits for them: then the store may be closed. Readers come back.
func (h *Hub) Close() {
	h.mu.Lock()
	if !h.ended {
		h.ended = true
		close(h.ending)
	}
	for r := range h.readers {
		r.hurry()
	}
	h.mu.Unlock()
	h.gone.Wait()
}

// ServeHTTP shows operators the events of all tenants.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.ServeTenant(w, r, nil) }

// ServeTenant shows a tenant's events; nil: those of all.
func (h *Hub) ServeTenant(w http.ResponseWriter, r *http.Request, tenant *configs.Tenant) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		Refuse(w, http.StatusMethodNotAllowed, fmt.Sprintf("method %s is not known here; allowed is GET", r.Method))
		return
	}
	q, err := readQuery(r, h.o.Tenants, tenant)
	if err == nil {
		err = h.serve(w, r, q, tenant)
	}
	var f *fault
	switch {
	case err == nil, r.Context().Err() != nil:
	case errors.As(err, &f):
		if f.status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "10")
		}
		Refuse(w, f.status, f.text)
	default:
		h.failing("stream", err)
		Refuse(w, http.StatusInternalServerError, "the events cannot be read; the sink's log says why")
	}
}

// Refuse answers with a reason in place of a stream.
func Refuse(w http.ResponseWriter, status int, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(map[string]string{"error": reason})
}

// serve runs a stream. Its error came before anything was written.
func (h *Hub) serve(w http.ResponseWriter, r *http.Request, q *query, tenant *configs.Tenant) error {
	reader := &reader{h: h, w: w, control: http.NewResponseController(w), ended: r.Context().Done()}
	leave, err := h.enter(reader, tenant)
	if err != nil {
		return err
	}
	defer leave()
	open := h.openJournals
	if h.o.Log != nil {
		open = h.openTopic
	}
	if reader.source, err = open(r.Context(), q); err != nil {
		return err
	}
	defer reader.source.close()
	reader.run()
	return nil
}

// enter takes a place among the readers.
func (h *Hub) enter(r *reader, tenant *configs.Tenant) (leave func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.ended:
		return nil, &fault{http.StatusServiceUnavailable, "the sink is ending: try again"}
	case len(h.readers) >= h.o.Settings.Readers:
		h.o.Metrics.LiveRefused.Inc()
		return nil, &fault{http.StatusServiceUnavailable, fmt.Sprintf("%d read the stream, as many as may (live.readers)", len(h.readers))}
	case tenant != nil && h.tenants[tenant.Number] >= h.o.Settings.TenantReaders:
		h.o.Metrics.LiveRefused.Inc()
		return nil, &fault{http.StatusServiceUnavailable, fmt.Sprintf("%d of this tenant read the stream, as many as may (live.tenant_readers)", h.tenants[tenant.Number])}
	}
	h.readers[r] = struct{}{}
	h.gone.Add(1)
	if tenant != nil {
		h.tenants[tenant.Number]++
	}
	h.o.Metrics.LiveReaders.Set(float64(len(h.readers)))
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.readers, r)
		if tenant != nil {
			if h.tenants[tenant.Number]--; h.tenants[tenant.Number] == 0 {
				delete(h.tenants, tenant.Number)
			}
		}
		h.o.Metrics.LiveReaders.Set(float64(len(h.readers)))
		h.gone.Done()
	}, nil
}

// failing logs what is tried again, or ends a stream.
func (h *Hub) failing(what string, err error) {
	if held, ok := h.faults.Allow(time.Now()); ok {
		h.o.Logger.Warn("live: events cannot be read", "from", what, "error", err, "held_back", held)
	}
}

// away says that the brokers cannot be asked.
func (h *Hub) away(err error) error {
	var f *fault
	if errors.As(err, &f) || errors.Is(err, context.Canceled) {
		return err
	}
	h.failing("kafka", err)
	return &fault{http.StatusServiceUnavailable, "Kafka cannot be read now: try again"}
}

// bell wakes all who wait.
type bell struct {
	mu   sync.Mutex
	rung chan struct{} // nil while nobody waits
}

// wait gives what is closed at the next ring.
func (b *bell) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	return b.rung
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung != nil {
		close(b.rung)
		b.rung = nil
	}
}
