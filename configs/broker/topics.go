package broker

import (
	"fmt"
	"strconv"
	"time"

	"waypost/configs"
)

const (
	day = 24 * time.Hour

	// eventsFor is how long every event stays at least: so long may a sink be away, and so long can readers go back.
	eventsFor = 7 * day

	// uniqueBeyond is how long a first click stays beyond the longest retention of a tenant: a store that is rebuilt from the topic must find each that still counts.
	uniqueBeyond = 14 * day

	// deliveriesFor and deadFor are for people who look back.
	deliveriesFor = 7 * day
	deadFor       = 30 * day

	// retryFor is the longest wait, and a week for which all sinks may be away.
	retryFor = 8 * day

	// deletedFor is how long the record stays that says that a webhook was removed.
	deletedFor = 7 * day

	// batchRoom is what a batch has around its records.
	batchRoom = 4 << 10

	// usualMessageBytes is Kafka's own max.message.bytes.
	usualMessageBytes = 1<<20 + 12
)

// Program is who asks.
type Program int

// The programs that speak to brokers.
const (
	Edge Program = iota // writes events
	Sink                // reads events, writes all else
)

// Operation is what a user may do with a topic: the number of Kafka's AclOperation.
type Operation int8

// Operations that the programs need. Each of Read and Write holds Describe.
const (
	Read            Operation = 3
	Write           Operation = 4
	Describe        Operation = 8
	DescribeConfigs Operation = 10
)

func (o Operation) String() string {
	switch o {
	case Read:
		return "Read"
	case Write:
		return "Write"
	case Describe:
		return "Describe"
	case DescribeConfigs:
		return "DescribeConfigs"
	}
	return "operation " + strconv.Itoa(int(o))
}

// Topic is what one topic must be.
type Topic struct {
	Name        string
	Purpose     string // in a few words, for people
	Partitions  int    // just so many: what belongs to one recipient and mail stands in the same partition of every topic; 1 where the order of all records counts
	Replication int    // copies of each partition, at least
	Settings    []Setting
	Needs       map[Program][]Operation // who uses it at all, and for what
}

// Rule says how a setting is held to what is wanted.
type Rule int

// The rules.
const (
	Equal   Rule = iota
	AtLeast      // a number; -1 is without bound where Unbounded says so
)

// Setting is one of a topic's settings in Kafka.
type Setting struct {
	Name      string
	Rule      Rule
	Want      string // what it is created with
	Unbounded bool   // -1 is more than any number
	Unit      string // ms or bytes, for people; empty: a bare word or number
	Why       string // what goes wrong otherwise
}

// OK says whether a topic may have the value.
func (s Setting) OK(value string) bool {
	if s.Rule == Equal || value == s.Want {
		return value == s.Want
	}
	have, err := strconv.ParseInt(value, 10, 64)
	want, err2 := strconv.ParseInt(s.Want, 10, 64)
	return err == nil && err2 == nil && (have >= want || (s.Unbounded && have == -1))
}

// Topics is the contract of the topics: the one table that `sink topics create`, check and describe and the programs' checks use. A topic more is an entry more.
func Topics(k configs.Kafka, tenants *configs.Tenants) []Topic {
	all := []Topic{
		{
			Name: k.Topics.Events, Purpose: "every event", Settings: kept(eventsFor, "a sink that was away so long must find its events"),
			Needs: map[Program][]Operation{Edge: {Write, DescribeConfigs}, Sink: {Read, DescribeConfigs}},
		},
		{
			Name: k.Topics.Unique, Purpose: "first clicks", Settings: kept(Longest(tenants)+uniqueBeyond, "clicks within a tenant's retention count as first again otherwise"),
			Needs: map[Program][]Operation{Sink: {Read, Write, DescribeConfigs}},
		},
		{
			Name: k.Topics.Deliveries, Purpose: "attempts at webhooks", Settings: kept(deliveriesFor, "attempts must be there for those who look into them"),
			Needs: map[Program][]Operation{Sink: {Read, Write, DescribeConfigs}},
		},
		{
			Name: k.Topics.Dead, Purpose: "webhooks given up", Settings: kept(deadFor, "what was given up must be there to be replayed"),
			Needs: map[Program][]Operation{Sink: {Read, Write, DescribeConfigs}},
		},
	}
	all = append(all, Topic{
		Name: k.Topics.Endpoints, Purpose: "webhooks made through the API", Partitions: 1, Settings: compacted("webhooks that nobody changes are dropped by age otherwise"),
		Needs: map[Program][]Operation{Sink: {Read, Write, DescribeConfigs}},
	}, Topic{
		Name: k.Topics.States, Purpose: "endpoints that fail or are disabled", Partitions: 1, Settings: compacted("an endpoint that was disabled gets attempts again otherwise"),
		Needs: map[Program][]Operation{Sink: {Read, Write, DescribeConfigs}},
	})
	for _, delay := range RetryDelays {
		all = append(all, Topic{
			Name: RetryTopic(k, delay), Purpose: "webhooks that wait for " + readableDelay(delay),
			Settings: kept(retryFor, "a webhook that waits must be there when it is due, also after the sinks were away"),
			Needs:    map[Program][]Operation{Sink: {Read, Write, DescribeConfigs}},
		})
	}
	for i := range all {
		t := &all[i]
		if t.Replication = k.Replication; t.Partitions == 0 {
			t.Partitions = k.Partitions
		}
		t.Settings = append(t.Settings, common(k)...)
	}
	return all
}

