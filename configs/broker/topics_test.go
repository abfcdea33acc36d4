package broker

import (
	"strconv"
	"testing"
	"time"

	"waypost/configs"
)

func TestTopicsAreOfTheDesign(t *testing.T) {
	k := configs.DefaultKafka()
	tenants := &configs.Tenants{List: []*configs.Tenant{{RetentionDays: 7}, {RetentionDays: 365}, {RetentionDays: 45}}}
	topics := map[string]Topic{}
	for _, topic := range Topics(k, tenants) {
		if _, twice := topics[topic.Name]; twice {
			t.Errorf("%s stands there twice", topic.Name)
		}
		topics[topic.Name] = topic
		partitions := 12
		if topic.Name == k.Topics.Endpoints || topic.Name == k.Topics.States {
			partitions = 1
		}
		if topic.Partitions != partitions || topic.Replication != 3 || topic.Purpose == "" || len(topic.Needs) == 0 {
			t.Errorf("%+v", topic)
		}
	}
	for _, name := range []string{k.Topics.Events, k.Topics.Unique} {
		for setting, want := range map[string]string{
			"cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime", "min.insync.replicas": "2", "unclean.leader.election.enable": "false", "retention.bytes": "-1",
		} {
			if got := find(t, topics[name], setting).Want; got != want {
				t.Errorf("%s: %s = %s, want %s", name, setting, got, want)
			}
		}
	}
	for name, days := range map[string]int{k.Topics.Events: 7, k.Topics.Unique: 365 + 14} {
		if got, want := find(t, topics[name], "retention.ms").Want, strconv.FormatInt((time.Duration(days)*day).Milliseconds(), 10); got != want {
			t.Errorf("%s: retention.ms = %s, want %s", name, got, want)
		}
	}
	for setting, want := range map[string]string{"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime", "min.insync.replicas": "2", "unclean.leader.election.enable": "false"} {
		for _, name := range []string{k.Topics.Endpoints, k.Topics.States} {
			if got := find(t, topics[name], setting).Want; got != want {
				t.Errorf("%s: %s = %s, want %s", name, setting, got, want)
			}
		}
	}
	if used := Of(Edge, Topics(k, tenants)); len(used) != 1 || used[0].Name != k.Topics.Events {
		t.Errorf("the edge uses %v", used)
	}
}

func find(t *testing.T, topic Topic, name string) Setting {
	t.Helper()
	for _, s := range topic.Settings {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("%s has no %s", topic.Name, name)
	return Setting{}
}

func TestLongest(t *testing.T) {
	if got := Longest(nil); got != 45*day {
		t.Errorf("no tenants: %s", got)
	}
	if got := Longest(&configs.Tenants{List: []*configs.Tenant{{RetentionDays: 7}, {RetentionDays: 9}}}); got != 9*day {
		t.Errorf("two tenants: %s", got)
	}
}

func TestSettingRules(t *testing.T) {
	age := Setting{Rule: AtLeast, Want: "1000", Unbounded: true, Unit: "ms"}
	size := Setting{Rule: AtLeast, Want: "1000", Unit: "bytes"}
	word := Setting{Want: "delete"}
	for _, c := range []struct {
		s     Setting
		value string
		ok    bool
		reads string
	}{
		{age, "1000", true, "1000 (1s)"}, {age, "999", false, "999 (999ms)"}, {age, "172800000", true, "172800000 (2d)"}, {age, "-1", true, "-1 (no bound)"}, {age, "", false, ""}, {age, "many", false, "many"},
		{size, "1001", true, "1001 bytes"}, {size, "-1", false, "-1 (no bound)"}, {size, "-5", false, "-5 bytes"},
		{word, "delete", true, "delete"}, {word, "compact,delete", false, "compact,delete"}, {word, "", false, ""},
	} {
		if ok := c.s.OK(c.value); ok != c.ok {
			t.Errorf("%+v %q: %v", c.s, c.value, ok)
		}
		if reads := c.s.Readable(c.value); reads != c.reads {
			t.Errorf("%q reads %q, want %q", c.value, reads, c.reads)
		}
	}
}
