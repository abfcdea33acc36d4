package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"waypost/mint/server"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mint": main})
}

// TestScripts runs the real program. Besides testscript's own commands there are:
//
//	exits CODE COMMAND...      runs a command that must end with this exit code
//	start [FLAG...]            starts mint; $MINT and $ADMIN are its addresses once it is ready
//	ends CODE SIGNAL...        sends signals, the second when the first has closed the listener; mint must end with
//	                           this exit code; what it said on stderr is shown as stdout
//	signal NAME                sends a signal, and goes on
//	await URL REGEXP           gets URL until its body matches
//	load                       posts one.json for tenant demo from several connections from now on; each request must be answered 200, or
//	                           told that there is no time for it
//	unload                     ends that; some must have been answered since the last signal
//	stall                      keeps requests under way that never come to their end
//	get URL                    shows status and body
//	post URL KEY FILE          posts FILE as JSON with that API key, and shows status and body
//	keep NAME                  sets $NAME to what the last command said on stdout
//	hold NAME                  takes a free port for the rest of the script: $NAME is its host:port
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":  exits,
			"start":  start,
			"ends":   ends,
			"signal": send,
			"await":  await,
			"load":   load,
			"unload": unload,
			"stall":  stall,
			"get":    get,
			"post":   postWithKey,
			"hold":   hold,
			"keep": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
			},
		},
		Setup: func(env *testscript.Env) error {
			env.Values[running] = new(process)
			request, err := os.ReadFile("server/testdata/outreach-request.json")
			if err != nil {
				return err
			}
			return os.WriteFile(env.WorkDir+"/outreach-request.json", request, 0o644)
		},
	})
}

type key int

const running key = 0

// process is the mint that a script started.
type process struct {
	command *exec.Cmd
	stderr  strings.Builder

	clients  sync.WaitGroup // of load
	stop     atomic.Bool
	answered atomic.Int64 // since the last signal
	failed   func() bool
}

var signals = map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func start(ts *testscript.TestScript, _ bool, args []string) {
	path, err := exec.LookPath(strings.Split(ts.Getenv("PATH"), ":")[0] + "/mint")
	ts.Check(err)
	p := ts.Value(running).(*process)
	p.command = exec.Command(path, args...)
	p.command.Dir = ts.MkAbs(".")
	p.command.Env = []string{"PATH=" + ts.Getenv("PATH")}
	p.stderr.Reset()
	p.command.Stderr = &p.stderr
	out, err := p.command.StdoutPipe()
	ts.Check(err)
	ts.Check(p.command.Start())
	ts.Defer(func() { _ = p.command.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	var mint, admin string
	if _, scanned := fmt.Sscanf(line, "mint ready on %s admin %s\n", &mint, &admin); scanned != nil {
		_ = p.command.Wait()
		ts.Fatalf("not ready: %q, %v\n%s", line, err, p.stderr.String())
	}
	ts.Setenv("MINT", mint)
	ts.Setenv("ADMIN", admin)
}

func ends(ts *testscript.TestScript, _ bool, args []string) {
	p := ts.Value(running).(*process)
	for i, name := range args[1:] {
		if i > 0 {
			waitClosed(ts)
		}
		ts.Check(p.command.Process.Signal(signals[name]))
	}
	_ = p.command.Wait()
	_, _ = io.WriteString(ts.Stdout(), p.stderr.String())
	if got := p.command.ProcessState.ExitCode(); strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s\n%s", got, args[0], p.stderr.String())
	}
}

func send(ts *testscript.TestScript, _ bool, args []string) {
	p := ts.Value(running).(*process)
	ts.Check(p.command.Process.Signal(signals[args[0]]))
	p.answered.Store(0)
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	want := regexp.MustCompile("(?m)" + args[1])
	var body string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if _, body = ask(ts, args[0]); want.MatchString(body) != neg {
			return
		}
	}
	ts.Fatalf("%s: never what was awaited, but\n%s", args[0], body)
}

