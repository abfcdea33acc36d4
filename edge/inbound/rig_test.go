package inbound

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"
	"go.uber.org/goleak"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/edge/journal"
	"waypost/mint/link"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp keeps one clock for the Date header as long as the process lives, and its pools' cleaners see their end only when they wake.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

const (
	resendSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	resendOldSecret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	hexSecret       = "test-secret"
	hexOldSecret    = "an-older-secret"
	pathSecret      = "0123456789abcdef"
)

// rig is a handler behind a server of HTTP, with a real journal.
type rig struct {
	testing.TB
	*Handler
	keys    *link.Keyring
	journal *journal.Writer
	dir     string
	logged  *lockedBuffer
	asides  *asides
	client  *http.Client
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// asides keeps in memory.
type asides struct {
	mu     sync.Mutex
	kept   []string // TENANT PROVIDER BODY: WHY
	broken bool
}

func (a *asides) Keep(tenant, provider string, _ time.Time, _ []Header, body []byte, why error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.broken {
		return errors.New("no room")
	}
	a.kept = append(a.kept, tenant+" "+provider+" "+string(body)+": "+why.Error())
	return nil
}

func testTenants() *configs.Tenants {
	one := configs.DefaultTenant()
	one.Number, one.Name, one.Hosts = 1, "demo", []string{"https://links.example.com"}
	one.Inbound.Resend.Secrets = []configs.Secret{resendSecret, resendOldSecret}
	one.Inbound.Postmark = configs.InboundUnsigned{Username: "postmark", Password: "pass:word", PathSecrets: []configs.Secret{pathSecret}}
	one.Inbound.Maileroo.Secrets = []configs.Secret{hexSecret, hexOldSecret}
	one.Inbound.NexoMailer.Secrets = []configs.Secret{hexSecret, hexOldSecret}
	private := one
	private.Number, private.Name, private.Hosts = 2, "private", []string{"https://private.example.com"}
	private.ClientAddress, private.RecipientInLink, private.Inbound.KeepRaw, private.Unique, private.RetentionDays = "truncate", false, true, "any", 10
	bare := configs.DefaultTenant()
	bare.Number, bare.Name, bare.Hosts = 3, "bare", []string{"https://bare.example.com"}
	raw := one
	raw.Number, raw.Name, raw.Hosts, raw.Inbound.KeepRaw = 4, "raw", []string{"https://raw.example.com"}, true
	return &configs.Tenants{List: []*configs.Tenant{&one, &private, &bare, &raw}}
}

func newRig(t testing.TB, change func(*Options, *journal.Options)) *rig {
	t.Helper()
	r := &rig{TB: t, dir: t.TempDir(), logged: new(lockedBuffer), asides: new(asides)}
	var err error
	if r.keys, err = link.NewKeyring(3, [64]byte{1, 2, 3, 63: 64}); err != nil {
		t.Fatal(err)
	}
	o := Options{Keys: r.keys, Tenants: testTenants(), Asides: r.asides, Memory: 4 << 20, Log: slog.New(slog.NewTextHandler(r.logged, nil))}
	j := journal.Options{Dir: r.dir, SegmentBytes: 1 << 20, Patience: time.Minute, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o, &j)
	}
	if r.journal, err = journal.Open(j); err != nil {
		t.Fatal(err)
	}
	o.Journal = r.journal
	r.Handler = New(o)
	r.serve()
	t.Cleanup(func() {
		if err := r.journal.Close(); err != nil && err != journal.ErrClosed {
			t.Errorf("journal: %v", err)
		}
	})
	return r
}

// serve answers on a listener in memory, as edge/server has it.
func (r *rig) serve() {
	l := fasthttputil.NewInmemoryListener()
	s := &fasthttp.Server{StreamRequestBody: true, MaxRequestBodySize: 1, NoDefaultServerHeader: true, Handler: r.handle}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return l.Dial() }}
	r.client = &http.Client{Transport: transport, Timeout: time.Minute}
	r.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := s.Shutdown(); err != nil {
			r.Error(err)
		}
		if err := <-ended; err != nil {
			r.Error(err)
		}
	})
}

// handle takes /in/TENANT/PROVIDER/SECRET, of which the end may be missing.
func (r *rig) handle(ctx *fasthttp.RequestCtx) {
	parts := bytes.SplitN(ctx.Path(), []byte("/"), 5)
	for len(parts) < 5 {
		parts = append(parts, nil)
	}
	r.Take(ctx, parts[2], parts[3], parts[4])
}

// send posts a delivery to a path below /in/.
func (r *rig) send(path, body string, headers map[string]string) (status int, answer string) {
	r.Helper()
	return r.do(http.MethodPost, path, strings.NewReader(body), headers)
}

func (r *rig) do(method, path string, body io.Reader, headers map[string]string) (status int, answer string) {
	r.Helper()
	q, err := http.NewRequest(method, "http://edge.example.com/in/"+path, body)
	if err != nil {
		r.Fatal(err)
	}
	for name, value := range headers {
		q.Header.Set(name, value)
	}
	response, err := r.client.Do(q)
	if err != nil {
		r.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		r.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// documents are the events of the journal.
func (r *rig) documents() (documents []string) {
	r.Helper()
	reader, err := journal.NewReader(journal.ReaderOptions{Dir: r.dir, Resume: func(journal.Run) uint64 { return 0 },
		OnDamage: func(d journal.Damage) { r.Errorf("damage: %+v", d) }})
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	for {
		record, err := reader.Next()
		if err == journal.ErrWait {
			return documents
		}
		if err != nil {
			r.Fatal(err)
		}
		_, document, err := event.SplitRecord(record.Payload)
		if err != nil {
			r.Fatal(err)
		}
		documents = append(documents, string(document))
	}
}

func (r *rig) events() []event.Event {
	r.Helper()
	return decode(r.TB, r.documents())
}

func decode(t testing.TB, documents []string) (events []event.Event) {
	t.Helper()
	for _, document := range documents {
		var e event.Event
		if err := new(event.Decoder).Decode(&e, []byte(document)); err != nil {
			t.Fatalf("%v: %s", err, document)
		}
		events = append(events, e)
	}
	return events
}

// count is a counter of demo's deliveries.
func (r *rig) count(provider, result string) uint64 {
	for _, c := range r.Counts().Sources {
		if c.Tenant == "demo" && c.Provider == provider {
			return c.Deliveries[result]
		}
	}
	return 0
}

// hexSign is what Maileroo and NexoMailer send: checked against the vectors of their documentation.
func hexSign(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

// standardSign are Standard Webhooks' headers by its own library, under the names that begin with prefix.
func standardSign(t testing.TB, prefix, secret, id string, at time.Time, body string) map[string]string {
	t.Helper()
	hook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := hook.Sign(id, at, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{prefix + "id": id, prefix + "timestamp": strconv.FormatInt(at.Unix(), 10), prefix + "signature": signature}
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
