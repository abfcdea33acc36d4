package blocking

import (
	"runtime"
	"sync"
	"testing"
)

func TestDoLendsOneCoreASecondPWhileAnyIsUnderWay(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	Do(func() {
		if n := runtime.GOMAXPROCS(0); n != 2 {
			t.Errorf("%d Ps within Do, want 2", n)
		}
		Do(func() {})
		if n := runtime.GOMAXPROCS(0); n != 2 {
			t.Errorf("%d Ps when the first of two has ended, want 2", n)
		}
	})
	if n := runtime.GOMAXPROCS(0); n != 1 {
		t.Errorf("%d Ps afterwards, want 1", n)
	}
}

func TestDoLeavesSeveralCoresAlone(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3))
	Do(func() {
		if n := runtime.GOMAXPROCS(0); n != 3 {
			t.Errorf("%d Ps within Do, want 3", n)
		}
	})
	if n := runtime.GOMAXPROCS(0); n != 3 {
		t.Errorf("%d Ps afterwards, want 3", n)
	}
}

func TestDoGivesThePBackAfterAPanic(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	func() {
		defer func() { _ = recover() }()
		Do(func() { panic("f's own") })
	}()
	if n := runtime.GOMAXPROCS(0); n != 1 {
		t.Errorf("%d Ps afterwards, want 1", n)
	}
}

func TestDoFromManyGoroutines(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				Do(func() {
					if n := runtime.GOMAXPROCS(0); n != 2 {
						t.Errorf("%d Ps within Do, want 2", n)
					}
				})
			}
		})
	}
	all.Wait()
	if n := runtime.GOMAXPROCS(0); n != 1 {
		t.Errorf("%d Ps afterwards, want 1", n)
	}
}
