package load

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestStatTimes(t *testing.T) {
	const stat = "4242 (a) b (c) S 1 4242 4242 0 -1 4194560 1 2 3 4 123 45 6 7 20 0 5 0 999 1 2"
	user, system, err := statTimes([]byte(stat))
	if err != nil || user != 1230*time.Millisecond || system != 450*time.Millisecond {
		t.Errorf("statTimes = %v, %v, %v; want 1.23s, 450ms", user, system, err)
	}
	for _, bad := range []string{"", "1 (x) S 1", "no bracket"} {
		if _, _, err := statTimes([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestParseCore(t *testing.T) {
	const stat = "cpu  1 2 3 4 5 6 7 8 0 0\ncpu0 10 0 20 100 50 1 2 3 0 0\ncpu1 1 1 1 1 1 1 1 1 0 0\nintr 5\n"
	before, err := parseCore([]byte(stat), 0)
	if err != nil || before.busy != 360*time.Millisecond || before.idle != 1500*time.Millisecond {
		t.Fatalf("parseCore = %+v, %v", before, err)
	}
	after := coreTimes{before.busy + 3*time.Second, before.idle + time.Second}
	if share := after.share(before); share != 0.75 {
		t.Errorf("share = %v, want 0.75", share)
	}
	if _, err := parseCore([]byte(stat), 7); err == nil {
		t.Error("a core that is not there was found")
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	u, err := readUsage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if u.rss <= 0 || u.anonymous <= 0 || u.threads < 1 || u.switches == 0 {
		t.Errorf("usage %+v", u)
	}
	if _, err := readUsage(1 << 30); err == nil {
		t.Error("a process that cannot be was read")
	}
}

// Two threads that share one core keep each other waiting.
func TestWaitedOfThisProcess(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	cores, err := allowedCores()
	if err != nil {
		t.Fatal(err)
	}
	before, err := readWaited(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	var spinning sync.WaitGroup
	for range 2 {
		spinning.Go(func() {
			runtime.LockOSThread() // for good: the thread ends with its goroutine
			var one unix.CPUSet
			one.Set(cores[0])
			if err := unix.SchedSetaffinity(0, &one); err != nil {
				t.Error(err)
			}
			for !stop.Load() {
			}
		})
	}
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		now, err := readWaited(os.Getpid())
		if err != nil || time.Since(begun) > time.Minute {
			t.Errorf("waited %v before, %v now, %v", before, now, err)
			break
		}
		if now > before {
			break
		}
	}
	stop.Store(true)
	spinning.Wait()
}
