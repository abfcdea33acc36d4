package kafka

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// begin starts a node in a process group of its own (a Ctrl-C in the terminal is not meant for it). A tied one is killed by the kernel when the thread that started
// it dies, so that thread is kept until the node is dead. Reaped is done when it is gone, which can be a moment after it looks dead: the
// threads of a killed Java end one by one.
func begin(node *exec.Cmd, tied bool, reaped *sync.WaitGroup) error {
	node.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if tied {
		node.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	started := make(chan error)
	reaped.Go(func() {
		if tied {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
		}
		err := node.Start()
		started <- err
		if err == nil {
			_ = node.Wait() // reaps it; how it ended is read from its log
		}
	})
	return <-started
}
