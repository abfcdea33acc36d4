package crash

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"waypost/bench/kafka"
	"waypost/bench/stack"
	"waypost/configs"
)

// Sizes of a round on Kafka.
const (
	kafkaNodes      = 3
	kafkaPartitions = 4
	pausedFor       = 9 * time.Second // longer than a sink's session of 6 s
	pointsARound    = 4
	kafkaSettle     = 4 * time.Minute // failovers and sessions take their time
)

// kafkaScenarios in the order in which a round runs them.
var kafkaScenarios = []scenario{
	{name: "kafka", what: "edges, sinks and brokers killed, stopped and cut off", edges: 2, run: storm},
	{name: "kafka-deliveries", what: "one of two sinks killed while both deliver as fast as they can", edges: 1, run: killDelivering, rate: deliveriesRate},
	{name: "kafka-control", what: "edges that answer before they append: must fail", edges: 2, run: answerFirst, fails: true},
}

// kafkaPoints are the fault points of a sink on Kafka, in the order of a click's way, and the largest passing at which a life may end.
var kafkaPoints = []point{
	{"ingest.read", 3}, {"ingest.produce", 3}, {"ingest.decided", 3}, {"ingest.committed", 3}, {"dispatch.read", 100}, {"dispatch.posted", 100},
	{"dispatch.answered", 100}, {"dispatch.produce", 20}, {"dispatch.produced", 20}, {"dispatch.position", 5}, {unheardPoint, 800}, {"journal.reserved", 800},
}

// startKafka starts the brokers and gives what edges and sinks need to know of them.
func (r *round) startKafka() (stack.Keys, error) {
	var err error
	r.say("  starting Kafka of %d nodes", kafkaNodes)
	r.cluster, err = kafka.Start(r.ctx, kafka.Options{Dir: r.dir + "-kafka", Jars: r.jars, Nodes: kafkaNodes, HeapMB: 384, Light: true})
	if err != nil {
		return nil, err
	}
	return stack.Keys{"brokers": r.cluster.Bootstrap(), "replication": kafkaNodes, "min_insync": 2, "partitions": kafkaPartitions, "request_timeout": "5s"}, nil
}

// disturbance is one thing that happens to a round on Kafka.
type disturbance struct {
	what string
	do   func() error
	turn int // in brief rounds: of three, the one that has it; 0: every one has
}

// storm disturbs everything, once each, in random order. What takes minutes happens in some rounds only.
func storm(r *round) error {
	all := r.disturbances()
	r.roll.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, d := range all {
		if r.brief && d.turn > 0 && d.turn != 1+r.number%3 {
			continue
		}
		r.say("  %s (%.0f s)", d.what, time.Since(r.begun).Seconds())
		if err := d.do(); err != nil {
			return fmt.Errorf("%s: %w", d.what, err)
		}
		r.disturbed++
	}
	return r.waitAnswered()
}

func (r *round) disturbances() []disturbance {
	events := configs.DefaultKafka().Topics.Events
	all := []disturbance{
		{"leader killed", func() error {
			return r.killBroker(func() (int, error) { return r.cluster.Leader(r.ctx, events, r.roll.IntN(kafkaPartitions)) })
		}, 3},
		{"controller killed", func() error { return r.killBroker(r.cluster.Controller) }, 3},
		{"a sink stopped for longer than its session", r.pauseSink, 2},
		{"sinks leave and join", r.leaveAndJoin, 1},
		{"retention changed", r.changeRetention, 0},
	}
	for _, p := range slices.Concat(r.stack.Edges, r.stack.Sinks) {
		all = append(all, disturbance{p.Name + " killed", func() error { return r.killAndRestart(p) }, 0})
	}
	for i := range pointsARound {
		p := kafkaPoints[(r.number*pointsARound+i)%len(kafkaPoints)]
		all = append(all, disturbance{"death at " + p.name, func() error { return r.dieAt(r.victimOf(p), p.name, 1+r.roll.IntN(p.most)) }, 0})
	}
	// The points between decision and position, where another sink may take over while this one sleeps.
	sleep := kafkaPoints[1+r.number%9]
	all = append(all, disturbance{"asleep at " + sleep.name, func() error { return r.sleepAt(r.stack.Sinks[r.roll.IntN(2)], sleep.name, 1+r.roll.IntN(sleep.most)) }, 2})
	if r.brief || r.number%5 == 0 {
		all = append(all, disturbance{fmt.Sprintf("all brokers away for %v", r.outage), func() error { return r.awayFor(r.outage, 1, 2, 3) }, 1})
	}
	if r.brief || r.number%10 == 1 {
		all = append(all, disturbance{fmt.Sprintf("two of three brokers away for %v: partitions without a leader", 2*r.outage), r.leaderless, 2})
	}
	return all
}

