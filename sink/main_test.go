package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sink": main})
}

// within is long enough for anything on a busy machine and ends a test that hangs.
const within = time.Minute

// TestScripts runs the real program. Besides testscript's own commands there are:
//
//	exits CODE COMMAND...   runs a command that must end with this exit code
//	start NAME [FLAG...]    starts sink; $NAME is its admin address once it is ready
//	end NAME [SIGNAL...]    sends signals (TERM where none is named) and waits; its exit code must be 0
//	get URL                 shows status and body
//	receive NAME            starts a receiver of webhooks; $NAME is its URL
//	answer NAME CODE [BODY] has it answer so from now on; 200 before
//	got NAME                shows the bodies that it took, one a line
//	click DIR NAME...       writes one click of each recipient into the journal in DIR
//	until REGEXP COMMAND... runs a command again until it prints what is wanted
//	grepstore TEXT DIR      says whether text stands in a file of a store
//	hold NAME               takes a free port for the rest of the script: $NAME is its host:port
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "start": startSink, "end": stopSink, "get": get, "hold": hold,
			"grepstore": grepStore,
			"receive":   receive, "answer": answer, "got": got, "click": click, "until": until,
		},
		Setup: func(env *testscript.Env) error {
			env.Values[running], env.Values[receiving] = map[string]*process{}, map[string]*scriptReceiver{}
			return nil
		},
	})
}

type key int

const (
	running key = iota
	receiving
)

// process is a sink that a script started.
type process struct {
	command *exec.Cmd
	ended   chan struct{}
	stderr  strings.Builder
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

func startSink(ts *testscript.TestScript, _ bool, args []string) {
	p := &process{command: exec.Command("sink", args[1:]...), ended: make(chan struct{})}
	path, err := exec.LookPath("sink")
	ts.Check(err)
	p.command.Path, p.command.Dir, p.command.Stderr = path, ts.MkAbs("."), &p.stderr
	p.command.Env = os.Environ()
	for name, r := range ts.Value(receiving).(map[string]*scriptReceiver) {
		p.command.Env = append(p.command.Env, name+"="+r.url) // for its settings
	}
	stdout, err := p.command.StdoutPipe()
	ts.Check(err)
	ts.Check(p.command.Start())
	lines := bufio.NewReader(stdout)
	first, err := lines.ReadString('\n')
	go func() {
		_, _ = io.Copy(io.Discard, lines)
		_ = p.command.Wait()
		close(p.ended)
	}()
	ts.Defer(func() { _ = p.command.Process.Kill(); <-p.ended })
	address, ok := strings.CutPrefix(strings.TrimSpace(first), "sink ready admin ")
	if err != nil || !ok {
		_ = p.command.Process.Kill()
		<-p.ended
		ts.Fatalf("not ready: %q, %v\n%s", first, err, p.stderr.String())
	}
	ts.Setenv(args[0], address)
	ts.Value(running).(map[string]*process)[args[0]] = p
}

func stopSink(ts *testscript.TestScript, _ bool, args []string) {
	p := ts.Value(running).(map[string]*process)[args[0]]
	signals := args[1:]
	if len(signals) == 0 {
		signals = []string{"TERM"}
	}
	for _, name := range signals {
		ts.Check(p.command.Process.Signal(map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT}[name]))
	}
	select {
	case <-p.ended:
	case <-time.After(within):
		ts.Fatalf("still running")
	}
	if code := p.command.ProcessState.ExitCode(); code != 0 {
		ts.Fatalf("exit code %d\n%s", code, p.stderr.String())
	}
}

func get(ts *testscript.TestScript, _ bool, args []string) {
	client := http.Client{Timeout: within, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(args[0])
	ts.Check(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	ts.Check(err)
	_, err = ts.Stdout().Write([]byte(response.Status + "\n" + string(body)))
	ts.Check(err)
}

// scriptReceiver is where a script has webhooks sent.
type scriptReceiver struct {
	url string

	mu   sync.Mutex
	code int
	body string
	took strings.Builder
}

func (r *scriptReceiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.took.WriteString(string(body) + "\n")
	w.WriteHeader(r.code)
	_, _ = io.WriteString(w, r.body)
}

func receive(ts *testscript.TestScript, _ bool, args []string) {
	r := &scriptReceiver{code: http.StatusOK}
	server := httptest.NewServer(r)
	ts.Defer(server.Close)
	r.url = server.URL
	ts.Value(receiving).(map[string]*scriptReceiver)[args[0]] = r
	ts.Setenv(args[0], server.URL)
}

func answer(ts *testscript.TestScript, _ bool, args []string) {
	code, err := strconv.Atoi(args[1])
	ts.Check(err)
	r := ts.Value(receiving).(map[string]*scriptReceiver)[args[0]]
	r.mu.Lock()
	defer r.mu.Unlock()
	r.code, r.body = code, strings.Join(args[2:], " ")
}

func got(ts *testscript.TestScript, _ bool, args []string) {
	r := ts.Value(receiving).(map[string]*scriptReceiver)[args[0]]
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := ts.Stdout().Write([]byte(r.took.String()))
	ts.Check(err)
}

func click(ts *testscript.TestScript, _ bool, args []string) {
	w, err := openJournal(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, recipient := range args[1:] {
		ts.Check(appendClick(w, recipient, 0))
	}
	ts.Check(w.Close())
}

func until(ts *testscript.TestScript, _ bool, args []string) {
	wanted := regexp.MustCompile("(?m)" + args[0])
	for deadline := time.Now().Add(within); ; time.Sleep(20 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		out := ts.ReadFile("stdout")
		if err == nil && wanted.MatchString(out) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("not within %v: %s\n%s%v", within, args[0], out, err)
		}
	}
}

func grepStore(ts *testscript.TestScript, neg bool, args []string) {
	entries, err := os.ReadDir(ts.MkAbs(args[1]))
	ts.Check(err)
	found := false
	for _, e := range entries {
		content, err := os.ReadFile(ts.MkAbs(args[1] + "/" + e.Name()))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			ts.Check(err)
		}
		if strings.Contains(string(content), args[0]) {
			found = true
			if neg {
				ts.Fatalf("%s stands in %s", args[0], e.Name())
			}
		}
	}
	if !found && !neg {
		ts.Fatalf("%s stands in no file", args[0])
	}
}

func hold(ts *testscript.TestScript, _ bool, args []string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = listener.Close() })
	ts.Setenv(args[0], listener.Addr().String())
}
