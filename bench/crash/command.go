package crash

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"waypost/bench/stack"
)

// ErrVerdict says that the verdict is bad. It was printed already.
var ErrVerdict = errors.New("the crash test failed")

// Command is `bench crash`.
type Command struct {
	Rounds   int           `help:"How often to run every scenario." default:"1"`
	Kafka    int           `help:"On a real Apache Kafka of so many nodes, with two edges and two sinks: 3. Wants Java 17 and Maven." placeholder:"NODES"`
	Outage   time.Duration `help:"With --kafka: how long all brokers are away, in one round of five; two of three are for twice as long, in one of ten." default:"60s"`
	Rate     int           `help:"Clicks offered, a second. 0: 1000, for deliveries 2500, with --kafka 2000."`
	Kills    int           `help:"Random kills in a scenario, at least." default:"6"`
	Duration time.Duration `help:"How long a scenario goes on killing, at least."`
	Scenario []string      `help:"Only these: ${crash_scenarios}." placeholder:"NAME"`
	Seed     uint64        `help:"Repeats the random choices of a run; its timing differs all the same. 0 takes a new one."`
	Bin      string        `help:"Folder of programs built with -tags faults; built from these sources when not given." type:"path"`
	Dir      string        `help:"Keep settings, logs, journals and copies of each scenario here; a scenario that fails is kept anyway." type:"path"`
}

// Vars are what the help text needs.
func Vars() kong.Vars {
	var names []string
	for _, s := range slices.Concat(scenarios, kafkaScenarios) {
		names = append(names, s.name)
	}
	return kong.Vars{"crash_scenarios": strings.Join(names, ", ")}
}

// Validate bounds the flags. kong calls it.
func (c *Command) Validate() error {
	switch {
	case c.Rounds < 1:
		return fmt.Errorf("--rounds=%d: must be at least 1", c.Rounds)
	case c.Rate != 0 && c.Rate < 100 || c.Rate > 100_000:
		return fmt.Errorf("--rate=%d: must be from 100 to 100000", c.Rate)
	case c.Kafka != 0 && c.Kafka != kafkaNodes:
		return fmt.Errorf("--kafka=%d: must be %d: with one node nothing goes on when it dies", c.Kafka, kafkaNodes)
	case c.Outage < time.Second:
		return fmt.Errorf("--outage=%v: must be at least 1s", c.Outage)
	case c.Kills < 2:
		return fmt.Errorf("--kills=%d: must be at least 2", c.Kills)
	}
	for _, name := range c.Scenario {
		if !slices.ContainsFunc(c.scenarios(), func(s scenario) bool { return s.name == name }) {
			return fmt.Errorf("--scenario=%s: must be one of %s", name, Vars()["crash_scenarios"])
		}
	}
	return nil
}

// scenarios are those of one machine, or of Kafka.
func (c *Command) scenarios() []scenario {
	if c.Kafka > 0 {
		return kafkaScenarios
	}
	return scenarios
}

// jars are where `bench kafka` has them.
func (c *Command) jars() string { return filepath.Join("var", "kafka", "jars") }

// total is what the verdict counts.
type total struct {
	scenarios, failed, kills, points, clicks, answered, uniques, deliveries int
}

