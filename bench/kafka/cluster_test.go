package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

const topic = "test.events"

// produce writes one record and retries until a leader takes it.
func produce(ctx context.Context, at []string, transport *kafka.Transport, value string) error {
	w := &kafka.Writer{Addr: kafka.TCP(at...), Topic: topic, RequiredAcks: kafka.RequireAll, BatchTimeout: time.Millisecond, Transport: transport, MaxAttempts: 1}
	defer w.Close()
	for {
		err := w.WriteMessages(ctx, kafka.Message{Value: []byte(value)})
		if err == nil || ctx.Err() != nil || transport.SASL != nil || transport.TLS != nil {
			return err
		}
	}
}

// newTransport forgets metadata after a second, so that a new leader is found.
func newTransport(t *testing.T) *kafka.Transport {
	transport := &kafka.Transport{MetadataTTL: time.Second, DialTimeout: 10 * time.Second}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// consume reads the partition's records from its beginning to the given one. What comes before it may stand there twice: produce does not know what became of an attempt that failed.
func consume(ctx context.Context, at []string, last string) ([]string, error) {
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: at, Topic: topic, Partition: 0, MaxWait: 100 * time.Millisecond})
	defer r.Close()
	var values []string
	for len(values) == 0 || values[len(values)-1] != last {
		m, err := r.ReadMessage(ctx)
		if err != nil {
			return values, err
		}
		values = append(values, string(m.Value))
	}
	return values, nil
}

func deadline(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestThreeNodesKeepServingWhenTheLeaderDies(t *testing.T) {
	c := startTest(t, Options{Nodes: 3})
	ctx := deadline(t, 5*time.Minute)
	if running := c.Running(); len(running) != 3 || len(c.Bootstrap()) != 3 {
		t.Fatalf("running %v, bootstrap %v", running, c.Bootstrap())
	}
	if err := c.CreateTopic(ctx, topic, 1, map[string]string{"message.timestamp.type": "LogAppendTime"}); err != nil {
		t.Fatal(err)
	}
	transport := newTransport(t)
	if err := produce(ctx, c.Bootstrap(), transport, "before"); err != nil {
		t.Fatal(err)
	}
	leader := leaderBut(ctx, t, c, 0)
	if err := c.Kill(leader); err != nil {
		t.Fatal(err)
	}
	if pid := c.PID(leader); pid != 0 || len(c.Running()) != 2 {
		t.Errorf("node %d was killed and has process %d; running: %v", leader, pid, c.Running())
	}
	if err := c.Kill(leader); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a second kill: %v", err)
	}
	if err := produce(ctx, c.Bootstrap(), transport, "after"); err != nil {
		t.Fatal(err)
	}
	leaderBut(ctx, t, c, leader)
	values, err := consume(ctx, c.Bootstrap(), "after")
	if err != nil || values[0] != "before" {
		t.Errorf("read %q, %v", values, err)
	}
	if controller, err := c.Controller(); err != nil || controller < 1 || controller > 3 {
		t.Errorf("controller %d, %v", controller, err)
	}
	if err := c.Start(ctx, leader); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(ctx, leader); !errors.Is(err, ErrRunning) {
		t.Errorf("a second start: %v", err)
	}
}

// leaderBut waits until a node tells of a leader that is not the given one: nodes learn of an election one after the other.
func leaderBut(ctx context.Context, t *testing.T, c *Cluster, gone int) int {
	t.Helper()
	for {
		leader, err := c.Leader(ctx, topic, 0)
		if err == nil && leader != gone {
			return leader
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("no leader but %d: %d, %v", gone, leader, err)
		}
	}
}

func TestAPausedNodeAnswersNobodyUntilContinued(t *testing.T) {
	c := startTest(t, Options{})
	ctx := deadline(t, 3*time.Minute)
	if err := c.Pause(1); err != nil {
		t.Fatal(err)
	}
	if _, err := c.metadata(ctx, 1); err == nil {
		t.Error("a paused node answered")
	}
	if err := c.Continue(1); err != nil {
		t.Fatal(err)
	}
	if err := c.awaitNode(ctx, 1, 1); err != nil {
		t.Error(err)
	}
	for _, n := range []int{0, 2, -1} {
		if err := c.Kill(n); !errors.Is(err, ErrNode) {
			t.Errorf("killing node %d: %v", n, err)
		}
	}
}

