package dispatch

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"waypost/configs"
	"waypost/configs/outbound"
	"waypost/edge/event"
	"waypost/sink/ingest"
	"waypost/sink/internal/metrics"
	"waypost/sink/internal/store"
)

func TestMain(m *testing.M) {
	if os.Getenv(wardVariable) != "" {
		serveWard()
		return
	}
	goleak.VerifyTestMain(m)
}

const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// quickly is long enough for anything on a busy machine and ends a test that hangs.
const quickly = 2 * time.Minute

func click(sequence uint64) event.Event {
	return event.Event{
		ID: event.ID{Run: 0xabc, Sequence: sequence}, Type: event.Clicked, Time: time.Date(2026, 6, 15, 12, 0, 0, 123456000, time.UTC),
		Tenant: 1, TenantName: "demo", Message: []byte("123"), Prospect: []byte("456"), Recipient: []byte("abc@prospect.com"),
		Destination: []byte("https://bit.ly/33zYFqH"), Original: []byte("https://www.google.com/"), Minted: time.Date(2026, 6, 15, 11, 0, 0, 0, time.UTC),
		RetentionDays: 45, Method: []byte("GET"), UserAgent: []byte("Mozilla/5.0"), Address: []byte("192.0.2.7"),
	}
}

func memStore(t testing.TB, files vfs.FS) *store.Store {
	t.Helper()
	s, err := store.Open("store", store.Options{FS: files})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// harness is a dispatcher over a store in memory.
type harness struct {
	*Dispatcher
	t     testing.TB
	files *vfs.MemFS
	next  uint64
}

func endpointTo(id, url, format string) configs.Endpoint {
	e := configs.Endpoint{ID: id, URL: url, Format: format, Secret: testSecret}
	if format != "standard" {
		e.StandardSecrets = []configs.Secret{testSecret}
	}
	return e
}

func usual() configs.Dispatch {
	return configs.Dispatch{
		Timeout: quickly, Concurrency: 4, Window: 100, MarkEvery: time.Millisecond,
		Retries: []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond},
		Allow:   outbound.ThisMachine(),
	}
}

// start begins a dispatcher with these endpoints of tenant 1 on what files holds.
func start(t testing.TB, files *vfs.MemFS, settings configs.Dispatch, endpoints ...configs.Endpoint) *harness {
	t.Helper()
	return startSharing(t, files, 0, settings, endpoints...)
}

// startSharing is start with a bound of its own on the memory that endpoints share.
func startSharing(t testing.TB, files *vfs.MemFS, share int64, settings configs.Dispatch, endpoints ...configs.Endpoint) *harness {
	t.Helper()
	h := prepare(t, files, Options{
		Settings: settings, Metrics: metrics.Discard(), Logger: slog.New(slog.DiscardHandler), maxDeadLetters: 10, sharedMemory: share,
	}, &configs.Tenant{Number: 1, Name: "demo", Stream: "outbound", Endpoints: endpoints})
	h.Start()
	return h
}

// prepare makes a dispatcher with these tenants on what files holds, or on the options' store, not started.
func prepare(t testing.TB, files *vfs.MemFS, o Options, tenants ...*configs.Tenant) *harness {
	t.Helper()
	h := &harness{t: t, files: files, next: 1}
	if o.Store == nil {
		o.Store = memStore(t, files)
	}
	o.Tenants, o.Failed = &configs.Tenants{List: tenants}, func(err error) { t.Error(err) }
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	h.Dispatcher = d
	return h
}

// fresh is a file system that can be cloned as a power cut leaves it.
func fresh() *vfs.MemFS { return vfs.NewCrashableMem() }

// add makes n deliveries due to each endpoint, as ingest would: in one synced batch.
func (h *harness) add(n int) (ids []string) {
	h.t.Helper()
	return h.addEach(n, func(*event.Event) {})
}