// victimOf is who passes a fault point.
func (r *round) victimOf(p point) *stack.Process {
	if p.name == unheardPoint || p.name == "journal.reserved" {
		return r.stack.Edges[r.roll.IntN(len(r.stack.Edges))]
	}
	return r.stack.Sinks[r.roll.IntN(len(r.stack.Sinks))]
}

// lapse lets time go by.
func (r *round) lapse(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// killBroker kills the node that which names, and starts it again a little later.
func (r *round) killBroker(which func() (int, error)) error {
	n := 0
	err := r.wait("a node to kill", kafkaSettle, func() bool {
		var err error
		n, err = which()
		return err == nil && slices.Contains(r.cluster.Running(), n)
	})
	if err != nil {
		return err
	}
	if err := r.cluster.Kill(n); err != nil {
		return err
	}
	r.kills++
	r.say("  killed node %d", n)
	if err := r.lapse(time.Duration(500+r.roll.IntN(4000)) * time.Millisecond); err != nil {
		return err
	}
	return r.cluster.Start(r.ctx, n)
}

// awayFor kills nodes and starts them again later.
func (r *round) awayFor(d time.Duration, nodes ...int) error {
	for _, n := range nodes {
		if err := r.cluster.Kill(n); err != nil {
			return err
		}
		r.kills++
	}
	if err := r.lapse(d); err != nil {
		return err
	}
	// Together: one of them alone has no quorum, and is never ready.
	errs := make([]error, len(nodes))
	var starting sync.WaitGroup
	for i, n := range nodes {
		starting.Go(func() { errs[i] = r.cluster.Start(r.ctx, n) })
	}
	starting.Wait()
	return errors.Join(errs...)
}

// leaderless takes away two nodes, one of them the leader of a partition: nobody can be elected, and nothing is taken.
func (r *round) leaderless() error {
	leader := 1
	err := r.wait("a leader", kafkaSettle, func() bool {
		var err error
		leader, err = r.cluster.Leader(r.ctx, configs.DefaultKafka().Topics.Events, 0)
		return err == nil
	})
	if err != nil {
		return err
	}
	return r.awayFor(2*r.outage, leader, leader%kafkaNodes+1)
}

// pauseSink stops a sink for longer than its session; it wakes up as a member that was replaced.
func (r *round) pauseSink() error {
	sink := r.stack.Sinks[r.roll.IntN(len(r.stack.Sinks))]
	if err := sink.Pause(); err != nil {
		return err
	}
	if err := r.lapse(pausedFor); err != nil {
		return err
	}
	return sink.Continue()
}

// sleepAt is dieAt with SIGSTOP: the process sleeps at the fault point for longer than its session, and goes on there.
func (r *round) sleepAt(p *stack.Process, point string, count int) error {
	if err := r.kill(p); err != nil {
		return err
	}
	if err := r.restart(p, fmt.Sprintf("WAYPOST_FAULT=%s:%d:STOP", point, count)); err != nil {
		return err
	}
	if err := r.wait(p.Name+" to sleep at "+point, kafkaSettle, func() bool { return asleep(p.PID()) }); err != nil {
		return err
	}
	r.points[point]++
	if err := r.lapse(pausedFor); err != nil {
		return err
	}
	return p.Continue()
}

// asleep says whether a process is stopped by a signal.
func asleep(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	return err == nil && strings.HasPrefix(rest, "T")
}

// leaveAndJoin lets both sinks leave in order, one after the other, so that each is alone for a while.
func (r *round) leaveAndJoin() error {
	for _, sink := range r.stack.Sinks {
		if err := r.stop(sink); err != nil {
			return err
		}
		if err := r.waitAnswered(); err != nil {
			return err
		}
		if err := r.restart(sink); err != nil {
			return err
		}
	}
	return nil
}

// changeRetention gives the tenant another retention between two lives of an edge.
func (r *round) changeRetention() error {
	edge := r.stack.Edges[r.roll.IntN(len(r.stack.Edges))]
	if err := r.kill(edge); err != nil {
		return err
	}
	days := []int{7, 45, 365}
	r.stack.Tenants[0].RetentionDays = days[r.roll.IntN(len(days))]
	if err := r.stack.WriteSettings(); err != nil {
		return err
	}
	return r.restart(edge)
}

// quietKafka stops the load and waits until every event is shipped, decided, and its webhooks have ended.
func (r *round) quietKafka() error {
	r.stopLoad()
	return r.wait("edges and sinks to come to the ends of the topics", kafkaSettle, func() bool {
		for _, edge := range r.stack.Edges {
			m, err := edge.Metrics(r.ctx)
			if err != nil {
				return false
			}
			if lag, found := m.Sum("waypost_edge_journal_lag_bytes", `consumer="`+configs.Shipper+`"`); !found || lag > 0 {
				return false
			}
		}
		partitions := 0.0
		for _, sink := range r.stack.Sinks {
			m, err := sink.Metrics(r.ctx)
			if err != nil {
				return false
			}
			mine, _ := m.Sum("waypost_sink_kafka_partitions")
			lag, found := m.Sum("waypost_sink_lag_records")
			if partitions += mine; mine > 0 && (!found || lag > 0) {
				return false
			}
		}
		return int(partitions) == kafkaPartitions
	})
}

// finishKafka stops everything in order and gives the evidence.
func (r *round) finishKafka() (*evidence, error) {
	r.say("  settling (%.0f s)", time.Since(r.begun).Seconds())
	if err := r.quietKafka(); err != nil {
		return nil, err
	}
	r.say("  level (%.0f s)", time.Since(r.begun).Seconds())
	for _, edge := range r.stack.Edges {
		r.remember(edge)
		if err := r.stop(edge); err != nil {
			return nil, err
		}
	}
	e := &evidence{clicks: r.book.clicks, retention: r.retention, paths: hookPaths, unheard: r.points[unheardPoint]}
	topics := configs.DefaultKafka().Topics
	for n := range kafkaPartitions {
		log, repeats, err := readEvents(r.ctx, r.cluster.Bootstrap(), topics.Events, n)
		if err != nil {
			return nil, err
		}
		r.repeats += repeats
		e.logs = append(e.logs, log)
	}
	if err := r.finishSinks(len(e.firsts()) * len(e.paths)); err != nil {
		return nil, err
	}
	r.say("  ended (%.0f s)", time.Since(r.begun).Seconds())
	decisions := map[key]*decision{}
	for n := range kafkaPartitions {
		repeats, err := e.readUnique(r.ctx, r.cluster.Bootstrap(), topics.Unique, n, decisions, r.complain)
		if err != nil {
			return nil, err
		}
		r.repeats += repeats
		if given, err := lastOffset(r.ctx, r.cluster.Bootstrap(), topics.Dead, n); err != nil || given > 0 {
			r.complain("%d deliveries of partition %d were given up (%v)", given, n, err)
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(decisions), compareKeys) {
		e.decisions = append(e.decisions, *decisions[k])
	}
	var refused []string
	e.deliveries, refused = r.hooks.all()
	e.complaints = append(r.complaints, refused...)
	e.again, e.mostAgain = since(append(r.againAt, r.hooks.repeated())), r.mostAgain
	return e, nil
}

// since gives what each count adds to the one before it.
func since(counts []int) (added []int) {
	for i := 1; i < len(counts); i++ {
		added = append(added, counts[i]-counts[i-1])
	}
	return added
}

// finishSinks waits for the webhooks that are due, stops the sinks, and gives one of them one more life in which nothing new may be sent.
func (r *round) finishSinks(due int) error {
	err := r.wait("the webhooks", kafkaSettle, func() bool { return r.hooks.accepted() >= due })
	if err != nil { // the check says what is missing
		r.complain("%v: %d of %d arrived", err, r.hooks.accepted(), due)
	}
	r.say("  delivered (%.0f s)", time.Since(r.begun).Seconds())
	for _, sink := range r.stack.Sinks {
		if m, err := sink.Metrics(r.ctx); err != nil {
			return err
		} else if alarms, found := m.Sum("waypost_sink_kafka_alarms_total"); !found || alarms > 0 {
			r.complain("%s has raised %.0f alarms", sink.Name, alarms)
		}
		if err := r.stop(sink); err != nil {
			return err
		}
	}
	if err := r.restart(r.stack.Sinks[0]); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.ctx, stack.StopWithin)
	defer cancel()
	return r.stack.Sinks[0].Stop(ctx)
}
