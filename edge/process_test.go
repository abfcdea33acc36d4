package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"waypost/mint/link"
)

// patience bounds every wait of these tests.
const patience = 2 * time.Minute

// process is a running edge with a directory of its own.
type process struct {
	testing.TB
	cmd        *exec.Cmd
	dir        string
	url, admin string
	keys       *link.Keyring
	stderr     *lines
	exited     chan struct{} // closed when it has ended; code is set before
	code       int
}

// lines keeps what a process writes.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startEdge writes settings into dir, with journal as the lines below the key journal, and starts the program. Its drain_timeout ends only what hangs, however slow the
// machine is, unless journal sets another.
func startEdge(t testing.TB, dir, journal string) *process {
	t.Helper()
	keyFile := filepath.Join(dir, "link.keys")
	if err := link.InitKeyFile(keyFile); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(journal, "drain_timeout: ") {
		journal += "drain_timeout: 60s\n"
	}
	write(t, filepath.Join(dir, "edge.yaml"), "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nkeys: link.keys\ntenants: tenants.yaml\njournal:\n  dir: journal\n"+journal)
	write(t, filepath.Join(dir, "tenants.yaml"), "tenants:\n  - {number: 1, name: demo, hosts: [links.example.com], inbound: {maileroo: {secrets: [test-secret]}}}\n")
	keys, err := link.LoadKeyring(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	return startAgain(t, dir, keys)
}

// startAgain starts the program on what startEdge has written.
func startAgain(t testing.TB, dir string, keys *link.Keyring, args ...string) *process {
	t.Helper()
	p := &process{TB: t, dir: dir, keys: keys, stderr: new(lines), exited: make(chan struct{})}
	p.cmd = exec.Command(os.Args[0], append([]string{"--config", filepath.Join(dir, "edge.yaml")}, args...)...)
	p.run()
	return p
}

// run starts the command, and waits until it is ready.
func (p *process) run() {
	p.Helper()
	p.cmd.Env = append(os.Environ(), asProgram+"=1")
	p.cmd.Stderr = p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		p.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.Fatal(err)
	}
	ready, err := bufio.NewReader(stdout).ReadString('\n')
	go func() {
		_, _ = io.Copy(io.Discard, stdout)
		_ = p.cmd.Wait()
		p.code = p.cmd.ProcessState.ExitCode()
		close(p.exited)
	}()
	p.Cleanup(func() {
		_ = p.cmd.Process.Kill() // ended long ago, when the test went well
		<-p.exited
	})
	if _, scan := fmt.Sscanf(ready, "edge ready on %s admin %s\n", &p.url, &p.admin); scan != nil || err != nil {
		p.Fatalf("not ready: %q, %v, %v\n%s", ready, scan, err, p.stderr)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p *process) token(number int) string {
	p.Helper()
	token, err := p.keys.AppendToken(nil, &link.Link{Tenant: 1, Minted: link.Minutes(time.Now()), Number: uint32(number),
		Message: link.ParseID([]byte("123")), Prospect: link.ParseID([]byte("456")), Destination: []byte("https://bit.ly/33zYFqH")})
	if err != nil {
		p.Fatal(err)
	}
	return string(token)
}

func (p *process) signal(s os.Signal) {
	p.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.Fatal(err)
	}
}

// end waits for the end of the process and checks its exit code.
func (p *process) end(code int) {
	p.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.Fatalf("still running\n%s", p.stderr)
	}
	if p.code != code {
		p.Fatalf("exit code %d, want %d\n%s", p.code, code, p.stderr)
	}
}

// get reads a page of the admin listener.
func (p *process) get(path string) (status int, body string) {
	p.Helper()
	resp, err := http.Get(p.admin + path)
	if err != nil {
		p.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		p.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// metric reads one value from /metrics; name includes the labels.
func (p *process) metric(name string) (value float64) {
	p.Helper()
	_, page := p.get("/metrics")
	for line := range strings.Lines(page) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			if _, err := fmt.Sscan(rest, &value); err != nil {
				p.Fatal(err)
			}
			return value
		}
	}
	p.Fatalf("no metric %s in\n%s", name, page)
	return 0
}

