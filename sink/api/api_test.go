package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/mrz1836/postmark"
	"go.uber.org/goleak"

	"waypost/configs"
	"waypost/configs/outbound"
	"waypost/edge/event"
	"waypost/sink/dispatch"
	"waypost/sink/enrich"
	"waypost/sink/internal/metrics"
	"waypost/sink/internal/store"
	"waypost/sink/internal/uniques"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	tokenOne = "00000000-0000-0000-0000-000000000001"
	tokenNew = "00000000-0000-0000-0000-000000000011"
	tokenTwo = "00000000-0000-0000-0000-000000000002"
)

// board notes what the API tells the dispatcher.
type board struct {
	mu    sync.Mutex
	is    map[string]dispatch.Added // by tenant and id
	ended bool
}

func (b *board) Put(a dispatch.Added, commit func() error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return dispatch.ErrEnded
	}
	b.is[fmt.Sprint(a.Tenant.Number, " ", a.Endpoint.ID)] = a
	return commit()
}

func (b *board) Remove(tenant uint32, id string, commit func() error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.is, fmt.Sprint(tenant, " ", id))
	return commit()
}

// harness is an API over a store in memory.
type harness struct {
	*Server
	t       *testing.T
	client  *http.Client
	tenants *configs.Tenants
	files   *vfs.MemFS
	board   *board
	who     *enrich.Enricher
	began   time.Time
}

func twoTenants() *configs.Tenants {
	return &configs.Tenants{List: []*configs.Tenant{
		{Number: 1, Name: "one", Stream: "outbound", APITokens: []configs.Secret{tokenNew, tokenOne}, Endpoints: []configs.Endpoint{
			{ID: "crm", URL: "https://crm.example.com/", Format: "standard", User: "u", Password: "opensesame", Headers: []configs.Header{{Name: "X-A", Value: "opensesame"}}},
		}},
		{Number: 2, Name: "two", Stream: "outbound", APITokens: []configs.Secret{tokenTwo}},
	}}
}

func start(t *testing.T) *harness { return startWith(t, nil) }

// startWith is start with somebody who tells who did it and where.
func startWith(t *testing.T, who *enrich.Enricher) *harness {
	h := &harness{
		t: t, client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{}}, files: vfs.NewMem(), began: time.Now().UTC().Truncate(time.Second),
		tenants: twoTenants(), who: who,
	}
	t.Cleanup(h.client.CloseIdleConnections)
	h.open()
	t.Cleanup(func() { h.close() })
	return h
}