// Run runs the rounds and prints the verdict as the last line; a bad one is ErrVerdict.
func (c *Command) Run(ctx context.Context, k *kong.Context) error {
	say := func(format string, args ...any) { fmt.Fprintf(k.Stdout, format+"\n", args...) }
	work, err := os.MkdirTemp("", "waypost-crash-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(work) }() // empty unless something failed
	if c.Bin == "" {
		c.Bin = filepath.Join(work, "bin")
		defer os.RemoveAll(c.Bin)
		say("building the programs with fault points")
		if err := stack.Build(ctx, c.Bin, "faults"); err != nil {
			return err
		}
	}
	usualRate := 1000
	if c.Kafka > 0 {
		usualRate = 2000
	}
	if c.Seed == 0 {
		c.Seed = 1 + rand.Uint64N(1_000_000)
	}
	var t total
	for round := range c.Rounds {
		for i, s := range c.scenarios() {
			if len(c.Scenario) > 0 && !slices.Contains(c.Scenario, s.name) {
				continue
			}
			o := options{
				bin: c.Bin, rate: cmp.Or(c.Rate, s.rate, usualRate), kills: c.Kills, lasts: c.Duration, seed: c.Seed + uint64(round*len(c.scenarios())+i), say: say,
				kafka: c.Kafka > 0, jars: c.jars(), outage: c.Outage, number: round,
				dir: filepath.Join(work, fmt.Sprintf("round-%d-%s", round+1, s.name)),
			}
			if c.Dir != "" {
				o.dir = filepath.Join(c.Dir, filepath.Base(o.dir))
			}
			say("round %d of %d, %s: %s; seed %d", round+1, c.Rounds, s.name, s.what, o.seed)
			good := c.one(ctx, s, o, &t)
			if ctx.Err() != nil {
				say("INTERRUPTED")
				return ErrVerdict
			}
			if good && c.Dir == "" {
				_ = os.RemoveAll(o.dir)
			}
		}
	}
	return t.verdict(say, c.Rounds)
}

// one runs one scenario and says how it went.
func (c *Command) one(ctx context.Context, s scenario, o options, t *total) (good bool) {
	begun := time.Now()
	f, r, err := play(ctx, s, o)
	t.scenarios++
	if err != nil {
		t.failed++
		o.say("  FAIL: could not be played: %v; see %s", err, o.dir)
		return false
	}
	t.kills += r.kills
	for _, hits := range r.points {
		t.points += hits
	}
	t.clicks += len(r.book.clicks)
	t.answered += f.answered
	t.uniques += f.uniques
	t.deliveries += f.deliveries
	o.say("  %d clicks: %d answered, %d not (of these %d in the log); %d in the log; %d unique, %d webhooks; %.0f segments recycled; %.1f s",
		len(r.book.clicks), f.answered, f.unanswered, f.unansweredInLog, f.logged, f.uniques, f.deliveries, r.recycled, time.Since(begun).Seconds())
	if o.kafka {
		o.say("  %d disturbances; points %v; the readers' rules dropped %d repeated records", r.disturbed, r.points, r.repeats)
	}
	if len(f.again) > 0 {
		again := slices.Sorted(slices.Values(f.again))
		o.say("  came again after a kill: median %d, most %d, at most %d may%s", again[len(again)/2], again[len(again)-1], r.mostAgain, map[bool]string{true: " on average"}[o.kafka])
	}
	for _, fault := range f.faults {
		o.say("  fault: %s", fault)
	}
	if good = (f.count > 0) == s.fails; good {
		o.say("  pass: %d faults%s", f.count, map[bool]string{true: ", as it must be"}[s.fails])
		return true
	}
	t.failed++
	o.say("  FAIL: %d faults; see %s", f.count, o.dir)
	return false
}

// play runs a scenario to its end and checks it.
func play(ctx context.Context, s scenario, o options) (*findings, *round, error) {
	r, err := begin(ctx, o, s.edges)
	if err != nil {
		return nil, nil, err
	}
	defer r.end()
	if err := s.run(r); err != nil {
		return nil, nil, err
	}
	e, err := r.finish()
	if err != nil {
		return nil, nil, err
	}
	return e.check(), r, nil
}

func (t *total) verdict(say func(string, ...any), rounds int) error {
	text := fmt.Sprintf("%d rounds, %d scenarios, %d kills at random and %d at fault points, %d clicks of which %d answered, %d unique, %d webhooks",
		rounds, t.scenarios, t.kills, t.points, t.clicks, t.answered, t.uniques, t.deliveries)
	if t.failed > 0 {
		say("FAIL: %d scenarios of %d failed: %s", t.failed, t.scenarios, text)
		return ErrVerdict
	}
	say("PASS: none lost, none doubled: %s", text)
	return nil
}
