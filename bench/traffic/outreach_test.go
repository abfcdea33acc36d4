package traffic

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"waypost/bench/demo"
)

func TestOutreachSendsTheDocumentedRequest(t *testing.T) {
	answer, status := `{"data":{"https://s.example/1":"https://links.example.com/TOKEN"}}`, http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		want := `{"data":["https://s.example/1"],"meta":{"mailing":{"id":"7"},"prospect":{"email":"p@example.com"},` +
			`"user":{"id":"789","email":"def@user.com"},"urls":{"https://www.example.com/":"https://s.example/1"}}}`
		if d := cmp.Diff(want, string(body)); d != "" {
			t.Error(d)
		}
		if r.Header.Get("Outreach-Webhook-Signature") != demo.Sign("secret", body) {
			status = http.StatusUnauthorized
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()
	o := &Outreach{URL: server.URL, Secret: "secret", Client: http.Client{Transport: &http.Transport{}}}
	defer o.Client.CloseIdleConnections()
	mail := &Mail{Mailing: "7", Email: "p@example.com", Links: []Link{{"https://www.example.com/", "https://s.example/1"}}}
	paths, err := o.Paths(t.Context(), mail)
	if d := cmp.Diff([]string{"/TOKEN"}, paths); d != "" || err != nil {
		t.Error(d, err)
	}
	o.Secret = "other"
	if _, err := o.Paths(t.Context(), mail); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a wrong secret: %v", err)
	}
	o.Secret, status, answer = "secret", http.StatusOK, `{"data":{}}`
	if _, err := o.Paths(t.Context(), mail); err == nil || !strings.Contains(err.Error(), `left "https://s.example/1" of mail 7 untouched`) {
		t.Errorf("a link left out: %v", err)
	}
	status = http.StatusServiceUnavailable
	if _, err := o.Paths(t.Context(), mail); !errors.Is(err, ErrBusy) {
		t.Errorf("a busy mint: %v", err)
	}
}
