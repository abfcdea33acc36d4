//go:build !linux

package stack

import "syscall"

// attributes give a child its own process group. Here nothing ends it when the launcher is killed.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
