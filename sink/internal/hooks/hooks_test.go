package hooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"waypost/configs"
	"waypost/configs/outbound"
	"waypost/edge/event"
	"waypost/sink/dispatch"
	"waypost/sink/dispatch/attempt"
	"waypost/sink/dispatch/topic"
	"waypost/sink/ingest"
	"waypost/sink/internal/metrics"
	"waypost/sink/internal/store"
	"waypost/sink/internal/uniques"
)

// quickly is long enough for anything on a busy machine and ends a test that hangs.
const quickly = 2 * time.Minute

// sink is what an operator meets: the API over a dispatcher with three endpoints of one receiver, of which one accepts.
type sink struct {
	t     *testing.T
	admin string
	d     *dispatch.Dispatcher
	store *store.Store
	kept  *uniques.Keeper
}

func start(t *testing.T) *sink {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/sick" {
			w.WriteHeader(http.StatusGone)
			_, _ = io.WriteString(w, "no such \x1b[31mhook")
		}
	}))
	t.Cleanup(receiver.Close)
	tenant := configs.DefaultTenant()
	tenant.Number, tenant.Name = 1, "demo"
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	tenant.Endpoints = []configs.Endpoint{
		{ID: "well", URL: strings.Replace(receiver.URL, "//", "//user:pass@", 1) + "/well?token=opensesame", Format: "postmark"},
		{ID: "sick", URL: receiver.URL + "/sick", Format: "standard", Secret: secret},
		{ID: "refused", URL: "http://10.0.0.1/", Format: "nexomailer", Secret: "text"},
	}
	settings := configs.DefaultSink().Dispatch
	settings.Allow, settings.MarkEvery = outbound.ThisMachine(), time.Millisecond
	tenants := &configs.Tenants{List: []*configs.Tenant{&tenant}}
	s := &sink{t: t}
	var err error
	if s.store, err = store.Open("store", store.Options{FS: vfs.NewMem()}); err != nil {
		t.Fatal(err)
	}
	kept, err := uniques.Open(uniques.Options{
		Store: s.store, Settings: configs.DefaultSink().Uniques, Metrics: metrics.Discard(), Failed: func(err error) { t.Error(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.kept = kept
	s.d, err = dispatch.New(dispatch.Options{
		Store: s.store, Uniques: kept, Tenants: tenants, Settings: settings, Metrics: metrics.Discard(), Logger: slog.New(slog.DiscardHandler), Failed: func(err error) { t.Error(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.d.Start()
	api := &API{Dispatcher: s.d, Tenants: tenants, Settings: settings, Logger: slog.New(slog.DiscardHandler)}
	mux := http.NewServeMux()
	api.Register(mux.Handle)
	server := httptest.NewServer(mux)
	s.admin = server.Listener.Addr().String()
	t.Cleanup(func() {
		server.Close()
		api.Close()
		ctx, cancel := context.WithTimeout(context.Background(), quickly)
		defer cancel()
		s.d.Stop(ctx)
		kept.Close()
		if err := s.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// click makes one delivery due to each endpoint, and waits until each was attempted.
func (s *sink) click() {
	s.t.Helper()
	e := event.Event{
		ID: event.ID{Run: 0xabc, Sequence: 1}, Type: event.Clicked, Time: time.Now().UTC(), Tenant: 1, TenantName: "demo", Message: []byte("123"), Prospect: []byte("456"),
		Destination: []byte("https://example.com/"), Original: []byte("https://example.com/"), Minted: time.Now().UTC().Truncate(time.Minute), RetentionDays: 45, Method: []byte("GET"),
	}
	b := s.store.NewBatch()
	defer b.Close()
	f := ingest.First{ID: e.ID, Type: e.Type, Tenant: 1, Time: e.Time, Key: event.AppendKey(nil, &e), Document: event.AppendDocument(nil, &e)}
	if err := errors.Join(s.d.Due(b, f), s.kept.Keep(f), s.kept.Write(b)); err != nil {
		s.t.Fatal(err)
	}
	if err := b.Commit(pebble.Sync); err != nil {
		s.t.Fatal(err)
	}
	s.d.Committed()
	s.kept.Committed()
	s.attempts(3)
}

// attempts waits until so many are in the log.
func (s *sink) attempts(n int) {
	s.t.Helper()
	for deadline := time.Now().Add(quickly); ; time.Sleep(time.Millisecond) {
		found, _, err := s.d.Attempts(s.t.Context(), dispatch.AttemptQuery{Limit: 1000})
		if err != nil {
			s.t.Fatal(err)
		}
		states, err := s.d.States(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		pending := int64(0)
		for i := range states {
			pending += states[i].Pending
		}
		if len(found) >= n && pending == 0 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%d attempts, want %d; %d pending", len(found), n, pending)
		}
	}
}

// run is `sink hooks ARGS`.
func (s *sink) run(args ...string) (string, error) {
	s.t.Helper()
	var command Command
	parser, err := kong.New(&command, kong.Name("hooks"))
	if err != nil {
		s.t.Fatal(err)
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	err = parsed.Run(&Operator{Admin: s.admin, Out: &out})
	return out.String(), err
}

// ask is a request of the API, as it comes.
func (s *sink) ask(method, path, kind, body string) (int, string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.admin+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Content-Type", kind)
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func (s *sink) expect(out string, err error, parts ...string) {
	s.t.Helper()
	if err != nil {
		s.t.Error(err)
	}
	for _, part := range parts {
		if !strings.Contains(out, part) {
			s.t.Errorf("no %q in\n%s", part, out)
		}
	}
}

// An operator sees which endpoint fails, why and since when; sends samples; sends again.
func TestOperatorsCommands(t *testing.T) {
	s := start(t)
	out, err := s.run("list")
	s.expect(out, err, "ENDPOINT", "no attempt yet", "***@127.0.0.1", "/well?***")
	if strings.Contains(out, "opensesame") || strings.Contains(out, "pass") {
		t.Errorf("a secret is shown:\n%s", out)
	}
	s.click()
	out, err = s.run("list")
	s.expect(out, err, "ok", "disabled since", ": it is gone, last 410", "fails since", "refused: 10.0.0.1 is ")
	out, err = s.run("attempts", "--outcome", "failed", "--endpoint", "sick", "--tenant", "demo", "--since", "1h", "--limit", "5")
	s.expect(out, err, "0000000000000abc-0000000000000001", "stopped", "410", `"no such \x1b[31mhook"`)
	if strings.Contains(out, "well") {
		t.Errorf("an attempt that was not asked for:\n%s", out)
	}
	out, err = s.run("attempts", "--json", "--status", "none", "--message", "123")
	var found Attempts
	if s.expect(out, err); json.Unmarshal([]byte(out), &found) != nil || len(found.Attempts) != 1 || found.Attempts[0].Endpoint != "refused" || found.Next != "" {
		t.Errorf("%s", out)
	}
	if out, err = s.run("attempts", "--until", "2020-01-01T00:00:00Z"); out != "none\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}

	out, err = s.run("test", "--tenant", "1", "--endpoint", "well")
	s.expect(out, err, "clicked", "opened", "delivered", "bounced", "deferred", "complained", "accepted", "200")
	if strings.Contains(out, "not accepted") {
		t.Errorf("%s", out)
	}
	out, err = s.run("test", "--tenant", "demo", "--endpoint", "refused", "--type", "clicked")
	if err == nil || !strings.Contains(err.Error(), "1 of 1 samples were not accepted") || !strings.Contains(out, "refused: 10.0.0.1") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err = s.run("test", "--tenant", "demo", "--endpoint", "well", "--type", "sent"); err == nil || !strings.Contains(err.Error(), "has no document for it; it has delivered, opened, clicked") {
		t.Error(err)
	}

	out, err = s.run("replay", "--list")
	s.expect(out, err, "dead", "2 deliveries would be sent again")
	out, err = s.run("enable", "sick")
	s.expect(out, err, "sick of demo is now enabled: 0 deliveries to follow")
	out, err = s.run("replay", "--endpoint", "sick", "--type", "clicked", "--id", "0000000000000abc-0000000000000001")
	s.expect(out, err, "1 delivery will be sent again")
	s.attempts(4)
	out, err = s.run("replay", "--failed", "--until", "2020-01-01T00:00:00Z")
	s.expect(out, err, "0 deliveries will be sent again")
	out, err = s.run("replay", "--delivered", "--since", "1h", "--list")
	s.expect(out, err, "well", "delivered", "1 delivery would be sent again")
	out, err = s.run("replay", "--all", "--id", "0000000000000abc-0000000000000001", "--endpoint", "well")
	s.expect(out, err, "1 delivery will be sent again")
	s.attempts(5)
	if _, err = s.run("replay", "--all"); err == nil || !strings.Contains(err.Error(), "which = all: needs ids or from") {
		t.Error(err)
	}
	if out, err = s.run("replay", "--json", "--list", "--endpoint", "sick"); err != nil || !strings.Contains(out, `"count":1`) {
		t.Errorf("%v\n%s", err, out)
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	if _, err = s.run("list", "--admin", gone.URL); err == nil || !strings.Contains(err.Error(), gone.Listener.Addr().String()) {
		t.Error(err)
	}
}

// An operator disables an endpoint and enables it again, each durably and once.
func TestDisableAndEnable(t *testing.T) {
	s := start(t)
	out, err := s.run("disable", "well", "--reason", "moves \u2028today")
	s.expect(out, err, "well of demo is now disabled: 0 deliveries kept\n")
	out, err = s.run("disable", "well", "--tenant", "1")
	s.expect(out, err, "well of demo is already disabled: 0 deliveries kept\n")
	out, err = s.run("list")
	s.expect(out, err, "disabled since", `"moves \u2028today"`)
	out, err = s.run("list", "--json")
	s.expect(out, err, `"why":"asked"`)
	out, err = s.run("enable", "well", "--json")
	s.expect(out, err, `{"tenant":1,"tenant_name":"demo","endpoint":"well","changed":true,"pending":0}`)
	out, err = s.run("enable", "well")
	s.expect(out, err, "well of demo is already enabled: 0 deliveries to follow\n")
	s.click()
}

// Each wrong question is told what was wrong, what is allowed.
func TestFaults(t *testing.T) {
	s := start(t)
	const asJSON = "application/json"
	for _, c := range []struct {
		method, path, kind, body string
		status                   int
		part                     string
	}{
		{"POST", "/hooks", "", "", 405, "allowed is GET"},
		{"GET", "/hooks/replay", "", "", 405, "allowed is POST"},
		{"GET", "/hooks/nothing", "", "", 404, "there are /hooks"},
		{"GET", "/hooks?x=1", "", "", 400, "x: is no parameter"},
		{"GET", "/hooks/attempts?limit=0", "", "", 400, "limit = 0: must be a whole number from 1 to 1000"},
		{"GET", "/hooks/attempts?limit=1&limit=2", "", "", 400, "limit: must be there once"},
		{"GET", "/hooks/attempts?status=6000", "", "", 400, "status = 6000"},
		{"GET", "/hooks/attempts?status=-1", "", "", 400, "status = -1"},
		{"GET", "/hooks/attempts?outcome=fine", "", "", 400, "must be one of delivered, retry"},
		{"GET", "/hooks/attempts?from=yesterday", "", "", 400, "from = yesterday: must be a time such as"},
		{"GET", "/hooks/attempts?after=x", "", "", 400, "must be the `next`"},
		{"GET", "/hooks/attempts?id=x", "", "", 400, "must be a webhook-id"},
		{"GET", "/hooks/attempts?tenant=other", "", "", 404, "tenant = other"},
		{"POST", "/hooks/test", "text/plain", "{}", 415, "must be application/json"},
		{"POST", "/hooks/test", asJSON, "{}", 400, "tenant and endpoint must be set"},
		{"POST", "/hooks/test", asJSON, `{"tenant":"demo","endpoint":"x"}`, 404, "endpoint = x"},
		{"POST", "/hooks/test", asJSON, `{"tenant":"demo","endpoint":"well","types":["x"]}`, 400, "must be one of sent, delivered"},
		{"POST", "/hooks/test", asJSON, `{"nonsense":1}`, 400, "nonsense"},
		{"POST", "/hooks/disable", asJSON, "{}", 400, "endpoint must be set"},
		{"POST", "/hooks/disable", asJSON, `{"endpoint":"x"}`, 404, "no tenant has such an endpoint"},
		{"POST", "/hooks/disable", asJSON, `{"endpoint":"operator"}`, 404, "no tenant has such an endpoint"},
		{"POST", "/hooks/disable", asJSON, `{"tenant":"demo","endpoint":"x"}`, 404, "tenant 1 has no such endpoint"},
		{"POST", "/hooks/disable", asJSON, `{"tenant":"0","endpoint":"operator"}`, 404, "tenant = 0"},
		{"POST", "/hooks/disable", asJSON, `{"endpoint":"well","reason":"\n"}`, 400, "without control characters"},
		{"POST", "/hooks/enable", asJSON, `{"endpoint":"well","reason":"x"}`, 400, "reason: must not be set"},
		{"POST", "/hooks/enable", "text/plain", `{"endpoint":"well"}`, 415, "must be application/json"},
		{"GET", "/hooks/enable", "", "", 405, "allowed is POST"},
		{"POST", "/hooks/replay", asJSON, `{}{}`, 400, "one JSON object"},
		{"POST", "/hooks/replay", asJSON, `{"which":"x"}`, 400, "must be dead, waiting, failed, delivered or all"},
		{"POST", "/hooks/replay", asJSON, `{"tenant":"demo","endpoint":"x"}`, 404, "endpoint = x"},
		{"POST", "/hooks/replay", asJSON, `{"ids":["x"]}`, 400, "id = x"},
		{"POST", "/hooks/replay", asJSON, `{"which":"delivered","to":"2026-11-28T05:21:29Z"}`, 400, "which = delivered: needs ids or from"},
	} {
		status, body := s.ask(c.method, c.path, c.kind, c.body)
		var fault struct{ Error string }
		if status != c.status || json.Unmarshal([]byte(body), &fault) != nil || !strings.Contains(fault.Error, c.part) {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, status, body)
		}
	}
}

// topics is a Kafka that cannot be asked, and cannot do all that a store can.
type topics struct{ tenant *configs.Tenant }

func (k topics) Target(_ uint32, id string) *attempt.Target {
	for _, e := range k.tenant.Endpoints {
		if t, err := attempt.NewTarget(k.tenant, e); err == nil && e.ID == id {
			return t
		}
	}
	return nil
}

func (topics) States(context.Context) ([]dispatch.State, error) {
	return nil, fmt.Errorf("%w: no leader", topic.ErrAway)
}

func (topics) Attempts(_ context.Context, q dispatch.AttemptQuery) ([]dispatch.Attempt, []byte, error) {
	if q.After != nil {
		return nil, nil, dispatch.ErrAfter
	}
	return nil, []byte{7}, nil
}

func (topics) Replay(context.Context, dispatch.ReplayQuery, func(*dispatch.Replayed)) error {
	return fmt.Errorf("this cannot be done: %w", errors.ErrUnsupported)
}

// With Kafka what is looked into may be away, and cannot do everything; both are said. A sink that sends no webhooks says that.
func TestWithKafka(t *testing.T) {
	tenant := configs.DefaultTenant()
	tenant.Number, tenant.Name = 1, "demo"
	tenant.Endpoints = []configs.Endpoint{{ID: "refused", URL: "http://10.0.0.1/", Format: "postmark"}}
	serve := func(d Dispatcher) (*API, func(method, path, body string, status int, part string)) {
		api := &API{Dispatcher: d, Tenants: &configs.Tenants{List: []*configs.Tenant{&tenant}}, Settings: configs.DefaultSink().Dispatch, Logger: slog.New(slog.DiscardHandler)}
		mux := http.NewServeMux()
		api.Register(mux.Handle)
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		s := &sink{t: t, admin: server.Listener.Addr().String()}
		return api, func(method, path, body string, status int, part string) {
			t.Helper()
			if got, answer := s.ask(method, path, "application/json", body); got != status || !strings.Contains(answer, part) {
				t.Errorf("%s %s: %d %s", method, path, got, answer)
			}
		}
	}
	_, want := serve(nil)
	want("GET", "/hooks", "", 501, "this sink sends no webhooks")
	api, want := serve(topics{&tenant})
	want("GET", "/hooks", "", 503, "kafka cannot be asked now: no leader")
	want("GET", "/hooks/attempts", "", 200, `{"attempts":[],"next":"07"}`)
	want("GET", "/hooks/attempts?after=07", "", 400, "must be the `next`")
	want("POST", "/hooks/replay", `{"which":"waiting"}`, 501, "this cannot be done")
	want("POST", "/hooks/test", `{"tenant":"1","endpoint":"refused","types":["opened"]}`, 200, `"delivered":false,"reason":"refused: `)
	want("POST", "/hooks/test", `{"tenant":"1","endpoint":"other"}`, 404, "has no such endpoint")
	want("POST", "/hooks/disable", `{"endpoint":"refused"}`, 501, "sends no webhooks")
	api.Close()
	want("GET", "/hooks", "", 503, "ending")
}
