package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/segmentio/kafka-go"
)

// What was under way when a connection broke off: without it, "EOF" says nothing.
var (
	errHandshake = errors.New("kafka: TLS handshake")
	errGreeting  = errors.New("kafka: first request")
	errLogin     = errors.New("kafka: login")
	errNoKafka   = errors.New("kafka: no answer of a broker")
)

// codes are the answers of brokers that an operator can do something about.
var codes = map[kafka.Error]string{
	kafka.UnknownTopicOrPartition:            "the topic is missing, or this user may not see it (bin/sink topics create makes what is missing)",
	kafka.TopicAuthorizationFailed:           "this user has no permission for the topic (an ACL is missing)",
	kafka.GroupAuthorizationFailed:           "this user has no permission for the group (an ACL is missing)",
	kafka.ClusterAuthorizationFailed:         "this user has no permission for the cluster (an ACL is missing)",
	kafka.TransactionalIDAuthorizationFailed: "this user has no permission for the transactional id (an ACL is missing)",
	kafka.SASLAuthenticationFailed:           "the login was refused: wrong user or password (kafka.sasl)",
	kafka.UnsupportedSASLMechanism:           "the broker does not take this login mechanism (kafka.sasl.mechanism)",
	kafka.IllegalSASLState:                   "the broker wants no login here (kafka.sasl.mechanism), or this is the port of another listener",
	kafka.NotEnoughReplicas:                  "fewer brokers are in sync than min.insync.replicas asks for",
	kafka.NotEnoughReplicasAfterAppend:       "fewer brokers are in sync than min.insync.replicas asks for",
	kafka.LeaderNotAvailable:                 "a partition has no leader just now",
	kafka.NotLeaderForPartition:              "the partition's leader has changed",
	kafka.BrokerNotAvailable:                 "the broker that is asked for is not there just now",
	kafka.GroupLoadInProgress:                "the coordinator is still loading",
	kafka.GroupCoordinatorNotAvailable:       "the group's coordinator is not there yet",
	kafka.MessageSizeTooLarge:                "larger than the topic's max.message.bytes",
	kafka.RecordListTooLarge:                 "larger than the topic's segments",
	kafka.InvalidReplicationFactor:           "there are fewer brokers than kafka.replication asks for",
	kafka.InvalidTopic:                       "Kafka does not take this name for a topic",
	kafka.RequestTimedOut:                    "the brokers did not get it done in time",
}

// Explain says in one line what an error of Kafka means, for logs, /readyz and people. It shows no secret. "" for nil.
func Explain(err error) string {
	if err == nil {
		return ""
	}
	if text := certificate(err); text != "" {
		return text
	}
	var code kafka.Error
	if errors.As(err, &code) {
		if text, ok := codes[code]; ok {
			return text
		}
		if code.Title() == "" {
			return fmt.Sprintf("Kafka's error %d", int(code))
		}
		return fmt.Sprintf("%s (Kafka's error %d)", strings.ToLower(code.Title()), int(code))
	}
	if text := connection(err); text != "" {
		return text
	}
	return strings.Join(strings.Fields(strings.ReplaceAll(err.Error(), "kafka.(*Client).", "")), " ")
}

// certificate explains what the two sides of TLS find wrong with each other.
func certificate(err error) string {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		verify  *tls.CertificateVerificationError
		alert   tls.AlertError
		record  tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &unknown):
		return "refused certificate: the broker's is of an authority that kafka.tls.ca does not have"
	case errors.As(err, &name):
		return fmt.Sprintf("refused certificate: the broker's is not for %s (kafka.tls.server_name)", name.Host)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "refused certificate: the broker's has expired, or is not valid yet"
	case errors.As(err, &verify):
		return "refused certificate: the broker's does not pass: " + verify.Err.Error()
	case errors.As(err, &alert):
		return fmt.Sprintf("refused certificate: the broker ended the handshake: %s (kafka.tls.certificate)", strings.TrimPrefix(alert.Error(), "tls: "))
	case errors.As(err, &record):
		return "the broker does not speak TLS on this port (kafka.tls.enabled)"
	case errors.Is(err, errHandshake) && broken(err):
		return "the broker hung up during the TLS handshake: perhaps it does not speak TLS on this port (kafka.tls.enabled)"
	case errors.Is(err, errNoKafka):
		return "what answers is no Kafka, or speaks TLS (kafka.tls.enabled)"
	case errors.Is(err, errGreeting) && broken(err):
		return "the broker hung up at the first request: perhaps it wants TLS or a login on this port (kafka.tls.enabled, kafka.sasl), or is no Kafka"
	}
	return ""
}

func broken(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// connection explains why nobody answers.
func connection(err error) string {
	var (
		dns     *net.DNSError
		timeout net.Error
	)
	switch {
	case errors.As(err, &dns):
		return fmt.Sprintf("unreachable: no address for %s", dns.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "unreachable: connection refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "unreachable: no route"
	case errors.Is(err, context.Canceled):
		return "given up: the program is ending"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "unreachable: no answer in time"
	case broken(err):
		return "the broker hung up"
	}
	return ""
}

// passing says whether waiting may cure an error.
func passing(err error) bool {
	if certificate(err) != "" {
		return false
	}
	var code kafka.Error
	if errors.As(err, &code) {
		return code.Temporary()
	}
	return connection(err) != ""
}
