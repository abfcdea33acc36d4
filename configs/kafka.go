package configs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Shipper is the name under which the edge's shipper reads the journal: with Kafka it must be one of journal.consumers.
const Shipper = "kafka"

// Kafka is the brokers' part of edge.yaml and sink.yaml: the same in both. Without brokers Kafka is off, and the rest means nothing.
type Kafka struct {
	Brokers        []string      `yaml:"brokers"` // host:port of some; they tell of the others
	ClientID       string        `yaml:"client_id"`
	TLS            KafkaTLS      `yaml:"tls"`
	SASL           KafkaSASL     `yaml:"sasl"`
	Topics         KafkaTopics   `yaml:"topics"`
	BatchBytes     int64         `yaml:"batch_bytes"`     // of records, before compression
	BatchDelay     time.Duration `yaml:"batch_delay"`     // a record waits at most so long for others
	Compression    string        `yaml:"compression"`     // none, snappy, lz4, zstd
	RequestTimeout time.Duration `yaml:"request_timeout"` // of one request and its answer, and of a connection's beginning
	Replication    int           `yaml:"replication"`     // what topics must have at least, and are created with
	MinInsync      int           `yaml:"min_insync"`      // likewise, min.insync.replicas
	Partitions     int           `yaml:"partitions"`      // what `sink topics create` gives every topic but those of endpoints and states
}

// KafkaTLS is how the brokers are known, and how they know us. Paths are of PEM files.
type KafkaTLS struct {
	Enabled     bool   `yaml:"enabled"`
	CA          string `yaml:"ca"`          // empty: the system's authorities
	Certificate string `yaml:"certificate"` // ours; empty: none is shown
	Key         string `yaml:"key"`
	ServerName  string `yaml:"server_name"` // the name in the brokers' certificates; empty: the host dialled
}

// KafkaSASL is a login.
type KafkaSASL struct {
	Mechanism string `yaml:"mechanism"` // empty: none; plain, scram-sha-512
	User      string `yaml:"user"`
	Password  Secret `yaml:"password"`
}

// KafkaTopics are the topics' names.
type KafkaTopics struct {
	Events     string `yaml:"events"`
	Unique     string `yaml:"unique"`
	Deliveries string `yaml:"deliveries"`
	Retry      string `yaml:"retry"` // what the names of the retry topics begin with
	Dead       string `yaml:"dead"`
	Endpoints  string `yaml:"endpoints"`
	States     string `yaml:"states"`
}

// On says whether events go by Kafka.
func (k *Kafka) On() bool { return len(k.Brokers) > 0 }

// DefaultKafka is Kafka switched off, with every other setting as shipped.
func DefaultKafka() Kafka {
	return Kafka{
		ClientID: "waypost",
		Topics: KafkaTopics{
			Events:     "waypost.events",
			Unique:     "waypost.unique",
			Deliveries: "waypost.deliveries",
			Retry:      "waypost.retry",
			Dead:       "waypost.dead",
			Endpoints:  "waypost.endpoints",
			States:     "waypost.states",
		},
		BatchBytes:     512 * kib,
		BatchDelay:     20 * time.Millisecond,
		Compression:    "snappy",
		RequestTimeout: 10 * time.Second,
		Replication:    3,
		MinInsync:      2,
		Partitions:     12,
	}
}

func (k *Kafka) group() group {
	return group{
		settings: []setting{
			{"brokers", list[string]{&k.Brokers, broker, "brokers", 100}},
			{"client_id", words(&k.ClientID, 1, 100)},
			{"tls", k.TLS.group()},
			{"sasl", k.SASL.group()},
			{"topics", k.Topics.group()},
			{"batch_bytes", bytesIn(&k.BatchBytes, 16*kib, 16*mib)},
			{"batch_delay", durationIn(&k.BatchDelay, 0, 10*time.Second)},
			{"compression", oneOf(&k.Compression, "none", "snappy", "lz4", "zstd")},
			{"request_timeout", durationIn(&k.RequestTimeout, 100*time.Millisecond, 5*time.Minute)},
			{"replication", numberIn(&k.Replication, 1, 100)},
			{"min_insync", numberIn(&k.MinInsync, 1, 100)},
			{"partitions", numberIn(&k.Partitions, 1, 10_000)},
		},
		check: k.check,
	}
}

func (t *KafkaTLS) group() group {
	return group{settings: []setting{
		{"enabled", boolean(&t.Enabled)},
		{"ca", optional(path(&t.CA))},
		{"certificate", optional(path(&t.Certificate))},
		{"key", optional(path(&t.Key))},
		{"server_name", optional(text(&t.ServerName, "must be a host name", isHost))},
	}}
}

func (s *KafkaSASL) group() group {
	const user = "must be at most 200 bytes of text without control characters"
	return group{
		settings: []setting{
			{"mechanism", text(&s.Mechanism, `must be plain, scram-sha-512 or ""`, func(s string) bool { return s == "" || s == "plain" || s == "scram-sha-512" })},
			{"user", text(&s.User, user, func(s string) bool { return len(s) <= 200 && clean(s) })},
			{"password", secretIn(&s.Password, "must be at most 4096 bytes of text without control characters", func(s Secret) bool { return s == "" || isSecretText(s) })},
		},
		secret: true,
	}
}

