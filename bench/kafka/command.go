package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// Command is `bench kafka`.
type Command struct {
	Up     UpCommand     `cmd:"" help:"Start an Apache Kafka on this machine, and leave it running."`
	Down   DownCommand   `cmd:"" help:"Stop it; its data stays."`
	Status StatusCommand `cmd:"" help:"Say which nodes run and where."`
	Kill   KillCommand   `cmd:"" help:"End a node by SIGKILL."`
	Start  StartCommand  `cmd:"" help:"Start a node that was killed."`
}

// place is where a command finds the cluster.
type place struct {
	Dir string `help:"The cluster's directory." default:"var/kafka/cluster" type:"path"`
}

// UpCommand is `bench kafka up`.
type UpCommand struct {
	place
	Nodes  int  `help:"1 or 3." default:"1"`
	Port   int  `help:"Of the first node's plain listener; its others follow, the next node's begin 10 higher." default:"9092"`
	Secure bool `help:"Listeners for TLS, SASL and both beside the plain one, with a user waypost, password waypost."`
}

// stopWithin is how long nodes may take to stop in order.
const stopWithin = 20 * time.Second

// Run starts the cluster, or what of it does not run.
func (c *UpCommand) Run(ctx context.Context, k *kong.Context) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := Options{Dir: c.Dir, Nodes: c.Nodes, Port: c.Port, Secure: c.Secure}
	if c.Secure {
		o.Users = []User{{Name: "waypost", Password: "waypost"}}
	}
	cluster, err := start(ctx, o, false, k.Stdout)
	if err != nil {
		return err
	}
	return cluster.tell(k.Stdout)
}

// tell prints where a cluster is.
func (c *Cluster) tell(w io.Writer) error {
	running := c.Running()
	controller, _ := c.Controller()
	for n := 1; n <= len(c.state.Ports); n++ {
		say := "stopped"
		if slices.Contains(running, n) {
			say = fmt.Sprintf("running, process %d", c.PID(n))
			if n == controller && len(running) > len(c.state.Ports)/2 {
				say += ", controller"
			}
		}
		if _, err := fmt.Fprintf(w, "node %d %s: %s\n", n, c.Bootstrap()[n-1], say); err != nil {
			return err
		}
	}
	if len(running) > 0 {
		fmt.Fprintf(w, "kafka ready on %s\n", strings.Join(c.Bootstrap(), ","))
	}
	for _, l := range []Listener{TLS, SASL, SASLTLS} {
		if at := c.Addresses(l); len(at) > 0 {
			fmt.Fprintf(w, "%s on %s\n", l, strings.Join(at, ","))
		}
	}
	if c.state.Options.Secure {
		authority, client := c.Files()
		fmt.Fprintf(w, "certificates: authority %s, client %s\n", authority, client)
	}
	return nil
}

// DownCommand is `bench kafka down`.
type DownCommand struct {
	place
	Wipe bool `help:"Remove its data too."`
}

// Run stops the cluster.
func (c *DownCommand) Run(ctx context.Context, k *kong.Context) error {
	cluster, err := attach(ctx, c.Dir)
	if errors.Is(err, ErrNoCluster) {
		fmt.Fprintln(k.Stdout, "kafka: nothing runs")
		return nil
	}
	if err != nil {
		return err
	}
	if err := cluster.stop(stopWithin); err != nil {
		return err
	}
	fmt.Fprintln(k.Stdout, "kafka: stopped")
	if c.Wipe {
		return wipe(c.Dir)
	}
	return nil
}

// wipe removes what a cluster has in its directory, and the directory when nothing else is in it.
func wipe(dir string) error {
	nodes, err := filepath.Glob(filepath.Join(dir, "node-*"))
	if err != nil {
		return err
	}
	for _, path := range append(nodes, filepath.Join(dir, "tls"), stateFile(dir)) {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	_ = os.Remove(dir)
	return nil
}

// StatusCommand is `bench kafka status`.
type StatusCommand struct{ place }

// Run prints the state. A cluster with dead nodes is an error, so that scripts can ask.
func (c *StatusCommand) Run(ctx context.Context, k *kong.Context) error {
	cluster, err := attach(ctx, c.Dir)
	if err != nil {
		return err
	}
	if err := cluster.tell(k.Stdout); err != nil {
		return err
	}
	if up, all := len(cluster.Running()), len(cluster.state.Ports); up < all {
		return fmt.Errorf("kafka: %d of %d nodes run", up, all)
	}
	return nil
}

// KillCommand is `bench kafka kill N`.
type KillCommand struct {
	place
	Node int `arg:"" help:"The node, from 1."`
}

// Run kills the node.
func (c *KillCommand) Run(ctx context.Context, k *kong.Context) error {
	cluster, err := attach(ctx, c.Dir)
	if err != nil {
		return err
	}
	if err := cluster.Kill(c.Node); err != nil {
		return err
	}
	fmt.Fprintf(k.Stdout, "kafka: node %d killed\n", c.Node)
	return nil
}

// StartCommand is `bench kafka start N`.
type StartCommand struct {
	place
	Node int `arg:"" help:"The node, from 1."`
}

// Run starts the node.
func (c *StartCommand) Run(ctx context.Context, k *kong.Context) error {
	cluster, err := attach(ctx, c.Dir)
	if err != nil {
		return err
	}
	if err := cluster.Start(ctx, c.Node); err != nil {
		return err
	}
	fmt.Fprintf(k.Stdout, "kafka: node %d runs\n", c.Node)
	return nil
}
