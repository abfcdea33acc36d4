package journal

import (
	"fmt"
	"os"
	"testing"
)

// reserveOnly takes room as an append does and dies before it publishes.
func reserveOnly(w *Writer, payload int) int64 {
	n := aligned(payload)
	return w.current.Load().tail.Add(n) - n
}

func TestHolesAreSkipped(t *testing.T) {
	o := small(t)
	w := mustOpen(t, o)
	want := appendMany(t, w, "before", 10)
	reserveOnly(w, 100)
	want = append(want, appendMany(t, w, "between", 10)...)
	reserveOnly(w, 0)
	reserveOnly(w, 1000)
	want = append(want, appendMany(t, w, "after", 1)...)
	reserveOnly(w, 500) // at the tail: cut, no hole
	live := readAll(t, o.Dir)
	live.want(t, want[:10], 0)
	abandon(w)
	readAll(t, o.Dir).want(t, want[:10], 0) // only the next writer closes the run

	w = mustOpen(t, o)
	if h := w.Stats().HolesSkipped; h != 2 {
		t.Errorf("%d holes skipped, want 2", h)
	}
	want = append(want, appendMany(t, w, "second run", 5)...)
	live.drain(t).want(t, want, 0)
	mustClose(t, w)
	got := readAll(t, o.Dir)
	got.want(t, want, 0)
	if h := got.Stats().Holes; h != 2 {
		t.Errorf("reader passed %d holes, want 2", h)
	}
	w = mustOpen(t, o)
	if h := w.Stats().HolesSkipped; h != 0 {
		t.Errorf("%d holes found again", h)
	}
	mustClose(t, w)
}

// TestCrashWindows leaves the journal at each gap between two steps; a reader that was there before must go on without damage.
func TestCrashWindows(t *testing.T) {
	tests := []struct {
		name  string
		leave func(t *testing.T, w *Writer) // the last thing before the death
		holes uint64
		lost  int // records of the first run that no reader can get, counted from the last
	}{
		{"nothing under way", func(*testing.T, *Writer) {}, 0, 0},
		{"no records at all", nil, 0, 0},
		{"closer died before the end mark, next segment empty", func(t *testing.T, w *Writer) {
			w.current.Load().close()
		}, 0, 0},
		{"end mark, not yet turned", func(t *testing.T, w *Writer) {
			s := w.current.Load()
			off, _ := s.close()
			s.finish(off, kindEndOfSegment)
		}, 0, 0},
		{"turned, nothing in the next segment", func(t *testing.T, w *Writer) {
			s := w.current.Load()
			off, _ := s.close()
			s.finish(off, kindEndOfSegment)
			if err := w.turn(s); err != nil {
				t.Fatal(err)
			}
		}, 0, 0},
		{"two overshot, only reserves in the next segment", func(t *testing.T, w *Writer) {
			s := w.current.Load()
			off, _ := s.close()
			s.close()
			s.finish(off, kindEndOfSegment)
			if err := w.turn(s); err != nil {
				t.Fatal(err)
			}
			reserveOnly(w, 100)
		}, 0, 0},
		{"closer died before the end mark, another appended to the next segment", func(t *testing.T, w *Writer) {
			s := w.current.Load()
			s.close()
			if err := w.turn(s); err != nil {
				t.Fatal(err)
			}
			mustAppend(t, w, "in the next")
		}, 1, 0},
		{"segment being recycled, renamed only", func(t *testing.T, w *Writer) {
			s := w.current.Load()
			if err := os.WriteFile(sparePath(w.o.Dir, s.number+100), make([]byte, 64<<10), filePerm); err != nil {
				t.Fatal(err)
			}
		}, 0, 0},
		{"file without blocks", func(t *testing.T, w *Writer) {
			if err := os.WriteFile(sparePath(w.o.Dir, 999), nil, filePerm); err != nil {
				t.Fatal(err)
			}
		}, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := small(t)
			w := mustOpen(t, o)
			var want []string
			before := newReading(t, ReaderOptions{Dir: o.Dir})
			if tt.leave != nil {
				want = appendMany(t, w, "first", 30)
				before.drain(t)
				tt.leave(t, w)
				if len(want) > 0 && tt.holes > 0 {
					want = append(want, "in the next")
				}
			}
			before.drain(t)
			abandon(w)
			before.drain(t)
			w = mustOpen(t, o)
			if h := w.Stats().HolesSkipped; h != tt.holes {
				t.Errorf("%d holes, want %d", h, tt.holes)
			}
			want = append(want, appendMany(t, w, "second", 1200)...)
			before.drain(t).want(t, want, 0)
			mustClose(t, w)
			readAll(t, o.Dir).want(t, want, 0)
		})
	}
}

