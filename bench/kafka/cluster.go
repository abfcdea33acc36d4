package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Cluster is a running Apache Kafka. Its methods may be called from several goroutines. Nodes count from 1, as their node.id does.
type Cluster struct {
	java string
	tied bool // the nodes die with this process

	reaped sync.WaitGroup // the nodes that this process began

	mu    sync.Mutex
	state *state
}

// Errors of a node's signals.
var (
	ErrNode       = errors.New("kafka: no such node")
	ErrNotRunning = errors.New("kafka: the node does not run")
	ErrRunning    = errors.New("kafka: the node runs already")
)

// readyWithin is how long a cluster may take until each of its nodes knows all; three take 7 s on two idle cores.
const readyWithin = 2 * time.Minute

// Start begins a cluster whose nodes die with this process, and returns when every node knows all the others. Options.Dir may hold an earlier cluster's
// state: its data and ports stay.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	return start(ctx, o, true, io.Discard)
}

func start(ctx context.Context, o Options, tied bool, progress io.Writer) (*Cluster, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Cluster{tied: tied}
	if c.java, err = java(ctx); err != nil {
		return nil, err
	}
	if err := ensureJars(ctx, o.Jars, progress); err != nil {
		return nil, err
	}
	if err := c.prepare(ctx, o); err != nil {
		return nil, err
	}
	for n := 1; n <= o.Nodes; n++ {
		if err := c.launch(n); err != nil && !errors.Is(err, ErrRunning) {
			return nil, errors.Join(err, c.Close())
		}
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for n := 1; n <= o.Nodes; n++ {
		if err := c.awaitNode(ctx, n, o.Nodes); err != nil {
			if tied {
				err = errors.Join(err, c.Close())
			}
			return nil, err
		}
	}
	return c, nil
}

// attach takes over a cluster that another process left running.
func attach(ctx context.Context, dir string) (*Cluster, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	s, err := readState(dir)
	if err != nil {
		return nil, err
	}
	c := &Cluster{state: s}
	c.java, err = java(ctx)
	return c, err
}

// prepare writes what the nodes need, and formats the storage of those that have none.
func (c *Cluster) prepare(ctx context.Context, o Options) error {
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return err
	}
	s, err := readState(o.Dir)
	switch {
	case errors.Is(err, ErrNoCluster):
		if s, err = newState(o); err != nil {
			return err
		}
	case err != nil:
		return err
	case s.Options.Nodes != o.Nodes || s.Options.Secure != o.Secure:
		return fmt.Errorf("kafka: %s holds a cluster of %d nodes (secure: %v): remove it first", o.Dir, s.Options.Nodes, s.Options.Secure)
	default:
		s.Options = o
	}
	c.state = s
	if err := s.write(); err != nil {
		return err
	}
	if o.Secure {
		if err := writeCertificates(filepath.Join(o.Dir, "tls")); err != nil {
			return err
		}
	}
	faults := make(chan error, o.Nodes)
	for n := 1; n <= o.Nodes; n++ {
		go func() { faults <- c.prepareNode(ctx, n) }()
	}
	for range o.Nodes {
		err = errors.Join(err, <-faults)
	}
	return err
}

func (c *Cluster) prepareNode(ctx context.Context, n int) error {
	o := c.state.Options
	dir := nodeDir(o.Dir, n)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range map[string]string{"server.properties": properties(o, c.state.Ports, n), "log4j2.properties": logging} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "data", "meta.properties")); err == nil {
		return nil
	}
	args := []string{"format", "-t", c.state.ID, "-c", filepath.Join(dir, "server.properties")}
	for _, u := range o.Users {
		args = append(args, "--add-scram", fmt.Sprintf("SCRAM-SHA-512=[name=%s,password=%s]", u.Name, u.Password))
	}
	format := exec.CommandContext(ctx, c.java, c.javaArguments(n, true, "kafka.tools.StorageTool", args...)...)
	if text, err := format.CombinedOutput(); err != nil {
		return fmt.Errorf("kafka: formatting node %d: %w\n%s", n, err, text)
	}
	return nil
}

func (c *Cluster) javaArguments(n int, light bool, class string, args ...string) []string {
	o := c.state.Options
	all := []string{fmt.Sprintf("-Xmx%dm", o.HeapMB), "-XX:+UseSerialGC", "-cp", filepath.Join(o.Jars, "*"),
		"-Dlog4j2.configurationFile=" + filepath.Join(nodeDir(o.Dir, n), "log4j2.properties")}
	if light {
		all = append(all, "-XX:TieredStopAtLevel=1")
	}
	return append(append(all, class), args...)
}

