package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
	"github.com/segmentio/kafka-go/protocol/describegroups"
	"github.com/segmentio/kafka-go/protocol/saslauthenticate"
	"github.com/segmentio/kafka-go/protocol/saslhandshake"
	"github.com/segmentio/kafka-go/sasl"
)

// session is one connection to one broker, for the check: kafka-go's own transport answers out of its memory, never asks what we are allowed to do, and tells
// the error of one broker only.
type session struct {
	conn *protocol.Conn
}

// authorizedGroups is the first version of DescribeGroups that tells what we may do; later ones say nothing more that we need.
const authorizedGroups = 3

// roundTrip asks and waits for the answer. kafka-go's decoder panics on bytes that no Kafka sends.
func (s *session) roundTrip(request protocol.Message) (answer protocol.Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			answer, err = nil, errNoKafka
		}
	}()
	return s.conn.RoundTrip(request)
}

// open connects, encrypts and logs in, as the settings say. The deadline of the session is that of ctx, request_timeout at most.
func (c *Cluster) open(ctx context.Context, address string) (*session, error) {
	deadline := time.Now().Add(c.settings.RequestTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	raw, err := c.Transport.Dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if err := raw.SetDeadline(deadline); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	if raw, err = c.encrypt(ctx, raw, address); err != nil {
		return nil, err
	}
	s := &session{protocol.NewConn(raw, c.settings.ClientID)}
	if err := s.negotiate(); err != nil {
		s.close()
		return nil, err
	}
	if err := s.login(ctx, c.Transport.SASL, address); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *session) close() { _ = s.conn.Close() }

// encrypt does the handshake of TLS at once, so that its errors are not taken for others.
func (c *Cluster) encrypt(ctx context.Context, raw net.Conn, address string) (net.Conn, error) {
	config := c.Transport.TLS
	if config == nil {
		return raw, nil
	}
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName, _, _ = net.SplitHostPort(address)
	}
	encrypted := tls.Client(raw, config)
	if err := encrypted.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("%w: %w", errHandshake, err)
	}
	return encrypted, nil
}

// negotiate agrees on the versions of requests.
func (s *session) negotiate() error {
	m, err := s.roundTrip(new(apiversions.Request))
	if err != nil {
		return fmt.Errorf("%w: %w", errGreeting, err)
	}
	response := m.(*apiversions.Response)
	if response.ErrorCode != 0 {
		return kafka.Error(response.ErrorCode)
	}
	versions := map[protocol.ApiKey]int16{}
	for _, r := range response.ApiKeys {
		key := protocol.ApiKey(r.ApiKey)
		versions[key] = key.SelectVersion(r.MinVersion, r.MaxVersion)
	}
	groups := (&describegroups.Request{}).ApiKey()
	versions[groups] = min(versions[groups], authorizedGroups)
	s.conn.SetVersions(versions)
	return nil
}

func (s *session) login(ctx context.Context, m sasl.Mechanism, address string) error {
	if m == nil {
		return nil
	}
	response, err := s.roundTrip(&saslhandshake.Request{Mechanism: m.Name()})
	if err != nil {
		return fmt.Errorf("%w: %w", errLogin, err)
	}
	if code := response.(*saslhandshake.Response).ErrorCode; code != 0 {
		return kafka.Error(code)
	}
	host, port, _ := net.SplitHostPort(address)
	n, _ := strconv.Atoi(port)
	conversation, words, err := m.Start(sasl.WithMetadata(ctx, &sasl.Metadata{Host: host, Port: n}))
	for done := false; err == nil && !done; {
		var challenge []byte
		if challenge, err = s.authenticate(words); err != nil {
			return err
		}
		done, words, err = conversation.Next(ctx, challenge)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", kafka.SASLAuthenticationFailed, err)
	}
	return nil
}

func (s *session) authenticate(words []byte) ([]byte, error) {
	m, err := s.roundTrip(&saslauthenticate.Request{AuthBytes: words})
	if errors.Is(err, io.EOF) {
		return nil, kafka.SASLAuthenticationFailed // brokers of old hang up instead
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errLogin, err)
	}
	response := m.(*saslauthenticate.Response)
	if response.ErrorCode != 0 {
		return nil, kafka.Error(response.ErrorCode)
	}
	return response.AuthBytes, nil
}
