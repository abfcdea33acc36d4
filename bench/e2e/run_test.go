package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"waypost/bench/stack"
	"waypost/configs"
)

// portOffsets are those of `bench run`, from its base; the last two are Kafka's.
var portOffsets = []int{0, 1, 10, 1000, 1001, 1002, 1012, 1013}

// runPorts finds a base at which all ports of `bench run` are free. They are apart from those that stack, kafka and other tests draw, which run at the same time.
func runPorts(t *testing.T) int {
	t.Helper()
	for range 1000 {
		base := 4000 + rand.IntN(4900)
		free := true
		for _, offset := range portOffsets {
			free = free && stack.PortFree(base+offset)
		}
		if free {
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}

// session is one `bench run`.
type session struct {
	t       *testing.T
	command *exec.Cmd
	ended   chan error

	mu             sync.Mutex
	stdout, stderr bytes.Buffer
}

// locked writes under the session's lock.
type locked struct {
	s *session
	w io.Writer
}

func (l locked) Write(p []byte) (int, error) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	return l.w.Write(p)
}

func startRun(t *testing.T, base int, state string, more ...string) *session {
	t.Helper()
	s := &session{t: t, ended: make(chan error, 1)}
	s.command = exec.Command(filepath.Join(programs, "bench"), append([]string{"run", "--ports", fmt.Sprint(base), "--state", state}, more...)...)
	s.command.Stdout, s.command.Stderr = locked{s, &s.stdout}, locked{s, &s.stderr}
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		s.ended <- s.command.Wait()
		close(over)
	}()
	t.Cleanup(func() {
		_ = s.command.Process.Kill() // its children die with it
		<-over
	})
	return s
}

func (s *session) out() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stdout.String()
}

func (s *session) complaint() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stderr.String()
}

// saw waits until stdout matches, and gives the match.
func (s *session) saw(pattern string) []string {
	s.t.Helper()
	expression := regexp.MustCompile(pattern)
	var found []string
	wait(s.t, pattern, func() bool {
		select {
		case err := <-s.ended:
			s.t.Fatalf("ended before %q: %v\n%s\n%s", pattern, err, s.out(), s.complaint())
		default:
		}
		found = expression.FindStringSubmatch(s.out())
		return found != nil
	})
	return found
}

// exit waits for the end and gives the exit status.
func (s *session) exit() int {
	s.t.Helper()
	var err error
	ended := false
	wait(s.t, "the end", func() bool {
		select {
		case err = <-s.ended:
			ended = true
		default:
		}
		return ended
	})
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		s.t.Fatal(err)
	}
	return s.command.ProcessState.ExitCode()
}

// curl makes the request that the printed command would make.
func (s *session) curl() *http.Request {
	s.t.Helper()
	m := s.saw(`(?m)^curl -s (\S+) -H 'Content-Type: application/json' -H 'Outreach-Webhook-Signature: ([0-9a-f]{64})' -d '([^'\n]+)'$`)
	q, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, m[1], strings.NewReader(m[3]))
	if err != nil {
		s.t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Outreach-Webhook-Signature", m[2])
	q.Close = true
	return q
}

