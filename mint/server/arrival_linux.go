//go:build linux && (amd64 || arm64)

package server

import (
	"encoding/binary"
	"net"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// arrival tells how long a request has been waiting before this program came to look at it: in the kernel's queue of new connections, or for a core. Under overload that
// is where time goes, and no clock of ours sees it; the kernel's does: TCP_INFO says how long ago the last bytes came.
//
// It never says too much, since the first byte came before the last. What it leaves out is the time in which a request of several packets came.
type arrival struct {
	raw   syscall.RawConn
	ask   func(fd uintptr)
	info  [lastDataEnd]byte
	asked bool // info is the kernel's answer
}

const (
	// tcpi_last_data_recv of struct tcp_info, in milliseconds: 8 bytes and 11 words are before it.
	lastData    = 8 + 11*4
	lastDataEnd = lastData + 4
	// clockTick is what the kernel's clock may be ahead: a request that came just before a tick would be a tick old at once. Kernels have from 100 to 1000 a second.
	clockTick = 10 * time.Millisecond
)

// watch is for connections of net; of others nothing is known.
func (a *arrival) watch(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		a.raw, _ = tcp.SyscallConn() // nil with its error
		a.ask = a.getInfo
	}
}

func (a *arrival) getInfo(fd uintptr) {
	size := uint32(len(a.info))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, fd, unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(&a.info)), uintptr(unsafe.Pointer(&size)), 0)
	a.asked = errno == 0 && size == lastDataEnd
}

// ago is how long ago the last bytes came, a tick less; 0 where that is not known.
func (a *arrival) ago() time.Duration {
	if a.raw == nil {
		return 0
	}
	a.asked = false
	if a.raw.Control(a.ask) != nil || !a.asked {
		return 0
	}
	ms := binary.NativeEndian.Uint32(a.info[lastData:])
	return max(0, time.Duration(ms)*time.Millisecond-clockTick)
}
