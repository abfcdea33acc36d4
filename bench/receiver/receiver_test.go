package receiver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/goleak"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// A body and its HMAC-SHA256 under test-secret, as Python computes it.
const (
	vector          = "what do ya want for nothing?"
	vectorSignature = "96015c4a95015a2565b0a98bfb2c50cb50598a4b791097960af57e96e7f06aa9"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestVerify(t *testing.T) {
	var got Delivery
	r, err := Start(Options{
		Addr: "127.0.0.1:0",
		Endpoints: []Endpoint{
			{Path: "/standard", Secret: secret},
			{Path: "/postmark", Secret: secret, User: "u", Password: "p"},
			{Path: "/basic", User: "u", Password: "p"},
			{Path: "/hex", HexHeader: "x-maileroo-signature", HexSecret: "test-secret"},
		},
		OnDelivery: func(d Delivery) { got = d },
		Answer: func(d Delivery) int {
			if string(d.Body) == "busy" {
				return http.StatusServiceUnavailable
			}
			return http.StatusOK
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(t.Context())
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	cases := []struct {
		name, path, body string
		change           func(*http.Request)
		status           int
		refusal          error
	}{
		{"right", "/standard", "b", nil, 200, nil},
		{"right with password", "/postmark", "b", nil, 200, nil},
		{"told to fail", "/standard", "busy", nil, 503, nil},
		{"no signature", "/standard", "b", unset("webhook-signature"), 401, standardwebhooks.ErrRequiredHeaders},
		{"another id", "/standard", "b", set("webhook-id", "x"), 401, standardwebhooks.ErrNoMatchingSignature},
		{"old", "/standard", "b", set("webhook-timestamp", "1614265330"), 401, standardwebhooks.ErrMessageTooOld},
		{"wrong password", "/postmark", "b", set("Authorization", "Basic eDp5"), 401, ErrPassword},
		{"no password", "/basic", "b", unset("Authorization"), 401, ErrPassword},
		{"basic alone", "/basic", "b", unset("webhook-signature"), 200, nil},
		{"hex", "/hex", vector, set("X-Maileroo-Signature", vectorSignature), 200, nil},
		{"hex in capitals", "/hex", vector, set("X-Maileroo-Signature", strings.ToUpper(vectorSignature)), 401, ErrSignature},
		{"hex of another body", "/hex", vector + " ", set("X-Maileroo-Signature", vectorSignature), 401, ErrSignature},
		{"no hex", "/hex", vector, nil, 401, ErrSignature},
		{"unknown path", "/x", "b", nil, 404, ErrPath},
		{"GET", "/standard", "", func(q *http.Request) { q.Method = http.MethodGet }, 405, ErrMethod},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			q := signed(t, r.URL()+c.path, c.body)
			if c.change != nil {
				c.change(q)
			}
			answer, err := http.DefaultClient.Do(q)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != c.status || !errors.Is(got.Verified, c.refusal) || got.Status != c.status {
				t.Errorf("status %d, delivery %+v; want %d, %v", answer.StatusCode, got, c.status, c.refusal)
			}
			if got.Path != c.path || string(got.Body) != c.body {
				t.Errorf("path %q body %q", got.Path, got.Body)
			}
		})
	}
}

func signed(t *testing.T, url, body string) *http.Request {
	t.Helper()
	q, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	webhook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	signature, err := webhook.Sign("id-1", now, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	q.SetBasicAuth("u", "p")
	q.Header.Set("webhook-id", "id-1")
	q.Header.Set("webhook-timestamp", fmt.Sprint(now.Unix()))
	q.Header.Set("webhook-signature", signature)
	return q
}

func set(name, value string) func(*http.Request) {
	return func(q *http.Request) { q.Header.Set(name, value) }
}

func unset(name string) func(*http.Request) { return func(q *http.Request) { q.Header.Del(name) } }

func TestLine(t *testing.T) {
	d := Delivery{Path: "/standard", ID: "1-2", Body: []byte(`{}`)}
	if got, want := d.Line(), "webhook /standard verified 1-2 {}"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	d.Verified = ErrPassword
	if got, want := d.Line(), `webhook /standard refused "1-2" wrong user or password`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestStartRefuses(t *testing.T) {
	if _, err := Start(Options{Addr: "127.0.0.1:0", Endpoints: []Endpoint{{Path: "/", Secret: "whsec_?"}}}); err == nil {
		t.Error("a secret that is not base64 was taken")
	}
	r, err := Start(Options{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(context.Background())
	if _, err := Start(Options{Addr: strings.TrimPrefix(r.URL(), "http://")}); err == nil {
		t.Error("a taken port was taken again")
	}
}
