package kafka

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// ports of one node. Those of listeners that are off are 0.
type ports struct {
	Plain      int `json:"plain"`
	Controller int `json:"controller"`
	TLS        int `json:"tls,omitempty"`
	SASL       int `json:"sasl,omitempty"`
	SASLTLS    int `json:"sasl_tls,omitempty"`
}

// properties is a node's server.properties. id counts from 1.
func properties(o Options, all []ports, id int) string {
	p := all[id-1]
	replicas := len(all)
	inSync := (replicas + 1) / 2 // 1 of 1, 2 of 3
	var voters []string
	for i, other := range all {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", i+1, other.Controller))
	}
	settings := map[string]string{
		"process.roles":                                    "broker,controller",
		"node.id":                                          fmt.Sprint(id),
		"controller.quorum.voters":                         strings.Join(voters, ","),
		"controller.listener.names":                        "CONTROLLER",
		"inter.broker.listener.name":                       "PLAIN",
		"log.dirs":                                         filepath.Join(nodeDir(o.Dir, id), "data"),
		"num.network.threads":                              "2",
		"num.io.threads":                                   "4",
		"auto.create.topics.enable":                        "false",
		"unclean.leader.election.enable":                   "false",
		"default.replication.factor":                       fmt.Sprint(replicas),
		"min.insync.replicas":                              fmt.Sprint(inSync),
		"offsets.topic.num.partitions":                     "8",
		"offsets.topic.replication.factor":                 fmt.Sprint(replicas),
		"transaction.state.log.num.partitions":             "4",
		"transaction.state.log.replication.factor":         fmt.Sprint(replicas),
		"transaction.state.log.min.isr":                    fmt.Sprint(inSync),
		"share.coordinator.state.topic.num.partitions":     "1",
		"share.coordinator.state.topic.replication.factor": fmt.Sprint(replicas),
		"share.coordinator.state.topic.min.isr":            fmt.Sprint(inSync),
		"group.initial.rebalance.delay.ms":                 "0",
		"log.cleaner.dedupe.buffer.size":                   "16777216",
		"broker.session.timeout.ms":                        fmt.Sprint(o.SessionTimeout.Milliseconds()),
		"broker.heartbeat.interval.ms":                     fmt.Sprint(min(2000, o.SessionTimeout.Milliseconds()/6)),
	}
	addListeners(settings, o, p)
	maps.Copy(settings, o.Settings)
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&text, "%s=%s\n", key, settings[key])
	}
	return text.String()
}

func addListeners(settings map[string]string, o Options, p ports) {
	type listener struct {
		name, protocol string
		port           int
	}
	all := []listener{{"PLAIN", "PLAINTEXT", p.Plain}}
	if o.Secure {
		all = append(all, listener{"TLS", "SSL", p.TLS}, listener{"SASL", "SASL_PLAINTEXT", p.SASL}, listener{"SASLTLS", "SASL_SSL", p.SASLTLS})
		addSecurity(settings, o)
	}
	var listeners, protocols []string
	for _, l := range all {
		listeners = append(listeners, fmt.Sprintf("%s://127.0.0.1:%d", l.name, l.port))
		protocols = append(protocols, l.name+":"+l.protocol)
	}
	settings["advertised.listeners"] = strings.Join(listeners, ",")
	settings["listeners"] = strings.Join(append(listeners, fmt.Sprintf("CONTROLLER://127.0.0.1:%d", p.Controller)), ",")
	settings["listener.security.protocol.map"] = strings.Join(append(protocols, "CONTROLLER:PLAINTEXT"), ",")
	if o.Authorizer {
		settings["authorizer.class.name"] = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
		settings["super.users"] = "User:ANONYMOUS" // who comes over PLAIN, the nodes among them
	}
}

func addSecurity(settings map[string]string, o Options) {
	settings["ssl.keystore.type"] = "PEM"
	settings["ssl.keystore.location"] = filepath.Join(o.Dir, "tls", "server.pem")
	settings["ssl.truststore.type"] = "PEM"
	settings["ssl.truststore.location"] = filepath.Join(o.Dir, "tls", "ca.pem")
	settings["ssl.client.auth"] = "requested"
	plain := "org.apache.kafka.common.security.plain.PlainLoginModule required"
	for _, u := range o.Users {
		plain += fmt.Sprintf(" user_%s=\"%s\"", u.Name, u.Password)
	}
	for _, name := range []string{"sasl", "sasltls"} {
		settings["listener.name."+name+".sasl.enabled.mechanisms"] = "PLAIN,SCRAM-SHA-512"
		settings["listener.name."+name+".plain.sasl.jaas.config"] = plain + ";"
		settings["listener.name."+name+".scram-sha-512.sasl.jaas.config"] = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
	}
}

// logging is what every node's log4j gets: warnings, on stdout, which is the node's log file.
const logging = `rootLogger.level = WARN
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1}: %m%n
`

func nodeDir(dir string, id int) string { return filepath.Join(dir, fmt.Sprintf("node-%d", id)) }
