//go:build faults

package fault

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// The test runs itself again with WAYPOST_FAULT set, and passes the point three times.
func TestPointKillsAtItsTurn(t *testing.T) {
	if os.Getenv("WAYPOST_FAULT_TEST") == "child" {
		for _, passing := range []string{"one", "two", "three"} {
			_, _ = os.Stdout.WriteString(passing + "\n")
			Point("here")
			Point("elsewhere")
		}
		if !On("switched") || On("here") {
			t.Error("switches are mixed up")
		}
		return
	}
	for _, c := range []struct {
		spec, printed string
		killed        bool
	}{
		{"here:2:KILL,switched", "one two", true},
		{"here:4:KILL,switched", "one two three PASS", false},
		{"switched", "one two three PASS", false},
	} {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPointKillsAtItsTurn$")
		child.Env = append(os.Environ(), "WAYPOST_FAULT_TEST=child", "WAYPOST_FAULT="+c.spec)
		out, err := child.Output()
		if printed := strings.Join(strings.Fields(string(out)), " "); printed != c.printed {
			t.Errorf("%s: printed %q, want %q", c.spec, printed, c.printed)
		}
		var exit *exec.ExitError
		killed := errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
		if killed != c.killed || (!killed && err != nil) {
			t.Errorf("%s: %v, killed %v, want %v", c.spec, err, killed, c.killed)
		}
	}
}

func TestBadSpecsAreRefused(t *testing.T) {
	for _, spec := range []string{"a:0:KILL", "a:x:KILL", "a:1:TERM"} {
		func() {
			defer func() {
				if p := recover(); p == nil || !strings.Contains(p.(string), spec) {
					t.Errorf("%s: recovered %v, want a message that names it", spec, p)
				}
			}()
			parse(spec)
		}()
	}
}
