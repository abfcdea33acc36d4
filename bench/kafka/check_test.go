package kafka

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"waypost/configs"
	"waypost/configs/broker"
)

// small are settings that suit a cluster of one node.
func small(c *Cluster, l Listener) configs.Kafka {
	k := configs.DefaultKafka()
	k.Brokers, k.Replication, k.MinInsync, k.Partitions, k.RequestTimeout = c.Addresses(l), 1, 1, 3, 20*time.Second
	return k
}

func createAll(t *testing.T, k configs.Kafka) {
	t.Helper()
	way, err := broker.New(k)
	if err != nil {
		t.Fatal(err)
	}
	defer way.Close()
	for _, topic := range broker.Topics(k, nil) {
		if err := way.Create(t.Context(), topic); err != nil {
			t.Fatalf("%s: %v", topic.Name, err)
		}
		if err := way.Create(t.Context(), topic); !errors.Is(err, kafka.TopicAlreadyExists) {
			t.Errorf("%s, made once more: %v", topic.Name, err)
		}
	}
}

// grant lets a user do operations with a topic or a group.
func grant(t *testing.T, c *Cluster, user string, kind kafka.ResourceType, name string, operations ...kafka.ACLOperationType) {
	t.Helper()
	client, done := c.client(1)
	defer done()
	request := &kafka.CreateACLsRequest{}
	for _, o := range operations {
		request.ACLs = append(request.ACLs, kafka.ACLEntry{
			ResourceType: kind, ResourceName: name, ResourcePatternType: kafka.PatternTypeLiteral, Principal: "User:" + user, Host: "*",
			Operation: o, PermissionType: kafka.ACLPermissionTypeAllow,
		})
	}
	response, err := client.CreateACLs(t.Context(), request)
	if err == nil {
		err = errors.Join(response.Errors...)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Every way in which a cluster can be wrong is told in words that name it.
func TestChecksAreReadable(t *testing.T) {
	c := startTest(t, Options{Secure: true, Authorizer: true, Users: []User{{"reader", "right"}, {"stranger", "right"}, {"half", "right"}}})
	createAll(t, small(c, Plain))
	k := small(c, Plain)
	const read, write, describe, configurations = kafka.ACLOperationTypeRead, kafka.ACLOperationTypeWrite, kafka.ACLOperationTypeDescribe, kafka.ACLOperationTypeDescribeConfigs
	topics := names(k)
	for _, name := range topics {
		grant(t, c, "reader", kafka.ResourceTypeTopic, name, read, write, configurations)
		grant(t, c, "half", kafka.ResourceTypeTopic, name, read, describe)
	}
	grant(t, c, "reader", kafka.ResourceTypeGroup, "waypost-sink", read)
	grant(t, c, "half", kafka.ResourceTypeGroup, "waypost-sink", describe)
	way := &checkCase{t: t, c: c}
	authority, client := c.Files()
	withTLS := func(k *configs.Kafka) { k.TLS.Enabled, k.TLS.CA = true, authority }
	login := func(mechanism, user, password string) func(*configs.Kafka) {
		return func(k *configs.Kafka) {
			k.SASL = configs.KafkaSASL{Mechanism: mechanism, User: user, Password: configs.Secret(password)}
		}
	}

	way.run("plain", Plain, nil)
	way.run("tls", TLS, withTLS)
	way.run("tls with our certificate", TLS, func(k *configs.Kafka) {
		withTLS(k)
		k.TLS.Certificate, k.TLS.Key = client, client
	}, append(each(topics, ": this user has no permission"), "group waypost-sink: this user has no permission for the group")...)
	way.run("scram", SASL, login("scram-sha-512", "reader", "right"))
	way.run("plain over tls", SASLTLS, func(k *configs.Kafka) { withTLS(k); login("plain", "reader", "right")(k) })

	way.run("nobody there", Plain, func(k *configs.Kafka) { k.Brokers = []string{"127.0.0.1:1"} }, "127.0.0.1:1: unreachable: connection refused")
	way.run("one of two there", Plain, func(k *configs.Kafka) { k.Brokers = append(k.Brokers, "127.0.0.1:1") }, "127.0.0.1:1: unreachable: connection refused")
	way.run("no such name", Plain, func(k *configs.Kafka) { k.Brokers = []string{"kafka.invalid:9092"} }, "kafka.invalid:9092: unreachable: ")
	way.run("unknown authority", TLS, func(k *configs.Kafka) { k.TLS.Enabled = true }, "refused certificate: the broker's is of an authority that kafka.tls.ca does not have")
	way.run("another name", TLS, func(k *configs.Kafka) { withTLS(k); k.TLS.ServerName = "kafka.example.com" }, "refused certificate: the broker's is not for kafka.example.com")
	way.run("tls where none is spoken", Plain, withTLS, "does not speak TLS on this port")
	way.run("no tls where it is spoken", TLS, nil, "speaks TLS (kafka.tls.enabled)")
	way.run("wrong password, plain", SASL, login("plain", "reader", "wrong"), "the login was refused: wrong user or password")
	way.run("wrong password, scram", SASL, login("scram-sha-512", "reader", "wrong"), "the login was refused: wrong user or password")
	way.run("no login where one is wanted", SASL, nil, "perhaps it wants TLS or a login")
	way.run("login where none is wanted", Plain, login("plain", "reader", "right"), "the broker wants no login here")

	way.run("topic missing", Plain, func(k *configs.Kafka) { k.Topics.Unique = "other.unique" }, "other.unique: the topic is missing, or this user may not see it: bin/sink topics create")
	way.run("partitions", Plain, func(k *configs.Kafka) { k.Partitions = 4 }, each(slices.DeleteFunc(slices.Clone(topics), func(name string) bool { return name == k.Topics.Endpoints || name == k.Topics.States }), ": has 3 partitions, and kafka.partitions is 4")...)
	way.run("replication", Plain, func(k *configs.Kafka) { k.Replication = 3 }, each(topics, ": has replication 1: must be at least 3")...)
	way.run("no rights", SASL, login("scram-sha-512", "stranger", "right"), append(each(topics, ": this user has no permission for the topic"), "group waypost-sink: this user has no permission for the group")...)
	way.run("half the rights", SASL, login("scram-sha-512", "half", "right"),
		append(append([]string{topics[0] + ": this user has no permission to DescribeConfigs: kafka-acls.sh"},
			each(topics[1:], ": this user has no permission to DescribeConfigs", ": this user has no permission to Write")...),
			"group waypost-sink: this user has no permission for the group")...)
	way.retention()
	way.program()
}

// names are the topics' names, in the order of the contract.
func names(k configs.Kafka) (all []string) {
	for _, t := range broker.Topics(k, nil) {
		all = append(all, t.Name)
	}
	return all
}

// each is a line with each text for each topic.
func each(topics []string, texts ...string) (lines []string) {
	for _, topic := range topics {
		for _, text := range texts {
			lines = append(lines, topic+text)
		}
	}
	return lines
}

type checkCase struct {
	t *testing.T
	c *Cluster
}

// run holds what the sink's check finds to the wanted beginnings or parts of lines, in order.
func (w *checkCase) run(name string, l Listener, change func(*configs.Kafka), want ...string) {
	w.t.Run(name, func(t *testing.T) {
		k := small(w.c, l)
		if change != nil {
			change(&k)
		}
		way, err := broker.New(k)
		if err != nil {
			t.Fatal(err)
		}
		defer way.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		problems := broker.Check(ctx, way, broker.Sink, broker.Topics(k, nil), "waypost-sink")
		wantLines(t, problems, want)
		for _, p := range problems {
			if waits := strings.Contains(p.Text, "unreachable"); p.Passing != waits {
				t.Errorf("passing %v: %s", p.Passing, p)
			}
		}
		if len(want) == 1 && strings.Contains(want[0], "refused") && len(k.Brokers) == 1 {
			// What running programs meet, through kafka-go's own connections, reads the same.
			_, err := way.Client.Metadata(ctx, &kafka.MetadataRequest{})
			_, err2 := way.Dialer.DialContext(ctx, "tcp", k.Brokers[0])
			_, text, _ := strings.Cut(problems[0].String(), ": ")
			if got, got2 := broker.Explain(err), broker.Explain(err2); got != text || got2 != text {
				t.Errorf("the client: %s\nthe dialer: %s\nthe check:  %s", got, got2, text)
			}
		}
	})
}

func wantLines(t *testing.T, problems []broker.Problem, want []string) {
	t.Helper()
	var lines []string
	for _, p := range problems {
		lines = append(lines, p.String())
	}
	ok := len(lines) == len(want)
	for i := 0; ok && i < len(want); i++ {
		ok = strings.Contains(lines[i], want[i]) && !strings.Contains(lines[i], "\n")
	}
	if !ok {
		t.Errorf("told:\n  %s\nwant:\n  %s", strings.Join(lines, "\n  "), strings.Join(want, "\n  "))
	}
}

// retention: a tenant that remembers longer than the topic is told of, and every other setting that was weakened.
func (w *checkCase) retention() {
	w.t.Run("settings", func(t *testing.T) {
		k := small(w.c, Plain)
		way, err := broker.New(k)
		if err != nil {
			t.Fatal(err)
		}
		defer way.Close()
		weaken(t, way.Client, k.Topics.Events, map[string]string{
			"cleanup.policy": "compact", "retention.ms": "3600000", "retention.bytes": "1000000", "message.timestamp.type": "CreateTime", "unclean.leader.election.enable": "true", "max.message.bytes": "1000",
		})
		tenants := &configs.Tenants{List: []*configs.Tenant{{Number: 1, RetentionDays: 7}, {Number: 2, RetentionDays: 60}}}
		want := []string{
			"waypost.events: cleanup.policy = compact: must be delete: ", "waypost.events: retention.ms = 3600000 (1h0m0s): must be at least 604800000 (7d): ",
			"waypost.events: retention.bytes = 1000000 bytes: must be -1 (no bound): ", "waypost.events: message.timestamp.type = CreateTime: must be LogAppendTime: ",
			"waypost.events: unclean.leader.election.enable = true: must be false: ", "waypost.events: max.message.bytes = 1000 bytes: must be at least 1048588 bytes: ",
			"waypost.unique: retention.ms = 5097600000 (59d): must be at least 6393600000 (74d): ",
		}
		var problems []broker.Problem
		// A node tells of settings a moment after the controller has taken them.
		for ctx := deadline(t, time.Minute); len(problems) != len(want) && ctx.Err() == nil; {
			problems = broker.Check(ctx, way, broker.Sink, broker.Topics(k, tenants), "")
		}
		const how = "kafka-configs.sh --bootstrap-server "
		wantLines(t, problems, want)
		for _, p := range problems {
			if !strings.HasPrefix(p.How, how) {
				t.Errorf("no command mends it: %s", p)
			}
		}
	})
}

func weaken(t *testing.T, client *kafka.Client, topic string, settings map[string]string) {
	t.Helper()
	resource := kafka.IncrementalAlterConfigsRequestResource{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic}
	for name, value := range settings {
		resource.Configs = append(resource.Configs, kafka.IncrementalAlterConfigsRequestConfig{Name: name, Value: value, ConfigOperation: kafka.ConfigOperationSet})
	}
	response, err := client.IncrementalAlterConfigs(t.Context(), &kafka.IncrementalAlterConfigsRequest{Resources: []kafka.IncrementalAlterConfigsRequestResource{resource}})
	if err == nil {
		err = response.Resources[0].Error
	}
	if err != nil {
		t.Fatal(err)
	}
}

// program: the real sink and edge make, check and describe.
func (w *checkCase) program() {
	w.t.Run("programs", func(t *testing.T) {
		dir := t.TempDir()
		buildPrograms(t, dir)
		kafkaLines := "kafka: {brokers: [\"" + w.c.Bootstrap()[0] + "\"], replication: 1, min_insync: 1, partitions: 2, request_timeout: 20s, " +
			"topics: {events: p.events, unique: p.unique, deliveries: p.deliveries, retry: p.retry, dead: p.dead, endpoints: p.endpoints, states: p.states}}\n"
		for name, text := range map[string]string{
			"sink.yaml": "journals: []\n" + kafkaLines, "edge.yaml": "journal: {consumers: [kafka]}\n" + kafkaLines, "tenants.yaml": "tenants: []\n", "link.keys": "",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		sink := func(args ...string) (string, int) { return runProgram(t, dir, "sink", args...) }
		wantRun := func(want string, wantExit int, text string, exit int) {
			t.Helper()
			if !strings.Contains(text, want) || exit != wantExit {
				t.Errorf("exit %d, want %d and %q in:\n%s", exit, wantExit, want, text)
			}
		}
		text, exit := sink("topics", "check")
		wantRun(fmt.Sprintf("topics: %d deviations", len(broker.Topics(small(w.c, Plain), nil))), 1, text, exit)
		text, exit = runProgram(t, dir, "edge", "--check", "--online")
		wantRun("p.events: the topic is missing", 1, text, exit)
		text, exit = sink("topics", "create")
		wantRun("p.events: created: 2 partitions, replication 1\np.unique: created", 0, text, exit)
		text, exit = sink("topics", "create")
		wantRun("p.dead: as it must be: 2 partitions\np.endpoints: as it must be: 1 partition\np.states: as it must be: 1 partition\n", 0, text, exit)
		text, exit = sink("topics", "describe")
		wantRun("  retention.ms = 604800000 (7d)\n", 0, text, exit)
		text, exit = sink("--check", "--online")
		wantRun("sink.yaml: no problems online\n", 0, text, exit)
		text, exit = runProgram(t, dir, "edge", "--check", "--online")
		wantRun("edge.yaml: no problems online\n", 0, text, exit)
		k := small(w.c, Plain)
		way, err := broker.New(k)
		if err != nil {
			t.Fatal(err)
		}
		defer way.Close()
		weaken(t, way.Client, "p.dead", map[string]string{"retention.ms": "1"})
		text, exit = sink("topics", "create")
		wantRun("p.dead: retention.ms = 1 (1ms): must be at least 2592000000 (30d)", 1, text, exit)
		text, exit = sink("topics", "describe")
		wantRun("  retention.ms = 1 (1ms)  <- must be at least 2592000000 (30d)\n", 0, text, exit)
	})
}

// buildPrograms makes the real programs.
func buildPrograms(t *testing.T, dir string) {
	t.Helper()
	build := exec.Command("go", "build", "-o", dir, "waypost/edge", "waypost/sink")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
}

// runProgram gives all that the program prints, and its exit code.
func runProgram(t *testing.T, dir, name string, args ...string) (string, int) {
	t.Helper()
	program := exec.CommandContext(t.Context(), filepath.Join(dir, name), append([]string{"--config", filepath.Join(dir, name+".yaml")}, args...)...)
	text, err := program.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(text), program.ProcessState.ExitCode()
}
