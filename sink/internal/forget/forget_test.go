package forget

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.uber.org/goleak"

	"waypost/configs"
	"waypost/configs/outbound"
	"waypost/edge/event"
	"waypost/edge/journal"
	"waypost/sink/dispatch"
	"waypost/sink/ingest"
	"waypost/sink/internal/metrics"
	"waypost/sink/internal/person"
	"waypost/sink/internal/store"
	"waypost/sink/internal/uniques"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const within = 2 * time.Minute

// machine is a sink on a disk: a journal, everything that is kept, and an endpoint that is down.
type machine struct {
	t        *testing.T
	dir      string
	journal  *journal.Writer
	receiver *httptest.Server
	tenant   *configs.Tenant

	store      *store.Store
	kept       *uniques.Keeper
	dispatcher *dispatch.Dispatcher
	ingester   *ingest.Ingester
	source     ingest.Source
	forgetter  *Forgetter
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir()}
	m.receiver = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	t.Cleanup(m.receiver.Close)
	m.tenant = &configs.Tenant{Number: 1, Name: "demo", RetentionDays: 45, Stream: "outbound", Endpoints: []configs.Endpoint{
		{ID: "waits", URL: m.receiver.URL, Format: "maileroo", Secret: "s"}, {ID: "once", URL: m.receiver.URL, Format: "nexomailer", Secret: "s"},
	}}
	var err error
	m.journal, err = journal.Open(journal.Options{Dir: filepath.Join(m.dir, "journal"), SegmentBytes: 64 << 10, Budget: 4 << 20, Patience: time.Minute, Consumers: []string{"sink"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.journal.Close() })
	m.open()
	return m
}

func (m *machine) open() {
	m.t.Helper()
	set, log := metrics.Discard(), slog.New(slog.DiscardHandler)
	failed := func(err error) { m.t.Error(err) }
	var err error
	if m.store, err = store.Open(filepath.Join(m.dir, "store"), store.Options{}); err != nil {
		m.t.Fatal(err)
	}
	if m.kept, err = uniques.Open(uniques.Options{Store: m.store, Settings: configs.Uniques{Keep: 45 * 24 * time.Hour, KeepBytes: 1 << 30}, Metrics: set, Failed: failed}); err != nil {
		m.t.Fatal(err)
	}
	m.dispatcher, err = dispatch.New(dispatch.Options{
		Store: m.store, Uniques: m.kept, Tenants: &configs.Tenants{List: []*configs.Tenant{m.tenant}}, Metrics: set, Logger: log, Failed: failed,
		Settings: configs.Dispatch{Timeout: within, Concurrency: 4, Window: 100, MarkEvery: time.Millisecond, AttemptsDays: 7, AttemptsBytes: 1 << 20, Allow: outbound.ThisMachine()},
	})
	if err != nil {
		m.t.Fatal(err)
	}
	journals := []string{filepath.Join(m.dir, "journal")}
	if m.source, err = ingest.NewJournal(ingest.JournalOptions{Dir: journals[0], Consumer: "sink", Store: m.store, Metrics: set, Logger: log}); err != nil {
		m.t.Fatal(err)
	}
	m.ingester = ingest.New(ingest.Options{Store: m.store, Sources: []ingest.Source{m.source}, Outbox: m.dispatcher, Archive: m.kept, Metrics: set, Logger: log})
	m.forgetter = New(Options{Store: m.store, Ingester: m.ingester, Dispatcher: m.dispatcher, Uniques: m.kept, Journals: journals, Logger: log})
	m.dispatcher.Start()
}

func (m *machine) close() {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	m.dispatcher.Stop(ctx)
	m.kept.Close()
	_ = m.source.Close()
	if err := m.store.Close(); err != nil {
		m.t.Error(err)
	}
}

// click writes a click of a recipient on a link.
func (m *machine) click(recipient, link string) {
	m.t.Helper()
	now := time.Now().UTC()
	e := event.Event{
		ID: event.ID{Run: uint64(m.journal.Run())}, Type: event.Clicked, Time: now, Tenant: 1, Message: []byte("123"), Recipient: []byte(recipient),
		Destination: []byte("https://example.com/" + link), Minted: now.Add(-time.Minute).Truncate(time.Minute), RetentionDays: 45, Method: []byte("GET"),
	}
	payload, offsets := event.AppendRecord(nil, &e)
	if _, err := m.journal.Append(payload, offsets[:]...); err != nil {
		m.t.Fatal(err)
	}
}

