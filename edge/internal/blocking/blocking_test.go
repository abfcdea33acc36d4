package blocking

import (
	"runtime"
	"sync"
	"testing"
)

func wantPs(t *testing.T, want int, when string) {
	t.Helper()
	if n := runtime.GOMAXPROCS(0); n != want {
		t.Errorf("%d Ps %s, want %d", n, when, want)
	}
}

func TestDoLendsOneCoreASecondPWhileAnyIsUnderWay(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	Do(func() {
		wantPs(t, 2, "within Do")
		Do(func() {})
		wantPs(t, 2, "when the first of two has ended")
	})
	wantPs(t, 1, "afterwards")
}

func TestDoLeavesSeveralCoresAlone(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3))
	Do(func() { wantPs(t, 3, "within Do") })
	wantPs(t, 3, "afterwards")
}

func TestDoGivesThePBackAfterAPanic(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	func() {
		defer func() { _ = recover() }()
		Do(func() { panic("f's own") })
	}()
	wantPs(t, 1, "afterwards")
}

func TestDoFromManyGoroutines(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				Do(func() { wantPs(t, 2, "within Do") })
			}
		})
	}
	all.Wait()
	wantPs(t, 1, "afterwards")
}
