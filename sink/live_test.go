package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"waypost/edge/event"
	"waypost/edge/journal"
)

const (
	liveToken  = "00000000-0000-0000-0000-000000000001"
	otherToken = "00000000-0000-0000-0000-000000000002"
)

// lives is a sink that is killed and started anew, as processes, behind one address that stays.
type lives struct {
	*folder
	front *httptest.Server // its API, or else its admin listener
	admin bool

	mu      sync.Mutex
	back    *url.URL
	process *exec.Cmd
}

func newLives(t *testing.T, admin bool) *lives {
	t.Helper()
	l := &lives{folder: newFolder(t), admin: admin, back: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}}
	l.write("sink.yaml", settings+"api: {listen: 127.0.0.1:0}\n")
	l.write("tenants.yaml", fmt.Sprintf(`tenants:
  - {number: 1, name: demo, hosts: ["http://127.0.0.1:8080"], api_tokens: [%s]}
  - {number: 2, name: other, hosts: ["http://127.0.0.1:8081"], api_tokens: [%s]}
`, liveToken, otherToken))
	transport := &http.Transport{DisableKeepAlives: true}
	proxy := &httputil.ReverseProxy{FlushInterval: -1, Transport: transport, ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }}
	proxy.Rewrite = func(r *httputil.ProxyRequest) {
		l.mu.Lock()
		defer l.mu.Unlock()
		r.SetURL(l.back)
	}
	l.front = httptest.NewServer(proxy)
	t.Cleanup(func() { l.front.CloseClientConnections(); l.front.Close() })
	return l
}

// launch starts the sink.
func (l *lives) launch() {
	l.t.Helper()
	path, err := exec.LookPath("sink")
	if err != nil {
		l.t.Fatal(err)
	}
	command := exec.Command(path, "--config", filepath.Join(l.dir, "sink.yaml"))
	command.Stderr = os.Stderr
	stdout, err := command.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	lines := bufio.NewReader(stdout)
	line, err := lines.ReadString('\n')
	if err != nil {
		l.t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	_, addresses, _ := strings.Cut(strings.TrimSpace(line), "sink ready admin ")
	admin, api, _ := strings.Cut(addresses, " api ")
	if l.admin {
		api = admin
	}
	back, err := url.Parse(api)
	if err != nil || api == "" {
		l.t.Fatalf("first line %q", line)
	}
	l.mu.Lock()
	l.back, l.process = back, command
	l.mu.Unlock()
}

// kill ends it by SIGKILL.
func (l *lives) kill() {
	l.t.Helper()
	if err := l.process.Process.Kill(); err != nil {
		l.t.Fatal(err)
	}
	_ = l.process.Wait()
}

// watcher is a program that prints a line for each event.
type watcher struct {
	t       *testing.T
	command *exec.Cmd
	lines   *bufio.Scanner
	stderr  bytes.Buffer
	end     func()
}

func watch(t *testing.T, env []string, name string, args ...string) *watcher {
	t.Helper()
	w := &watcher{t: t, command: exec.Command(name, args...)}
	w.command.Env, w.command.Stderr = append(os.Environ(), env...), &w.stderr
	stdin, err := w.command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := w.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.command.Start(); err != nil {
		t.Fatal(err)
	}
	w.lines = bufio.NewScanner(stdout)
	w.end = sync.OnceFunc(func() { _ = stdin.Close(); _ = w.command.Wait() })
	t.Cleanup(func() { _ = w.command.Process.Kill(); w.end() })
	return w
}

func (w *watcher) next() string {
	w.t.Helper()
	if !w.lines.Scan() {
		w.end()
		w.t.Fatalf("it ended: %s", &w.stderr)
	}
	return w.lines.Text()
}

// hit writes an event of a mail of its own.
func (l *lives) hit(w *journal.Writer, n int, change ...func(*event.Event)) {
	l.t.Helper()
	l.click(w, "456", 0, append([]func(*event.Event){func(e *event.Event) {
		e.TenantName, e.Message, e.Recipient = "demo", fmt.Appendf(nil, "m%d", n), []byte("abc@prospect.com")
		e.Destination, e.Original = []byte("https://example.com/a"), nil
	}}, change...)...)
}

// `sink tail` prints each event once, in order, though the sink is killed and comes back, and ends with 0 by a signal.
func TestTail(t *testing.T) {
	l := newLives(t, true)
	w := l.journal()
	l.launch()
	l.hit(w, 0)
	path, err := exec.LookPath("sink")
	if err != nil {
		t.Fatal(err)
	}
	tail := watch(t, nil, path, "--config", filepath.Join(l.dir, "sink.yaml"), "tail", "--admin", l.front.URL, "--since", "oldest", "--tenant", "demo")
	shape := regexp.MustCompile(`^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z clicked    demo message=m(\d+) prospect=456 recipient=abc@prospect\.com first=any,person link=https://example\.com/a$`)
	const each = 50
	want := 0
	for range 3 {
		for ; want%each != 0 || want == 0; want++ {
			if want > 0 {
				l.hit(w, want)
			}
			if m := shape.FindStringSubmatch(tail.next()); m == nil || m[1] != fmt.Sprint(want) {
				t.Fatalf("%q, want that of m%d", tail.lines.Text(), want)
			}
		}
		l.kill()
		l.hit(w, want)
		l.hit(w, 1_000_000, func(e *event.Event) { e.Tenant, e.TenantName = 2, "other" })
		l.launch()
		if m := shape.FindStringSubmatch(tail.next()); m == nil || m[1] != fmt.Sprint(want) {
			t.Fatalf("after the sink was killed: %q, want that of m%d", tail.lines.Text(), want)
		}
		want++
	}
	if err := tail.command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	tail.end()
	if code := tail.command.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d: %s", code, &tail.stderr)
	}
	if said := tail.stderr.String(); strings.Count(said, "trying again\n") < 3 || strings.Contains(said, "missing") {
		t.Errorf("it said:\n%s", said)
	}
}

