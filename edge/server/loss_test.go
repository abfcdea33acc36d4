package server

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"waypost/edge/event"
	"waypost/edge/journal"
	"waypost/mint/link"
)

// A journal whose budget is spent loses events and no redirect: what is missing in it is what was counted.
func TestLossIsCounted(t *testing.T) {
	r := newRig(t, func(_ *Options, j *journal.Options) {
		// A consumer that never comes: nothing becomes free.
		j.SegmentBytes, j.Budget, j.Consumers = 64<<10, 256<<10, []string{"nobody"}
	})
	const requests = 2000
	uri := "/" + r.token(demoLink())
	ctx := request{uri: uri}.context()
	for range requests {
		ctx.Response.Reset()
		r.Handle(ctx)
		if ctx.Response.StatusCode() != 302 {
			t.Fatal(ctx.Response.StatusCode())
		}
	}
	c := r.Counts()
	kept := len(r.events())
	if c.Lost["full"] == 0 || kept == 0 || c.Lost["full"]+uint64(kept) != requests {
		t.Errorf("%d requests, %d events in the journal, lost %v", requests, kept, c.Lost)
	}
	r.tellHeldBack()
	log := r.logged.String()
	if told := toldLosses(t, log); told != c.Lost["full"] {
		t.Errorf("the log tells %d losses of %d:\n%s", told, c.Lost["full"], log)
	}
	if n := strings.Count(log, "\n"); n > 20 {
		t.Errorf("%d lines of log", n)
	}
	for _, secret := range []string{"198.51.100.7", "bit.ly", "prospect", uri} {
		if strings.Contains(log, secret) {
			t.Errorf("the log tells %s", secret)
		}
	}
}

// toldLosses adds up the lines of the log: each tells one loss and those that were held back; the last only the latter.
func toldLosses(t *testing.T, log string) (told uint64) {
	t.Helper()
	for line := range strings.Lines(log) {
		_, text, ok := strings.Cut(line, "held_back=")
		n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
		if !ok || err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		told += n
		if strings.Contains(line, "event lost") {
			told++
		}
	}
	return told
}

func TestLossReasons(t *testing.T) {
	r := newRig(t, nil)
	for err, want := range map[error]string{journal.ErrFull: "full", journal.ErrDiskFull: "disk_full", journal.ErrIO: "io", journal.ErrStalled: "stalled", journal.ErrTooLarge: "too_large",
		journal.ErrClosed: "closed", journal.ErrOffset: "other"} {
		before := r.Counts().Lost[want]
		r.lose(err)
		if got := r.Counts().Lost[want] - before; got != 1 {
			t.Errorf("%v counted %d times as %s", err, got, want)
		}
	}
	for err, want := range map[error]string{link.ErrVersion: "version", link.ErrKey: "key", link.ErrForged: "forged", link.ErrTruncated: "truncated",
		link.ErrTooLong: "too_long", link.ErrEncoding: "encoding", link.ErrContent: "content"} {
		if got := refusalNames[reasonOf(err)]; got != want {
			t.Errorf("%v is refused as %s", err, got)
		}
	}
	for i, name := range outcomeNames {
		if name == "" {
			t.Errorf("outcome %d has no name", i)
		}
	}
}

// A closed journal loses events; redirects go on.
func TestClosedJournal(t *testing.T) {
	r := newRig(t, nil)
	if err := r.journal.Close(); err != nil {
		t.Fatal(err)
	}
	if a := r.do(request{uri: "/" + r.token(demoLink())}); a.StatusCode() != 302 {
		t.Error(a.StatusCode())
	}
	if c := r.Counts(); c.Lost["closed"] != 1 {
		t.Errorf("lost %v", c.Lost)
	}
}

