package load

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// answerMax is the longest answer that a connection keeps, in bytes.
const answerMax = 64 << 10

// epollWire is a set of keep-alive connections to one server, one request under way on each at most; or, where it is fresh, of places for connections that are
// made for one request each. It belongs to the goroutine that made it and holds
// its OS thread, whose system calls go past the Go scheduler: they never block, but for the wait, and that one ends within longestWait.
type epollWire struct {
	to      unix.SockaddrInet4
	fresh   bool
	epoll   int
	fds     []int
	busy    []bool   // by connection: a request is under way
	heads   []bool   // by connection: it is a HEAD
	partial [][]byte // by connection: the beginning of an answer that came in pieces; nil for nearly all
	unsent  [][]byte // by connection: the request, while the server has not taken the connection; nil for nearly all
	events  []unix.EpollEvent
	answers []answer
	read    []byte
	base    time.Time
	reopens uint64
	fault   error // of the connections: told by the next wait

	precedes bool // its thread has a priority to give back: nice
	nice     int
}

func dialWire(addr netip.AddrPort, connections int, fresh bool) (*epollWire, error) {
	if !addr.Addr().Is4() {
		return nil, fmt.Errorf("load: %v: only IPv4 addresses can be loaded", addr)
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("load: epoll: %w", err)
	}
	runtime.LockOSThread()
	// The default slack of 50 us would be the open loop's precision.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	w := &epollWire{
		to: unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}, epoll: epoll, base: time.Now(),
		fresh: fresh, busy: make([]bool, connections), heads: make([]bool, connections), partial: make([][]byte, connections), unsent: make([][]byte, connections),
		events: make([]unix.EpollEvent, min(connections, 512)), read: make([]byte, 32<<10),
	}
	for c := range connections {
		w.fds = append(w.fds, -1)
		if fresh {
			continue
		}
		if err := w.connect(c); err != nil {
			w.close()
			return nil, fmt.Errorf("load: connection %d of %d to %v: %w", c+1, connections, addr, err)
		}
	}
	return w, nil
}

func (w *epollWire) connect(c int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := w.open(fd, c); err != nil {
		_ = unix.Close(fd)
		return err
	}
	w.fds[c] = fd
	return nil
}

func (w *epollWire) open(fd, c int) error {
	if err := unix.Connect(fd, &w.to); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	return unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(c)})
}

func (w *epollWire) close() {
	for _, fd := range w.fds {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
	_ = unix.Close(w.epoll)
	if w.precedes {
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, w.nice)
	}
	runtime.UnlockOSThread()
}

// precede gives the wire's thread the highest ordinary priority, where the system permits it (CAP_SYS_NICE). Beside a thread that is always ready, several at SCHED_IDLE together
// still get 2 % of the core, in pieces of a tick: enough to be the p99. A real-time priority would be worse: the kernel takes the core from it for 50 ms now and then.
func (w *epollWire) precede() {
	priority, err := unix.Getpriority(unix.PRIO_PROCESS, 0) // the kernel's form: 20 - nice
	w.nice = 20 - priority
	w.precedes = err == nil && unix.Setpriority(unix.PRIO_PROCESS, 0, -20) == nil
}

func (w *epollWire) now() int64 { return int64(time.Since(w.base)) }

func (w *epollWire) send(conn int, request []byte) {
	w.busy[conn], w.heads[conn] = true, request[0] == 'H'
	if w.fresh {
		if err := w.sendFresh(conn, request); err != nil {
			w.fault = fmt.Errorf("load: a new connection: %w", err)
			w.finish(conn, 0)
		}
		return
	}
	if n, errno := w.write(conn, request); errno != 0 || n != len(request) {
		// An idle connection has an empty buffer, so this is a connection that the server has closed.
		w.broken(conn)
	}
}

func (w *epollWire) write(conn int, request []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(w.fds[conn]), uintptr(unsafe.Pointer(unsafe.SliceData(request))), uintptr(len(request)))
	return int(n), errno
}

// sendFresh sends a request on a connection of its own. Connecting never waits: on loopback the connection stands when the call returns, unless the server's queue of
// connections is full, and then the request goes out when there is room.
func (w *epollWire) sendFresh(conn int, request []byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	w.fds[conn] = fd
	// Closed by a reset, a connection leaves nothing in TIME_WAIT on either side: its port is free again, so that no rate runs out of them.
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return err
	}
	if err := unix.Connect(fd, &w.to); err != nil && err != unix.EINPROGRESS {
		return err
	}
	events := uint32(unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET)
	switch n, errno := w.write(conn, request); {
	case errno == unix.EAGAIN:
		w.unsent[conn] = bytes.Clone(request)
		events |= unix.EPOLLOUT
	case errno != 0:
		return errno
	case n != len(request):
		return errLongRequest
	}
	return unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(conn)})
}

