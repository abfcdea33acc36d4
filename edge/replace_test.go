package main

import (
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
)

// follower follows one link over and over.
type follower struct{ http *http.Client }

func newFollower(kept bool) *follower {
	return &follower{http: &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: !kept},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       2 * patience,
	}}
}

func (f *follower) follow(url, agent string) error {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", agent)
	req.Host = "links.example.com"
	resp, err := f.http.Do(req)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusFound {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

// Ten times a new edge takes the place of the one that runs, under load on kept and on new connections: no request fails, and the journal has each click once.
func TestReplacedUnderLoad(t *testing.T) {
	p := startEdge(t, t.TempDir(), "")
	var answered, slowest atomic.Int64
	var followers sync.WaitGroup
	stop := make(chan struct{})
	url := p.url + "/" + p.token(1)
	for n := range 8 {
		f := newFollower(n < 4)
		followers.Go(func() {
			defer f.http.CloseIdleConnections()
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				begun := time.Now()
				if err := f.follow(url, fmt.Sprintf("%d-%d", n, i)); err != nil {
					t.Errorf("follower %d, request %d: %v", n, i, err)
					return
				}
				answered.Add(1)
				if took := time.Since(begun).Nanoseconds(); took > slowest.Load() {
					slowest.Store(took)
				}
			}
		})
	}
	silent := p.dial() // holds each of its edges up for as long as a drain waits, and nobody else
	if _, err := silent.follow(p.token(1), "silent"); err != nil {
		t.Fatal(err)
	}
	answered.Add(1)
	for range 10 {
		before := answered.Load()
		next := startAgain(t, p.dir, p.keys, "--replace")
		if next.url != p.url || next.admin != p.admin {
			t.Fatalf("%s, admin %s took over from %s, admin %s", next.url, next.admin, p.url, p.admin)
		}
		p.end(0)
		p = next
		p.waitFor(func() bool {
			status, _ := p.get("/readyz")
			return status == http.StatusOK && p.metric(`waypost_edge_requests_total{outcome="redirect"}`) > 100 && answered.Load() > before+200 || t.Failed()
		})
	}
	close(stop)
	followers.Wait()
	p.signal(syscall.SIGTERM)
	p.end(0)
	t.Logf("%d requests, the slowest took %v", answered.Load(), time.Duration(slowest.Load()))
	times := map[string]int{}
	for _, line := range p.cat() {
		_, rest, _ := strings.Cut(line, `"user_agent":"`)
		agent, _, _ := strings.Cut(rest, `"`)
		times[agent]++
	}
	if int64(len(times)) != answered.Load() {
		t.Errorf("%d answered, %d in the journal", answered.Load(), len(times))
	}
	for agent, n := range times {
		if n != 1 {
			t.Errorf("click %s is %d times in the journal", agent, n)
		}
	}
	if code, out, errs := p.journal("verify"); code != 0 || strings.Count(out, "; finished\n") != 11 {
		t.Errorf("verify: %d %s%s", code, out, errs)
	}
}

// What is wrong with the new edge leaves the old one as it was.
func TestReplacementThatIsNotReady(t *testing.T) {
	p := startEdge(t, t.TempDir(), "")
	settings := filepath.Join(p.dir, "edge.yaml")
	good, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, settings, want string }{
		{"other address", strings.Replace(string(good), "listen: 127.0.0.1:0", "listen: 127.0.0.1:1", 1), "edge: replace: listen = 127.0.0.1:1, but the edge that runs listens on 127.0.0.1:"},
		{"no keys", strings.Replace(string(good), "keys: link.keys", "keys: none.keys", 1), "none.keys"},
	} {
		write(t, settings, c.settings)
		var errs bytes.Buffer
		cmd := exec.Command(os.Args[0], "--config", settings, "--replace")
		cmd.Env = append(os.Environ(), asProgram+"=1")
		cmd.Stderr = &errs
		if err := cmd.Run(); err == nil || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%s: %v\n%s", c.name, err, &errs)
		}
	}
	write(t, settings, string(good))
	// Who talks nonsense, and who goes away.
	for _, text := range []string{"no\n no\n", ""} {
		conn, err := net.Dial("unix", filepath.Join(p.dir, "journal", replaceSocket))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, text)
		_ = conn.Close()
	}
	f := newFollower(true)
	defer f.http.CloseIdleConnections()
	if err := f.follow(p.url+"/"+p.token(1), "after"); err != nil {
		t.Error(err)
	}
	next := startAgain(t, p.dir, p.keys, "--replace")
	p.end(0)
	if err := f.follow(next.url+"/"+p.token(1), "next"); err != nil {
		t.Error(err)
	}
	// Where none runs, --replace just starts.
	next.signal(syscall.SIGTERM)
	next.end(0)
	last := startAgain(t, p.dir, p.keys, "--replace")
	last.signal(syscall.SIGKILL)
	<-last.exited
	last = startAgain(t, p.dir, p.keys, "--replace") // the socket of the dead one is in the way
	last.signal(syscall.SIGTERM)
	last.end(0)
}

// A service manager's socket is served, and stays open when the edge ends: what connects meanwhile waits for the next edge.
func TestSocketOfTheServiceManager(t *testing.T) {
	dir := t.TempDir()
	p := startEdge(t, dir, "")
	p.signal(syscall.SIGTERM)
	p.end(0)
	manager, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	socket, err := manager.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	start := func() *process {
		// The shell gives the process its own number, as a service manager does.
		p := &process{TB: t, dir: dir, keys: p.keys, stderr: new(lines), exited: make(chan struct{})}
		p.cmd = exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"`, "sh", os.Args[0], "--config", filepath.Join(dir, "edge.yaml"))
		p.cmd.ExtraFiles = []*os.File{socket}
		p.run()
		return p
	}
	first := start()
	if want := "http://" + manager.Addr().String(); first.url != want {
		t.Fatalf("serves %s, want %s", first.url, want)
	}
	first.signal(syscall.SIGTERM)
	first.end(0)
	waiting := first.dial()
	second := start()
	if _, err := waiting.follow(second.token(1), "waited"); err != nil {
		t.Error(err)
	}
	second.signal(syscall.SIGTERM)
	second.end(0)
}