// decide decides what the journal has.
func (m *machine) decide() {
	m.t.Helper()
	for {
		n, err := m.ingester.Step()
		if err != nil {
			m.t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

// awaitAttempts waits until the log has so many attempts.
func (m *machine) awaitAttempts(n int) {
	m.t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(time.Millisecond) {
		found, _, err := m.dispatcher.Attempts(context.Background(), dispatch.AttemptQuery{Limit: 1000})
		if err != nil {
			m.t.Fatal(err)
		}
		if len(found) == n {
			return
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("%d attempts, want %d", len(found), n)
		}
	}
}

func (m *machine) forget(recipient string) (*Answer, error) {
	return m.forgetter.Forget(context.Background(), Request{Tenant: m.tenant, Recipient: recipient})
}

// spaces counts keys.
func (m *machine) spaces() map[store.Space]int {
	m.t.Helper()
	all := map[store.Space]int{}
	for _, space := range []store.Space{store.Uniques, store.Tombstones, store.Dues, store.Deads, store.Attempts} {
		start, end := space.Range()
		iter, err := m.store.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
		if err != nil {
			m.t.Fatal(err)
		}
		for ok := iter.First(); ok; ok = iter.Next() {
			all[space]++
		}
		if err := iter.Close(); err != nil {
			m.t.Fatal(err)
		}
	}
	return all
}

// holding names a file of the store in which text stands.
func (m *machine) holding(text string) string {
	m.t.Helper()
	entries, err := os.ReadDir(filepath.Join(m.dir, "store"))
	if err != nil {
		m.t.Fatal(err)
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(m.dir, "store", e.Name()))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			m.t.Fatal(err)
		}
		if strings.Contains(string(content), text) {
			return e.Name()
		}
	}
	return ""
}

const gone, stays = "gone.person@example.com", "stays.here@example.com"

// fill has both people click three links; one endpoint waits, the other has given up.
func (m *machine) fill() {
	for _, link := range []string{"a", "b", "c"} {
		m.click(gone, link)
		m.click(stays, link)
	}
	m.decide()
	m.awaitAttempts(12)
}

func TestForget(t *testing.T) {
	m := newMachine(t)
	defer func() { m.close() }()
	m.fill()
	m.click(gone, "unread")
	aside := filepath.Join(m.dir, "journal", "aside")
	if err := errors.Join(os.Mkdir(aside, 0o700), os.WriteFile(filepath.Join(aside, "00000001.jsonl"), []byte("{}\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	answer, err := m.forget("Gone.Person@Example.com")
	if err != nil {
		t.Fatal(err)
	}
	if want := (Removed{Kept: 3, Deliveries: 3, DeadLetters: 3, Attempts: 6, UniqueKeys: 3}); *answer.Removed != want {
		t.Errorf("removed %+v, want %+v", answer.Removed, want)
	}
	if text := fmt.Sprintf("%+v", answer); strings.Contains(strings.ToLower(text), "gone.person") || !strings.Contains(text, "4 events, the last of 20") || !strings.Contains(text, aside) {
		t.Errorf("answer %s", text)
	}
	if file := m.holding(gone); file != "" {
		t.Errorf("the address stands in %s", file)
	}
	m.decide() // what was unread
	m.click(gone, "a")
	m.click(gone, "later")
	m.click(gone, "unread")
	m.click(stays, "a")
	m.click(stays, "later")
	m.decide()
	m.awaitAttempts(6 + 4)
	if got, want := fmt.Sprint(m.spaces()), fmt.Sprint(map[store.Space]int{store.Uniques: 5, store.Tombstones: 6, store.Dues: 5, store.Deads: 5, store.Attempts: 10}); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	m.close()
	m.open()
	m.click(gone, "b")
	m.click(gone, "later")
	m.decide()
	if got := m.spaces()[store.Dues]; got != 5 {
		t.Errorf("%d are due after a restart, want 5", got)
	}
	if answer, err = m.forget(gone); err != nil || answer.Removed.Kept != 1 || answer.Removed.Deliveries != 1 {
		t.Errorf("what came later: %+v, %v", answer, err)
	}
}

// A command that is cut off anywhere is completed by the next one: nothing of the person is left in the files, and nothing that was a first is one again.
func TestForgetCutOff(t *testing.T) {
	for _, stage := range []string{"forget.begun", "forget.buried", "forget.deliveries", "forget.removed", "forget.scrubbed"} {
		t.Run(stage, func(t *testing.T) {
			m := newMachine(t)
			defer func() { m.close() }()
			m.fill()
			cut := errors.New("cut off")
			m.forgetter.at = func(name string) error {
				if name == stage {
					return cut
				}
				return nil
			}
			if _, err := m.forget(gone); !errors.Is(err, cut) {
				t.Fatal(err)
			}
			m.close()
			m.open()
			if _, err := m.forget(gone); err != nil {
				t.Fatal(err)
			}
			if file := m.holding(gone); file != "" {
				t.Errorf("the address stands in %s", file)
			}
			m.click(gone, "a")
			m.click(gone, "c")
			m.decide()
			if got, want := fmt.Sprint(m.spaces()), fmt.Sprint(map[store.Space]int{store.Uniques: 3, store.Tombstones: 5, store.Dues: 3, store.Deads: 3, store.Attempts: 6}); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

// A sink that ends breaks the command off, and says so.
func TestForgetWhileEnding(t *testing.T) {
	m := newMachine(t)
	defer m.close()
	m.fill()
	m.forgetter.Close()
	if _, err := m.forget(gone); !errors.Is(err, ErrCut) {
		t.Errorf("%v, want ErrCut", err)
	}
	if _, err := m.forget("nobody"); !errors.Is(err, person.ErrRecipient) {
		t.Errorf("%v, want ErrRecipient", err)
	}
}