// errLongRequest is a request that does not fit into a connection's buffer at once.
var errLongRequest = errors.New("the request is too long for a connection's buffer")

// sendUnsent sends the request that waited for its connection.
func (w *epollWire) sendUnsent(conn int) {
	n, errno := w.write(conn, w.unsent[conn])
	switch {
	case errno == unix.EAGAIN:
		return
	case errno != 0 || n != len(w.unsent[conn]):
		w.broken(conn)
	}
	w.unsent[conn] = nil
}

// wait collects answers. An answer's time is when wait returned: all that it found had arrived by then.
func (w *epollWire) wait(until int64) ([]answer, error) {
	// Answers of send's own failures are in w.answers already.
	if len(w.answers) > 0 {
		until = 0
	}
	n, err := w.poll(until)
	if err != nil {
		return nil, err
	}
	for i := range n {
		c := int(w.events[i].Fd)
		if w.unsent[c] != nil {
			w.sendUnsent(c)
			continue
		}
		w.receive(c)
	}
	got := w.answers
	w.answers = w.answers[:0]
	return got, w.fault
}

// longestWait is how many ns a wait may take. Each ends in an interrupt on the generator's core. A kernel that preempts lazily hands the core over at the next interrupt, which
// without this is the tick, every 4 ms: whatever runs there at the lowest priority would be in the latencies with as much.
const longestWait = 100e3

func (w *epollWire) poll(until int64) (int, error) {
	timeout := unix.NsecToTimespec(min(max(until-w.now(), 0), longestWait))
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(w.epoll), uintptr(unsafe.Pointer(unsafe.SliceData(w.events))), uintptr(len(w.events)),
		uintptr(unsafe.Pointer(&timeout)), 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case unix.EINTR:
		return 0, nil
	}
	return 0, fmt.Errorf("load: epoll_pwait2 (Linux 5.11 or newer): %w", errno)
}

// receive reads once: an answer is one piece nearly always, and the edge of a later piece comes as another event.
func (w *epollWire) receive(c int) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(w.fds[c]), uintptr(unsafe.Pointer(unsafe.SliceData(w.read))), uintptr(len(w.read)))
	if errno == unix.EAGAIN || errno == unix.EINTR {
		return
	}
	if errno != 0 || n == 0 {
		w.broken(c)
		return
	}
	got := w.read[:n]
	if w.partial[c] != nil {
		w.partial[c] = append(w.partial[c], got...)
		got = w.partial[c]
	}
	status, length, err := scanAnswer(got, w.heads[c])
	switch {
	case err != nil:
		w.fault = err
	case length == len(got):
		w.partial[c] = nil
		w.finish(c, int32(status))
	case length != 0 && length < len(got):
		w.fault = errUnasked
	case len(got) >= answerMax:
		w.fault = errTooBig
	default:
		if w.partial[c] == nil {
			w.partial[c] = append(make([]byte, 0, 2*len(got)), got...)
		}
		if int(n) == len(w.read) {
			w.receive(c) // more may be there already, without another edge
		}
	}
}

// finish ends the request under way on c. What a server says on an idle connection (that it timed out) ends nothing.
func (w *epollWire) finish(c int, status int32) {
	if w.fresh && w.fds[c] >= 0 {
		_ = unix.Close(w.fds[c])
		w.fds[c] = -1
	}
	if w.busy[c] {
		w.busy[c] = false
		w.answers = append(w.answers, answer{int32(c), status})
	}
}

// broken connects c anew; a request under way gets status 0 and is not repeated.
func (w *epollWire) broken(c int) {
	if w.fresh {
		w.partial[c], w.unsent[c] = nil, nil
		w.finish(c, 0)
		return
	}
	_ = unix.Close(w.fds[c])
	w.fds[c] = -1
	w.partial[c] = nil
	w.reopens++
	if err := w.connect(c); err != nil {
		w.fault = fmt.Errorf("load: the server closed a connection and takes no other: %w", err)
		return
	}
	w.finish(c, 0)
}
