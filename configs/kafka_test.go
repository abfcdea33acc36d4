package configs

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// certificate writes a certificate and its private key.
func certificate(t *testing.T, dir, name string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), 0o644)
	write(t, dir, name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})), 0o600)
}

var kafkaCases = []struct {
	name     string
	sink     string
	prepare  func(t *testing.T, dir string)
	want     string
	warnings string
}{
	{name: "all at once", sink: `journals: []
kafka:
  brokers: [a, "a:0", ":9092", "a:9092", "a:9092", "[::1]:9092", "a:65536"]
  client_id: ""
  tls: {enabled: 1, server_name: "a b", certificate: x.pem}
  sasl: {mechanism: gssapi, user: a}
  topics: {events: "a b", unique: "..", dead: waypost.retry}
  batch_bytes: 1KiB
  batch_delay: 1m
  compression: gzip
  request_timeout: 1ms
  replication: 0
  min_insync: 4
  partitions: 0
group: ""
`, want: `
sink.yaml:3: kafka.brokers[0] = a: must be host:port, such as kafka-1.example.com:9092
sink.yaml:3: kafka.brokers[1] = a:0: must be host:port, such as kafka-1.example.com:9092
sink.yaml:3: kafka.brokers[2] = :9092: must be host:port, such as kafka-1.example.com:9092
sink.yaml:3: kafka.brokers[6] = a:65536: must be host:port, such as kafka-1.example.com:9092
sink.yaml:3: kafka.brokers[4] = a:9092: must not repeat kafka.brokers[3]
sink.yaml:4: kafka.client_id = "": must be 1 to 100 bytes of text without control characters
sink.yaml:5: kafka.tls.enabled = 1: must be true or false
sink.yaml:5: kafka.tls.server_name = a b: must be a host name, or ""
sink.yaml:5: kafka.tls.key = "": certificate and key must be set together
sink.yaml:6: kafka.sasl.mechanism = gssapi: must be plain, scram-sha-512 or ""
sink.yaml:6: kafka.sasl.mechanism = gssapi: mechanism, user and password must be set together
sink.yaml:7: kafka.topics.events = a b: must be 1 to 200 of A-Z, a-z, 0-9, ., _ and -
sink.yaml:7: kafka.topics.unique = ..: must be 1 to 200 of A-Z, a-z, 0-9, ., _ and -
sink.yaml:7: kafka.topics.dead = waypost.retry: must not be kafka.topics.retry too
sink.yaml:8: kafka.batch_bytes = 1KiB: must be a size from 16KiB to 16MiB, such as 64MiB, 2GiB or a number of bytes
sink.yaml:9: kafka.batch_delay = 1m: must be a duration from 0s to 10s, such as 100ms, 30s, 2h or 7d
sink.yaml:10: kafka.compression = gzip: must be none, snappy, lz4 or zstd
sink.yaml:11: kafka.request_timeout = 1ms: must be a duration from 100ms to 5m, such as 100ms, 30s, 2h or 7d
sink.yaml:12: kafka.replication = 0: must be a whole number from 1 to 100
sink.yaml:13: kafka.min_insync = 4: must be at most the replication: 3
sink.yaml:14: kafka.partitions = 0: must be a whole number from 1 to 10000
sink.yaml:15: group = "": must be 1 to 200 bytes of text without control characters`, warnings: `
sink.yaml:5: kafka.tls.enabled = 1: ca, certificate and key mean nothing without it`},
	{name: "both sources", sink: "kafka:\n  brokers: [\"a:1\"]\n", want: `
sink.yaml:1: journals = [/var/lib/waypost/edge/journal]: must be [] where kafka.brokers is set: events come from the journals or from Kafka, never from both`},
	{name: "no source", sink: "\njournals: []\n", want: `
sink.yaml:2: journals = []: must name at least one directory where kafka.brokers is empty: there is nothing to read otherwise`},
	{name: "secrets in wrong places", sink: `journals: []
password: hunter2
kafka:
  password: hunter2
  brokers: ["a:1"]
  sasl: {pasword: hunter2, passwd: hunter2, secret: [hunter2], mechanism: plain, user: u, password: {a: hunter2}}
`, want: `
sink.yaml:2: password = ***: no such key
sink.yaml:4: kafka.password = ***: no such key
sink.yaml:6: kafka.sasl.pasword = ***: no such key; did you mean password?
sink.yaml:6: kafka.sasl.passwd = ***: no such key; did you mean password?
sink.yaml:6: kafka.sasl.secret = ***: no such key
sink.yaml:6: kafka.sasl.password = (a mapping): must be at most 4096 bytes of text without control characters; file:PATH and ${NAME} are read; quote a value that holds a colon
sink.yaml:6: kafka.sasl.mechanism = plain: mechanism, user and password must be set together`, warnings: `
sink.yaml:6: kafka.sasl.mechanism = plain: the password goes over the network in clear: use tls, or scram-sha-512`},
	{name: "a secret for a login", sink: "journals: []\nkafka: {brokers: [\"a:1\"], sasl: hunter2}\n", want: `
sink.yaml:2: kafka.sasl = ***: must be a mapping with the keys mechanism, user, password`},
	{name: "files of tls", sink: `journals: []
kafka:
  brokers: ["a:1"]
  tls: {enabled: true, ca: none, certificate: one.pem, key: two.key}
`, prepare: func(t *testing.T, dir string) { certificate(t, dir, "one"); certificate(t, dir, "two") }, want: `
sink.yaml:4: kafka.tls.ca = none: must be a file that can be read: no such file or directory
sink.yaml:4: kafka.tls.certificate = one.pem: must be a PEM file with a certificate, and key its private key: private key does not match public key`},
	{name: "a key open to others", sink: `journals: []
kafka:
  brokers: ["a:1"]
  tls: {enabled: true, ca: tenants.yaml, certificate: one.pem, key: one.key}
`, prepare: func(t *testing.T, dir string) {
		certificate(t, dir, "one")
		if err := os.Chmod(dir+"/one.key", 0o644); err != nil {
			t.Fatal(err)
		}
	}, want: `
sink.yaml:4: kafka.tls.ca = tenants.yaml: must be a PEM file with the certificates of authorities
sink.yaml:4: kafka.tls.key = one.key: must be readable by its owner only, its mode is 0644: chmod 600 one.key`},
	{name: "files that mean nothing are not looked at", sink: "journals: [j]\nkafka: {tls: {enabled: true, ca: none}}\n"},
	{name: "everything", sink: `journals: []
kafka:
  brokers: ["a.example:9092", "[::1]:9092"]
  tls: {enabled: true, ca: one.pem, certificate: one.pem, key: one.key, server_name: kafka.example}
  sasl: {mechanism: scram-sha-512, user: u, password: "${SET}"}
`, prepare: func(t *testing.T, dir string) { certificate(t, dir, "one") }},
	{name: "advice", sink: `journals: []
kafka: {brokers: ["a:1"], tls: {ca: x}, sasl: {mechanism: plain, user: u, password: hunter2}, replication: 1, min_insync: 1}
`, warnings: `
sink.yaml:2: kafka.tls.enabled = false: ca, certificate and key mean nothing without it
sink.yaml:2: kafka.sasl.mechanism = plain: the password goes over the network in clear: use tls, or scram-sha-512
sink.yaml:2: kafka.replication = 1: events are lost with the disk of one broker: 3 is meant for everything but tests`},
	{name: "advice on copies", sink: "journals: []\nkafka:\n  brokers: [\"a:1\"]\n  min_insync: 3\n", warnings: `
sink.yaml:4: kafka.min_insync = 3: every broker that stops, also for an upgrade, stops the events: one less than the replication is usual`},
	{name: "advice on one copy", sink: "journals: []\nkafka:\n  brokers: [\"a:1\"]\n  min_insync: 1\n", warnings: `
sink.yaml:4: kafka.min_insync = 1: an acknowledged event may be on one broker only, and be lost with it: 2 is meant for everything but tests`},
}

