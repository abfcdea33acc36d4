package ops

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// starved is a listener that fails with err until none is left, then accepts, or, without a connection, goes on failing.
type starved struct {
	errs   []error
	accept net.Conn
	calls  chan struct{}
}

func (l *starved) Accept() (net.Conn, error) {
	select {
	case l.calls <- struct{}{}:
	default:
	}
	if len(l.errs) == 0 {
		return l.accept, nil
	}
	err := l.errs[0]
	if len(l.errs) > 1 || l.accept != nil {
		l.errs = l.errs[1:]
	}
	return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", err)}
}

func (*starved) Close() error   { return nil }
func (*starved) Addr() net.Addr { return nil }

func TestListenerOutlivesShortages(t *testing.T) {
	conn, other := net.Pipe()
	defer func() { _, _ = conn.Close(), other.Close() }()
	var log bytes.Buffer
	l := NewListener(&starved{errs: []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED}, accept: conn},
		slog.New(slog.NewTextHandler(&log, nil)))
	if c, err := l.Accept(); c != conn || err != nil {
		t.Fatalf("%v, %v", c, err)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "too many open files") {
		t.Errorf("log:\n%s", &log)
	}
}

func TestListenerEndsWithOtherErrors(t *testing.T) {
	l := NewListener(&starved{errs: []error{syscall.EINVAL}}, slog.New(slog.DiscardHandler))
	if _, err := l.Accept(); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("%v", err)
	}
}

// Close ends an Accept that waits for better times.
func TestListenerCloses(t *testing.T) {
	calls := make(chan struct{}, 1)
	l := NewListener(&starved{errs: []error{syscall.EMFILE}, calls: calls}, slog.New(slog.DiscardHandler))
	ended := make(chan error)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	<-calls
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != net.ErrClosed {
		t.Errorf("%v", err)
	}
	if err := l.Close(); err != nil {
		t.Error("closed twice:", err)
	}
}
