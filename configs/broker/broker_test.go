package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"go.uber.org/goleak"

	"waypost/configs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func at(brokers ...string) configs.Kafka {
	k := configs.DefaultKafka()
	k.Brokers, k.RequestTimeout = brokers, 5*time.Second
	return k
}

func TestNew(t *testing.T) {
	if _, err := New(configs.DefaultKafka()); err != ErrOff {
		t.Errorf("no brokers: %v", err)
	}
	k := at("a:1", "b:2")
	k.TLS = configs.KafkaTLS{Enabled: true, ServerName: "kafka.example"}
	k.SASL = configs.KafkaSASL{Mechanism: "scram-sha-512", User: "u", Password: "p"}
	c, err := New(k)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Client.Addr.String() != "a:1,b:2" || c.Client.Timeout != k.RequestTimeout || c.Client.Transport != c.Transport {
		t.Errorf("client: %+v", c.Client)
	}
	if c.Transport.MetadataTTL != time.Second || c.Transport.ClientID != "waypost" || c.Dialer.ClientID != "waypost" {
		t.Errorf("transport: %v, %q; dialer: %q", c.Transport.MetadataTTL, c.Transport.ClientID, c.Dialer.ClientID)
	}
	for name, config := range map[string]*tls.Config{"transport": c.Transport.TLS, "dialer": c.Dialer.TLS} {
		if config == nil || config.ServerName != "kafka.example" || config.InsecureSkipVerify || config.MinVersion < tls.VersionTLS12 {
			t.Errorf("%s: %+v", name, config)
		}
	}
	if c.Transport.SASL.Name() != "SCRAM-SHA-512" || c.Dialer.SASLMechanism.Name() != "SCRAM-SHA-512" {
		t.Error("no login")
	}
}

func TestNewNamesWhatItCannotUse(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*configs.Kafka){
		"none.pem":       func(k *configs.Kafka) { k.TLS = configs.KafkaTLS{Enabled: true, CA: filepath.Join(dir, "none.pem")} },
		"no certificate": func(k *configs.Kafka) { k.TLS = configs.KafkaTLS{Enabled: true, CA: empty} },
		empty:            func(k *configs.Kafka) { k.TLS = configs.KafkaTLS{Enabled: true, Certificate: empty, Key: empty} },
		"sasl.mechanism": func(k *configs.Kafka) { k.SASL.Mechanism = "gssapi" },
		"SCRAM does not allow": func(k *configs.Kafka) {
			k.SASL = configs.KafkaSASL{Mechanism: "scram-sha-512", User: "\u0000", Password: "hunter2"}
		},
	} {
		k := at("a:1")
		change(&k)
		if c, err := New(k); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, %v", want, c, err)
		}
	}
}

func TestExplain(t *testing.T) {
	for _, c := range []struct {
		err     error
		want    string
		passing bool
	}{
		{nil, "", false},
		{kafka.UnknownTopicOrPartition, "the topic is missing", true},
		{fmt.Errorf("kafka.(*Client).Metadata: %w", kafka.SASLAuthenticationFailed), "the login was refused", false},
		{fmt.Errorf("x: %w", kafka.TopicAuthorizationFailed), "no permission for the topic", false},
		{kafka.FencedInstanceID, "fenced instance id (Kafka's error 82)", false},
		{kafka.Error(9999), "Kafka's error 9999", false},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "unreachable: connection refused", true},
		{syscall.EHOSTUNREACH, "unreachable: no route", true},
		{context.DeadlineExceeded, "unreachable: no answer in time", true},
		{os.ErrDeadlineExceeded, "unreachable: no answer in time", true},
		{context.Canceled, "given up: the program is ending", true},
		{io.EOF, "the broker hung up", true},
		{fmt.Errorf("%w: %w", errHandshake, io.EOF), "perhaps it does not speak TLS", false},
		{fmt.Errorf("%w: %w", errGreeting, syscall.ECONNRESET), "perhaps it wants TLS or a login", false},
		{&tls.CertificateVerificationError{Err: errors.New("too weak")}, "refused certificate: the broker's does not pass: too weak", false},
		{tls.AlertError(42), "refused certificate: the broker ended the handshake", false},
		{errors.New("kafka.(*Client).Fetch: several\nlines"), "Fetch: several lines", false},
	} {
		got := Explain(c.err)
		if !strings.Contains(got, c.want) || strings.Contains(got, "\n") || (c.want == "") != (got == "") {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
		if got := c.err != nil && passing(c.err); got != c.passing {
			t.Errorf("%v: passing %v", c.err, got)
		}
	}
}

