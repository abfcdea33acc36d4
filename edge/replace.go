package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"waypost/configs"
)

// How one edge takes the place of another, over a socket in the journal's directory:
//
//	new: connects                       old: sends its two listening sockets, and serves on
//	new: reads settings, keys, tenants
//	new: sends "ready"                  old: answers what it has and what still comes, each connection once; closes its run; lets go
//	new: sees the connection end, opens the journal, serves
//
// The sockets live on, so that what connects between the two waits in their queue. Up to "ready" the old one goes on as if nothing had been when anything fails.
//
// Rejected: two sockets with SO_REUSEPORT. Closing one resets the connections in its queue, unless net.ipv4.tcp_migrate_req is set. And two writers of one journal: a run
// is over when another begins, which is what lets readers tell a crash from a pause.
const (
	replaceSocket = "replace.sock"
	replaceHello  = "waypost 1" // sent along with the sockets
	replaceReady  = "ready\n"

	// replaceWithin bounds each step of the talk but the last, which is the old edge's drain.
	replaceWithin = 10 * time.Second
)

// offer is where an edge waits for the one that will take its place.
type offer struct {
	listener *net.UnixListener  // nil: there is none
	taken    chan *net.UnixConn // gets one: who is ready to take over. Ending it gives up the journal
	log      *slog.Logger
	ended    chan struct{}
}

// makeOffer begins to wait. The journal in dir has to be this process's. An edge that cannot be replaced serves all the same, and says so.
func makeOffer(dir string, s *sockets, log *slog.Logger) *offer {
	o := &offer{taken: make(chan *net.UnixConn, 1), log: log, ended: make(chan struct{})}
	path := filepath.Join(dir, replaceSocket)
	_ = os.Remove(path) // a dead edge's
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		log.Warn("this edge cannot be replaced while it runs", "error", err)
		close(o.ended)
		return o
	}
	o.listener = listener
	go o.wait(s)
	return o
}

func (o *offer) wait(s *sockets) {
	defer close(o.ended)
	for {
		conn, err := o.listener.AcceptUnix()
		if err != nil {
			return // withdrawn
		}
		if err := handOut(conn, s); err != nil {
			o.log.Warn("the edge that was to take over is not ready: this one goes on", "error", err)
			_ = conn.Close()
			continue
		}
		o.taken <- conn
		return
	}
}

// handOut sends the sockets, and waits until the other says that it is ready.
func handOut(conn *net.UnixConn, s *sockets) error {
	_ = conn.SetDeadline(time.Now().Add(replaceWithin))
	var sent error
	err := withFiles(func(fds ...int) {
		_, _, sent = conn.WriteMsgUnix([]byte(replaceHello), syscall.UnixRights(fds...), nil)
	}, s.links, s.admin)
	if err = errors.Join(err, sent); err != nil {
		return err
	}
	said := make([]byte, len(replaceReady))
	if _, err := io.ReadFull(conn, said); err != nil {
		return err
	}
	if string(said) != replaceReady {
		return fmt.Errorf("it says %q", said)
	}
	return nil
}

// withFiles calls use with the descriptors of two listeners. (A File of theirs would do, were it not that asking it for its descriptor makes the socket block.)
func withFiles(use func(fds ...int), links, admin net.Listener) error {
	a, err := rawOf(links)
	if err != nil {
		return err
	}
	b, err := rawOf(admin)
	if err != nil {
		return err
	}
	var inner error
	err = a.Control(func(first uintptr) {
		inner = b.Control(func(second uintptr) { use(int(first), int(second)) })
	})
	return errors.Join(err, inner)
}

func rawOf(l net.Listener) (syscall.RawConn, error) {
	conn, ok := l.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("%T has no descriptor", l)
	}
	return conn.SyscallConn()
}

// withdraw ends the offer.
func (o *offer) withdraw() {
	if o.listener != nil {
		_ = o.listener.Close() // and removes its file
	}
	<-o.ended
}

// sockets are what an edge listens on.
type sockets struct {
	links, admin net.Listener
	old          *net.UnixConn // to the edge whose place this one takes; nil: there is none
}

// openSockets listens, or gets the sockets of the edge that runs, or of the service manager.
func (p *program) openSockets(settings *configs.Edge, replace bool, log *slog.Logger) (*sockets, error) {
	if replace {
		s, err := takeOver(settings)
		if s != nil || err != nil {
			return s, err
		}
		log.Info("no edge runs on this journal: nothing to replace", "journal", settings.Journal.Dir)
	}
	s := new(sockets)
	var err error
	if s.links, err = p.activated(); err == nil && s.links == nil {
		s.links, err = net.Listen("tcp", settings.Listen)
	}
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if s.admin, err = net.Listen("tcp", settings.Admin); err != nil {
		_ = s.links.Close()
		return nil, fmt.Errorf("admin: %w", err)
	}
	return s, nil
}

