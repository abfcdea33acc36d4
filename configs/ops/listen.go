package ops

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"
)

// Pauses of Accept while the system has nothing left to make a connection of.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = 500 * time.Millisecond
)

// Listener is a net.Listener that outlives shortages: where the process or the machine has no file descriptor or memory left for one more
// connection, Accept waits and tries again, while the connection waits in the kernel's queue. Fasthttp takes every error of Accept for the
// listener's end, and a flood of connections would end the program.
type Listener struct {
	net.Listener
	log    *slog.Logger
	once   sync.Once
	closed chan struct{}
}

// NewListener wraps l. Shortages are logged, once until the next connection is accepted.
func NewListener(l net.Listener, log *slog.Logger) *Listener {
	return &Listener{Listener: l, log: log, closed: make(chan struct{})}
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	for pause := time.Duration(0); ; {
		c, err := l.Listener.Accept()
		if err == nil || !shortage(err) {
			return c, err
		}
		if pause == 0 {
			l.log.Error("no more connections can be accepted for now: raise the limit of open files", "error", reasonOf(err))
		}
		pause = min(max(2*pause, firstPause), lastPause)
		select {
		case <-time.After(pause):
		case <-l.closed:
			return nil, net.ErrClosed
		}
	}
}

// Close ends a waiting Accept too.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// shortage says whether err passes by itself.
func shortage(err error) bool {
	for _, passing := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EPROTO, syscall.EPERM,
	} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}

// reasonOf leaves the addresses out.
func reasonOf(err error) string {
	var number syscall.Errno
	if errors.As(err, &number) {
		return number.Error()
	}
	return err.Error()
}
