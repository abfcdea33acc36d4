package journal

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// eventually polls a condition that a background goroutine brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s", what)
		}
	}
}

func TestFullBudgetThenGoesOn(t *testing.T) {
	o := small(t)
	o.Budget, o.Consumers = 512<<10, []string{"slow", "fast"}
	w := mustOpen(t, o)
	defer mustClose(t, w)
	var want []string
	for n := 0; ; n++ {
		p := fmt.Sprintf("record %d %s", n, strings.Repeat("x", 100))
		_, err := w.Append([]byte(p))
		if err == ErrFull {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, p)
	}
	if lag := w.Stats().ConsumerLag; lag["slow"] < 400<<10 || lag["slow"] != lag["fast"] {
		t.Errorf("lag %v", lag)
	}
	if used := w.Stats().UsedBytes; used > o.Budget {
		t.Errorf("used %d of %d", used, o.Budget)
	}
	r := newReading(t, ReaderOptions{Dir: o.Dir}).drain(t)
	r.want(t, want, 0)
	publish := func(consumer string) {
		if err := PublishPosition(o.Dir, consumer, r.Position()); err != nil {
			t.Fatal(err)
		}
	}
	publish("fast")
	eventually(t, "the fast consumer's position", func() bool { return w.Stats().ConsumerLag["fast"] == 0 })
	if _, err := w.Append([]byte("x")); err != ErrFull {
		t.Fatalf("append with one consumer behind: %v, want %v", err, ErrFull)
	}
	publish("slow")
	eventually(t, "room", func() bool { _, err := w.Append([]byte("again")); return err == nil })
	r.drain(t).want(t, append(want, "again"), 0)
}

func TestDiskFull(t *testing.T) {
	o := small(t)
	o.Consumers = []string{"away"}
	whole := allocate
	full := make(chan struct{})
	allocate = func(f *os.File, size int64) error {
		select {
		case <-full:
			return unix.ENOSPC
		default:
			return whole(f, size)
		}
	}
	defer func() { allocate = whole }()
	w := mustOpen(t, o)
	close(full)
	for {
		_, err := w.Append(make([]byte, 1000))
		if err == ErrDiskFull {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, w)
	if got := readAll(t, o.Dir); uint64(len(got.payloads)) != w.Stats().Records || len(got.damages) > 0 {
		t.Errorf("read %d, appended %d, damages %v", len(got.payloads), w.Stats().Records, got.damages)
	}
}

// What everybody has read and is only kept for later readers makes room on a full disk, as it does in a spent budget.
func TestDiskFullOfKeptSegments(t *testing.T) {
	o := small(t)
	o.Consumers = []string{"reader"}
	whole := allocate
	var full atomic.Bool
	allocate = func(f *os.File, size int64) error {
		if info, err := f.Stat(); err != nil || full.Load() && info.Size() < size {
			return errors.Join(err, unix.ENOSPC)
		}
		return whole(f, size)
	}
	defer func() { allocate = whole }()
	w := mustOpen(t, o)
	fill := func(records int) error {
		for range records {
			if _, err := w.Append(make([]byte, 1000)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := fill(1000); err != nil {
		t.Fatal(err)
	}
	full.Store(true)
	for fill(1000) != ErrDiskFull { // nothing has been read yet
	}
	r := newReading(t, ReaderOptions{Dir: o.Dir}).drain(t)
	if err := PublishPosition(o.Dir, "reader", r.Position()); err != nil {
		t.Fatal(err)
	}
	segments := w.Stats().Segments
	eventually(t, "room", func() bool { _, err := w.Append([]byte("again")); return err == nil })
	if err := fill(500); err != nil { // half of what was read
		t.Errorf("%v, %+v", err, w.Stats())
	}
	if st := w.Stats(); st.Segments > segments || st.Recycled == 0 {
		t.Errorf("%d segments after %d, %d used again", st.Segments, segments, st.Recycled)
	}
	mustClose(t, w)
}

// appendToFullDisk is the child: a limit on file sizes stands for a disk without room for another segment, later lifted.
func appendToFullDisk(dir string) {
	signal.Ignore(syscall.SIGXFSZ)
	check := func(err error) {
		if err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
	}
	limit := func(n uint64) {
		check(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: ^uint64(0)}))
	}
	limit(32 << 10)
	w, err := Open(Options{Dir: dir, SegmentBytes: 64 << 10, Budget: 1 << 20, Patience: time.Minute, Logger: quiet()})
	check(err)
	_, err = w.Append([]byte("lost"))
	fmt.Println("full:", err)
	limit(^uint64(0))
	for err != nil {
		time.Sleep(time.Millisecond)
		if _, err = w.Append([]byte("kept")); err != nil && err != ErrDiskFull {
			check(err)
		}
	}
	check(w.Close())
	fmt.Println("kept")
}

func TestDiskFullOfTheKernel(t *testing.T) {
	dir := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), "JOURNAL_TEST_CHILD=diskfull", "JOURNAL_TEST_DIR="+dir)
	out, err := child.CombinedOutput()
	if want := fmt.Sprintf("full: %v\nkept\n", ErrDiskFull); err != nil || string(out) != want {
		t.Fatalf("child: %v\n%s\nwant\n%s", err, out, want)
	}
	readAll(t, dir).want(t, []string{"kept"}, 0)
}

// TestFailingPages cuts the segment file under the living writer: the next access faults as an I/O error does.
func TestFailingPages(t *testing.T) {
	for _, left := range []int64{0, headerPage, 12 << 10, 16 << 10} {
		t.Run(fmt.Sprint("left=", left), func(t *testing.T) {
			o := small(t)
			w := mustOpen(t, o)
			defer mustClose(t, w)
			first := appendMany(t, w, "first", 100) // to about 16 KiB
			reader := newReading(t, ReaderOptions{Dir: o.Dir})
			if left > 0 {
				reader.drain(t)
			} else {
				first = nil
			}
			if err := os.Truncate(segmentPath(o.Dir, 1), left); err != nil {
				t.Fatal(err)
			}
			second, lost := appendWithLoss(t, w, 700)
			if lost != 1 {
				t.Errorf("%d appends failed, want 1", lost)
			}
			want := append(first, second...)
			eventually(t, "all records", func() bool { return len(reader.drain(t).payloads) >= len(want) })
			reader.want(t, want, 1)
		})
	}
}

// appendWithLoss appends n records and gives those that were not lost to a failing device.
func appendWithLoss(t *testing.T, w *Writer, n int) (kept []string, lost int) {
	t.Helper()
	for i := range n {
		p := fmt.Sprint("second ", i)
		switch _, err := w.Append([]byte(p)); err {
		case nil:
			kept = append(kept, p)
		case ErrIO:
			lost++
		default:
			t.Fatal(err)
		}
	}
	return kept, lost
}