// Who answers like no Kafka is told of, and no answer can take the program down or hold it up.
func TestCheckOfWhatIsNoKafka(t *testing.T) {
	for name, answer := range map[string]string{
		"hangs up": "", "http": "HTTP/1.1 400 Bad Request\r\n\r\n", "zeros": strings.Repeat("\x00", 64), "a huge answer": "\x7f\xff\xff\xff\x00\x00\x00\x01\x00\x00", "a TLS alert": "\x15\x03\x03\x00\x02\x02\x50", "a negative length": "\xff\xff\xff\xff",
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					_, _ = io.CopyN(io.Discard, conn, 4)
					_, _ = io.WriteString(conn, answer)
					_ = conn.Close()
				}
			}()
			c, err := New(at(listener.Addr().String()))
			if err != nil {
				t.Fatal(err)
			}
			problems := Check(t.Context(), c, Sink, Topics(c.settings, nil), "g")
			if _, err := c.Client.Metadata(t.Context(), &kafka.MetadataRequest{}); Explain(err) == "" {
				t.Error("the client took the answer for Kafka's")
			}
			if conn, err := c.Dialer.DialContext(t.Context(), "tcp", listener.Addr().String()); err == nil {
				if _, err := conn.ApiVersions(); Explain(err) == "" {
					t.Error("the dialer's connection took the answer for Kafka's")
				}
				_ = conn.Close()
			}
			c.Close()
			_ = listener.Close()
			<-ended
			if len(problems) != 1 || problems[0].About != listener.Addr().String() || strings.Contains(problems[0].String(), "\n") {
				t.Errorf("problems: %v", problems)
			}
		})
	}
}

func TestCheckEndsWithItsContext(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	k := at(listener.Addr().String())
	k.RequestTimeout = time.Hour
	c, err := New(k)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	problems := Check(ctx, c, Edge, Topics(k, nil), "")
	if len(problems) != 1 || !problems[0].Passing || !strings.Contains(problems[0].Text, "no answer in time") {
		t.Errorf("problems: %v", problems)
	}
}

// Answers pass whole, however they are cut; the first impossible length ends the connection.
func TestFramed(t *testing.T) {
	answer := append([]byte{0, 0, 0, 6, 0, 0, 0, 1}, "ok\x00\x00\x00\x04abcd"...)
	for cut := 1; cut <= len(answer); cut++ {
		f := &framed{}
		for b := range slices.Chunk(answer, cut) {
			if !f.passes(b) {
				t.Fatalf("cut by %d: refused", cut)
			}
		}
		if f.left != 0 || f.read != 0 {
			t.Errorf("cut by %d: %d and %d left", cut, f.left, f.read)
		}
		if f.passes([]byte{0, 0}) && f.passes([]byte{0, 3}) {
			t.Error("an answer of 3 bytes passes")
		}
	}
}

// However the network cuts what comes, the verdict is the same.
func FuzzFramed(f *testing.F) {
	f.Add([]byte{0, 0, 0, 4, 1, 2, 3, 4, 0, 0, 0, 5, 1, 2, 3, 4, 5}, uint8(3))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), uint8(1))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, uint8(2))
	f.Fuzz(func(t *testing.T, stream []byte, cut uint8) {
		whole, cuts := &framed{}, &framed{}
		want, got := whole.passes(stream), true
		for b := range slices.Chunk(stream, int(cut)+1) {
			if got = cuts.passes(b); !got {
				break
			}
		}
		if got != want || (got && *whole != *cuts) {
			t.Fatalf("whole: %v, cut: %v", want, got)
		}
	})
}
