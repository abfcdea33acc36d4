package journal

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestReaderBeforeTheDirectory(t *testing.T) {
	o := small(t)
	r := newReading(t, ReaderOptions{Dir: o.Dir}).drain(t)
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r.drain(t)
	w := mustOpen(t, o)
	want := appendMany(t, w, "first", 20)
	r.drain(t).want(t, want, 0)
	mustClose(t, w)
}

func TestDirectoryWipedBetweenWriters(t *testing.T) {
	o := small(t)
	r := newReading(t, ReaderOptions{Dir: o.Dir})
	var want []string
	for i := range 4 {
		w := mustOpen(t, o)
		want = append(want, appendMany(t, w, fmt.Sprint("life ", i), 600*(i%2)+10)...)
		r.drain(t)
		if i%2 == 0 {
			mustClose(t, w)
		} else {
			abandon(w)
		}
		if i == 1 {
			r.drain(t)
		}
		if err := os.RemoveAll(o.Dir); err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			r.drain(t)
		}
	}
	r.drain(t).want(t, want, 0)
}

// TestDirectoryWipedUnderTheWriter: what stood in the directory is gone, the gap is reported, everything later is read.
func TestDirectoryWipedUnderTheWriter(t *testing.T) {
	o := small(t)
	o.Sync = 10 * time.Millisecond
	w := mustOpen(t, o)
	want := appendMany(t, w, "before", 700)
	r := newReading(t, ReaderOptions{Dir: o.Dir}).drain(t)
	if err := os.Rename(o.Dir, o.Dir+".gone"); err != nil { // deleting file by file would race with the writer
		t.Fatal(err)
	}
	eventually(t, "the directory", func() bool {
		list, err := listSegments(o.Dir)
		return err == nil && len(list) > 0
	})
	want = append(want, appendMany(t, w, "after", 1500)...)
	r.drain(t)
	if len(r.damages) == 0 {
		t.Error("the gap was not reported")
	}
	r.want(t, want, len(r.damages))
	if _, err := Open(o); err != ErrLocked {
		t.Errorf("second writer in the new directory: %v, want %v", err, ErrLocked)
	}
	mustClose(t, w)
	if report, err := verify(o.Dir); err != nil || report.Records != 1500 || report.Damages > 0 || !report.Runs[0].Finished {
		t.Errorf("verify: %+v, %v", report, err)
	}
}

// TestSlowReader reads while its segments are taken away for new ones: it may lose records, and says so, but never gives a wrong one.
func TestSlowReader(t *testing.T) {
	o := small(t)
	o.KeepBytes, o.Budget = -1, 1<<20
	w := mustOpen(t, o)
	r := newReading(t, ReaderOptions{Dir: o.Dir})
	read, last := 0, uint64(0)
	step := func(n int) {
		for range n {
			rec, err := r.Next()
			if err == ErrWait {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("%016d", rec.Sequence); string(rec.Payload[:16]) != want || rec.Sequence <= last {
				t.Fatalf("sequence %d after %d says %q", rec.Sequence, last, rec.Payload[:16])
			}
			last = rec.Sequence
			read++
		}
	}
	const records = 60_000
	for range records {
		if _, err := w.Append(make([]byte, 16+rand.IntN(200)), 0); err != nil {
			t.Fatal(err)
		}
		step(rand.IntN(3) / 2)
	}
	mustClose(t, w)
	step(records)
	if read == 0 || read == records || len(r.damages) == 0 || w.Stats().Recycled < 10 {
		t.Errorf("read %d of %d, damages %d, recycled %d", read, records, len(r.damages), w.Stats().Recycled)
	}
}

// TestDamage spoils bytes at random in a finished journal: what was hit is reported, everything else is read.
func TestDamage(t *testing.T) {
	o := small(t)
	w := mustOpen(t, o)
	payloads := appendMany(t, w, "first", 1500)
	mustClose(t, w)
	w = mustOpen(t, o)
	payloads = append(payloads, appendMany(t, w, "second", 300)...)
	mustClose(t, w)
	all := readAll(t, o.Dir)
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		dir := t.TempDir()
		copyJournal(t, o.Dir, dir)
		spoiled := spoil(t, rng, dir)
		got := newReading(t, ReaderOptions{Dir: dir}).drain(t)
		hit := 0
		next := 0
		for i, at := range all.records {
			if next < len(got.records) && got.records[next] == at && got.payloads[next] == payloads[i] {
				next++
				continue
			}
			hit++
			if !slices.Contains(spoiled, at) {
				t.Errorf("seed %d: record %d at %v is missing, and was not spoiled", seed, i, at)
			}
		}
		if next != len(got.records) {
			t.Errorf("seed %d: record %d is not one of those that were written", seed, next)
		}
		if hit > 0 && len(got.damages) == 0 || uint64(len(got.damages)) != got.Stats().Damages {
			t.Errorf("seed %d: %d records hit, %d damages reported, %d counted", seed, hit, len(got.damages), got.Stats().Damages)
		}
		if report, err := verify(dir); err != nil || report.Damages != len(got.damages) || report.Records != uint64(len(got.records)) {
			t.Errorf("seed %d: verify %+v, %v", seed, report, err)
		}
	}
}

