//go:build !race

package journal

import "testing"

func TestNothingIsAllocated(t *testing.T) {
	o := small(t)
	o.SegmentBytes = 16 << 20
	w := mustOpen(t, o)
	defer mustClose(t, w)
	payload := make([]byte, 328)
	if n := testing.AllocsPerRun(2000, func() {
		if _, err := w.Append(payload, 8, 40); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Append allocates %v times", n)
	}
	r := newReading(t, ReaderOptions{Dir: o.Dir})
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1500, func() {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Next allocates %v times", n)
	}
}