// addEach is add of changed events.
func (h *harness) addEach(n int, change func(*event.Event)) (ids []string) {
	h.t.Helper()
	b := h.store.NewBatch()
	defer b.Close()
	for range n {
		e := click(h.next)
		change(&e)
		h.next++
		ids = append(ids, e.ID.String())
		if err := h.Due(b, ingest.First{ID: e.ID, Type: e.Type, Tenant: 1, Document: event.AppendDocument(nil, &e)}); err != nil {
			h.t.Fatal(err)
		}
	}
	if err := b.Commit(pebble.Sync); err != nil {
		h.t.Fatal(err)
	}
	h.Committed()
	return ids
}

// stop ends the dispatcher in order and closes the store.
func (h *harness) stop() {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), quickly)
	defer cancel()
	h.Stop(ctx)
	if err := h.store.Close(); err != nil {
		h.t.Error(err)
	}
}

// until polls for something that a receiver cannot tell.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(quickly); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", quickly, what)
		}
	}
}

// settled waits until the store holds no delivery that is not finished.
func (h *harness) settle() {
	h.t.Helper()
	until(h.t, "every delivery is finished", func() bool { return h.pending.Load() == 0 })
}

// dues are the deliveries in the store.
func (h *harness) dues() (all []dueDelivery) {
	h.t.Helper()
	h.each(store.Dues, func(key, value []byte) error {
		_, endpoint, due, id, err := store.ParseDue(key)
		if err != nil {
			return err
		}
		d, err := ParseDelivery(value)
		all = append(all, dueDelivery{endpoint, due, id, d.Attempts})
		return err
	})
	return all
}

type dueDelivery struct {
	endpoint string
	due      uint64
	id       event.ID
	attempts uint16
}

// letters are the dead letters.
func (h *harness) letters() (all []DeadLetter) {
	h.t.Helper()
	h.each(store.Deads, func(_, value []byte) error {
		l, err := ParseDeadLetter(append([]byte(nil), value...))
		all = append(all, l)
		return err
	})
	return all
}

func (h *harness) each(space store.Space, visit func(key, value []byte) error) {
	h.t.Helper()
	from, to := space.Range()
	iter, err := h.store.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		h.t.Fatal(err)
	}
	defer iter.Close()
	for ok := iter.First(); ok; ok = iter.Next() {
		if err := visit(iter.Key(), iter.Value()); err != nil {
			h.t.Fatal(err)
		}
	}
}

// receiver is a real HTTP server that remembers what came.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	requests []received
	answer   func(n int, w http.ResponseWriter, r *http.Request) // n counts from 1; nil: 200
}

type received struct {
	id     string
	header http.Header
	body   []byte
}

func receive(t testing.TB, answer func(n int, w http.ResponseWriter, r *http.Request)) *receiver {
	t.Helper()
	rc := &receiver{answer: answer}
	rc.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		rc.mu.Lock()
		rc.requests = append(rc.requests, received{r.Header.Get("webhook-id"), r.Header.Clone(), body})
		n := len(rc.requests)
		rc.mu.Unlock()
		if rc.answer != nil {
			rc.answer(n, w, r)
		}
	}))
	t.Cleanup(rc.Close)
	return rc
}

func status(code int) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func (rc *receiver) got() []received {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return append([]received(nil), rc.requests...)
}

// counts is how often each id came.
func (rc *receiver) counts() map[string]int {
	counts := map[string]int{}
	for _, r := range rc.got() {
		counts[r.id]++
	}
	return counts
}

func expectOnce(t testing.TB, rc *receiver, ids []string) {
	t.Helper()
	counts := rc.counts()
	for _, id := range ids {
		if counts[id] != 1 {
			t.Errorf("%s came %d times, want once", id, counts[id])
		}
		delete(counts, id)
	}
	for id := range counts {
		t.Errorf("%s came and was never due", id)
	}
}

func numbered(prefix string, n int) string { return prefix + strconv.Itoa(n) }

func describe(all []dueDelivery) string { return fmt.Sprintf("%+v", all) }
