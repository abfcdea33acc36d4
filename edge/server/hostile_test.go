package server

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"waypost/edge/journal"
)

// impatient gives the rig limits of time that a test can wait for.
func (r *rig) impatient() *rig {
	r.http.ReadTimeout, r.http.WriteTimeout = time.Second, time.Second
	return r.soonTired()
}

// soonTired gives it only a limit of silence between requests: whoever sends has all the time that a busy machine makes it need.
func (r *rig) soonTired() *rig {
	r.http.IdleTimeout = time.Second
	return r
}

func (r *rig) waitFor(what string, condition func() bool) {
	r.Helper()
	for end := time.Now().Add(time.Minute); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.Fatalf("waited in vain for %s", what)
		}
	}
}

const hostLine = "Host: links.example.com\r\n"

// Who is slow, at whatever, loses the connection at its limit, and holds nothing afterwards.
func TestSlowClients(t *testing.T) {
	r, idle := newRig(t, nil).impatient(), newRig(t, nil).soonTired()
	addr, idleAddr := r.listen(), idle.listen()
	token := r.token(demoLink())
	t.Run("clients", func(t *testing.T) { // ends when all of them have
		for _, c := range []struct {
			name string
			addr string
			play func(c *rawClient) (got string)
			want string
		}{
			{"silent from the start", addr, func(c *rawClient) string { return c.rest() }, ""},
			{"headers byte by byte", addr, func(c *rawClient) string {
				for _, b := range []byte("GET / HTTP/1.1\r\n" + hostLine + strings.Repeat("X: y\r\n", 1000)) {
					if _, err := c.conn.Write([]byte{b}); err != nil {
						break
					}
					time.Sleep(10 * time.Millisecond) // slow is what is tested
				}
				return c.rest()
			}, "HTTP/1.1 408"},
			{"headers that do not end", addr, func(c *rawClient) string {
				c.send("GET /" + token + " HTTP/1.1\r\n" + hostLine)
				return c.rest()
			}, "HTTP/1.1 408"},
			{"body that does not come", addr, func(c *rawClient) string {
				c.send("GET / HTTP/1.1\r\n" + hostLine + "Content-Length: 10\r\n\r\nab")
				return c.rest() // nobody reads it: the answer does not wait, and the connection ends
			}, "HTTP/1.1 404"},
			{"idle after an answer", idleAddr, func(c *rawClient) string {
				c.send("GET /" + token + " HTTP/1.1\r\n" + hostLine + "\r\n")
				status, _ := c.head()
				if rest := c.rest(); rest != "" {
					t.Errorf("after the answer came %q", rest)
				}
				return status
			}, "HTTP/1.1 302"},
		} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				if got := c.play(dial(t, c.addr)); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" && !strings.HasPrefix(got, "HTTP/1.1 408") {
					t.Errorf("answer %.200q, want %q", got, c.want)
				}
			})
		}
	})
	r.waitFor("all connections to be closed", func() bool { return r.Counts().Connections+idle.Counts().Connections == 0 })
}

// Who asks and never reads the answers fills the buffers, is waited for as long as writing may take, and no longer.
func TestClientThatNeverReads(t *testing.T) {
	r := newRig(t, nil).impatient()
	c := dial(t, r.listen())
	if err := c.conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	many := []byte(strings.Repeat("GET / HTTP/1.1\r\n"+hostLine+"\r\n", 1000))
	written := 0
	for {
		n, err := c.conn.Write(many)
		if written += n; err != nil {
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				t.Errorf("still connected after %d bytes", written)
			}
			break
		}
	}
	r.waitFor("the connection to be closed", func() bool { return r.Counts().Connections == 0 })
}

