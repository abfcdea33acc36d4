package broker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/describeconfigs"
	"github.com/segmentio/kafka-go/protocol/describegroups"
	"github.com/segmentio/kafka-go/protocol/findcoordinator"
	"github.com/segmentio/kafka-go/protocol/metadata"
)

// State is what a topic is.
type State struct {
	Topic      Topic // what it must be
	Err        error // why nothing is known of it: kafka.UnknownTopicOrPartition where it is missing
	Partitions []PartitionState
	Settings   map[string]string // in force, the cluster's defaults among them; nil where SettingsErr says why
	// SettingsErr is mostly kafka.TopicAuthorizationFailed: DescribeConfigs is a permission of its own.
	SettingsErr error
	Allowed     []Operation // of Read, Write, Describe and DescribeConfigs
	askedNobody bool        // the cluster has no permissions, or did not tell
}

// PartitionState is where a partition lives.
type PartitionState struct {
	Leader   int // -1: none just now
	Replicas int
	InSync   int
}

// Missing says that there is no such topic, or that this user may not even see it.
func (s State) Missing() bool { return errors.Is(s.Err, kafka.UnknownTopicOrPartition) }

// noOperations is what a broker says that does not tell.
const noOperations = math.MinInt32

// topicResource is what DescribeConfigs calls a topic.
const topicResource = 2

// look asks one broker about topics.
func (s *session) look(topics []Topic) ([]State, error) {
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.Name
	}
	m, err := s.roundTrip(&metadata.Request{TopicNames: names, IncludeTopicAuthorizedOperations: true})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errGreeting, err) // brokers that want a login still answer what negotiate asks
	}
	known := map[string]metadata.ResponseTopic{}
	for _, t := range m.(*metadata.Response).Topics {
		known[t.Name] = t
	}
	states := make([]State, len(topics))
	for i, t := range topics {
		answer, ok := known[t.Name]
		states[i] = state(t, answer)
		if !ok {
			states[i].Err = kafka.UnknownTopicOrPartition
		}
	}
	return states, s.lookAtSettings(states)
}

func state(t Topic, answer metadata.ResponseTopic) State {
	s := State{Topic: t, askedNobody: answer.TopicAuthorizedOperations == noOperations}
	if answer.ErrorCode != 0 {
		s.Err = kafka.Error(answer.ErrorCode)
		return s
	}
	if len(answer.Partitions) == 0 {
		s.Err = kafka.UnknownTopicOrPartition
		return s
	}
	for _, p := range answer.Partitions {
		s.Partitions = append(s.Partitions, PartitionState{int(p.LeaderID), len(p.ReplicaNodes), len(p.IsrNodes)})
	}
	for _, o := range []Operation{Read, Write, Describe, DescribeConfigs} {
		if answer.TopicAuthorizedOperations&(1<<o) != 0 {
			s.Allowed = append(s.Allowed, o)
		}
	}
	return s
}

// lookAtSettings fills in the settings of the topics that are there.
func (s *session) lookAtSettings(states []State) error {
	request := &describeconfigs.Request{}
	for _, st := range states {
		if st.Err == nil {
			request.Resources = append(request.Resources, describeconfigs.RequestResource{ResourceType: topicResource, ResourceName: st.Topic.Name})
		}
	}
	if len(request.Resources) == 0 {
		return nil
	}
	m, err := s.roundTrip(request)
	if err != nil {
		return err
	}
	for _, r := range m.(*describeconfigs.Response).Resources {
		i := slices.IndexFunc(states, func(st State) bool { return st.Topic.Name == r.ResourceName })
		if i < 0 {
			continue
		}
		if r.ErrorCode != 0 {
			states[i].SettingsErr = kafka.Error(r.ErrorCode)
			continue
		}
		states[i].Settings = map[string]string{}
		for _, entry := range r.ConfigEntries {
			states[i].Settings[entry.ConfigName] = entry.ConfigValue
		}
	}
	return nil
}

// coordinatorWait is between two questions for a coordinator that is not there yet: a fresh cluster makes its topic first.
const coordinatorWait = 200 * time.Millisecond

// mayJoin gives nil when this user may be a member of the group.
func (c *Cluster) mayJoin(ctx context.Context, s *session, group string) error {
	ctx, cancel := context.WithTimeout(ctx, c.settings.RequestTimeout)
	defer cancel()
	for {
		err := c.askCoordinator(ctx, s, group)
		var code kafka.Error
		if !errors.As(err, &code) || !code.Temporary() {
			return err
		}
		select {
		case <-time.After(coordinatorWait):
		case <-ctx.Done():
			return err
		}
	}
}

func (c *Cluster) askCoordinator(ctx context.Context, s *session, group string) error {
	m, err := s.roundTrip(&findcoordinator.Request{Key: group})
	if err != nil {
		return err
	}
	at := m.(*findcoordinator.Response)
	if at.ErrorCode != 0 {
		return kafka.Error(at.ErrorCode)
	}
	coordinator, err := c.open(ctx, net.JoinHostPort(at.Host, strconv.Itoa(int(at.Port))))
	if err != nil {
		return err
	}
	defer coordinator.close()
	if m, err = coordinator.roundTrip(&describegroups.Request{Groups: []string{group}, IncludeAuthorizedOperations: true}); err != nil {
		return err
	}
	for _, g := range m.(*describegroups.Response).Groups {
		if g.ErrorCode != 0 {
			return kafka.Error(g.ErrorCode)
		}
		if g.AuthorizedOperations != noOperations && g.AuthorizedOperations&(1<<Read) == 0 {
			return kafka.GroupAuthorizationFailed
		}
	}
	return nil
}

// Look asks the first broker that answers what the topics are. The error is a *LookError of the last one when none does.
func (c *Cluster) Look(ctx context.Context, topics []Topic) (states []State, err error) {
	for _, address := range c.settings.Brokers {
		var s *session
		if s, err = c.open(ctx, address); err != nil {
			err = &LookError{address, err}
			continue
		}
		states, err = s.look(topics)
		s.close()
		if err == nil {
			return states, nil
		}
		err = &LookError{address, err}
	}
	return nil, err
}

// LookError is why a broker told nothing. It reads as Explain does.
type LookError struct {
	Address string
	Err     error
}

func (e *LookError) Error() string { return e.Address + ": " + Explain(e.Err) }

// Unwrap is the error of the connection or of the request.
func (e *LookError) Unwrap() error { return e.Err }
