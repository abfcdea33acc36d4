//go:build !faults

package fault

import "testing"

// An ordinary build must not know any point, whatever the environment says.
func TestOrdinaryBuildsHaveNoPoints(t *testing.T) {
	t.Setenv("WAYPOST_FAULT", "here:1:KILL,switched")
	Point("here")
	if Enabled || On("switched") {
		t.Error("fault points are on without the build tag")
	}
	if n := testing.AllocsPerRun(100, func() { Point("here") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
