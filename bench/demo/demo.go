// Package demo is `bench run`: the three programs with a tenant to try them on, a webhook receiver, and the commands to copy.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"waypost/bench/kafka"
	"waypost/bench/receiver"
	"waypost/bench/stack"
)

// DefaultPorts is where the edge listens unless told otherwise; the other ports follow from it.
const DefaultPorts = 8080

// OutreachSecret signs the demo's requests for links.
const OutreachSecret = "test-secret"

// readyWithin bounds the start of one program.
const readyWithin = 30 * time.Second

// Command is `bench run`.
type Command struct {
	Ports int    `help:"Edge port. Mint takes the next one, the receiver +10, the admin listeners +1000 to +1002." default:"8080"`
	State string `help:"Folder of keys, settings, journal, store and logs; kept between runs." default:"var" type:"path"`
	Kafka bool   `help:"Put a real Apache Kafka of one node between edge and sink, at edge port +1012; wants Java 17, and Maven the first time."`
	Jars  string `help:"Folder of Kafka's jars, which come once through Maven; var/kafka/jars beside the programs' folder when not given." type:"path"`
	Bin   string `help:"Folder of the programs edge, mint and sink; the folder of bench itself when not given." type:"path"`
}

// kafkaPartitions are few: one machine has one sink.
const kafkaPartitions = 3

// Validate bounds the flags. kong calls it.
func (c *Command) Validate() error {
	if c.Ports < 1 || c.Ports > 65535-1022 {
		return fmt.Errorf("--ports=%d: must be from 1 to %d", c.Ports, 65535-1022)
	}
	return nil
}

// Run brings everything up and stays until it is interrupted or a program dies, which is an error.
func (c *Command) Run(ctx context.Context, k *kong.Context) error {
	return c.run(ctx, &printer{w: k.Stdout})
}

func (c *Command) run(ctx context.Context, out *printer) error {
	if c.Bin == "" {
		own, err := os.Executable()
		if err != nil {
			return err
		}
		c.Bin = filepath.Dir(own)
	}
	if c.Jars == "" {
		c.Jars = filepath.Join(filepath.Dir(c.Bin), "var", "kafka", "jars")
	}
	if err := c.check(); err != nil {
		return err
	}
	unlock, err := lock(c.State)
	if err != nil {
		return err
	}
	defer unlock()
	hooks, err := receiver.Start(receiver.Options{
		Addr:       fmt.Sprintf("127.0.0.1:%d", c.receiverPort()),
		Endpoints:  ReceiverEndpoints(),
		OnDelivery: func(d receiver.Delivery) { out.line(d.Line()) },
	})
	if err != nil {
		return err
	}
	defer closeReceiver(hooks)
	var cluster *kafka.Cluster
	var block stack.Keys
	if c.Kafka {
		out.line("starting Kafka")
		if cluster, err = kafka.Start(ctx, kafka.Options{Dir: filepath.Join(c.State, "kafka", "cluster"), Jars: c.Jars, Port: c.kafkaPort()}); err != nil {
			return err
		}
		defer cluster.Close()
		block = stack.Keys{"brokers": cluster.Bootstrap(), "replication": 1, "min_insync": 1, "partitions": kafkaPartitions}
	}
	s, err := stack.New(stack.Config{
		Dir: c.State, Bin: c.Bin, Base: c.Ports, Kafka: block,
		Sink: stack.Keys{"print_decisions": true},
		OnLine: func(name, line string) {
			if name == "sink" && (strings.HasPrefix(line, "click ") || strings.HasPrefix(line, "open ")) {
				out.line(line)
			}
		},
	})
	if err != nil {
		return err
	}
	defer s.Close()
	s.Tenants = []stack.Tenant{demoTenant(c.Ports, hooks.URL())}
	out.line("starting edge, mint and sink; their logs are in " + filepath.Join(c.State, "log"))
	if err := start(ctx, s); err != nil || ctx.Err() != nil {
		return err
	}
	out.line(welcome(s, hooks.URL(), cluster, time.Now()))
	return watch(ctx, s, out)
}

