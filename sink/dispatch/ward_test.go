package dispatch

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// ward are the receivers that a healthy endpoint may have beside it: none of them ever answers.
type ward struct{ refusing, silent, dribbling string }

func (w ward) all() []string { return []string{w.refusing, w.silent, w.dribbling} }

// wardVariable makes this test's program a ward.
const wardVariable = "WAYPOST_TEST_WARD"

// openWard starts them, in a process of their own: they stand for other machines, so they get what the others leave of the processors.
func openWard(t testing.TB) ward {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := []string{self}
	if chrt, err := exec.LookPath("chrt"); err == nil {
		command = []string{chrt, "--idle", "0", self}
	}
	w := exec.Command(command[0], command[1:]...)
	w.Env = append(os.Environ(), wardVariable+"=open")
	w.Stderr = os.Stderr
	in, err := w.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := w.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := w.Wait(); err != nil {
			t.Error(err)
		}
	})
	opened := ward{refusing: "http://" + refusing(t)}
	if _, err := fmt.Fscanln(out, &opened.silent, &opened.dribbling); err != nil {
		t.Fatal(err)
	}
	return opened
}

// serveWard is the ward's process: it serves until its stdin ends.
func serveWard() {
	silent, dribbling := "http://"+serveEach(func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), "http://"+serveEach(dribble)
	fmt.Println(silent, dribbling)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// serveEach listens, and serves each connection until it returns.
func serveEach(serve func(net.Conn)) (address string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return listener.Addr().String()
}

// dribble answers a request with a header that has no end, five bytes a second.
func dribble(c net.Conn) {
	reader := bufio.NewReader(c)
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = reader.ReadString('\n'); err != nil {
			return
		}
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	const begin = "HTTP/1.1 200 OK\r\nX-Pad: "
	for i := 0; ; i++ {
		if _, err := io.WriteString(c, (begin + "x")[min(i, len(begin)):][:1]); err != nil {
			return
		}
		<-tick.C
	}
}

// refusing is an address that refuses connections until the test ends: its port is taken, so that nobody else listens there, nor connects from there to itself.
func refusing(t testing.TB) string {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(socket) })
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", bound.(*syscall.SockaddrInet4).Port)
}