// load needs a client of its own: a failure must not end a goroutine of the script.
func load(ts *testscript.TestScript, _ bool, _ []string) {
	p := ts.Value(running).(*process)
	url, body := ts.Getenv("MINT")+"/outreach/demo", ts.ReadFile("one.json")
	p.stop.Store(false)
	faults := make(chan string, 100)
	transport := &http.Transport{MaxIdleConnsPerHost: 4}
	client := &http.Client{Transport: transport, Timeout: 60 * time.Second}
	for range 4 {
		p.clients.Go(func() {
			for !p.stop.Load() {
				switch fault := post(client, url, body); {
				case fault == "":
					p.answered.Add(1)
				case strings.HasPrefix(fault, busy): // a machine that stood still for the whole time of an answer
				default:
					faults <- fault
					return
				}
			}
		})
	}
	ts.Defer(func() {
		p.stop.Store(true)
		p.clients.Wait()
		transport.CloseIdleConnections()
		close(faults)
		for fault := range faults {
			ts.Logf("under load: %s", fault)
		}
	})
	p.failed = func() bool { return len(faults) > 0 }
}

// busy begins what post says of mint's own refusal to be late.
const busy = "503 Service Unavailable {\"error\":\"too much to do to answer in time\"}"

// post gives what was wrong with the answer.
func post(client *http.Client, url, body string) string {
	request, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	request.Header.Set(server.SignatureHeader, server.Sign([]byte(body), "test-secret"))
	response, err := client.Do(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(text), "https://links.example.com/") {
		return fmt.Sprintf("%s %s (%v)", response.Status, text, err)
	}
	return ""
}

func unload(ts *testscript.TestScript, _ bool, _ []string) {
	p := ts.Value(running).(*process)
	for deadline := time.Now().Add(time.Minute); p.answered.Load() < 20 && !p.failed() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	p.stop.Store(true)
	p.clients.Wait()
	if p.failed() || p.answered.Load() < 20 {
		ts.Fatalf("under load: %d answered since the last signal, failed: %v", p.answered.Load(), p.failed())
	}
}

func waitClosed(ts *testscript.TestScript) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		c, err := net.Dial("tcp", address(ts))
		if err != nil {
			return
		}
		_ = c.Close()
	}
	ts.Fatalf("the listener stays open")
}

func address(ts *testscript.TestScript) string {
	return strings.TrimPrefix(ts.Getenv("MINT"), "http://")
}

// stall begins a request every 50 ms until no more are taken: each lives for answer_within, so that some are always under way.
func stall(ts *testscript.TestScript, _ bool, _ []string) {
	addr := address(ts)
	begun, ended := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for n := range 400 {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				break
			}
			defer c.Close()
			// Who was told to continue is past the accept queue and being served.
			_, _ = io.WriteString(c, "POST /outreach/demo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n")
			if _, err := io.ReadFull(c, make([]byte, len("HTTP/1.1 100 Continue"))); err != nil {
				break
			}
			if n == 0 {
				close(begun)
			}
			time.Sleep(50 * time.Millisecond)
		}
		<-ended
	})
	ts.Defer(func() {
		close(ended)
		all.Wait()
	})
	select {
	case <-begun:
	case <-time.After(time.Minute):
		ts.Fatalf("no connection to %s", addr)
	}
}

func get(ts *testscript.TestScript, _ bool, args []string) {
	status, body := ask(ts, args[0])
	_, _ = fmt.Fprintf(ts.Stdout(), "%d\n%s\n", status, body)
}

func ask(ts *testscript.TestScript, url string) (int, string) {
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	ts.Check(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	ts.Check(err)
	return response.StatusCode, string(body)
}

// postWithKey asks again where mint had too little time: the same request gives the same links.
func postWithKey(ts *testscript.TestScript, _ bool, args []string) {
	client := http.Client{Timeout: 60 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for deadline := time.Now().Add(time.Minute); ; {
		request, err := http.NewRequest(http.MethodPost, args[0], strings.NewReader(ts.ReadFile(args[2])))
		ts.Check(err)
		request.Header.Set("Authorization", "Bearer "+args[1])
		request.Header.Set("Content-Type", "application/json")
		response, err := client.Do(request)
		ts.Check(err)
		body, err := io.ReadAll(response.Body)
		ts.Check(err)
		ts.Check(response.Body.Close())
		hurried := response.StatusCode == http.StatusServiceUnavailable || strings.Contains(string(body), `"late":`)
		if !hurried || time.Now().After(deadline) {
			_, _ = fmt.Fprintf(ts.Stdout(), "%d\n%s\n", response.StatusCode, body)
			return
		}
	}
}

func hold(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}
