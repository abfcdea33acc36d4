package live

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.uber.org/goleak"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/edge/journal"
	"waypost/sink/ingest"
	"waypost/sink/internal/metrics"
	"waypost/sink/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// within is long enough for anything on a busy machine and ends a test that hangs.
const within = time.Minute

// transport leaves no connection behind.
var transport = &http.Transport{DisableKeepAlives: true}

// desk is a sink on one machine: journals, a store, a decider that works when it is told to, and a hub.
type desk struct {
	t       testing.TB
	dirs    []string
	writers []*journal.Writer
	store   *store.Store
	decider *ingest.Ingester
	options Options
	hub     *Hub
	server  *httptest.Server
	sources []ingest.Source
}

// silent is an outbox that sends nothing.
type silent struct{}

func (silent) Due(*pebble.Batch, ingest.First) error { return nil }
func (silent) Committed()                            {}

func newDesk(t testing.TB, journals int, change ...func(*Options)) *desk {
	t.Helper()
	d := &desk{t: t}
	dir := t.TempDir()
	for i := range journals {
		d.dirs = append(d.dirs, filepath.Join(dir, fmt.Sprintf("journal-%d", i)))
		d.writers = append(d.writers, nil)
	}
	s, err := store.Open(filepath.Join(dir, "store"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d.store = s
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	d.options = Options{
		Settings: configs.Live{Readers: 10, TenantReaders: 2, SlowAfter: within}, Tenants: tenants(), Metrics: metrics.Discard(), Logger: slog.New(slog.DiscardHandler),
		Store: s, Journals: d.dirs, Heartbeat: within,
	}
	for _, c := range change {
		c(&d.options)
	}
	d.begin()
	return d
}

func tenants() *configs.Tenants {
	return &configs.Tenants{List: []*configs.Tenant{{Number: 1, Name: "demo"}, {Number: 2, Name: "other"}}}
}

// begin is a new life of the sink.
func (d *desk) begin() {
	d.t.Helper()
	d.hub = New(d.options)
	for _, dir := range d.dirs {
		source, err := ingest.NewJournal(ingest.JournalOptions{Dir: dir, Consumer: "sink", Store: d.store, Metrics: d.options.Metrics, Logger: d.options.Logger})
		if err != nil {
			d.t.Fatal(err)
		}
		d.t.Cleanup(func() { _ = source.Close() })
		d.sources = append(d.sources, source)
	}
	d.decider = ingest.New(ingest.Options{
		Store: d.store, Sources: d.sources[len(d.sources)-len(d.dirs):], Outbox: silent{}, Metrics: d.options.Metrics, Logger: d.options.Logger, Decided: d.hub.Wake,
	})
	d.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name := r.Header.Get("Tenant"); name != "" { // as the API has found it by its token
			d.hub.ServeTenant(w, r, d.options.Tenants.ByName(name))
			return
		}
		d.hub.ServeHTTP(w, r)
	}))
	d.server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context { // who does not read is met soon
		_ = c.(*net.TCPConn).SetWriteBuffer(64 << 10)
		return ctx
	}
	d.server.Start()
	d.t.Cleanup(d.end)
}

func (d *desk) end() {
	d.hub.Close()
	d.server.CloseClientConnections()
	d.server.Close()
}

// write opens a journal: a new run of it.
func (d *desk) write(n int) {
	d.t.Helper()
	if d.writers[n] != nil {
		if err := d.writers[n].Close(); err != nil {
			d.t.Fatal(err)
		}
	}
	w, err := journal.Open(journal.Options{Dir: d.dirs[n], SegmentBytes: 64 << 10, Budget: 4 << 20, KeepBytes: 1 << 20, Patience: within, Consumers: []string{"sink"}})
	if err != nil {
		d.t.Fatal(err)
	}
	d.writers[n] = w
	d.t.Cleanup(func() { _ = w.Close() })
}

// add appends events to a journal, numbered by their tags.
func (d *desk) add(n int, first, count int, change ...func(*event.Event)) {
	d.t.Helper()
	if d.writers[n] == nil {
		d.write(n)
	}
	for i := first; i < first+count; i++ {
		e := click(i, change...)
		e.ID.Run = uint64(d.writers[n].Run())
		payload, at := event.AppendRecord(nil, &e)
		if _, err := d.writers[n].Append(payload, at[:]...); err != nil {
			d.t.Fatal(err)
		}
	}
}