func clientTLS(t *testing.T, c *Cluster, withCertificate bool) *tls.Config {
	t.Helper()
	authority, client := c.Files()
	text, err := os.ReadFile(authority)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	if !config.RootCAs.AppendCertsFromPEM(text) {
		t.Fatal("no certificate in " + authority)
	}
	if withCertificate {
		pair, err := tls.LoadX509KeyPair(client, client)
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}

func TestSecuredListeners(t *testing.T) {
	c := startTest(t, Options{Secure: true, Users: []User{{"writer", "right"}, {"stranger", "also-right"}}, Authorizer: true})
	ctx := deadline(t, 5*time.Minute)
	if err := c.CreateTopic(ctx, topic, 1, nil); err != nil {
		t.Fatal(err)
	}
	allow(ctx, t, c, "User:writer")
	allow(ctx, t, c, "User:CN=waypost-client")
	scramAs := func(name, password string) sasl.Mechanism {
		m, err := scram.Mechanism(scram.SHA512, name, password)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, way := range []struct {
		name     string
		listener Listener
		tls      *tls.Config
		sasl     sasl.Mechanism
		refused  bool
	}{
		{"tls with certificate", TLS, clientTLS(t, c, true), nil, false},
		{"tls without certificate is nobody with rights here", TLS, clientTLS(t, c, false), nil, false}, // ANONYMOUS is the administrator
		{"tls of an authority not known", TLS, &tls.Config{RootCAs: x509.NewCertPool()}, nil, true},
		{"sasl plain", SASL, nil, plain.Mechanism{Username: "writer", Password: "right"}, false},
		{"sasl plain wrong password", SASL, nil, plain.Mechanism{Username: "writer", Password: "wrong"}, true},
		{"sasl scram", SASL, nil, scramAs("writer", "right"), false},
		{"sasl scram wrong password", SASL, nil, scramAs("writer", "wrong"), true},
		{"sasl and tls, scram", SASLTLS, clientTLS(t, c, false), scramAs("writer", "right"), false},
		{"sasl and tls, plain", SASLTLS, clientTLS(t, c, false), plain.Mechanism{Username: "writer", Password: "right"}, false},
		{"a user without rights", SASL, nil, scramAs("stranger", "also-right"), true},
	} {
		t.Run(way.name, func(t *testing.T) {
			transport := newTransport(t)
			transport.TLS, transport.SASL = way.tls, way.sasl
			err := produce(ctx, c.Addresses(way.listener), transport, way.name)
			for err != nil && !way.refused && ctx.Err() == nil { // a node learns a moment later what the controller has taken: topics, and who may do what
				t.Log(err)
				time.Sleep(100 * time.Millisecond)
				err = produce(ctx, c.Addresses(way.listener), transport, way.name)
			}
			if (err != nil) != way.refused {
				t.Errorf("produce: %v; want refused: %v", err, way.refused)
			}
			if err != nil {
				t.Log(err)
			}
		})
	}
}

// allow lets a principal write to and read about every topic.
func allow(ctx context.Context, t *testing.T, c *Cluster, principal string) {
	t.Helper()
	client, done := c.client(1)
	defer done()
	var entries []kafka.ACLEntry
	for _, operation := range []kafka.ACLOperationType{kafka.ACLOperationTypeWrite, kafka.ACLOperationTypeDescribe} {
		entries = append(entries, kafka.ACLEntry{
			ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, ResourcePatternType: kafka.PatternTypeLiteral, Principal: principal, Host: "*",
			Operation: operation, PermissionType: kafka.ACLPermissionTypeAllow,
		})
	}
	response, err := client.CreateACLs(ctx, &kafka.CreateACLsRequest{ACLs: entries})
	if err == nil {
		err = errors.Join(response.Errors...)
	}
	if err != nil {
		t.Fatal(fmt.Errorf("allowing %s: %w", principal, err))
	}
}
