package dispatch

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/sink/internal/metrics"
	"waypost/sink/internal/store"
)

// addOf is add for one recipient.
func (h *harness) addOf(recipient string, n int) (ids []string) {
	h.t.Helper()
	return h.addEach(n, func(e *event.Event) { e.Prospect = []byte(recipient) })
}

func of(recipient string) func(uint64, []byte) bool {
	text := []byte(`"prospect":"` + recipient + `"`)
	return func(_ uint64, document []byte) bool { return bytes.Contains(document, text) }
}

// forget takes all of a recipient away, and gives how many deliveries, letters and attempts went.
func (h *harness) forget(recipient string) (gone [3]int) {
	h.t.Helper()
	ctx := context.Background()
	f, err := h.Forget(ctx, of(recipient))
	if err != nil {
		h.t.Fatal(err)
	}
	ids := map[event.ID]bool{}
	err = f.Each(ctx, func(document []byte) {
		var decoder event.Decoder
		var e event.Event
		if err := decoder.Decode(&e, document); err != nil {
			h.t.Error(err)
		}
		ids[e.ID] = true
	})
	if err != nil {
		h.t.Fatal(err)
	}
	for i, take := range []func() ([][]byte, error){
		func() ([][]byte, error) { return f.Deliveries(ctx) }, func() ([][]byte, error) { return f.Letters(ctx) }, func() ([][]byte, error) { return f.Attempts(ctx, 1, ids) },
	} {
		keys, err := take()
		if err != nil {
			h.t.Fatal(err)
		}
		gone[i] = len(keys)
	}
	if err := f.Close(ctx); err != nil {
		h.t.Fatal(err)
	}
	return gone
}

// An endpoint is down: what is due to it of a forgotten person, in memory and on the disk, is not sent when it is back; everything of the others is, once.
func TestForgottenDeliveriesAreNotSent(t *testing.T) {
	settings := usual()
	settings.Window, settings.Retries = 7, []time.Duration{time.Hour}
	settings.BreakerFailures, settings.BreakerLongest = 3, 20*time.Millisecond
	for name, change := range map[string]func(*harness){
		"failing": func(*harness) {},
		"disabled": func(h *harness) {
			if _, err := h.Disable(context.Background(), 1, "crm", ""); err != nil {
				h.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var accepted []string
			var waiting atomic.Int64 // attempts, for mu
			up := false
			rc := receive(t, func(_ int, w http.ResponseWriter, r *http.Request) {
				waiting.Add(1)
				mu.Lock()
				defer mu.Unlock()
				waiting.Add(-1)
				if !up {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				accepted = append(accepted, r.Header.Get("webhook-id"))
			})
			h := start(t, fresh(), settings, endpointTo("crm", rc.URL, "standard"))
			defer h.stop()
			change(h)
			var others []string
			for range 20 {
				h.addOf("gone", 3)
				others = append(others, h.addOf("stays", 2)...)
			}
			// hold keeps mu while every attempt is either over, and written, or waits for it.
			hold := func() {
				mu.Lock()
				e := h.endpoints.Load().Find(1, "crm")
				until(t, "what is under way waits for an answer", func() bool {
					e.mu.Lock()
					defer e.mu.Unlock()
					return int64(e.gate.Running()) == waiting.Load()
				})
				if err := h.between(context.Background(), func() error { return nil }); err != nil {
					t.Error(err)
				}
			}
			hold() // an attempt that ended between the steps of forgetting would leave nothing that could be counted
			gone := h.forget("gone")
			mu.Unlock()
			if gone[0] != 60 || gone[1] != 0 {
				t.Errorf("%v deliveries, letters and attempts went, want 60 deliveries", gone)
			}
			if gone := h.forget("gone"); gone != [3]int{} {
				t.Errorf("%v went the second time", gone)
			}
			until(t, "the others' are pending", func() bool { return h.pending.Load() == int64(len(others)) })
			hold() // one that failed now would be due again in an hour
			up = true
			mu.Unlock()
			if _, err := h.Enable(context.Background(), 1, "crm"); err != nil {
				t.Fatal(err)
			}
			err := h.Replay(context.Background(), ReplayQuery{Waiting: true}, func(*Replayed) {})
			if err != nil {
				t.Fatal(err)
			}
			h.settle()
			mu.Lock()
			defer mu.Unlock()
			slices.Sort(accepted)
			if slices.Sort(others); !slices.Equal(accepted, others) {
				t.Errorf("%d were accepted, want the others' %d, each once", len(accepted), len(others))
			}
			if n := h.inMemory.Load(); n != 0 {
				t.Errorf("%d deliveries are in memory, want none", n)
			}
		})
	}
}

// An attempt that is under way is the last one, and leaves no letter and no entry of the log.
func TestForgottenWhileUnderWay(t *testing.T) {
	for name, settings := range map[string]configs.Dispatch{"again": usual(), "letter": func() configs.Dispatch { s := usual(); s.Retries = nil; return s }()} {
		t.Run(name, func(t *testing.T) {
			reached, answer := make(chan struct{}, 10), make(chan struct{})
			rc := receive(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
				reached <- struct{}{}
				<-answer
				w.WriteHeader(http.StatusGatewayTimeout)
			})
			format := "standard"
			if name == "letter" {
				format = "nexomailer" // it makes one attempt
			}
			settings.AttemptsDays, settings.AttemptsBytes = 7, 1<<20
			h := start(t, fresh(), settings, endpointTo("crm", rc.URL, format))
			defer h.stop()
			h.addOf("gone", 1)
			<-reached
			if gone := h.forget("gone"); gone[0] != 1 {
				t.Errorf("%v went, want 1 delivery", gone)
			}
			if dues := h.dues(); len(dues) != 0 {
				t.Errorf("the store has %s", describe(dues))
			}
			close(answer)
			h.settle()
			if dues, letters := h.dues(), h.letters(); len(dues) != 0 || len(letters) != 0 || len(rc.got()) != 1 {
				t.Errorf("due %s, %d letters, %d attempts", describe(dues), len(letters), len(rc.got()))
			}
			if found, _, err := h.Attempts(context.Background(), AttemptQuery{Limit: 10}); len(found) != 0 || err != nil {
				t.Errorf("attempts %+v, %v", found, err)
			}
		})
	}
}