// Requests that come together are answered each, in their order.
func TestPipelining(t *testing.T) {
	r := newRig(t, func(_ *Options, j *journal.Options) { j.SegmentBytes = 16 << 20 })
	c := dial(t, r.listen())
	const requests = 300
	var all strings.Builder
	for i := range requests {
		l := demoLink()
		l.Destination = fmt.Appendf(nil, "https://example.com/%d", i)
		fmt.Fprintf(&all, "GET /%s HTTP/1.1\r\n%s\r\n", r.token(l), hostLine)
	}
	go func() { _, _ = io.WriteString(c.conn, all.String()) }() // what is not written is missed below
	for i := range requests {
		if status, headers := c.head(); status != "HTTP/1.1 302 Found" || headers["Location"] != fmt.Sprintf("https://example.com/%d", i) {
			t.Fatalf("answer %d: %s, %s", i, status, headers["Location"])
		}
	}
	if n := len(r.events()); n != requests {
		t.Errorf("%d events", n)
	}
}

// answered says whether a new connection is served; what it got instead otherwise. A served one stays open.
func (r *rig) answered(addr, token string) (served bool, got string) {
	r.Helper()
	c := dial(r, addr)
	_, _ = io.WriteString(c.conn, "GET /"+token+" HTTP/1.1\r\n"+hostLine+"\r\n") // may be closed already
	status, _, err := c.answer()
	if err != nil {
		return false, "nothing"
	}
	return status == "HTTP/1.1 302 Found", status
}

// A flood of idle connections takes what is allowed and no more: what comes beyond is turned away at once, and there is room again when the idle ones' time is over.
func TestIdleFlood(t *testing.T) {
	const most = 8
	r := newRig(t, func(o *Options, _ *journal.Options) { o.MaxConnections = most })
	r.http.IdleTimeout = 4 * time.Second
	addr, token := r.listen(), r.token(demoLink())
	for i := range most {
		if ok, got := r.answered(addr, token); !ok {
			t.Fatalf("connection %d got %s", i, got)
		}
	}
	if ok, got := r.answered(addr, token); ok || !strings.HasPrefix(got, "HTTP/1.1 503") && got != "nothing" {
		t.Errorf("beyond the limit: %v, %s", ok, got)
	}
	if n := r.Counts().Rejected["total"]; n != 1 {
		t.Errorf("%d rejected", n)
	}
	r.waitFor("room", func() bool { ok, _ := r.answered(addr, token); return ok })
}

// One client has its share, and gets it back when it closes; trusted proxies have all of theirs.
func TestConnectionsOfOneClient(t *testing.T) {
	r := newRig(t, func(o *Options, _ *journal.Options) { o.MaxPerAddress = 2 })
	addr, token := r.listen(), r.token(demoLink())
	first := dial(t, addr)
	first.send("GET /" + token + " HTTP/1.1\r\n" + hostLine + "\r\n")
	first.head()
	if ok, got := r.answered(addr, token); !ok {
		t.Fatalf("the second got %s", got)
	}
	if ok, got := r.answered(addr, token); ok || got != "nothing" {
		t.Errorf("the third got %s", got)
	}
	if n := r.Counts().Rejected["address"]; n != 1 {
		t.Errorf("%d rejected", n)
	}
	if err := first.conn.Close(); err != nil {
		t.Fatal(err)
	}
	r.waitFor("room", func() bool { ok, _ := r.answered(addr, token); return ok })

	trusting := newRig(t, func(o *Options, _ *journal.Options) {
		o.MaxPerAddress, o.TrustedProxies = 2, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	addr = trusting.listen()
	for i := range 5 {
		if ok, got := trusting.answered(addr, token); !ok {
			t.Errorf("connection %d of a proxy got %s", i, got)
		}
	}
}

func TestClientOf(t *testing.T) {
	for address, want := range map[string]string{
		"198.51.100.7:1": "198.51.100.7/32", "[::ffff:198.51.100.7]:1": "198.51.100.7/32", "[2001:db8:1:2:3::4]:1": "2001:db8:1:2::/64", "[fe80::1%eth0]:1": "fe80::/64",
	} {
		got, ok := clientOf(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address)))
		if !ok || got.String() != want {
			t.Errorf("%s counts for %v, want %s", address, got, want)
		}
	}
	if _, ok := clientOf(&net.UnixAddr{}); ok {
		t.Error("a Unix socket has an address")
	}
}