// Many at once: as many events as redirects, each client's in its order, each id once.
func TestConcurrentClients(t *testing.T) {
	r := newRig(t, nil)
	addr := r.listen()
	const clients, each = 8, 200
	tokens := make([]string, 16)
	for i := range tokens {
		l := demoLink()
		l.Number = uint32(i)
		tokens[i] = r.token(l)
	}
	var wg sync.WaitGroup
	for client := range clients {
		c := dial(t, addr)
		wg.Go(func() {
			for i := range each {
				if _, err := fmt.Fprintf(c.conn, "GET /%s HTTP/1.1\r\nHost: links.example.com\r\nUser-Agent: %d %d\r\n\r\n", tokens[i%len(tokens)], client, i); err != nil {
					t.Error(err)
					return
				}
				if status, _, err := c.answer(); err != nil || status != "HTTP/1.1 302 Found" {
					t.Errorf("answer %q", status)
					return
				}
			}
		})
	}
	wg.Wait()
	seen := map[event.ID]bool{}
	next := [clients]int{}
	for _, e := range r.events() {
		if seen[e.ID] {
			t.Errorf("id %v twice", e.ID)
		}
		seen[e.ID] = true
		var client, i int
		if _, err := fmt.Sscanf(string(e.UserAgent), "%d %d", &client, &i); err != nil {
			t.Fatal(err)
		}
		if next[client] != i || int(e.LinkNumber) != i%len(tokens) {
			t.Fatalf("client %d: event %d of link %d, want event %d", client, i, e.LinkNumber, next[client])
		}
		next[client]++
	}
	for client, n := range next {
		if n != each {
			t.Errorf("client %d: %d events", client, n)
		}
	}
	if c := r.Counts(); c.CacheHits == 0 || c.Latency.Count == 0 {
		t.Errorf("%+v", c)
	}
}

// A drain under load: every request that got an answer is in the journal, every answer is whole, and each connection is told to end.
func TestDrainUnderLoad(t *testing.T) {
	r := newRig(t, nil)
	addr := r.listen()
	token := r.token(demoLink())
	const clients = 16
	var answered, told atomic.Int64
	started := make(chan struct{}, clients)
	var wg sync.WaitGroup
	for range clients {
		c := dial(t, addr)
		wg.Go(func() {
			for i := 0; ; i++ {
				if _, err := fmt.Fprintf(c.conn, "GET /%s HTTP/1.1\r\nHost: links.example.com\r\n\r\n", token); err != nil {
					t.Errorf("request %d on an open connection: %v", i, err)
					return
				}
				status, headers, err := c.answer()
				if err != nil || status != "HTTP/1.1 302 Found" {
					t.Errorf("request %d was cut: %q, %v", i, status, err)
					return
				}
				answered.Add(1)
				if i == 20 {
					started <- struct{}{}
				}
				if headers["Connection"] == "close" {
					told.Add(1)
					return
				}
			}
		})
	}
	for range clients {
		<-started
	}
	if err := r.Drain(r.deadline()); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if told.Load() != clients {
		t.Errorf("%d of %d connections were told to end", told.Load(), clients)
	}
	if got := int64(len(r.events())); got != answered.Load() {
		t.Errorf("%d answers, %d events", answered.Load(), got)
	}
}

// The fault that the crash test's control run switches on: the answer first, the event later, but not lost by a drain.
func TestAnswerFirst(t *testing.T) {
	r := newRig(t, nil)
	if r.answerFirst {
		t.Fatal("the fault is on without being asked for")
	}
	r.answerFirst = true
	if a := r.do(request{uri: "/" + r.token(demoLink())}); a.StatusCode() != 302 {
		t.Fatal(a.StatusCode())
	}
	if n := len(r.events()); n != 0 {
		t.Errorf("%d events before the answer", n)
	}
	if err := r.Drain(r.deadline()); err != nil {
		t.Fatal(err)
	}
	if n := len(r.events()); n != 1 {
		t.Errorf("%d events after the drain", n)
	}
}

// Connections leave files for the journal, whatever the limit is.
func TestConnectionsOf(t *testing.T) {
	for files, want := range map[uint64]int{0: 1, 64: 16, 256: 64, 400: 144, 1024: 768, 1 << 19: 256 << 10, 1<<64 - 1: 256 << 10} {
		if got := connectionsOf(files); got != want {
			t.Errorf("%d files: %d connections, want %d", files, got, want)
		}
	}
}

// A signal can come before the server has begun: then it does not begin.
func TestDrainBeforeServe(t *testing.T) {
	r := newRig(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Drain(r.deadline()); err != nil {
		t.Fatal(err)
	}
	if err := r.Serve(l); err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
		_ = c.Close()
		t.Error("connections are taken after the end")
	}
}

// A drain that is cut leaves requests under way: what they use must stay.
func TestCutDrainKeepsTheCache(t *testing.T) {
	r := newRig(t, nil)
	c := dial(t, r.listen())
	c.send("GET / HTTP/1.1\r\nHos")
	for r.Counts().Connections == 0 {
		runtime.Gosched()
	}
	cut, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Drain(cut); err != context.Canceled {
		t.Fatal(err)
	}
	token := []byte(r.token(demoLink()))
	r.cache.keep(hashToken(token), token, r.keys)
	r.cache.links.Wait()
	if r.cache.get(hashToken(token), r.keys, token) == nil {
		t.Error("the cache ended before the requests that use it")
	}
	_ = c.conn.Close()
}
