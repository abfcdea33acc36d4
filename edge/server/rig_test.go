package server

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/edge/journal"
	"waypost/mint/link"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp keeps one clock for the Date header as long as the process lives.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		// Its pools' cleaners see their end only when they wake, after ten seconds.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// rig is a server with a real journal and keys of its own.
type rig struct {
	testing.TB
	*Server
	keys    *link.Keyring
	journal *journal.Writer
	dir     string
	logged  *bytes.Buffer // read it after the server has been drained
}

var demoMinted = link.Minutes(time.Date(2026, 11, 23, 18, 14, 0, 0, time.UTC))

func demoTenants() *configs.Tenants {
	demo := configs.DefaultTenant()
	demo.Number, demo.Name, demo.Hosts = 1, "demo", []string{"https://links.example.com", "http://127.0.0.1:8080"}
	other := configs.DefaultTenant()
	other.Number, other.Name, other.Hosts, other.Unique, other.ClientAddress = 2, "other", []string{"https://other.example.com"}, "any", "drop"
	open := configs.DefaultTenant()
	open.Number, open.Name, open.Hosts, open.AnyHost, open.ClientAddress = 3, "open", []string{"https://open.example.com"}, true, "truncate"
	return &configs.Tenants{List: []*configs.Tenant{&demo, &other, &open}}
}

func testKeys(t testing.TB) *link.Keyring {
	t.Helper()
	keys, err := link.NewKeyring(3, [64]byte{1, 2, 3, 63: 64})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func newRig(t testing.TB, change func(*Options, *journal.Options)) *rig {
	t.Helper()
	r := &rig{TB: t, keys: testKeys(t), dir: t.TempDir(), logged: new(bytes.Buffer)}
	log := slog.New(slog.NewTextHandler(r.logged, nil))
	o := Options{Keys: r.keys, Tenants: demoTenants(), CacheBytes: 1 << 20, Log: log, TrustedProxies: []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}
	// A minute for the next segment: on a busy disk the default would lose events that a test counts.
	j := journal.Options{Dir: r.dir, SegmentBytes: 1 << 20, Patience: time.Minute, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o, &j)
	}
	var err error
	if r.journal, err = journal.Open(j); err != nil {
		t.Fatal(err)
	}
	o.Journal = r.journal
	if r.Server, err = New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		if err := r.journal.Close(); err != nil && err != journal.ErrClosed {
			t.Errorf("journal: %v", err)
		}
	})
	return r
}

func (r *rig) token(l *link.Link) string {
	r.Helper()
	token, err := r.keys.AppendToken(nil, l)
	if err != nil {
		r.Fatal(err)
	}
	return string(token)
}

func demoLink() *link.Link {
	return &link.Link{Place: link.PlaceHTML, Tenant: 1, Minted: demoMinted, Number: 1, Message: link.ParseID([]byte("123")), Prospect: link.ParseID([]byte("456")),
		User: link.ParseID([]byte("789")), Destination: []byte("https://bit.ly/33zYFqH"), Original: []byte("https://www.google.com/"),
		Recipient: []byte("abc@prospect.com")}
}

// request is one request for the handler.
type request struct {
	method, uri, host string
	headers           [][2]string
	remote            string
}

// context gives a request as fasthttp would hand it over.
func (q request) context() *fasthttp.RequestCtx {
	var req fasthttp.Request
	if q.method == "" {
		q.method = "GET"
	}
	if q.host == "" {
		q.host = "links.example.com"
	}
	if q.remote == "" {
		q.remote = "198.51.100.7:4711"
	}
	req.Header.SetMethod(q.method)
	req.SetRequestURI(q.uri)
	req.Header.SetRequestURI(q.uri)
	req.Header.SetHost(q.host)
	for _, h := range q.headers {
		req.Header.Add(h[0], h[1])
	}
	ctx := new(fasthttp.RequestCtx)
	ctx.Init(&req, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(q.remote)), silence{})
	ctx.Request.Header.SetRequestURI(q.uri)
	return ctx
}

func (r *rig) do(q request) *fasthttp.Response {
	ctx := q.context()
	r.Handle(ctx)
	return &ctx.Response
}

// events reads all events of the journal.
func (r *rig) events() []event.Event {
	r.Helper()
	return readEvents(r.TB, r.dir)
}

func readEvents(t testing.TB, dir string) (events []event.Event) {
	t.Helper()
	reader, err := journal.NewReader(journal.ReaderOptions{Dir: dir, Resume: func(journal.Run) uint64 { return 0 },
		OnDamage: func(d journal.Damage) { t.Errorf("damage: %+v", d) }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	for {
		record, err := reader.Next()
		if err == journal.ErrWait {
			return events
		}
		if err != nil {
			t.Fatal(err)
		}
		_, document, err := event.SplitRecord(record.Payload)
		if err != nil {
			t.Fatal(err)
		}
		var e event.Event
		if err := new(event.Decoder).Decode(&e, document); err != nil {
			t.Fatal(err)
		}
		if e.ID != (event.ID{Run: uint64(record.Run), Sequence: record.Sequence}) {
			t.Fatalf("record %v %d holds event %v", record.Run, record.Sequence, e.ID)
		}
		events = append(events, e)
	}
}

// listen serves the rig on a loopback port until the test ends.
func (r *rig) listen() string {
	r.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Serve(l) }()
	r.Cleanup(func() {
		if err := r.Drain(r.deadline()); err != nil {
			r.Errorf("drain: %v", err)
		}
		if err := <-ended; err != nil {
			r.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String()
}

// rawClient speaks to a server byte for byte.
type rawClient struct {
	testing.TB
	conn net.Conn
	in   *bufio.Reader
}

func dial(t testing.TB, addr string) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &rawClient{t, conn, bufio.NewReaderSize(conn, 1<<16)}
}

func (c *rawClient) send(s string) {
	c.Helper()
	if _, err := io.WriteString(c.conn, s); err != nil {
		c.Fatal(err)
	}
}

// answer reads status line and headers, as the bytes that came.
func (c *rawClient) answer() (status string, headers map[string]string, err error) {
	headers = map[string]string{}
	for first := true; ; first = false {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return status, headers, err
		}
		line = strings.TrimSuffix(line, "\r\n")
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case first:
			status = line
		case line == "":
			return status, headers, nil
		default:
			headers[name] = value
		}
	}
}

// head is answer for tests that cannot go on without one.
func (c *rawClient) head() (status string, headers map[string]string) {
	c.Helper()
	status, headers, err := c.answer()
	if err != nil {
		c.Fatalf("answer ends after %q: %v", status, err)
	}
	return status, headers
}

// rest reads to the end of the connection.
func (c *rawClient) rest() string {
	b, err := io.ReadAll(c.in)
	if err != nil && !os.IsTimeout(err) {
		return string(b) + " (" + err.Error() + ")"
	}
	if err != nil {
		c.Fatal("the connection stays open")
	}
	return string(b)
}
