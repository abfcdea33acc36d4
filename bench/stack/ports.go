package stack

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports are taken from this range: above the well-known ones, below those that the kernel gives to outgoing connections (from 32768 on).
const (
	firstPort = 20000
	lastPort  = 32000
)

// errNoPort says that no free port was found in a thousand draws.
var errNoPort = errors.New("stack: no free port on 127.0.0.1")

// claim holds a port for this process while nobody listens on it: other launchers that draw the same number see the claim and draw again.
type claim struct {
	port int
	hold net.Listener
}

// claimPort draws a free port and claims it. The claim is an abstract Unix socket, which the kernel drops when the process dies.
func claimPort() (claim, error) {
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		hold, err := net.Listen("unix", fmt.Sprintf("@waypost-port-%d", port))
		if err != nil {
			continue
		}
		if PortFree(port) {
			return claim{port, hold}, nil
		}
		hold.Close()
	}
	return claim{}, errNoPort
}

// PortFree says whether a program could listen on the port of 127.0.0.1 now.
func PortFree(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}