// visit does what a person would: asks for links, follows one thrice, and reads what the demo prints.
func (s *session) visit() {
	s.t.Helper()
	s.saw(`(?m)^Waypost is ready\.$`)
	var response *http.Response
	wait(s.t, "mint to have time", func() (answered bool) { // on a busy machine it says 503 rather than be late
		var err error
		if response, err = http.DefaultTransport.RoundTrip(s.curl()); err != nil {
			s.t.Fatal(err)
		}
		if answered = response.StatusCode != http.StatusServiceUnavailable; !answered {
			response.Body.Close()
		}
		return answered
	})
	defer response.Body.Close()
	var answer struct {
		Data map[string]string `json:"data"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		s.t.Fatal(err)
	}
	if len(answer.Data) != 2 {
		s.t.Fatalf("links %v", answer.Data)
	}
	const value, original = "https://bit.ly/33zYFqH", "https://www.google.com/"
	for range 3 {
		q, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, answer.Data[value], nil)
		if err != nil {
			s.t.Fatal(err)
		}
		q.Close = true
		redirect, err := http.DefaultTransport.RoundTrip(q)
		if err != nil {
			s.t.Fatal(err)
		}
		redirect.Body.Close()
		if got := redirect.Header.Get("Location"); redirect.StatusCode != http.StatusFound || got != value {
			s.t.Fatalf("%d to %q", redirect.StatusCode, got)
		}
	}
	id := s.saw(`(?m)^click (\S+) first$`)[1]
	s.saw(`(?s)click \S+ repeat\n.*click \S+ repeat\n`)
	for _, format := range configs.Formats {
		body := s.saw(`(?m)^webhook /` + format + ` verified ` + id + ` (.*)$`)[1]
		if !strings.Contains(body, `"`+original+`"`) {
			s.t.Errorf("webhook without %s: %s", original, body)
		}
	}
}

// `make run` twice in a row: both times the whole session works with what was printed, and Ctrl-C ends it in order.
func TestRunTwice(t *testing.T) {
	base, state := runPorts(t), filepath.Join(t.TempDir(), "var")
	twice(t, base, state)
}

// The same with a real Kafka between edge and sink: `make run-kafka`.
func TestRunTwiceWithKafka(t *testing.T) {
	for _, tool := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Skipf("NOT TESTED ON A REAL BROKER: %v", err)
		}
	}
	jars, err := filepath.Abs("../../var/kafka/jars") // all tests share them
	if err != nil {
		t.Fatal(err)
	}
	twice(t, runPorts(t), filepath.Join(t.TempDir(), "var"), "--kafka", "--jars", jars)
}

func twice(t *testing.T, base int, state string, more ...string) {
	t.Helper()
	for range 2 {
		s := startRun(t, base, state, more...)
		s.visit()
		if err := s.command.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if status := s.exit(); status != 0 {
			t.Fatalf("exit status %d\n%s\n%s", status, s.out(), s.complaint())
		}
		if got := s.out(); !strings.HasSuffix(got, "stopping mint, edge, sink\nstopped\n") {
			t.Errorf("last words: %q", got[max(0, len(got)-200):])
		}
		wants := map[string]int{`(?m)^click \S+ first$`: 1, `(?m)^click \S+ repeat$`: 2}
		for _, format := range configs.Formats {
			wants[`(?m)^webhook /`+format+` verified`] = 1
		}
		for pattern, want := range wants {
			if n := len(regexp.MustCompile(pattern).FindAllString(s.out(), -1)); n != want {
				t.Errorf("%s: %d lines, want %d\n%s", pattern, n, want, s.out())
			}
		}
		for _, offset := range portOffsets {
			if !stack.PortFree(base + offset) {
				t.Errorf("port %d is still taken", base+offset)
			}
		}
	}
}

// What goes wrong is said in one line, everything is stopped, and the exit status is 1.
func TestRunFaults(t *testing.T) {
	oneLine := func(t *testing.T, s *session, want string) {
		t.Helper()
		if status := s.exit(); status != 1 {
			t.Errorf("exit status %d, want 1", status)
		}
		said := s.complaint()
		if strings.Count(said, "\n") != 1 || !strings.Contains(said, want) {
			t.Errorf("said %q, want one line with %q", said, want)
		}
	}
	for offset, name := range map[int]string{0: "the edge", 1: "mint", 10: "the receiver", 1002: "the sink's admin listener"} {
		t.Run("port of "+name, func(t *testing.T) {
			base := runPorts(t)
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+offset))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			oneLine(t, startRun(t, base, filepath.Join(t.TempDir(), "var")), fmt.Sprintf("port %d of 127.0.0.1, for %s, is taken", base+offset, name))
		})
	}
	t.Run("missing key", func(t *testing.T) {
		base, state := runPorts(t), filepath.Join(t.TempDir(), "var")
		s := startRun(t, base, state)
		s.saw(`ready\.`)
		interrupt(t, s)
		if err := os.Remove(filepath.Join(state, "link.keys")); err != nil {
			t.Fatal(err)
		}
		oneLine(t, startRun(t, base, state), "link.keys is missing")
	})
	t.Run("unsafe key", func(t *testing.T) {
		base, state := runPorts(t), filepath.Join(t.TempDir(), "var")
		s := startRun(t, base, state)
		s.saw(`ready\.`)
		interrupt(t, s)
		if err := os.Chmod(filepath.Join(state, "link.keys"), 0o644); err != nil {
			t.Fatal(err)
		}
		oneLine(t, startRun(t, base, state), "link.keys")
	})
	t.Run("second launcher", func(t *testing.T) {
		state := filepath.Join(t.TempDir(), "var")
		startRun(t, runPorts(t), state).saw(`ready\.`)
		oneLine(t, startRun(t, runPorts(t), state), "another `bench run` uses")
	})
	for _, name := range []string{"edge", "mint", "sink"} {
		t.Run("dying "+name, func(t *testing.T) {
			base, state := runPorts(t), filepath.Join(t.TempDir(), "var")
			s := startRun(t, base, state)
			s.saw(`ready\.`)
			if err := syscall.Kill(childOf(t, s.command.Process.Pid, name), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			oneLine(t, s, name+" ended (signal: killed)")
			for _, offset := range portOffsets {
				if !stack.PortFree(base + offset) {
					t.Errorf("port %d is still taken", base+offset)
				}
			}
		})
	}
	t.Run("wrong flag", func(t *testing.T) {
		text, err := exec.CommandContext(context.Background(), filepath.Join(programs, "bench"), "run", "--ports", "70000").CombinedOutput()
		var status *exec.ExitError
		if !errors.As(err, &status) || status.ExitCode() != 2 || !strings.Contains(string(text), "--ports=70000") {
			t.Errorf("%v: %s", err, text)
		}
	})
}

func interrupt(t *testing.T, s *session) {
	t.Helper()
	if err := s.command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if status := s.exit(); status != 0 {
		t.Fatalf("exit status %d: %s", status, s.complaint())
	}
}

// childOf finds a child process by its program's name.
func childOf(t *testing.T, parent int, name string) int {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		var pid, ppid int
		var program, state string
		if _, err := fmt.Sscanf(string(text), "%d %s %s %d", &pid, &program, &state, &ppid); err == nil && ppid == parent && program == "("+name+")" {
			return pid
		}
	}
	t.Fatalf("no child %s of %d", name, parent)
	return 0
}