// click is a click of tenant 1 on a mail of its own.
func click(n int, change ...func(*event.Event)) event.Event {
	now := time.Now().UTC().Truncate(time.Microsecond)
	e := event.Event{
		Type: event.Clicked, Time: now, Tenant: 1, TenantName: "demo", Message: fmt.Appendf(nil, "m%d", n), Prospect: []byte("456"), Destination: []byte("https://example.com/a"),
		Minted: now.Add(-time.Minute).Truncate(time.Minute), RetentionDays: 45, Method: []byte("GET"), Tag: fmt.Append(nil, n),
	}
	for _, c := range change {
		c(&e)
	}
	return e
}

// decide decides all that there is.
func (d *desk) decide() {
	d.t.Helper()
	for {
		n, err := d.decider.Step()
		if err != nil {
			d.t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

// client reads a stream.
type client struct {
	t      testing.TB
	body   io.ReadCloser
	lines  *bufio.Scanner
	cancel context.CancelFunc
	last   string // the id that came last
	header http.Header
}

// message is one of a stream; comment is what came in place of one.
type message struct {
	id, kind, data, comment string
	tag, first, reason      string
	members                 map[string]any // of data
	ended                   bool
}

// get connects, and reads the stream's beginning.
func (d *desk) get(query, last string, header ...string) *client {
	d.t.Helper()
	return connect(d.t, d.server.URL+Path+query, last, header...)
}

func connect(t testing.TB, url, last string, header ...string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	t.Cleanup(cancel)
	response, err := transport.RoundTrip(request(ctx, t, url, last, header...))
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(response.Body)
		t.Fatalf("%s: %s", response.Status, text)
	}
	c := &client{t: t, body: response.Body, lines: bufio.NewScanner(response.Body), cancel: cancel, header: response.Header}
	c.lines.Buffer(nil, 1<<20)
	t.Cleanup(c.close)
	if m := c.next(); m.id == "" || m.kind != "" {
		t.Fatalf("a stream begins with %+v", m)
	}
	return c
}

func request(ctx context.Context, t testing.TB, url, last string, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func (c *client) close() {
	c.cancel()
	_ = c.body.Close()
}

// next reads one message.
func (c *client) next() message {
	c.t.Helper()
	var m message
	for c.lines.Scan() {
		line := c.lines.Text()
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "" && m.data != "":
			m.read(c.t)
			return m
		case line == "":
			return m
		case name == "id":
			m.id, c.last = value, value
		case name == "event":
			m.kind = value
		case name == "data":
			m.data = value
		case name == "":
			m.comment = value
		}
	}
	return message{ended: true}
}

func (m *message) read(t testing.TB) {
	t.Helper()
	var document map[string]any
	if err := json.Unmarshal([]byte(m.data), &document); err != nil {
		t.Fatalf("%s: %v", m.data, err)
	}
	if m.kind == "gap" {
		m.reason, _ = document["reason"].(string)
		return
	}
	m.members, _ = document["data"].(map[string]any)
	m.tag, _ = m.members["tag"].(string)
	m.first, _ = m.members["first"].(string)
	if document["type"] != m.kind {
		t.Fatalf("an event of %v came as %s", document["type"], m.kind)
	}
}

// tags reads events until there are so many, and gives their tags; with what they were the first of, where that is asked for.
func (c *client) tags(n int, firsts ...bool) string {
	c.t.Helper()
	var all []string
	for len(all) < n {
		m := c.next()
		switch {
		case m.kind == "gap":
			all = append(all, "gap")
		case m.kind == "":
			if m.ended || m.comment != "" {
				c.t.Fatalf("after %v came %+v", all, m)
			}
		case len(firsts) > 0 && m.first != "":
			all = append(all, m.tag+":"+m.first)
		default:
			all = append(all, m.tag)
		}
	}
	return strings.Join(all, " ")
}

// want reads events and compares their tags.
func (c *client) want(want string, firsts ...bool) {
	c.t.Helper()
	if got := c.tags(len(strings.Fields(want)), firsts...); got != want {
		c.t.Fatalf("got  %s\nwant %s", got, want)
	}
}

// dial opens a bare connection, whose kernel keeps little for who does not read.
func dial(t *testing.T, url string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET %s?since=oldest HTTP/1.1\r\nHost: x\r\n\r\n", Path); err != nil {
		t.Fatal(err)
	}
	return conn
}
