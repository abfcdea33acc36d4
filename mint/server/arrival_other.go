//go:build !linux || !(amd64 || arm64)

package server

import (
	"net"
	"time"
)

// arrival is known on Linux only.
type arrival struct{}

func (*arrival) watch(net.Conn) {}

func (*arrival) ago() time.Duration { return 0 }