// launch begins a node's process.
func (c *Cluster) launch(n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Processes[n-1].alive() {
		return fmt.Errorf("%w: %d", ErrRunning, n)
	}
	dir := nodeDir(c.state.Options.Dir, n)
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	command := append([]string{c.java}, c.javaArguments(n, c.state.Options.Light, "kafka.Kafka", filepath.Join(dir, "server.properties"))...)
	if c.state.Options.Yielding {
		// Both become Java, under the same number. SCHED_IDLE, and not the lowest priority alone: whoever else wakes up runs at once.
		command = append([]string{"chrt", "--idle", "0", "nice", "-n", "19"}, command...)
	}
	node := exec.Command(command[0], command[1:]...)
	node.Stdout, node.Stderr, node.Dir = log, log, dir
	if err := begin(node, c.tied, &c.reaped); err != nil {
		return fmt.Errorf("kafka: node %d: %w", n, err)
	}
	if c.state.Processes[n-1], err = thisProcess(node.Process.Pid); err != nil {
		return fmt.Errorf("kafka: node %d ended at once: %s", n, c.lastLines(n))
	}
	return c.state.write()
}

// Start begins a node that was killed, and returns when it serves again.
func (c *Cluster) Start(ctx context.Context, n int) error {
	if err := c.check(n); err != nil {
		return err
	}
	if err := c.launch(n); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	return c.awaitNode(ctx, n, 1)
}

// Kill ends a node by SIGKILL and waits for its death.
func (c *Cluster) Kill(n int) error {
	return c.end(context.Background(), n, syscall.SIGKILL)
}

// Pause stops a node with SIGSTOP: its connections stay open and nobody answers. Continue lets it go on.
func (c *Cluster) Pause(n int) error {
	_, err := c.signal(n, syscall.SIGSTOP)
	return err
}

// Continue undoes Pause.
func (c *Cluster) Continue(n int) error {
	_, err := c.signal(n, syscall.SIGCONT)
	return err
}

func (c *Cluster) check(n int) error {
	if n < 1 || n > len(c.state.Ports) {
		return fmt.Errorf("%w: %d of %d", ErrNode, n, len(c.state.Ports))
	}
	return nil
}

func (c *Cluster) signal(n int, s syscall.Signal) (process, error) {
	if err := c.check(n); err != nil {
		return process{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.state.Processes[n-1]
	if !p.alive() {
		return p, fmt.Errorf("%w: %d", ErrNotRunning, n)
	}
	return p, syscall.Kill(p.PID, s)
}

// end signals a node and waits until its process is gone.
func (c *Cluster) end(ctx context.Context, n int, s syscall.Signal) error {
	p, err := c.signal(n, s)
	if err != nil {
		return err
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for p.alive() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("kafka: node %d did not end: %w", n, ctx.Err())
		}
	}
	return nil
}

// Close kills all nodes. The data stays in Options.Dir.
func (c *Cluster) Close() error {
	var all error
	for n := range c.state.Ports {
		if err := c.Kill(n + 1); err != nil && !errors.Is(err, ErrNotRunning) {
			all = errors.Join(all, err)
		}
	}
	if all == nil {
		c.reaped.Wait()
	}
	return all
}

// stop ends all nodes in order, by SIGTERM; those that take longer than within are killed.
func (c *Cluster) stop(within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	var ending sync.WaitGroup
	for n := range c.state.Ports {
		ending.Go(func() { _ = c.end(ctx, n+1, syscall.SIGTERM) }) // Close kills what did not end
	}
	ending.Wait()
	return c.Close()
}

// Running says which nodes have a living process.
func (c *Cluster) Running() (nodes []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, p := range c.state.Processes {
		if p.alive() {
			nodes = append(nodes, i+1)
		}
	}
	return nodes
}

// PID is a node's process; 0 when it has none.
func (c *Cluster) PID(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n < 1 || n > len(c.state.Processes) || !c.state.Processes[n-1].alive() {
		return 0
	}
	return c.state.Processes[n-1].PID
}

// Listener is one of the ways into a cluster.
type Listener string

// The listeners. All but Plain need Options.Secure.
const (
	Plain   Listener = "plain"
	TLS     Listener = "tls"
	SASL    Listener = "sasl"
	SASLTLS Listener = "sasl+tls"
)

// Bootstrap gives the plain listener's addresses, one a node.
func (c *Cluster) Bootstrap() []string { return c.Addresses(Plain) }

// Addresses gives a listener's addresses, one a node; none when the listener is off.
func (c *Cluster) Addresses(l Listener) (all []string) {
	for _, p := range c.state.Ports {
		port := map[Listener]int{Plain: p.Plain, TLS: p.TLS, SASL: p.SASL, SASLTLS: p.SASLTLS}[l]
		if port != 0 {
			all = append(all, fmt.Sprintf("127.0.0.1:%d", port))
		}
	}
	return all
}

// Files gives the paths of the certificate authority's file and of a client's key and certificate (one file), all PEM.
func (c *Cluster) Files() (authority, client string) {
	dir := filepath.Join(c.state.Options.Dir, "tls")
	return filepath.Join(dir, "ca.pem"), filepath.Join(dir, "client.pem")
}

// lastLines are a node's last words.
func (c *Cluster) lastLines(n int) string {
	text, err := os.ReadFile(filepath.Join(nodeDir(c.state.Options.Dir, n), "log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}
