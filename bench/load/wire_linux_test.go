package load

import (
	"net"
	"net/netip"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// threadPriority is the kernel's form: 20 - nice.
func threadPriority(t *testing.T) int {
	t.Helper()
	p, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAWireThatPrecedesGivesItsPriorityBack(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := threadPriority(t)
	w, err := dialWire(netip.MustParseAddrPort(listener.Addr().String()), 1, false)
	if err != nil {
		t.Fatal(err)
	}
	w.precede()
	want := before // where the system does not permit more
	if w.precedes {
		want = 40
	}
	if p := threadPriority(t); p != want {
		t.Errorf("priority %d, want %d (%d before)", p, want, before)
	}
	w.close()
	if p := threadPriority(t); p != before {
		t.Errorf("priority %d after close, want %d", p, before)
	}
}