// listener is the example in a language.
type listener struct {
	name  string
	tools []string
	file  string
	build func(t *testing.T, file string) []string // what runs it
}

var listeners = []listener{
	{"node", []string{"node"}, "listener.mjs", func(_ *testing.T, file string) []string { return []string{"node", file} }},
	{"go", []string{"go"}, "listener.go", func(t *testing.T, file string) []string {
		program := filepath.Join(t.TempDir(), "listener")
		if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, file).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return []string{program}
	}},
}

// The examples print what they are told, and go on where they were when the sink was killed.
func TestListeners(t *testing.T) {
	for _, example := range listeners {
		t.Run(example.name, func(t *testing.T) {
			for _, tool := range example.tools {
				if _, err := exec.LookPath(tool); err != nil {
					if os.Getenv("CI") != "" {
						t.Fatalf("the listener was not run in %s: %v", example.name, err)
					}
					t.Skipf("NOT RUN IN %s: %v", strings.ToUpper(example.name), err)
				}
			}
			l := newLives(t, false)
			w := l.journal()
			l.launch()
			program := example.build(t, "live/testdata/listeners/"+example.file)
			watcher := watch(t, []string{"STREAM=" + l.front.URL + "/v1/events/stream?since=oldest", "TOKEN=" + liveToken}, program[0], program[1:]...)
			want := func(want string) {
				t.Helper()
				if got := watcher.next(); got != want {
					t.Fatalf("got  %s\nwant %s", got, want)
				}
			}
			l.hit(w, 1, func(e *event.Event) { e.Type, e.Destination = event.Opened, nil })
			l.hit(w, 1, func(e *event.Event) { e.Tenant = 2 })
			l.hit(w, 1)
			l.hit(w, 1)
			want("abc@prospect.com opened message m1")
			want("abc@prospect.com clicked https://example.com/a")
			l.kill()
			l.hit(w, 2, func(e *event.Event) {
				e.Type, e.Destination, e.Report = event.Bounced, nil, &event.Report{Provider: []byte("resend"), Reason: []byte("unknown user")}
			})
			l.launch()
			want("message m2 bounced: no more mails to abc@prospect.com")
			watcher.end()
			if code := watcher.command.ProcessState.ExitCode(); code != 0 {
				t.Errorf("exit code %d: %s", code, &watcher.stderr)
			}
		})
	}
}

// The README shows the examples as they are.
func TestReadmeShowsTheListeners(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for language, file := range map[string]string{"js": "listener.mjs", "go": "listener.go"} {
		program, err := os.ReadFile("live/testdata/listeners/" + file)
		if err != nil {
			t.Fatal(err)
		}
		_, section, _ := strings.Cut(string(readme), "\n## Live\n")
		_, rest, _ := strings.Cut(section, "```"+language+"\n")
		shown, _, _ := strings.Cut(rest, "```")
		indented := regexp.MustCompile(`(?m)^.`).ReplaceAllString(shown, "\t$0") // as it stands in a function
		if shown == "" || !strings.Contains(string(program), shown) && !strings.Contains(string(program), indented) {
			t.Errorf("%s holds other lines than the README:\n%s", file, cmp.Diff(string(program), shown))
		}
	}
}
