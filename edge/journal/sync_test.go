package journal

import "testing"

// TestSyncedRanges: the syncer gets to the last byte, also of a page that is being filled, and only to where nothing is under way.
func TestSyncedRanges(t *testing.T) {
	for _, ranges := range []bool{true, false} {
		o := small(t)
		w := mustOpen(t, o)
		halt(w) // this test is the syncer
		w.ranges = ranges
		s := w.current.Load()
		appendMany(t, w, "first", 100)
		tail := s.tail.Load()
		w.syncFilled(s)
		if want := tail &^ (pageBytes - 1); ranges && s.flushed != want {
			t.Errorf("first sync reached %d, want the whole pages to %d", s.flushed, want)
		}
		w.syncFilled(s)
		if s.flushed != tail {
			t.Errorf("ranges=%v: second sync reached %d, want %d", ranges, s.flushed, tail)
		}
		reserveOnly(w, 100)
		mustAppend(t, w, "behind a reserve that is under way")
		w.syncFilled(s)
		w.syncFilled(s)
		if s.flushed != tail {
			t.Errorf("ranges=%v: sync took %d for done, past an append under way at %d", ranges, s.flushed, tail)
		}
		if st := w.Stats(); st.SyncErrors != 0 || st.LastSyncDuration <= 0 {
			t.Errorf("stats %+v", st)
		}
		letGo(w)
	}
}