func (c *Command) kafkaPort() int { return c.Ports + 1012 }

func (c *Command) receiverPort() int { return c.Ports + 10 }

func demoTenant(port int, receiverURL string) stack.Tenant {
	return stack.Tenant{
		Number:    1,
		Name:      "demo",
		Hosts:     []string{fmt.Sprintf("http://127.0.0.1:%d", port), fmt.Sprintf("http://localhost:%d", port)},
		Secrets:   []string{OutreachSecret},
		Endpoints: Endpoints(receiverURL),
		Keys:      tenantKeys,
	}
}

// check finds what would make the start fail in a less readable way: programs not built, a key file gone, ports taken.
func (c *Command) check() error {
	for _, name := range []string{"edge", "mint", "sink"} {
		if _, err := os.Stat(filepath.Join(c.Bin, name)); err != nil {
			return fmt.Errorf("%s is not in %s: run `make build` first", name, c.Bin)
		}
	}
	if err := checkKeys(c.State); err != nil {
		return err
	}
	ports := []struct {
		port int
		name string
	}{
		{c.Ports, "the edge"}, {c.Ports + 1, "mint"}, {c.receiverPort(), "the receiver"},
		{c.Ports + 1000, "the edge's admin listener"}, {c.Ports + 1001, "mint's admin listener"}, {c.Ports + 1002, "the sink's admin listener"},
	}
	if c.Kafka {
		ports = append(ports, struct {
			port int
			name string
		}{c.kafkaPort(), "Kafka"})
	}
	for _, p := range ports {
		if !stack.PortFree(p.port) {
			return fmt.Errorf("port %d of 127.0.0.1, for %s, is taken: end what listens there, or move all ports: make run PORTS=18080", p.port, p.name)
		}
	}
	return nil
}

// checkKeys refuses to make a new key beside an old journal: the links minted under the lost key would be dead without a word.
func checkKeys(state string) error {
	_, err := os.Stat(filepath.Join(state, "link.keys"))
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := os.Stat(filepath.Join(state, "journal")); err == nil {
		return fmt.Errorf("the key file %s is missing, so links made in earlier runs are dead: bring it back, or begin anew with `make reset`",
			filepath.Join(state, "link.keys"))
	}
	return nil
}

// lock holds the state folder for one launcher.
func lock(state string) (unlock func(), err error) {
	if err := os.MkdirAll(state, 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(state, "lock")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("another `bench run` uses %s", state)
	}
	return func() { file.Close() }, nil
}

// start is stack.Start with a bound; an interrupt meanwhile is no error.
func start(ctx context.Context, s *stack.Stack) error {
	bounded, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	err := s.Start(bounded)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// watch returns when ctx is over and all programs are stopped in order, or when one of them died.
func watch(ctx context.Context, s *stack.Stack, out *printer) error {
	over, cancel := context.WithCancel(ctx)
	defer cancel()
	died := make(chan *stack.Process, len(s.Processes()))
	for _, p := range s.Processes() {
		go func() {
			select {
			case <-p.Exited():
				died <- p
			case <-over.Done():
			}
		}()
	}
	select {
	case p := <-died:
		err := fmt.Errorf("%s %s; its log is %s", p.Name, p.Epitaph(), p.LogFile())
		_ = s.Stop() // the first cause is the one to tell
		return err
	case <-ctx.Done():
		out.line("stopping mint, edge, sink")
		if err := s.Stop(); err != nil {
			return err
		}
		out.line("stopped")
		return nil
	}
}

func closeReceiver(r *receiver.Receiver) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = r.Close(ctx) // nobody is left to send
}

// printer writes whole lines from several goroutines.
type printer struct {
	mu sync.Mutex
	w  io.Writer
}

func (p *printer) line(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintln(p.w, text)
}