// TestSegmentWithoutHeader is a power cut that kept a file's name and lost its pages.
func TestSegmentWithoutHeader(t *testing.T) {
	o := small(t)
	w := mustOpen(t, o)
	want := appendMany(t, w, "first", 30)
	abandon(w)
	if err := os.WriteFile(segmentPath(o.Dir, 77), make([]byte, 64<<10), filePerm); err != nil {
		t.Fatal(err)
	}
	w = mustOpen(t, o)
	want = append(want, appendMany(t, w, "second", 30)...)
	mustClose(t, w)
	got := readAll(t, o.Dir)
	got.want(t, want, 1)
	if d := got.damages[0]; d.Segment != 77 || d.Bytes != 64<<10 {
		t.Errorf("damage %+v", d)
	}
}

// TestTailCut shortens the last segment behind the reader's position, as a power cut does that takes the last moments.
func TestTailCut(t *testing.T) {
	for _, closed := range []bool{false, true} {
		for _, keep := range []int64{headerPage, headerPage + 1000, 20 << 10, 0} {
			t.Run(fmt.Sprintf("closed=%v/keep=%d", closed, keep), func(t *testing.T) {
				o := small(t)
				w := mustOpen(t, o)
				appendMany(t, w, "first", 1300) // three segments
				last := w.current.Load().number
				if closed {
					mustClose(t, w)
				} else {
					abandon(w)
				}
				all := readAll(t, o.Dir)
				resume := all.Position()
				if keep == 0 {
					if err := os.Remove(segmentPath(o.Dir, last)); err != nil {
						t.Fatal(err)
					}
				} else if err := os.Truncate(segmentPath(o.Dir, last), keep); err != nil {
					t.Fatal(err)
				}
				w = mustOpen(t, o)
				want := appendMany(t, w, "second", 10)
				mustClose(t, w)
				got := newReading(t, ReaderOptions{Dir: o.Dir, Resume: func(r Run) uint64 {
					if r == resume.Run {
						return resume.Sequence
					}
					return 0
				}}).drain(t)
				got.want(t, want, 0)
				if len(got.pastEnds) != 1 || got.pastEnds[0] != resume || got.Stats().PastEnds != 1 {
					t.Errorf("past the end: %v, want once %v", got.pastEnds, resume)
				}
				fresh := readAll(t, o.Dir)
				if n := len(fresh.payloads); n <= 10 || n >= len(all.payloads)+10 || len(fresh.damages) > 0 {
					t.Errorf("fresh reader got %d records of %d, damages %v", n, len(all.payloads)+10, fresh.damages)
				}
			})
		}
	}
}

func TestResume(t *testing.T) {
	o := small(t)
	w := mustOpen(t, o)
	want := appendMany(t, w, "first", 1300)
	first := w.Run()
	mustClose(t, w)
	w = mustOpen(t, o)
	want = append(want, appendMany(t, w, "second", 50)...)
	defer mustClose(t, w)
	all := readAll(t, o.Dir)
	for _, n := range []int{0, 1, 400, 527, 528, 529, 1299, 1300, 1301, 1349, 1350} {
		r := newReading(t, ReaderOptions{Dir: o.Dir})
		for range n {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}
		from := r.Position()
		rest := newReading(t, ReaderOptions{Dir: o.Dir, Resume: func(run Run) uint64 {
			switch {
			case run == from.Run:
				return from.Sequence
			case run == first && n > 0: // a later run is at hand, so this one was read
				return all.records[1299].Sequence + 30
			}
			return 0
		}}).drain(t)
		rest.want(t, append([]string(nil), want[n:]...), 0)
		if n > 0 && n <= 1300 && len(rest.pastEnds) > 0 {
			t.Errorf("resumed at %d: past the end %v", n, rest.pastEnds)
		}
	}
	amid := newReading(t, ReaderOptions{Dir: o.Dir, Resume: func(run Run) uint64 {
		if run == first {
			return all.records[10].Sequence + 3
		}
		return 0
	}}).drain(t)
	amid.want(t, want[11:], 0)
}

// TestCrashLoop dies and starts again and again: each run costs a segment, and what was read must make room.
func TestCrashLoop(t *testing.T) {
	o := small(t)
	o.KeepBytes, o.Budget = -1, 32*o.SegmentBytes // 8 segments are prepared ahead: few beside 30 lives
	for range 30 {
		w := mustOpen(t, o)
		mustAppend(t, w, "one")
		abandon(w)
	}
	w := mustOpen(t, o)
	defer mustClose(t, w)
	eventually(t, "few segments", func() bool { return w.Stats().Segments < 25 })
	if st := w.Stats(); st.Recycled == 0 || st.HolesSkipped != 0 {
		t.Errorf("recycled %d, holes %d", st.Recycled, st.HolesSkipped)
	}
}