// open starts the API on what files holds.
func (h *harness) open() {
	h.t.Helper()
	s, err := store.Open("store", store.Options{FS: h.files})
	if err != nil {
		h.t.Fatal(err)
	}
	book, err := Load(s)
	if err != nil {
		h.t.Fatal(err)
	}
	h.board = &board{is: map[string]dispatch.Added{}}
	for _, a := range book.Added(h.tenants, slog.New(slog.DiscardHandler)) {
		_ = h.board.Put(a, func() error { return nil })
	}
	kept, err := uniques.Open(uniques.Options{
		Store: s, Settings: configs.DefaultSink().Uniques, Metrics: metrics.Discard(), Failed: func(err error) { h.t.Error(err) },
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.Server, err = Start("127.0.0.1:0", Options{
		Book: book, Tenants: h.tenants, Dispatcher: h.board, Uniques: kept, Who: h.who, Rules: &outbound.Rules{Ports: []int{443}, RequireTLS: true}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) close() {
	h.t.Helper()
	h.client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := h.Close(ctx)
	h.Uniques.Close()
	if err := errors.Join(err, h.store().Close()); err != nil {
		h.t.Error(err)
	}
}

// store is the one in which webhooks, and what was told, are kept.
func (h *harness) store() *store.Store { return h.Book.keeper.(*shelf).store }

// do makes a request and gives its status and body.
func (h *harness) do(token, method, path, body string) (int, string) {
	h.t.Helper()
	r, err := http.NewRequest(method, "http://"+h.Addr()+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("X-Postmark-Server-Token", token)
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	response, err := h.client.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	if got := response.Header.Get("Content-Type"); got != "application/json" {
		h.t.Errorf("%s %s: content type %q", method, path, got)
	}
	return response.StatusCode, string(answer)
}

func (h *harness) want(token, method, path, body string, status int, text string) {
	h.t.Helper()
	if code, answer := h.do(token, method, path, body); code != status || !strings.Contains(answer, text) {
		h.t.Errorf("%s %s %.80s: %d %s\nwant %d %s", method, path, body, code, answer, status, text)
	}
}

// A client that others wrote makes, reads, changes and removes webhooks, and they are the same after a restart.
func TestPostmarkClient(t *testing.T) {
	h := start(t)
	client := postmark.NewClient(tokenOne, "")
	client.HTTPClient, client.BaseURL = h.client, "http://"+h.Addr()
	wanted := postmark.Webhook{
		URL: "https://legacy.example.com/postmark", HTTPAuth: &postmark.WebhookHTTPAuth{Username: "waypost", Password: "opensesame"},
		HTTPHeaders: []postmark.Header{{Name: "X-Token", Value: "abc"}},
	}
	wanted.Triggers.Open.Enabled, wanted.Triggers.Open.PostFirstOpenOnly = true, true
	wanted.Triggers.Bounce.Enabled, wanted.Triggers.Bounce.IncludeContent = true, true
	made, err := client.CreateWebhook(t.Context(), wanted)
	if err != nil {
		t.Fatal(err)
	}
	want := wanted
	want.ID, want.MessageStream = 1, "outbound"
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("made (-want +got):\n%s", diff)
	}
	told := dispatch.Added{
		Tenant: h.tenants.List[0], Types: []event.Type{event.Opened, event.Bounced, event.Deferred}, Stream: "outbound",
		Endpoint: configs.Endpoint{ID: "api:1", URL: want.URL, Format: "postmark", User: "waypost", Password: "opensesame", Headers: []configs.Header{{Name: "X-Token", Value: "abc"}}},
	}
	same := cmp.Options{cmp.Comparer(func(a, b configs.Secret) bool { return string(a) == string(b) }), cmp.Comparer(func(a, b *configs.Tenant) bool { return a == b })}
	if diff := cmp.Diff(told, h.board.is["1 api:1"], same); diff != "" {
		t.Errorf("told to the dispatcher (-want +got):\n%s", diff)
	}

	want.URL, want.HTTPHeaders, want.Triggers.Click.Enabled = "https://new.example.com/", nil, true
	edit := want
	edit.ID, edit.HTTPHeaders = 0, []postmark.Header{}
	if _, err := client.EditWebhook(t.Context(), 1, edit); err != nil {
		t.Fatal(err)
	}
	h.want(tokenOne, "PUT", "/webhooks/1", `{"HttpHeaders":[]}`, 200, `"HttpHeaders":[]`) // the client leaves an empty list out
	h.close()
	h.open()
	client.BaseURL = "http://" + h.Addr()
	got, err := client.GetWebhook(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	got.HTTPHeaders = nil // an empty list
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after the restart (-want +got):\n%s", diff)
	}
	if a := h.board.is["1 api:1"]; a.Endpoint.URL != want.URL || len(a.Types) != 4 {
		t.Errorf("the dispatcher is told %+v at the start", a)
	}
	all, err := client.ListWebhooks(t.Context(), "outbound")
	if err != nil || len(all) != 2 || all[0].ID < firstFixed || all[1].ID != 1 {
		t.Errorf("list: %+v, %v", all, err)
	}
	if err := client.DeleteWebhook(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := client.GetWebhook(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "no webhook 1") {
		t.Errorf("after it was removed: %v", err)
	}
	if len(h.board.is) != 0 {
		t.Errorf("the dispatcher still has %v", h.board.is)
	}
	h.close()
	h.open()
	h.want(tokenOne, "POST", "/webhooks", `{"Url":"https://a.example.com/"}`, 200, `"ID":2,`) // numbers are not given again
}

// Who has no token learns nothing; a token is for its tenant's webhooks only; a new and an old one are good at once.
func TestTokens(t *testing.T) {
	h := start(t)
	for _, token := range []string{"", "x", tokenOne + "x", tokenOne[1:], strings.ToUpper("a" + tokenOne)} {
		h.want(token, "GET", "/webhooks", "", 401, `{"ErrorCode":10,"Message":"X-Postmark-Server-Token: must be `)
		h.want(token, "POST", "/webhooks", `{"Url":"https://a.example.com/"}`, 401, "")
	}
	h.want(tokenOne, "POST", "/webhooks", `{"Url":"https://a.example.com/"}`, 200, `"ID":1,`)
	h.want(tokenNew, "GET", "/webhooks/1", "", 200, `"ID":1,`)
	h.want(tokenTwo, "GET", "/webhooks/1", "", 404, `{"ErrorCode":404,`)
	h.want(tokenTwo, "PUT", "/webhooks/1", "{}", 404, "there is no webhook 1")
	h.want(tokenTwo, "DELETE", "/webhooks/1", "", 404, "there is no webhook 1")
	h.want(tokenTwo, "GET", "/webhooks", "", 200, `{"Webhooks":[]}`)
}

// Endpoints of tenants.yaml are shown without their secrets, and not changed.
func TestFixedAreReadOnly(t *testing.T) {
	h := start(t)
	id := fixed(h.tenants.List[0], &h.tenants.List[0].Endpoints[0]).ID
	path := fmt.Sprintf("/webhooks/%d", id)
	h.want(tokenOne, "GET", path, "", 200, `"HttpAuth":{"Username":"u","Password":"***"},"HttpHeaders":[{"Name":"X-A","Value":"***"}],"Triggers":{"Open":{"Enabled":true,`)
	for _, method := range []string{"PUT", "DELETE"} {
		h.want(tokenOne, method, path, "{}", 403, "is the endpoint crm of tenants.yaml")
	}
}

func TestRefusals(t *testing.T) {
	h := start(t)
	h.want(tokenOne, "POST", "/webhooks", `{"Url":"https://a.example.com/","MessageStream":"broadcast"}`, 200, `"MessageStream":"broadcast"`)
	for _, c := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{"GET", "/", "", 404, "no such path"},
		{"GET", "/webhooksx", "", 404, "no such path"},
		{"GET", "/webhooks/", "", 200, "Webhooks"},
		{"GET", "/webhooks/x", "", 404, "no webhook x"},
		{"GET", "/webhooks/99999999999", "", 404, "no webhook"},
		{"GET", "/webhooks/1/2", "", 404, "no webhook"},
		{"DELETE", "/webhooks", "", 405, "allowed are GET, POST"},
		{"POST", "/webhooks/1", "{}", 405, "allowed are GET, PUT, DELETE"},
		{"GET", "/webhooks?MessageStream=broadcast", "", 200, `"ID":1,`},
		{"GET", "/webhooks?MessageStream=other", "", 422, `{"ErrorCode":1226,"Message":"MessageStream = \"other\": is not the tenant's stream`},
		{"POST", "/webhooks", "", 422, `{"ErrorCode":402,`},
		{"POST", "/webhooks", "{", 422, `{"ErrorCode":402,`},
		{"POST", "/webhooks", `{"Url":"https://a.example.com/"} {}`, 422, `{"ErrorCode":402,`},
		{"POST", "/webhooks", "[]", 422, "must be an object"},
		{"POST", "/webhooks", `{"Url":1}`, 422, "Url: must be a string, not number"},
		{"POST", "/webhooks", `{"Url":"https://a.example.com/","Triggers":{"Click":{"Enabled":"yes"}}}`, 422, "Triggers.Click.Enabled: must be true or false, not string"},
		{"POST", "/webhooks", `{"Url":"https://a.example.com/","Triggers":{"Clik":{"Enabled":true}}}`, 422, `\"Clik\": no such field`},
		{"POST", "/webhooks", `{}`, 422, `Url: must be an http or https URL`},
		{"POST", "/webhooks", `{"Url":"http://169.254.169.254/"}`, 422, `Url = \"http://169.254.169.254/\": nothing would be sent to it: refused: 169.254.169.254 is `},
		{"POST", "/webhooks", `{"Url":"https://a.example.com:22/"}`, 422, "refused: port 22; allowed are public addresses"},
		{"POST", "/webhooks", `{"Url":"https://a.example.com/","HttpAuth":{"Username":"u"}}`, 422, "HttpAuth.Password: Username and Password must be set together"},
		{"POST", "/webhooks", `{"Url":"x","HttpHeaders":[{"Name":"a b","Value":"1"},{"Name":"Host","Value":"1"}]}`, 422, "; HttpHeaders[1].Name = \\\"Host\\\": must be another"},
		{"PUT", "/webhooks/1", `{"MessageStream":"outbound"}`, 422, `MessageStream: must stay \"broadcast\"`},
		{"PUT", "/webhooks/1", `{"Url":"ftp://a.example.com/"}`, 422, "Url = "},
		{"PUT", "/webhooks/1", `{"Url":"https://a.example.com/` + strings.Repeat("a", maxBody) + `"}`, 413, "larger than"},
		{"GET", "/webhooks/1", "", 200, `"Url":"https://a.example.com/"`},
	} {
		h.want(tokenOne, c.method, c.path, c.body, c.status, c.text)
	}
	r, err := http.NewRequest("POST", "http://"+h.Addr()+"/webhooks", strings.NewReader("Url=x"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Postmark-Server-Token", tokenOne)
	response, err := h.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("without a content type: %d", response.StatusCode)
	}
	h.board.mu.Lock()
	h.board.ended = true
	h.board.mu.Unlock()
	h.want(tokenOne, "PUT", "/webhooks/1", `{}`, 503, "the sink is ending")
}

// A test sends a sample of each type that triggers the webhook, under the rules of any other, and answers with what came back.
func TestSamples(t *testing.T) {
	h := start(t)
	var got []string
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if got = append(got, string(body)); len(got) == 2 {
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, strings.Repeat("short and stout ", 100))
		}
	}))
	defer receiver.Close()
	h.Rules.Allow, h.Settings.Allow = outbound.ThisMachine(), outbound.ThisMachine()
	h.want(tokenOne, "POST", "/webhooks", `{"Url":"`+receiver.URL+`","MessageStream":"broadcast","Triggers":{"Click":{"Enabled":true},"Bounce":{"Enabled":true}}}`, 200, `"ID":1,`)
	code, text := h.do(tokenOne, "POST", "/webhooks/1/test", "")
	var answer testAnswer
	if err := json.Unmarshal([]byte(text), &answer); code != 200 || err != nil || answer.ID != 1 || len(answer.Samples) != 3 {
		t.Fatalf("%d %s %v", code, text, err)
	}
	for i, s := range answer.Samples {
		want := sample{Type: []event.Type{event.Clicked, event.Deferred, event.Bounced}[i], Delivered: i != 1, Status: 200}
		if i == 1 {
			want.Status, want.Answer = http.StatusTeapot, strings.Repeat("short and stout ", 100)[:255]
		}
		if s.TookMs <= 0 || len(s.WebhookID) != event.IDBytes {
			t.Errorf("%+v", s)
		}
		s.TookMs, s.WebhookID = 0, ""
		if s != want {
			t.Errorf("%+v, want %+v", s, want)
		}
		if !strings.Contains(got[i], `"MessageStream":"broadcast"`) {
			t.Errorf("%s", got[i])
		}
	}

	h.Settings.Allow = nil // as the dispatcher, which judges at the moment of connecting
	h.want(tokenOne, "POST", "/webhooks/1/test", "", 200, `"Type":"email.clicked","WebhookID":"`)
	h.want(tokenOne, "POST", "/webhooks/1/test", "", 200, `"Delivered":false,"Status":0,"Reason":"refused: 127.0.0.1 is loopback`)
	h.want(tokenOne, "POST", "/webhooks", `{"Url":"https://a.example.com/"}`, 200, `"ID":2,`)
	h.want(tokenOne, "POST", "/webhooks/2/test", "", 200, `{"ID":2,"Samples":[]}`)
	h.want(tokenTwo, "POST", "/webhooks/1/test", "", 404, "there is no webhook 1")
	h.want("", "POST", "/webhooks/1/test", "", 401, "")
	h.want(tokenOne, "GET", "/webhooks/1/test", "", 405, "allowed are POST")
	h.want(tokenOne, "POST", "/webhooks/x/test", "", 404, "there is no webhook x")
	h.want(tokenOne, "POST", "/webhooks//test", "", 404, "no such path")
	if len(got) != 3 {
		t.Errorf("%d requests", len(got))
	}
	h.tests.begin(1)
	h.want(tokenOne, "POST", "/webhooks/1/test", "", 429, "one test at a time")
}

// What PUT does not name stays.
func TestChangeInPart(t *testing.T) {
	h := start(t)
	h.want(tokenOne, "POST", "/webhooks", `{"Url":"https://a.example.com/","HttpAuth":{"Username":"u","Password":"p"},"Triggers":{"Click":{"Enabled":true},"Open":{"Enabled":true,"PostFirstOpenOnly":true}}}`, 200, "")
	h.want(tokenOne, "PUT", "/webhooks/1", `{"Triggers":{"Open":{"Enabled":false}}}`, 200, `"HttpAuth":{"Username":"u","Password":"p"},"HttpHeaders":[],"Triggers":{"Open":{"Enabled":false,"PostFirstOpenOnly":true},"Click":{"Enabled":true}`)
	h.want(tokenOne, "PUT", "/webhooks/1", `{"HttpAuth":null}`, 200, `"MessageStream":"outbound","HttpHeaders":[]`)
	h.want(tokenOne, "PUT", "/webhooks/1", `{"HttpAuth":{"Username":"u","Password":"p"}}`, 200, `"HttpAuth":{`)
	h.want(tokenOne, "PUT", "/webhooks/1", `{"HttpAuth":{"Username":null,"Password":null}}`, 200, `"MessageStream":"outbound","HttpHeaders":[]`)
}

func TestAtMostSoMany(t *testing.T) {
	h := start(t)
	for range configs.MostEndpoints - 1 {
		h.want(tokenOne, "POST", "/webhooks", `{"Url":"https://a.example.com/"}`, 200, "")
	}
	h.want(tokenOne, "POST", "/webhooks", `{"Url":"https://a.example.com/"}`, 422, "as many as a tenant may have")
	h.want(tokenTwo, "POST", "/webhooks", `{"Url":"https://a.example.com/"}`, 200, "")
}

// Bytes of the store that are no webhook are refused, never a panic; what is one comes back.
func FuzzParse(f *testing.F) {
	w := webhook{ID: 7, URL: "https://a.example.com/", MessageStream: "outbound"}
	f.Add(store.WebhookKey(1, 7), []byte("\x01{\"Url\":\"https://a.example.com/\",\"MessageStream\":\"outbound\",\"HttpHeaders\":null,\"Triggers\":{}}"))
	f.Add(store.WebhookKey(1, w.ID), []byte{1})
	f.Add([]byte("w"), []byte("\x02{}"))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		tenant, w, err := parse(key, value)
		if err != nil {
			if !errors.Is(err, store.ErrKey) {
				t.Errorf("%v is not the store's error", err)
			}
			return
		}
		if string(store.WebhookKey(tenant, w.ID)) != string(key) {
			t.Errorf("key %x does not come back", key)
		}
		_ = w.faults(&outbound.Rules{})
		_ = w.added(&configs.Tenant{})
	})
}