// RetryDelays are the waits of the retry topics, shortest first. A longer wait goes through several of them.
var RetryDelays = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 10 * time.Hour}

// RetryTopic is the name of the topic in which webhooks wait for so long: waypost.retry.5s.
func RetryTopic(k configs.Kafka, delay time.Duration) string {
	return k.Topics.Retry + "." + readableDelay(delay)
}

func readableDelay(d time.Duration) string {
	switch {
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// Of are the topics that a program uses.
func Of(p Program, topics []Topic) (used []Topic) {
	for _, t := range topics {
		if len(t.Needs[p]) > 0 {
			used = append(used, t)
		}
	}
	return used
}

// Longest is the longest retention of a tenant, and the default's where there are no tenants.
func Longest(tenants *configs.Tenants) time.Duration {
	days := configs.DefaultTenant().RetentionDays
	if tenants != nil && len(tenants.List) > 0 {
		days = 0
		for _, t := range tenants.List {
			days = max(days, t.RetentionDays)
		}
	}
	return time.Duration(days) * day
}

// kept is a log of records that go by age only.
func kept(atLeast time.Duration, why string) []Setting {
	return []Setting{
		{Name: "cleanup.policy", Want: "delete", Why: "compaction drops all but a key's last record"},
		{Name: "retention.ms", Rule: AtLeast, Want: strconv.FormatInt(atLeast.Milliseconds(), 10), Unbounded: true, Unit: "ms", Why: why},
		{Name: "retention.bytes", Want: "-1", Unit: "bytes", Why: "a bound of size drops records before their time"},
		{Name: "message.timestamp.type", Want: "LogAppendTime", Why: "Kafka refuses records of a machine whose clock is an hour ahead otherwise"},
	}
}

// compacted is a log of which each key's last record stays for ever.
func compacted(why string) []Setting {
	return []Setting{
		{Name: "cleanup.policy", Want: "compact", Why: why},
		{Name: "delete.retention.ms", Rule: AtLeast, Want: strconv.FormatInt(deletedFor.Milliseconds(), 10), Unit: "ms", Why: "a sink that was cut off for so long must find which webhooks were removed"},
		{Name: "retention.bytes", Want: "-1", Unit: "bytes", Why: "a bound of size drops records before their time, should the policy become another"},
		{Name: "message.timestamp.type", Want: "LogAppendTime", Why: "Kafka refuses records of a machine whose clock is an hour ahead otherwise"},
	}
}

// common is what every topic needs.
func common(k configs.Kafka) []Setting {
	return []Setting{
		{Name: "min.insync.replicas", Rule: AtLeast, Want: strconv.Itoa(k.MinInsync), Why: "what is acknowledged is lost with fewer brokers otherwise"},
		{Name: "unclean.leader.election.enable", Want: "false", Why: "a broker that is behind becomes leader otherwise, and what it does not have is lost"},
		{Name: "max.message.bytes", Rule: AtLeast, Want: strconv.FormatInt(max(k.BatchBytes+batchRoom, usualMessageBytes), 10), Unit: "bytes", Why: "batches of kafka.batch_bytes are refused otherwise"},
	}
}

// Readable is a value as a person reads it: 604800000 (7d).
func (s Setting) Readable(value string) string {
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil || s.Unit == "":
		return value
	case n == -1:
		return "-1 (no bound)"
	case s.Unit == "ms" && n > 0 && n%day.Milliseconds() == 0:
		return fmt.Sprintf("%d (%dd)", n, n/day.Milliseconds())
	case s.Unit == "ms":
		return fmt.Sprintf("%d (%s)", n, time.Duration(n)*time.Millisecond)
	}
	return fmt.Sprintf("%d %s", n, s.Unit)
}
