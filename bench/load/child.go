package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// child is a server under load: a process alone on its core.
type child struct {
	name  string
	cmd   *exec.Cmd
	ready string // its line on stdout that says where it serves
	done  chan struct{}
	end   error
}

// everyCore stands in the place of a core for all of them.
const everyCore = -1

// startChild runs a program that prints "NAME ready ..." when it serves, keeps it on core with one Go processor, and waits for that line. On everyCore it is not kept anywhere. What
// it writes to stderr goes to the file log.
func startChild(ctx context.Context, core int, log, name, path string, args ...string) (*child, error) {
	var env []string
	if core != everyCore {
		env = []string{"GOMAXPROCS=1"}
	}
	c, err := launch(ctx, env, log, name, path, args...)
	if err != nil || core == everyCore {
		return c, err
	}
	if err := pin(c.cmd.Process.Pid, core); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

func launch(ctx context.Context, env []string, log, name, path string, args ...string) (*child, error) {
	c, ready, err := spawn(env, log, name, path, args...)
	if err != nil {
		return nil, err
	}
	if err := c.awaitReady(ctx, ready, log); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// spawn starts a program. Its line that says it is ready, if it writes one, comes on the channel.
func spawn(env []string, log, name, path string, args ...string) (*child, <-chan string, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, nil, fmt.Errorf("load: %s: %w", name, err)
	}
	defer file.Close()
	c := &child{name: name, cmd: exec.Command(path, args...), done: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.Stderr = file
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches the bench alone, which stops its children in order
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("load: %s: %w", name, err)
	}
	ready := make(chan string, 1)
	go c.watch(out, ready)
	return c, ready, nil
}

// watch reads stdout to its end, which is also the process's.
func (c *child) watch(out io.Reader, ready chan<- string) {
	defer close(c.done)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), c.name+" ready ") {
			select {
			case ready <- lines.Text():
			default:
			}
		}
	}
	_, _ = io.Copy(io.Discard, out)
	c.end = c.cmd.Wait()
}

func (c *child) awaitReady(ctx context.Context, ready <-chan string, log string) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	select {
	case c.ready = <-ready:
		return nil
	case <-c.done:
		text, _ := os.ReadFile(log)
		return fmt.Errorf("load: %s ended before it was ready (%v): %s", c.name, c.end, strings.TrimSpace(string(text))) //nolint:errorlint // nil where it ended by itself
	case <-ctx.Done():
		return fmt.Errorf("load: %s was not ready in time: %w", c.name, ctx.Err())
	}
}

// readyWithin is how long a server may take to serve.
const readyWithin = 30 * time.Second

func (c *child) pid() int { return c.cmd.Process.Pid }

// stop asks the process to end, and ends it, with the processes that it made, when it does not within ten seconds.
func (c *child) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(10 * time.Second):
		_ = syscall.Kill(-c.pid(), syscall.SIGKILL) // its group: see spawn
		<-c.done
	}
}

// origin finds the word after the given one in the ready line: "on" http://127.0.0.1:8080.
func (c *child) origin(after string) (string, error) {
	words := strings.Fields(c.ready)
	for i := range len(words) - 1 {
		if words[i] == after {
			return words[i+1], nil
		}
	}
	return "", fmt.Errorf("load: %s: no %q in its line %q", c.name, after, c.ready)
}

// program finds one of Waypost's programs: the given path, or the one that stands beside this one (bin/).
func program(path, name string) (string, error) {
	if path == "" {
		self, err := os.Executable()
		if err != nil {
			return "", err
		}
		path = filepath.Join(filepath.Dir(self), name)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("load: there is no program %s: `make build` makes it beside this one, or name one by --%s", path, name)
	}
	return path, nil
}