func TestKafkaFaults(t *testing.T) {
	for _, c := range kafkaCases {
		t.Run(c.name, func(t *testing.T) {
			dir := folder(t, "", "tenants:\n  - {number: 1, name: a, hosts: [a], outreach: {secrets: [x]}}\n")
			write(t, dir, "sink.yaml", c.sink, 0o600)
			if c.prepare != nil {
				c.prepare(t, dir)
			}
			cfg := DefaultSink()
			l := load(&cfg, filepath.Join(dir, "sink.yaml"), []string{"SET=value"})
			for what, lines := range map[string][2]string{"faults": {c.want, l.faults.Error()}, "warnings": {c.warnings, l.warnings.Error()}} {
				got := strings.ReplaceAll(lines[1], dir+"/", "")
				if strings.Contains(got, "hunter2") {
					t.Errorf("a secret is shown:\n%s", got)
				}
				if diff := cmp.Diff(strings.TrimSpace(lines[0]), got); diff != "" {
					t.Errorf("%s, -want +got:\n%s", what, diff)
				}
			}
		})
	}
}

func TestKafkaIsReadWhole(t *testing.T) {
	dir := folder(t, `
journal: {consumers: [copy, kafka]}
kafka:
  brokers: ["a:9092"]
  tls: {enabled: true, ca: one.pem, certificate: /nowhere/x.pem}
  sasl: {mechanism: plain, user: u, password: file:pass}
  topics: {events: e}
  batch_bytes: 1MiB
  batch_delay: 1s
  compression: zstd
  request_timeout: 1m
  replication: 5
  min_insync: 3
  partitions: 64
`, "tenants: []\n")
	certificate(t, dir, "one")
	write(t, dir, "pass", "value\n", 0o600)
	cfg, _, faults := LoadEdge(dir+"/edge.yaml", nil)
	if len(faults) != 1 || faults[0].Key != "kafka.tls.key" {
		t.Errorf("faults: %v", faults)
	}
	want := DefaultKafka()
	want.Brokers, want.BatchBytes, want.BatchDelay, want.Compression, want.RequestTimeout = []string{"a:9092"}, 1*mib, time.Second, "zstd", time.Minute
	want.TLS = KafkaTLS{Enabled: true, CA: dir + "/one.pem", Certificate: "/nowhere/x.pem"}
	want.SASL = KafkaSASL{Mechanism: "plain", User: "u", Password: "value"}
	want.Topics.Events = "e"
	want.Replication, want.MinInsync, want.Partitions = 5, 3, 64
	if diff := cmp.Diff(want, cfg.Kafka, cmp.Comparer(sameSecret)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// An edge whose shipper is no consumer of the journal would recycle what was never shipped.
func TestShipperMustBeAConsumer(t *testing.T) {
	dir := folder(t, "kafka:\n  brokers: [\"a:1\"]\n", "tenants: []\n")
	_, _, faults := LoadEdge(dir+"/edge.yaml", nil)
	want := "edge.yaml:1: journal.consumers = [sink]: must name kafka where kafka.brokers is set: segments are free before they are shipped otherwise"
	if got := strings.ReplaceAll(faults.Error(), dir+"/", ""); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestOpenOnline(t *testing.T) {
	for _, c := range []struct {
		name           string
		edge           string
		flags          Flags
		problems       []string
		exit           int
		stdout, stderr string
	}{
		{name: "without --check", flags: Flags{Online: true}, exit: ExitUsage, stderr: "edge: --online goes with --check; see edge --help\n"},
		{name: "no Kafka", flags: Flags{Check: true, Online: true}, problems: []string{"x"}, stdout: "DIR/edge.yaml: nothing to connect to\n"},
		{name: "faults first", edge: "lisn: 1", flags: Flags{Check: true, Online: true}, problems: []string{"x"}, exit: ExitUsage, stderr: "no such key"},
		{name: "fine", edge: on, flags: Flags{Check: true, Online: true}, stdout: "DIR/edge.yaml: no problems online\n"},
		{name: "problems", edge: on, flags: Flags{Check: true, Online: true}, problems: []string{"a:1: unreachable", "b"}, exit: ExitRun, stderr: "a:1: unreachable\nb\n"},
		{name: "not asked", edge: on, flags: Flags{Check: true}, problems: []string{"x"}, stdout: "no faults"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := folder(t, c.edge, "tenants: []\n")
			c.flags.Config = dir + "/edge.yaml"
			var stdout, stderr bytes.Buffer
			_, _, exit, done := Open(c.flags, nil, &stdout, &stderr, func(*Edge, *Tenants) []string { return c.problems })
			out := strings.ReplaceAll(stdout.String(), dir, "DIR")
			if !done || exit != c.exit || !strings.Contains(out, c.stdout) || !strings.Contains(stderr.String(), c.stderr) {
				t.Errorf("done %v, exit %d\n%s%s", done, exit, out, &stderr)
			}
		})
	}
}

const on = "journal: {consumers: [kafka]}\nkafka: {brokers: [\"a:1\"]}\n"
