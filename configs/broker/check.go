package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/segmentio/kafka-go"

	"waypost/configs"
)

// Problem is one thing that is not as it must be.
type Problem struct {
	About   string // a topic, a broker's address, or a group
	Text    string // what is wrong, in one line
	How     string // how to mend it: a command or a word; may be empty
	Passing bool   // waiting may cure it: a broker that does not answer, a partition without a leader
}

// String is one line: what it is about, what is wrong, how to mend it.
func (p Problem) String() string {
	line := p.About + ": " + p.Text
	if p.How != "" {
		line += ": " + p.How
	}
	return line
}

// Check finds all that keeps a program from its work: brokers that do not let it in, and topics and permissions that are not as Topics says. None is good.
// group is the sink's group; empty: not looked at. Brokers are asked one after the other, each for request_timeout at most.
func Check(ctx context.Context, c *Cluster, p Program, topics []Topic, group string) (problems []Problem) {
	var answered *session
	for _, address := range c.settings.Brokers {
		s, err := c.open(ctx, address)
		if err != nil {
			problems = append(problems, Problem{About: address, Text: Explain(err), Passing: passing(err)})
			continue
		}
		if answered != nil {
			s.close()
			continue
		}
		answered = s
		defer s.close()
	}
	if answered == nil {
		return problems
	}
	states, err := answered.look(Of(p, topics))
	if err != nil {
		return append(problems, Problem{About: c.settings.Brokers[0], Text: Explain(err), Passing: passing(err)})
	}
	for _, s := range states {
		problems = append(problems, s.Problems(c.settings.Brokers)...)
		problems = append(problems, s.forbidden(p)...)
	}
	if group != "" {
		if err := c.mayJoin(ctx, answered, group); err != nil {
			problems = append(problems, Problem{About: "group " + group, Text: Explain(err), Passing: passing(err)})
		}
	}
	return problems
}

// Problems are the deviations of a topic from its contract. brokers go into the commands that mend them.
func (s State) Problems(brokers []string) []Problem {
	name := s.Topic.Name
	switch {
	case s.Missing():
		return []Problem{{About: name, Text: "the topic is missing, or this user may not see it", How: "bin/sink topics create"}}
	case s.Err != nil:
		return []Problem{{About: name, Text: Explain(s.Err), Passing: passing(s.Err)}}
	}
	problems := s.misplaced(brokers)
	if s.SettingsErr != nil {
		return append(problems, s.blind())
	}
	for _, want := range s.Topic.Settings {
		have, told := s.Settings[want.Name]
		if want.OK(have) {
			continue
		}
		if !told {
			have = "(not told)"
		}
		problems = append(problems, Problem{
			About: name,
			Text:  fmt.Sprintf("%s = %s: must be %s: %s", want.Name, want.Readable(have), want.Wanted(), want.Why),
			How:   fmt.Sprintf("kafka-configs.sh --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config %s=%s", strings.Join(brokers, ","), name, want.Name, want.Want),
		})
	}
	return problems
}

// Wanted is what is asked for, as a person reads it.
func (s Setting) Wanted() string {
	if s.Rule == AtLeast {
		return "at least " + s.Readable(s.Want)
	}
	return s.Readable(s.Want)
}

// blind says why the settings are not known.
func (s State) blind() Problem {
	if errors.Is(s.SettingsErr, kafka.TopicAuthorizationFailed) {
		return s.denied(DescribeConfigs)
	}
	return Problem{About: s.Topic.Name, Text: "its settings cannot be read: " + Explain(s.SettingsErr), Passing: passing(s.SettingsErr)}
}

func (s State) denied(operations ...Operation) Problem {
	names := make([]string, len(operations))
	for i, o := range operations {
		names[i] = o.String()
	}
	return Problem{
		About: s.Topic.Name, Text: "this user has no permission to " + strings.Join(names, ", "),
		How: fmt.Sprintf("kafka-acls.sh --add --allow-principal User:NAME --operation %s --topic %s", strings.Join(names, " --operation "), s.Topic.Name),
	}
}

// misplaced looks at the partitions.
func (s State) misplaced(brokers []string) (problems []Problem) {
	t := s.Topic
	switch n := len(s.Partitions); {
	case n == t.Partitions:
	case t.Partitions == 1:
		problems = append(problems, Problem{
			About: t.Name, Text: fmt.Sprintf("has %d partitions, and must have 1: the order of all its records counts", n),
			How: "stop the sinks, delete the topic, bin/sink topics create; what stood in it has to be made again",
		})
	default:
		problems = append(problems, Problem{
			About: t.Name, Text: fmt.Sprintf("has %d partitions, and kafka.partitions is %d", n, t.Partitions),
			How: "the number is never changed: each key would go to another partition; set kafka.partitions to what the topics were made with, or grow by a new pair of topics (configs/README.md, Growing)",
		})
	}
	fewest, leaderless := t.Replication, 0
	for _, p := range s.Partitions {
		fewest = min(fewest, p.Replicas)
		if p.Leader < 0 {
			leaderless++
		}
	}
	if fewest < t.Replication {
		problems = append(problems, Problem{
			About: t.Name, Text: fmt.Sprintf("has replication %d: must be at least %d", fewest, t.Replication),
			How: fmt.Sprintf("kafka-reassign-partitions.sh --bootstrap-server %s with a plan of %d replicas for each partition", strings.Join(brokers, ","), t.Replication),
		})
	}
	if leaderless > 0 {
		problems = append(problems, Problem{About: t.Name, Text: fmt.Sprintf("%d of its %d partitions have no leader just now", leaderless, len(s.Partitions)), Passing: true})
	}
	return problems
}

// forbidden looks at what the program may not do, but for DescribeConfigs, which Problems has met.
func (s State) forbidden(p Program) []Problem {
	if s.Err != nil || s.askedNobody {
		return nil
	}
	var missing []Operation
	for _, o := range s.Topic.Needs[p] {
		if o != DescribeConfigs && !slices.Contains(s.Allowed, o) {
			missing = append(missing, o)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return []Problem{s.denied(missing...)}
}

// OnlineEdge is what `edge --check --online` finds, one problem a line; the text of an error of New where the settings do not even lead to a connection.
func OnlineEdge(cfg *configs.Edge, tenants *configs.Tenants) []string {
	return online(cfg.Kafka, tenants, Edge, "")
}

// OnlineSink is what `sink --check --online` finds.
func OnlineSink(cfg *configs.Sink, tenants *configs.Tenants) []string {
	return online(cfg.Kafka, tenants, Sink, cfg.Group)
}

func online(k configs.Kafka, tenants *configs.Tenants, p Program, group string) (lines []string) {
	if !k.On() {
		return nil
	}
	c, err := New(k)
	if err != nil {
		return []string{err.Error()}
	}
	defer c.Close()
	for _, problem := range Check(context.Background(), c, p, Topics(k, tenants), group) {
		lines = append(lines, problem.String())
	}
	return lines
}
