package broker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	"waypost/configs"
)

const (
	// metadataAge is how old the answers may be that requests are routed by: with kafka-go's own 6 s a new leader is found late.
	metadataAge = time.Second

	// idleAge is when an unused connection is closed: before the brokers do it (after 10 minutes).
	idleAge = time.Minute
)

// ErrOff says that the settings name no brokers.
var ErrOff = errors.New("kafka: no brokers are set")

// Cluster is a way to a cluster. Nothing is dialled before the first request. Its parts may be used by several goroutines.
type Cluster struct {
	// Client sends requests, each to the broker that it is for, and waits request_timeout for an answer.
	Client *kafka.Client

	// Dialer is for kafka.ConsumerGroup, which makes connections of its own.
	Dialer *kafka.Dialer

	// Transport is Client's.
	Transport *kafka.Transport

	settings configs.Kafka
}

// New reads the certificates and makes a way to the brokers of the settings. ErrOff where they name none; other errors are of files and name them.
func New(k configs.Kafka) (*Cluster, error) {
	if !k.On() {
		return nil, ErrOff
	}
	encryption, err := tlsConfig(k.TLS)
	if err != nil {
		return nil, err
	}
	login, err := mechanism(k.SASL)
	if err != nil {
		return nil, err
	}
	transport := &kafka.Transport{
		ClientID: k.ClientID, TLS: encryption, SASL: login,
		DialTimeout: k.RequestTimeout, IdleTimeout: idleAge, MetadataTTL: metadataAge,
	}
	dial := (&net.Dialer{}).DialContext
	if encryption == nil {
		dial = dialFramed
	}
	transport.Dial = dial
	return &Cluster{
		Client:    &kafka.Client{Addr: kafka.TCP(k.Brokers...), Timeout: k.RequestTimeout, Transport: transport},
		Dialer:    &kafka.Dialer{ClientID: k.ClientID, TLS: encryption, SASLMechanism: login, Timeout: k.RequestTimeout, DialFunc: dial},
		Transport: transport,
		settings:  k,
	}, nil
}

// Close ends the client's connections that nobody uses; the others end when they are not used any more.
func (c *Cluster) Close() { c.Transport.CloseIdleConnections() }

// tlsConfig is nil where TLS is off.
func tlsConfig(t configs.KafkaTLS) (*tls.Config, error) {
	if !t.Enabled {
		return nil, nil //nolint:nilnil // kafka-go's own word for "in clear"
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		text, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("kafka: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("kafka: %s: no certificate in it", t.CA)
		}
	}
	if t.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
		if err != nil {
			return nil, fmt.Errorf("kafka: %s, %s: %w", t.Certificate, t.Key, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// mechanism is nil where no login is asked for.
func mechanism(s configs.KafkaSASL) (sasl.Mechanism, error) {
	switch s.Mechanism {
	case "":
		return nil, nil //nolint:nilnil // kafka-go's own word for "no login"
	case "plain":
		return plain.Mechanism{Username: s.User, Password: string(s.Password)}, nil
	case "scram-sha-512":
		m, err := scram.Mechanism(scram.SHA512, s.User, string(s.Password))
		if err != nil {
			return nil, errors.New("kafka: sasl: user or password holds characters that SCRAM does not allow")
		}
		return m, nil
	}
	return nil, fmt.Errorf("kafka: sasl.mechanism = %q: plain, scram-sha-512 or none", s.Mechanism)
}