// close closes what is still open.
func (s *sockets) close() {
	_ = s.links.Close() // both may be closed already
	_ = s.admin.Close()
	if s.old != nil {
		_ = s.old.Close()
	}
}

// takeOver gets the sockets of the edge that writes to the journal; nil when none offers them.
func takeOver(settings *configs.Edge) (*sockets, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: filepath.Join(settings.Journal.Dir, replaceSocket)})
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, nil //nolint:nilnil // none runs
	}
	if err != nil {
		return nil, fmt.Errorf("replace: %w", err)
	}
	s, err := receive(conn)
	if err == nil {
		err = errors.Join(sameAddress("listen", settings.Listen, s.links), sameAddress("admin", settings.Admin, s.admin))
		if err != nil {
			s.close()
		}
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("replace: %w", err)
	}
	return s, nil
}

func receive(conn *net.UnixConn) (*sockets, error) {
	_ = conn.SetDeadline(time.Now().Add(replaceWithin))
	hello, rights := make([]byte, len(replaceHello)+1), make([]byte, syscall.CmsgSpace(2*4))
	n, rightsLen, _, _, err := conn.ReadMsgUnix(hello, rights)
	if err != nil {
		return nil, err
	}
	files, err := filesOf(rights[:rightsLen])
	defer func() {
		for _, f := range files {
			_ = f.Close() // listeners have descriptors of their own
		}
	}()
	if err != nil || string(hello[:n]) != replaceHello || len(files) != 2 {
		return nil, fmt.Errorf("the edge that runs says %q with %d sockets: it is of another version, stop it instead", hello[:n], len(files))
	}
	s := &sockets{old: conn}
	if s.links, err = net.FileListener(files[0]); err != nil {
		return nil, err
	}
	if s.admin, err = net.FileListener(files[1]); err != nil {
		_ = s.links.Close()
		return nil, err
	}
	return s, nil
}

func filesOf(rights []byte) (files []*os.File, err error) {
	messages, err := syscall.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	for i := range messages {
		fds, err := syscall.ParseUnixRights(&messages[i])
		if err != nil {
			return files, err
		}
		for _, fd := range fds {
			syscall.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "socket"))
		}
	}
	return files, nil
}

// sameAddress refuses a socket that is not what the settings ask for. Port 0 asks for any.
func sameAddress(key, want string, l net.Listener) error {
	addr, err := net.ResolveTCPAddr("tcp", want)
	if err != nil {
		return fmt.Errorf("%s = %s: %w", key, want, err)
	}
	have, ok := l.Addr().(*net.TCPAddr)
	samePort := ok && (addr.Port == 0 || addr.Port == have.Port)
	sameIP := ok && (addr.IP.Equal(have.IP) || addr.IP == nil && have.IP.IsUnspecified())
	if !samePort || !sameIP {
		return fmt.Errorf("%s = %s, but the edge that runs listens on %v: another address needs a restart", key, want, l.Addr())
	}
	return nil
}

// await tells the old edge that this one is ready, and waits until it has given up the journal.
func (s *sockets) await(ctx context.Context) error {
	if s.old == nil {
		return nil
	}
	defer s.old.Close()
	stop := context.AfterFunc(ctx, func() { _ = s.old.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_ = s.old.SetDeadline(time.Time{})
	if _, err := io.WriteString(s.old, replaceReady); err != nil {
		return fmt.Errorf("replace: %w", err)
	}
	if _, err := s.old.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("replace: the edge that runs has not given up its journal: %w", err)
	}
	return nil
}

// activated is the socket that a service manager has opened for this process (sd_listen_fds(3)); nil: none has.
func (p *program) activated() (net.Listener, error) {
	var pid, count string
	for _, pair := range p.env {
		if value, ok := strings.CutPrefix(pair, "LISTEN_PID="); ok {
			pid = value
		}
		if value, ok := strings.CutPrefix(pair, "LISTEN_FDS="); ok {
			count = value
		}
	}
	if pid != strconv.Itoa(os.Getpid()) || count == "" {
		return nil, nil //nolint:nilnil // none
	}
	if count != "1" {
		return nil, fmt.Errorf("LISTEN_FDS = %s: want one socket, for links", count)
	}
	const first = 3
	syscall.CloseOnExec(first)
	f := os.NewFile(first, "socket")
	defer f.Close()
	return net.FileListener(f)
}
