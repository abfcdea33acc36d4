// Package topics is the command `sink topics`: it makes, checks and describes the topics that edge and sink use. What they must be is broker.Topics.
package topics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/segmentio/kafka-go"

	"waypost/configs"
	"waypost/configs/broker"
)

// Command is what kong reads. The Run methods of its commands take a *Cluster.
type Command struct {
	Create   createCommand   `cmd:"" help:"Make the topics that are missing. What exists is never changed; what is wrong with it is printed, with the command that mends it."`
	Check    checkCommand    `cmd:"" help:"Print each deviation of the topics on a line, with the command that mends it; exit 1 when there is one."`
	Describe describeCommand `cmd:"" help:"Print the topics, where they live, and the settings that matter."`
}

// Cluster is what the commands work on.
type Cluster struct {
	Settings configs.Kafka
	Tenants  *configs.Tenants
	Out      io.Writer
}

type (
	createCommand   struct{}
	checkCommand    struct{}
	describeCommand struct{}
)

// open connects and looks. The cluster is to be closed where the error is nil.
func (c *Cluster) open() (*broker.Cluster, []broker.State, error) {
	cluster, err := broker.New(c.Settings)
	if err != nil {
		return nil, nil, err
	}
	states, err := cluster.Look(context.Background(), broker.Topics(c.Settings, c.Tenants))
	if err != nil {
		cluster.Close()
		return nil, nil, err
	}
	return cluster, states, nil
}

// Run is `sink topics create`.
func (createCommand) Run(c *Cluster) error {
	cluster, states, err := c.open()
	if err != nil {
		return err
	}
	defer cluster.Close()
	wrong := 0
	for _, s := range states {
		if !s.Missing() {
			wrong += c.tell(s)
			continue
		}
		err := cluster.Create(context.Background(), s.Topic)
		switch {
		case errors.Is(err, kafka.TopicAlreadyExists): // another was faster, or this user may not see it
			c.printf("%s: exists, made by somebody else just now, or not to be seen by this user: check it\n", s.Topic.Name)
			wrong++
		case err != nil:
			c.printf("%s: not created: %s\n", s.Topic.Name, broker.Explain(err))
			wrong++
		default:
			c.printf("%s: created: %s, replication %d\n", s.Topic.Name, count(s.Topic.Partitions, "partition"), s.Topic.Replication)
		}
	}
	return verdict(wrong)
}

// Run is `sink topics check`.
func (checkCommand) Run(c *Cluster) error {
	cluster, states, err := c.open()
	if err != nil {
		return err
	}
	defer cluster.Close()
	wrong := 0
	for _, s := range states {
		wrong += c.tell(s)
	}
	return verdict(wrong)
}

// tell prints what is wrong with a topic, or that nothing is, and gives how much it was.
func (c *Cluster) tell(s broker.State) int {
	problems := s.Problems(c.Settings.Brokers)
	for _, p := range problems {
		c.printf("%s\n", p)
	}
	if len(problems) == 0 {
		c.printf("%s: as it must be: %s\n", s.Topic.Name, count(len(s.Partitions), "partition"))
	}
	return len(problems)
}

// Run is `sink topics describe`.
func (describeCommand) Run(c *Cluster) error {
	cluster, states, err := c.open()
	if err != nil {
		return err
	}
	defer cluster.Close()
	for _, s := range states {
		c.describe(s)
	}
	return nil
}

func (c *Cluster) describe(s broker.State) {
	if s.Err != nil {
		c.printf("%s (%s): %s\n", s.Topic.Name, s.Topic.Purpose, broker.Explain(s.Err))
		return
	}
	replicas := make([]int, 0, len(s.Partitions))
	led, synced := 0, 0
	for _, p := range s.Partitions {
		replicas = append(replicas, p.Replicas)
		if p.Leader >= 0 {
			led++
		}
		if p.InSync == p.Replicas {
			synced++
		}
	}
	c.printf("%s (%s): %s, replication %d, %d with a leader, %d in sync\n", s.Topic.Name, s.Topic.Purpose, count(len(s.Partitions), "partition"), slices.Min(replicas), led, synced)
	if s.SettingsErr != nil {
		c.printf("  settings: %s\n", broker.Explain(s.SettingsErr))
		return
	}
	for _, want := range s.Topic.Settings {
		have := s.Settings[want.Name]
		c.printf("  %s = %s%s\n", want.Name, want.Readable(have), deviation(want, have))
	}
}

func deviation(want broker.Setting, have string) string {
	if want.OK(have) {
		return ""
	}
	return "  <- must be " + want.Wanted()
}

// verdict is the command's end.
func verdict(wrong int) error {
	if wrong == 0 {
		return nil
	}
	return errors.New("topics: " + count(wrong, "deviation"))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (c *Cluster) printf(format string, args ...any) { _, _ = fmt.Fprintf(c.Out, format, args...) }
