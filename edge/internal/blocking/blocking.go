// Package blocking runs what waits in the kernel without holding up the goroutines that are ready, also where Go may use one core only.
//
// Go's scheduler leaves a goroutine in a system call its P (the right to run Go code) until a thread that looks around from time to time, every 10 ms in the worst
// case, gives it to others. With several Ps the others go on meanwhile. With a single one nobody does: each sync of the journal, and each first touch of its pages, was
// a pause of up to 24 ms for every redirect, some 8 % of the time at 25,000 requests a second. A second P all the time costs 13 % more CPU an answer on one core, because
// the scheduler then wakes a thread for each request to look for work that is not there. So there is one only while it is needed.
package blocking

import (
	"runtime"
	"sync"
)

var lent struct {
	sync.Mutex
	users int  // calls of Do under way
	yes   bool // there is a second P because of them
}

// Do runs f. On one core, goroutines that are ready run at once while f is in a system call. That stops the world twice, some 5 us each time, and meanwhile
// the kernel shares the core out among two threads, in slices of milliseconds; so it is for what takes long.
//
// The runtime follows a change of the process's limit of cores no longer once Do has lent a P: a program that was begun with one core stays with one.
func Do(f func()) {
	begin()
	defer end()
	f()
}

func begin() {
	lent.Lock()
	defer lent.Unlock()
	if lent.users++; lent.users == 1 && runtime.GOMAXPROCS(0) == 1 {
		runtime.GOMAXPROCS(2)
		lent.yes = true
	}
}

func end() {
	lent.Lock()
	defer lent.Unlock()
	if lent.users--; lent.users == 0 && lent.yes {
		runtime.GOMAXPROCS(1)
		lent.yes = false
	}
}