// journal runs `edge journal COMMAND` on the process's journal.
func (p *process) journal(command string) (code int, stdout, stderr string) {
	p.Helper()
	var out, errs bytes.Buffer
	code = run(nil, []string{"journal", command, filepath.Join(p.dir, "journal")}, nil, &out, &errs)
	return code, out.String(), errs.String()
}

func (p *process) cat() []string {
	p.Helper()
	code, out, errs := p.journal("cat")
	if code != 0 || errs != "" {
		p.Fatalf("journal cat: exit %d\n%s", code, errs)
	}
	return strings.Split(strings.TrimSuffix(out, "\n"), "\n")
}

// client is one kept connection.
type client struct {
	conn net.Conn
	in   *bufio.Reader
}

func (p *process) dial() *client {
	p.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(2 * patience))
	return &client{conn, bufio.NewReader(conn)}
}

// follow asks for a link. told says that the server ends the connection.
func (c *client) follow(token, agent string) (told bool, err error) {
	if _, err := fmt.Fprintf(c.conn, "GET /%s HTTP/1.1\r\nHost: links.example.com\r\nUser-Agent: %s\r\n\r\n", token, agent); err != nil {
		return false, err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return false, err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusFound || resp.Header.Get("Location") != "https://bit.ly/33zYFqH" {
		return false, fmt.Errorf("status %d, Location %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	return resp.Close, nil
}

func TestServe(t *testing.T) {
	p := startEdge(t, t.TempDir(), "")
	c := p.dial()
	if _, err := c.follow(p.token(1), "first"); err != nil {
		t.Fatal(err)
	}
	if status, body := p.get("/readyz"); status != 200 {
		t.Errorf("/readyz: %d %s", status, body)
	}
	if n := p.metric(`waypost_edge_requests_total{outcome="redirect"}`); n != 1 {
		t.Errorf("%v redirects", n)
	}
	// Another process reads while this one writes.
	if events := p.cat(); len(events) != 1 || !strings.Contains(events[0], `"user_agent":"first"`) {
		t.Errorf("events %q", events)
	}
	// A second edge cannot write there too.
	var errs bytes.Buffer
	if code := run(nil, []string{"--config", filepath.Join(p.dir, "edge.yaml")}, os.Environ(), io.Discard, &errs); code != 1 ||
		!strings.Contains(errs.String(), "edge: journal: another process writes here") {
		t.Errorf("a second edge: exit %d\n%s", code, errs.String())
	}
	p.signal(syscall.SIGTERM)
	p.end(0)
	if code, out, errs := p.journal("verify"); code != 0 || !strings.HasSuffix(out, "; finished\n1 events, 0 holes of unanswered clicks, no damage\n") || errs != "" {
		t.Errorf("verify: %d %s%s", code, out, errs)
	}
	if log := p.stderr.String(); strings.Contains(log, "127.0.0.1:") && strings.Contains(log, "bit.ly") {
		t.Errorf("the log tells who went where:\n%s", log)
	}
}

// SIGTERM under load: no request on an accepted connection is cut, and what was answered is in the journal, once.
func TestSigtermUnderLoad(t *testing.T) {
	p := startEdge(t, t.TempDir(), "")
	const clients = 16
	token := p.token(1)
	var answered atomic.Int64
	warm := make(chan struct{}, clients)
	var wg sync.WaitGroup
	for n := range clients {
		c := p.dial()
		wg.Go(func() {
			for i := 0; ; i++ {
				told, err := c.follow(token, fmt.Sprintf("%d-%d", n, i))
				if err != nil {
					t.Errorf("client %d, request %d was cut: %v", n, i, err)
					warm <- struct{}{}
					return
				}
				answered.Add(1)
				if i == 50 {
					warm <- struct{}{}
				}
				if told {
					return
				}
			}
		})
	}
	for range clients {
		<-warm
	}
	p.signal(syscall.SIGTERM)
	wg.Wait()
	p.end(0)
	agents := map[string]int{}
	for _, line := range p.cat() {
		_, rest, _ := strings.Cut(line, `"user_agent":"`)
		agent, _, _ := strings.Cut(rest, `"`)
		agents[agent]++
	}
	if int64(len(agents)) != answered.Load() {
		t.Errorf("%d answered, %d in the journal", answered.Load(), len(agents))
	}
	for agent, n := range agents {
		if n != 1 {
			t.Errorf("click %s is %d times in the journal", agent, n)
		}
	}
}

// A client that does not finish its request holds a drain up until the second signal.
func TestSecondSignal(t *testing.T) {
	p := startEdge(t, t.TempDir(), "")
	hanging := p.dial()
	if _, err := io.WriteString(hanging.conn, "GET / HTTP/1.1\r\nHos"); err != nil {
		t.Fatal(err)
	}
	p.waitFor(func() bool { return p.metric("waypost_edge_connections") == 1 })
	p.signal(syscall.SIGTERM)
	p.waitFor(func() bool {
		_, body := p.get("/readyz")
		return strings.Contains(body, "draining")
	})
	p.signal(syscall.SIGTERM)
	p.end(1)
	if log := p.stderr.String(); !strings.Contains(log, "edge: second signal") {
		t.Error(log)
	}
	if code, _, errs := p.journal("verify"); code != 0 {
		t.Error(errs)
	}
}

func (p *process) waitFor(condition func() bool) {
	p.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for end := time.Now().Add(patience); !condition(); <-poll.C {
		if time.Now().After(end) {
			p.Fatalf("waited in vain\n%s", p.stderr)
		}
	}
}

// Whether the budget or the disk is spent, people get where they go, and what the journal lacks is what was counted.
func TestFullJournalRedirects(t *testing.T) {
	const spare = "  segment_bytes: 64KiB\n  budget: 256KiB\n  keep_bytes: 64KiB\n"
	t.Run("budget", func(t *testing.T) { testFull(t, t.TempDir(), spare, "full") })
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Logf("no small file system can be mounted here (%v): the budget's run stands for it", err)
		return
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	t.Run("disk", func(t *testing.T) {
		testFull(t, dir, "  segment_bytes: 64KiB\n  budget: 1GiB\n  keep_bytes: 64KiB\n", "disk_full")
	})
}

func testFull(t *testing.T, dir, journal, reason string) {
	p := startEdge(t, dir, journal+"  consumers: [nobody]\n")
	c := p.dial()
	token := p.token(1)
	lost := func(reason string) float64 {
		return p.metric(fmt.Sprintf("waypost_edge_events_lost_total{reason=%q}", reason))
	}
	redirects := 0
	for range 5000 {
		if _, err := c.follow(token, "full"); err != nil {
			t.Fatal(err)
		}
		redirects++
	}
	full := lost(reason)
	counted := full + lost("stalled") // the disk may also be too slow for segments this small
	p.waitFor(func() bool {
		status, body := p.get("/readyz")
		return status == 503 && strings.Contains(body, "events lost: "+reason)
	})
	p.signal(syscall.SIGTERM)
	p.end(0)
	kept := len(p.cat())
	if full == 0 || kept == 0 || int(counted)+kept != redirects {
		t.Errorf("%d redirects, %d events in the journal, %v counted as lost", redirects, kept, counted)
	}
	told := 0
	for line := range strings.Lines(p.stderr.String()) {
		var held int
		if _, text, ok := strings.Cut(line, "held_back="); ok {
			if _, err := fmt.Sscan(text, &held); err != nil {
				t.Fatal(err)
			}
		}
		told += held
		if strings.Contains(line, "event lost") {
			told++
		}
	}
	if told != int(counted) {
		t.Errorf("the log tells %d losses of %v:\n%s", told, counted, p.stderr)
	}
}
