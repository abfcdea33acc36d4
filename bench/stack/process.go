package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Errors of a Process. They are values: compare with errors.Is.
var (
	ErrRunning = errors.New("already running")
	ErrStopped = errors.New("not running")
)

// Process is one program that can have several lives: Start begins one, Kill, Stop or its own death ends it. Methods may be called from
// several goroutines.
type Process struct {
	Name  string // edge, edge-2, mint, sink ...
	URL   string // where it serves; empty for a sink
	Admin string // where its metrics are

	path string
	args []string
	log  string // file
	// onLine is told of each line of stdout and stderr; it must not call the Process.
	onLine func(name, line string)

	mu  sync.Mutex
	env []string
	now *life
}

// life is one process of a Process.
type life struct {
	cmd      *exec.Cmd
	out, err *output
	ready    chan struct{}
	done     chan struct{}
	wait     error // set before done is closed
}

// SetEnv gives the next lives these variables beside the launcher's own: WAYPOST_FAULT=journal.reserved:100:KILL.
func (p *Process) SetEnv(env ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.env = env
}

// Start begins a life and returns when the program has said that it is ready. When it ends before, the error names its last words.
func (p *Process) Start(ctx context.Context) error {
	l, err := p.begin()
	if err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	return p.awaitReady(ctx, l)
}

// Replace begins a life that takes the place of the one that runs (edge --replace), and returns when the new one is ready and the old one is over.
func (p *Process) Replace(ctx context.Context) error {
	old, err := p.current()
	if err != nil {
		return err
	}
	p.mu.Lock()
	l, err := p.beginLocked("--replace")
	p.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	if err := p.awaitReady(ctx, l); err != nil {
		p.mu.Lock()
		p.now = old
		p.mu.Unlock()
		return err
	}
	select {
	case <-old.done:
		return old.wait
	case <-ctx.Done():
		_ = old.cmd.Process.Kill()
		<-old.done
		return fmt.Errorf("%s goes on beside the one that took its place: %w", p.Name, ctx.Err())
	}
}

func (p *Process) awaitReady(ctx context.Context, l *life) error {
	select {
	case <-l.ready:
		return nil
	case <-l.done:
		return fmt.Errorf("%s %s", p.Name, l.epitaph())
	case <-ctx.Done():
		_ = l.cmd.Process.Kill()
		<-l.done
		return fmt.Errorf("%s was not ready in time: %w; its last line: %s", p.Name, ctx.Err(), l.lastLine())
	}
}

func (p *Process) begin() (*life, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now != nil && !closed(p.now.done) {
		return nil, ErrRunning
	}
	return p.beginLocked()
}

func (p *Process) beginLocked(args ...string) (*life, error) {
	if err := os.MkdirAll(filepath.Dir(p.log), 0o755); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	l := &life{ready: make(chan struct{}), done: make(chan struct{})}
	var readyOnce sync.Once
	l.out = &output{log: log, onLine: func(line string) {
		if strings.HasPrefix(line, program(p.Name)+" ready ") {
			readyOnce.Do(func() { close(l.ready) })
		}
		p.tell(line)
	}}
	l.err = &output{log: log, onLine: p.tell}
	l.cmd = exec.Command(p.path, slices.Concat(p.args, args)...)
	l.cmd.Env = append(os.Environ(), p.env...)
	l.cmd.Stdout, l.cmd.Stderr = l.out, l.err
	l.cmd.SysProcAttr = attributes()
	l.cmd.WaitDelay = 5 * time.Second
	if err := l.begin(log); err != nil {
		return nil, err
	}
	p.now = l
	return l, nil
}

// begin starts the process from a thread that stays until the process is dead: the kernel ties a child's end to the thread that made it.
func (l *life) begin(log *os.File) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer log.Close()
		err := l.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		l.wait = l.cmd.Wait()
		l.out.finish()
		l.err.finish()
		close(l.done)
	}()
	return <-started
}

func (p *Process) tell(line string) {
	if p.onLine != nil {
		p.onLine(p.Name, line)
	}
}

// program is the name of a program without its number: edge-2 is an edge.
func program(name string) string {
	base, _, _ := strings.Cut(name, "-")
	return base
}

func (l *life) lastLine() string {
	if line := l.err.lastLine(); line != "" {
		return line
	}
	return l.out.lastLine()
}

// epitaph says in one line how a life ended.
func (l *life) epitaph() string {
	how := "ended"
	if l.wait != nil {
		how = "ended (" + l.wait.Error() + ")"
	}
	if line := l.lastLine(); line != "" {
		how += ": " + line
	}
	return how
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// current is the life that can be signalled.
func (p *Process) current() (*life, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now == nil || closed(p.now.done) {
		return nil, fmt.Errorf("%s: %w", p.Name, ErrStopped)
	}
	return p.now, nil
}

// Running says whether the process lives (also when paused).
func (p *Process) Running() bool {
	_, err := p.current()
	return err == nil
}

// PID is the number of the running process; 0 when there is none.
func (p *Process) PID() int {
	l, err := p.current()
	if err != nil {
		return 0
	}
	return l.cmd.Process.Pid
}

// Exited is closed when the current life is over. It is closed already when none was begun.
func (p *Process) Exited() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now == nil {
		c := make(chan struct{})
		close(c)
		return c
	}
	return p.now.done
}

// Epitaph says how the last life ended, in one line with the program's last words; empty while it lives.
func (p *Process) Epitaph() string {
	p.mu.Lock()
	l := p.now
	p.mu.Unlock()
	if l == nil || !closed(l.done) {
		return ""
	}
	return l.epitaph()
}

// Kill sends SIGKILL and waits for the death.
func (p *Process) Kill() error {
	l, err := p.signal(syscall.SIGKILL)
	if err != nil {
		return err
	}
	<-l.done
	return nil
}

// Stop sends SIGTERM and waits for the end; a process that outlives ctx is killed. An exit status other than 0 is an error.
func (p *Process) Stop(ctx context.Context) error {
	l, err := p.signal(syscall.SIGTERM)
	if err != nil {
		return err
	}
	select {
	case <-l.done:
	case <-ctx.Done():
		_ = l.cmd.Process.Kill()
		<-l.done
		return fmt.Errorf("%s did not stop: %w", p.Name, ctx.Err())
	}
	if l.wait != nil {
		return fmt.Errorf("%s %s", p.Name, l.epitaph())
	}
	return nil
}

// Pause sends SIGSTOP: the process stands still with its connections open.
func (p *Process) Pause() error {
	_, err := p.signal(syscall.SIGSTOP)
	return err
}

// Continue sends SIGCONT.
func (p *Process) Continue() error {
	_, err := p.signal(syscall.SIGCONT)
	return err
}

func (p *Process) signal(s syscall.Signal) (*life, error) {
	l, err := p.current()
	if err != nil {
		return nil, err
	}
	if err := l.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	return l, nil
}

// Restart is Stop, when it runs, and Start: with the same settings file, ports and state.
func (p *Process) Restart(ctx context.Context) error {
	if err := p.Stop(ctx); err != nil && !errors.Is(err, ErrStopped) {
		return err
	}
	return p.Start(ctx)
}

// LogFile is where Log is kept.
func (p *Process) LogFile() string { return p.log }

// Log is what the program has printed over all its lives.
func (p *Process) Log() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
