// Package receiver is a webhook receiver for the demo and the tests: it verifies what arrives as a customer would, Standard Webhooks' headers
// with their library, and keeps or prints it.
package receiver

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// maxBody bounds one webhook's body in bytes.
const maxBody = 1 << 20

// Why a delivery is refused.
var (
	ErrPath      = errors.New("no endpoint on this path")
	ErrPassword  = errors.New("wrong user or password")
	ErrMethod    = errors.New("not a POST")
	ErrSignature = errors.New("wrong signature")
)

// Endpoint is one path of the receiver and what it demands. Empty fields demand nothing.
type Endpoint struct {
	Path           string // /standard
	Secret         string // whsec_...: Standard Webhooks' headers must verify
	User, Password string // Basic auth
	// HexHeader must be the lower-case hex HMAC-SHA256 of the body under HexSecret, as Maileroo and NexoMailer sign.
	HexHeader, HexSecret string
}

// Delivery is one request that came in.
type Delivery struct {
	Path     string
	ID       string // webhook-id
	Header   http.Header
	Body     []byte
	At       time.Time
	Verified error // nil: all that the endpoint demands was right
	Status   int   // what was answered
}

// Options of a Receiver.
type Options struct {
	Addr      string // host:port; port 0 takes a free one
	Endpoints []Endpoint
	// OnDelivery is told of each delivery before it is answered. It is called from several goroutines. Optional.
	OnDelivery func(Delivery)
	// Answer gives the status for a verified delivery, so that tests can fail some. Optional: 200.
	Answer func(Delivery) int
}

// Receiver listens from Start to Close. It keeps nothing: OnDelivery does.
type Receiver struct {
	options   Options
	endpoints map[string]endpoint
	server    *http.Server
	listener  net.Listener
	served    sync.WaitGroup
}

type endpoint struct {
	Endpoint
	webhook *standardwebhooks.Webhook // nil: no signature demanded
}

// Start listens and serves.
func Start(o Options) (*Receiver, error) {
	r := &Receiver{options: o, endpoints: map[string]endpoint{}}
	for _, e := range o.Endpoints {
		checked := endpoint{Endpoint: e}
		if e.Secret != "" {
			webhook, err := standardwebhooks.NewWebhook(e.Secret)
			if err != nil {
				return nil, fmt.Errorf("receiver: secret of %s: %w", e.Path, err)
			}
			checked.webhook = webhook
		}
		r.endpoints[e.Path] = checked
	}
	listener, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("receiver: %w", err)
	}
	r.listener = listener
	r.server = &http.Server{Handler: http.HandlerFunc(r.serve), ReadHeaderTimeout: 10 * time.Second}
	r.served.Go(func() { _ = r.server.Serve(listener) }) // ends with ErrServerClosed, by Close
	return r, nil
}

// URL is the receiver's address: http://127.0.0.1:8090.
func (r *Receiver) URL() string { return "http://" + r.listener.Addr().String() }

// Close ends the receiver; requests under way are finished until ctx is over.
func (r *Receiver) Close(ctx context.Context) error {
	err := r.server.Shutdown(ctx)
	if err != nil {
		r.server.Close()
	}
	r.served.Wait()
	return err
}

func (r *Receiver) serve(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, maxBody))
	if err != nil {
		http.Error(w, "body not readable", http.StatusBadRequest)
		return
	}
	d := Delivery{
		Path:   request.URL.Path,
		ID:     request.Header.Get(standardwebhooks.HeaderWebhookID),
		Header: request.Header,
		Body:   body,
		At:     time.Now(),
	}
	d.Verified = r.verify(request, body)
	d.Status = r.status(d)
	if r.options.OnDelivery != nil {
		r.options.OnDelivery(d)
	}
	w.WriteHeader(d.Status)
}

func (r *Receiver) status(d Delivery) int {
	switch {
	case d.Verified == ErrPath:
		return http.StatusNotFound
	case d.Verified == ErrMethod:
		return http.StatusMethodNotAllowed
	case d.Verified != nil:
		return http.StatusUnauthorized
	case r.options.Answer != nil:
		return r.options.Answer(d)
	}
	return http.StatusOK
}

func (r *Receiver) verify(request *http.Request, body []byte) error {
	e, known := r.endpoints[request.URL.Path]
	if !known {
		return ErrPath
	}
	if request.Method != http.MethodPost {
		return ErrMethod
	}
	if e.User != "" || e.Password != "" {
		user, password, _ := request.BasicAuth()
		right := subtle.ConstantTimeCompare([]byte(user+":"+password), []byte(e.User+":"+e.Password))
		if right != 1 {
			return ErrPassword
		}
	}
	if e.HexHeader != "" && !verifyHex(request.Header.Get(e.HexHeader), e.HexSecret, body) {
		return ErrSignature
	}
	if e.webhook == nil {
		return nil
	}
	return e.webhook.Verify(body, request.Header)
}

func verifyHex(signature, secret string, body []byte) bool {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hmac.Equal([]byte(signature), []byte(hex.EncodeToString(mac.Sum(nil))))
}

// Line is what the demo prints of a delivery: "webhook PATH verified ID BODY", or "webhook PATH refused ID REASON".
func (d Delivery) Line() string {
	if d.Verified != nil {
		return fmt.Sprintf("webhook %s refused %q %v", d.Path, d.ID, d.Verified)
	}
	return fmt.Sprintf("webhook %s verified %s %s", d.Path, d.ID, d.Body)
}
