package deliveries

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"waypost/edge/inbound"
	"waypost/edge/inbound/aside"
)

// receiver takes what does not begin with "bad".
type receiver struct{ taken []string }

func (r *receiver) Again(tenant, provider string, _ time.Time, _ []inbound.Header, body []byte) error {
	if strings.HasPrefix(string(body), `"bad`) {
		return errors.New("a reason\nof two lines")
	}
	r.taken = append(r.taken, tenant+" "+provider+" "+string(body))
	return nil
}

func newAPI(t *testing.T) (*API, *receiver, func(method, kind, body string) (int, string)) {
	t.Helper()
	store, err := aside.Open(filepath.Join(t.TempDir(), "aside"), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	r := new(receiver)
	a := &API{Store: store, Receiver: r, Logger: slog.New(slog.DiscardHandler)}
	t.Cleanup(func() { _ = a.Close() })
	mux := http.NewServeMux()
	a.Register(mux.Handle)
	return a, r, func(method, kind, body string) (int, string) {
		request := httptest.NewRequest(method, "/inbound/replay", strings.NewReader(body))
		request.Header.Set("Content-Type", kind)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, request)
		return w.Code, strings.TrimSpace(w.Body.String())
	}
}

func TestReplay(t *testing.T) {
	a, r, ask := newAPI(t)
	start := time.Date(2026, 11, 30, 7, 0, 0, 0, time.UTC)
	for i, e := range []string{"demo acmemail 1", `demo acmemail "bad1"`, `demo acmemail "bad2"`, "demo brand 2", "other acmemail 3", `other acmemail "bad3"`} {
		f := strings.SplitN(e, " ", 3)
		if err := a.Store.Keep(f[0], f[1], start.Add(time.Duration(i)*time.Minute), nil, []byte(f[2]), errors.New("why")); err != nil {
			t.Fatal(err)
		}
	}
	replay := func(request string, want Answer, taken ...string) {
		t.Helper()
		status, body := ask(http.MethodPost, "application/json", request)
		var got Answer
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != http.StatusOK {
			t.Fatal(status, body, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", request, diff)
		}
		if diff := cmp.Diff(taken, r.taken); diff != "" {
			t.Errorf("%s (-want +taken):\n%s", request, diff)
		}
		r.taken = nil
	}
	reason := func(tenant string, n int) Reason { return Reason{tenant, "acmemail", "a reason\nof two lines", n} }
	if got := a.Reasons(); len(got) != 1 || !strings.HasPrefix(got[0], "6 deliveries") {
		t.Error(got)
	}
	replay(`{"tenant":"demo","provider":"brand"}`, Answer{Done: 1, Reasons: []Reason{}}, "demo brand 2")
	replay(`{"since":"2026-11-30T07:04:00Z"}`, Answer{Done: 1, Stay: 1, Reasons: []Reason{reason("other", 1)}}, "other acmemail 3")
	replay(`{}`, Answer{Done: 1, Stay: 3, Reasons: []Reason{reason("demo", 2), reason("other", 1)}}, "demo acmemail 1")
	replay(`{}`, Answer{Stay: 3, Reasons: []Reason{reason("demo", 2), reason("other", 1)}})
	if got := a.Replayed(); got != 3 {
		t.Errorf("%d replayed", got)
	}
}

func TestManyReasons(t *testing.T) {
	a, _, ask := newAPI(t)
	for i := range 2 * mostReasons {
		if err := a.Store.Keep(fmt.Sprintf("tenant-%d", i), "acmemail", time.Now(), nil, []byte(`"bad"`), errors.New("why")); err != nil {
			t.Fatal(err)
		}
	}
	_, body := ask(http.MethodPost, "application/json", `{}`)
	if got := strings.Count(body, "a reason"); got != mostReasons {
		t.Errorf("%d reasons, want %d", got, mostReasons)
	}
}

func TestFaults(t *testing.T) {
	a, _, ask := newAPI(t)
	for _, c := range []struct {
		method, kind, body string
		status             int
		want               string
	}{
		{"GET", "application/json", "", 405, "method GET is not known here; allowed is POST"},
		{"POST", "text/plain", "{}", 415, `Content-Type = "text/plain": must be application/json`},
		{"POST", "application/json", "{", 400, "body: unexpected EOF"},
		{"POST", "application/json", `{"all":true}`, 400, `body: json: unknown field "all"`},
		{"POST", "application/json", `{"since":"yesterday"}`, 400, "since = yesterday: must be a time such as 2026-11-28T05:21:29Z"},
	} {
		status, body := ask(c.method, c.kind, c.body)
		var got struct{ Error string }
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != c.status || got.Error != c.want {
			t.Errorf("%s %s: %d %s, %v", c.method, c.body, status, body, err)
		}
	}
	if err := a.Store.Keep("demo", "acmemail", time.Now(), nil, []byte(`1`), errors.New("why")); err != nil {
		t.Fatal(err)
	}
	a.ending.Store(true)
	if status, body := ask("POST", "application/json", "{}"); status != http.StatusServiceUnavailable || body != `{"error":"the edge is ending"}` {
		t.Errorf("%d %s", status, body)
	}
}