func (t *KafkaTopics) group() group {
	return group{
		settings: []setting{
			{"events", topic(&t.Events)},
			{"unique", topic(&t.Unique)},
			{"deliveries", topic(&t.Deliveries)},
			{"retry", topic(&t.Retry)},
			{"dead", topic(&t.Dead)},
			{"endpoints", topic(&t.Endpoints)},
			{"states", topic(&t.States)},
		},
		check: func(r *reader, key string) {
			// By key, so that the fault stands at the line to change.
			keys := []string{"events", "unique", "deliveries", "retry", "dead", "endpoints", "states"}
			names := []string{t.Events, t.Unique, t.Deliveries, t.Retry, t.Dead, t.Endpoints, t.States}
			for i, name := range names {
				for j := range i {
					if name == names[j] {
						r.late(join(key, keys[i]), name, "must not be "+join(key, keys[j])+" too")
						break
					}
				}
			}
		},
	}
}

// optional also takes the empty string, which is no path or name.
func optional(v value) value {
	s, ok := v.(scalar[string])
	if !ok {
		panic("BUG: not a string")
	}
	parse := s.parse
	s.parse = func(text string) (string, bool) {
		if text == "" {
			return "", true
		}
		return parse(text)
	}
	s.want += `, or ""`
	return s
}

// broker is where a client connects to.
func broker(to *string) value {
	return text(to, "must be host:port, such as kafka-1.example.com:9092", func(s string) bool {
		host, port, err := net.SplitHostPort(s)
		if err != nil {
			return false
		}
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		n, err := strconv.ParseUint(port, 10, 16)
		return err == nil && n > 0 && strconv.FormatUint(n, 10) == port && isHost(host)
	})
}

var topicPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,200}$`)

// topic is a name that Kafka takes. Kafka allows 249 characters; the retry topics add some behind.
func topic(to *string) value {
	return text(to, "must be 1 to 200 of A-Z, a-z, 0-9, ., _ and -", func(s string) bool {
		return topicPattern.MatchString(s) && s != "." && s != ".."
	})
}

func (k *Kafka) check(r *reader, key string) {
	at := func(names ...string) string { return join(key, strings.Join(names, ".")) }
	twice(r, at("brokers"), "", k.Brokers)
	if k.MinInsync > k.Replication {
		r.late(at("min_insync"), strconv.Itoa(k.MinInsync), fmt.Sprintf("must be at most the replication: %d", k.Replication))
	}
	if (k.TLS.Certificate == "") != (k.TLS.Key == "") {
		r.late(at("tls", "key"), `""`, "certificate and key must be set together")
	}
	if s := k.SASL; (s.Mechanism == "") != (s.User == "") || (s.Mechanism == "") != (s.Password == "") {
		r.late(at("sasl", "mechanism"), `""`, "mechanism, user and password must be set together")
	}
	if k.On() {
		k.advise(r, at)
	}
}

// advise warns of what works but is hardly meant.
func (k *Kafka) advise(r *reader, at func(...string) string) {
	if !k.TLS.Enabled && k.TLS.CA+k.TLS.Certificate != "" {
		r.warn(at("tls", "enabled"), "false", "ca, certificate and key mean nothing without it")
	}
	if k.SASL.Mechanism == "plain" && !k.TLS.Enabled {
		r.warn(at("sasl", "mechanism"), "plain", "the password goes over the network in clear: use tls, or scram-sha-512")
	}
	switch {
	case k.Replication == 1:
		r.warn(at("replication"), "1", "events are lost with the disk of one broker: 3 is meant for everything but tests")
	case k.MinInsync == k.Replication:
		r.warn(at("min_insync"), strconv.Itoa(k.MinInsync), "every broker that stops, also for an upgrade, stops the events: one less than the replication is usual")
	case k.MinInsync == 1:
		r.warn(at("min_insync"), "1", "an acknowledged event may be on one broker only, and be lost with it: 2 is meant for everything but tests")
	}
}

// paths are the settings that are paths.
func (k *Kafka) paths() []*string { return []*string{&k.TLS.CA, &k.TLS.Certificate, &k.TLS.Key} }

// checkFiles says what is wrong with the files of TLS, once their paths are resolved.
func (k *Kafka) checkFiles(r *reader) {
	if !k.On() || !k.TLS.Enabled {
		return
	}
	at := func(name string) string { return "kafka.tls." + name }
	t := k.TLS
	if t.CA != "" {
		text, err := readFile(t.CA, maxSecret)
		switch {
		case err != nil:
			r.late(at("ca"), t.CA, "must be a file that can be read: "+reason(err))
		case !x509.NewCertPool().AppendCertsFromPEM(text):
			r.late(at("ca"), t.CA, "must be a PEM file with the certificates of authorities")
		}
	}
	if t.Certificate == "" || t.Key == "" {
		return
	}
	if problem := checkPrivate(t.Key); problem != "" {
		r.late(at("key"), t.Key, problem)
		return
	}
	certificate, err := readFile(t.Certificate, maxSecret)
	if err != nil {
		r.late(at("certificate"), t.Certificate, "must be a file that can be read: "+reason(err))
		return
	}
	key, err := readFile(t.Key, maxSecret)
	if err == nil {
		_, err = tls.X509KeyPair(certificate, key)
	}
	if err != nil {
		r.late(at("certificate"), t.Certificate, "must be a PEM file with a certificate, and key its private key: "+strings.TrimPrefix(string(bytes.TrimSpace([]byte(err.Error()))), "tls: "))
	}
}