// Dead letters and attempts go, and are counted; the others' stay.
func TestForgottenLettersAndAttempts(t *testing.T) {
	rc := receive(t, status(http.StatusServiceUnavailable))
	settings := usual()
	settings.AttemptsDays, settings.AttemptsBytes = 7, 1<<20
	h := start(t, fresh(), settings, endpointTo("crm", rc.URL, "standard"))
	defer h.stop()
	h.addOf("gone", 2)
	h.addOf("stays", 3)
	h.settle()
	before := h.attempts.bytes.Load()
	if gone, want := h.forget("gone"), [3]int{0, 2, 8}; gone != want {
		t.Errorf("%v deliveries, letters and attempts went, want %v", gone, want)
	}
	if letters := h.letters(); len(letters) != 3 || slices.ContainsFunc(letters, func(l DeadLetter) bool { return of("gone")(0, l.Delivery.Document) }) {
		t.Errorf("%d letters", len(letters))
	}
	if found, _, err := h.Attempts(context.Background(), AttemptQuery{Limit: 100}); len(found) != 12 || err != nil {
		t.Errorf("%d attempts, %v, want 12", len(found), err)
	}
	if after := h.attempts.bytes.Load(); after != before*3/5 {
		t.Errorf("the log counts %d bytes, %d before", after, before)
	}
	h.Dispatcher.letters.Lock()
	defer h.Dispatcher.letters.Unlock()
	if h.dead != 3 {
		t.Errorf("%d letters are counted", h.dead)
	}
}

// What is due to endpoints that nobody has goes, and a dispatcher that is not started takes it away too.
func TestForgottenWithoutEndpoints(t *testing.T) {
	files := fresh()
	rc := receive(t, status(http.StatusServiceUnavailable))
	settings := usual()
	settings.Retries = []time.Duration{time.Hour}
	h := start(t, files, settings, endpointTo("crm", rc.URL, "standard"))
	h.addOf("gone", 2)
	h.addOf("stays", 3)
	until(t, "attempts", func() bool { return len(rc.got()) == 5 })
	h.stop()
	h = prepare(t, files, Options{Settings: settings, Metrics: metrics.Discard(), Logger: slog.New(slog.DiscardHandler)})
	if gone := h.forget("gone"); gone[0] != 2 {
		t.Errorf("%v went, want 2 deliveries", gone)
	}
	if n := len(h.dues()); n != 3 {
		t.Errorf("%d are due, want 3", n)
	}
	h.cancel()
	if err := h.store.Close(); err != nil {
		t.Error(err)
	}
}

// A crash after the answer brings nothing back.
func TestForgottenIsDurable(t *testing.T) {
	files := fresh()
	rc := receive(t, status(http.StatusServiceUnavailable))
	settings := usual()
	settings.Retries = []time.Duration{time.Hour}
	h := start(t, files, settings, endpointTo("crm", rc.URL, "standard"))
	h.addOf("gone", 5)
	h.addOf("stays", 5)
	h.forget("gone")
	crashed := files.CrashClone(vfs.CrashCloneCfg{})
	h.stop()
	s := memStore(t, crashed)
	defer s.Close()
	n := 0
	h = &harness{t: t, Dispatcher: &Dispatcher{store: s}}
	h.each(store.Dues, func(_, value []byte) error {
		if n++; of("gone")(0, value) {
			t.Errorf("it is back: %s", value)
		}
		return nil
	})
	if n != 5 {
		t.Errorf("%d are due, want the others' 5", n)
	}
}