func verify(dir string) (Report, error) {
	return Verify(dir, func(Damage) {}, func(Record) {})
}

func copyJournal(t *testing.T, from, to string) {
	t.Helper()
	list, err := listSegments(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		b, err := os.ReadFile(e.path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(e.path)), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// spoil overwrites one to five ranges, headers and marks among them, and gives the records that were hit.
func spoil(t *testing.T, rng *rand.Rand, dir string) (hit []Position) {
	t.Helper()
	list, err := listSegments(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range 1 + rng.IntN(5) {
		e := list[rng.IntN(len(list))]
		from := rng.Int64N(e.size)
		if rng.IntN(4) == 0 {
			from = rng.Int64N(headerPage)
		}
		to := min(from+1+rng.Int64N(1<<rng.IntN(14)), e.size)
		b, err := os.ReadFile(e.path)
		if err != nil {
			t.Fatal(err)
		}
		p := place{b, e.seed(), e.base()}
		for off := int64(headerPage); off < e.size; {
			i, ok := p.head(off)
			if !ok {
				off += alignment // spoiled before
				continue
			}
			if off < to && off+i.size() > from {
				hit = append(hit, Position{e.run, e.base() + uint64(off/alignment)})
			}
			off += i.size()
		}
		for i := from; i < to; i++ {
			b[i] ^= byte(1 + rng.IntN(255))
		}
		if err := os.WriteFile(e.path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return hit
}

func TestWait(t *testing.T) {
	o := small(t)
	w := mustOpen(t, o)
	defer mustClose(t, w)
	r := newReading(t, ReaderOptions{Dir: o.Dir})
	got := make(chan string)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for {
			rec, err := r.Wait(ctx)
			if err != nil {
				got <- err.Error()
				return
			}
			got <- string(rec.Payload)
		}
	}()
	for i := range 3 {
		want := mustAppendGot(t, w, i)
		if p := <-got; p != want {
			t.Fatalf("got %q, want %q", p, want)
		}
	}
	cancel()
	if p := <-got; p != context.Canceled.Error() {
		t.Errorf("ended with %q", p)
	}
}

func mustAppendGot(t *testing.T, w *Writer, i int) string {
	t.Helper()
	p := fmt.Sprint("record ", i)
	mustAppend(t, w, p)
	return p
}

func TestReaderFollowsRecyclingInPlace(t *testing.T) {
	o := small(t)
	o.KeepBytes, o.Budget, o.Consumers = -1, 1<<20, []string{"c"}
	w := mustOpen(t, o)
	r := newReading(t, ReaderOptions{Dir: o.Dir})
	var want []string
	for i := range 40 {
		want = append(want, appendMany(t, w, fmt.Sprint("round ", i), 400)...)
		r.drain(t)
		if err := PublishPosition(o.Dir, "c", r.Position()); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "position", func() bool { return w.Stats().ConsumerLag["c"] == 0 })
	mustClose(t, w)
	r.drain(t).want(t, want, 0)
	if st := w.Stats(); st.Recycled < 10 || int64(st.Segments)<<16 > o.Budget {
		t.Errorf("recycled %d, %d segments", st.Recycled, st.Segments)
	}
}
