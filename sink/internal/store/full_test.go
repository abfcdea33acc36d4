package store

import (
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// A disk that fills up ends the sink with a reason; a restart has all that was synced before.
func TestDiskFull(t *testing.T) {
	disk := vfs.NewCrashableMem()
	full := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWrite && strings.HasSuffix(op.Path, ".log") {
			return syscall.ENOSPC
		}
		return nil
	})
	toggle := &errorfs.Toggle{Injector: full}
	var reason string
	s, err := Open("store", Options{FS: errorfs.Wrap(disk, toggle), Fatal: func(r string) {
		reason = r
		panic("ended")
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Set(FloorKey(1), AppendFloor(nil, 1), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	toggle.On()
	func() {
		defer func() {
			if recover() != "ended" {
				t.Error("the write did not end the sink")
			}
		}()
		_ = s.Set(FloorKey(2), AppendFloor(nil, 2), pebble.Sync)
	}()
	if !strings.Contains(reason, syscall.ENOSPC.Error()) {
		t.Errorf("reason %q does not say that the disk is full", reason)
	}

	// The first store is left as a process that has ended leaves it.
	again, err := Open("store", Options{FS: disk.CrashClone(vfs.CrashCloneCfg{})})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, closer, err := again.Get(FloorKey(1)); err != nil {
		t.Errorf("what was synced before is gone: %v", err)
	} else {
		_ = closer.Close()
	}
}
