package journal

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain also plays the children: processes of their own that tests start and kill.
func TestMain(m *testing.M) {
	if child := os.Getenv("JOURNAL_TEST_CHILD"); child != "" {
		children[child](os.Getenv("JOURNAL_TEST_DIR"))
		return
	}
	goleak.VerifyTestMain(m)
}

var children = map[string]func(dir string){
	"disturb":  disturbDisk,
	"append":   appendUntilKilled,
	"diskfull": appendToFullDisk,
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// small is a journal of 64 KiB segments in a fresh directory; keep holds everything.
func small(t testing.TB) Options {
	return Options{Dir: filepath.Join(t.TempDir(), "journal"), SegmentBytes: 64 << 10, Budget: 64 << 20, KeepBytes: 1 << 30, Logger: quiet(), Patience: time.Minute}
}

func mustOpen(t testing.TB, o Options) *Writer {
	t.Helper()
	w, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func mustClose(t testing.TB, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

func mustAppend(t testing.TB, w *Writer, payload string) uint64 {
	t.Helper()
	sequence, err := w.Append([]byte(payload))
	if err != nil {
		t.Fatalf("append %q: %v", payload, err)
	}
	return sequence
}

// appendMany appends numbered records of about 100 bytes and gives their payloads.
func appendMany(t testing.TB, w *Writer, name string, n int) (payloads []string) {
	t.Helper()
	for i := range n {
		p := fmt.Sprintf("%s %06d %s", name, i, strings.Repeat("x", 80+i%17))
		mustAppend(t, w, p)
		payloads = append(payloads, p)
	}
	return payloads
}

// abandon leaves the journal as the death of the process does: nothing is closed, marked or given back but the lock.
func abandon(w *Writer) {
	halt(w)
	letGo(w)
}

// halt stops the goroutines in the background.
func halt(w *Writer) {
	close(w.stop)
	w.done.Wait()
}

// letGo unmaps everything and lets the lock go, as the kernel does.
func letGo(w *Writer) {
	for _, s := range w.drainReady() {
		s.unmap()
	}
	for _, s := range w.living {
		s.unmap()
	}
	_ = w.lock.Close()
}

// reading collects what a Reader gives and reports.
type reading struct {
	*Reader
	payloads []string
	records  []Position
	damages  []Damage
	pastEnds []Position
}

func newReading(t testing.TB, o ReaderOptions) *reading {
	t.Helper()
	got := &reading{}
	o.OnDamage = func(d Damage) { got.damages = append(got.damages, d) }
	o.OnPastEnd = func(r Run, s uint64) { got.pastEnds = append(got.pastEnds, Position{r, s}) }
	r, err := NewReader(o)
	if err != nil {
		t.Fatal(err)
	}
	got.Reader = r
	t.Cleanup(func() { _ = r.Close() })
	return got
}

// drain reads until there is nothing new.
func (g *reading) drain(t testing.TB) *reading {
	t.Helper()
	for {
		rec, err := g.Next()
		if err == ErrWait {
			return g
		}
		if err != nil {
			t.Fatal(err)
		}
		g.payloads = append(g.payloads, string(rec.Payload))
		g.records = append(g.records, Position{rec.Run, rec.Sequence})
	}
}

func readAll(t testing.TB, dir string) *reading {
	t.Helper()
	return newReading(t, ReaderOptions{Dir: dir}).drain(t)
}

func (g *reading) want(t testing.TB, payloads []string, damages int) {
	t.Helper()
	for i := range max(len(payloads), len(g.payloads)) {
		switch {
		case i >= len(payloads):
			t.Errorf("record %d of %d is more than wanted: %.30q", i, len(g.payloads), g.payloads[i])
		case i >= len(g.payloads):
			t.Errorf("record %d of %d is missing: %.30q", i, len(payloads), payloads[i])
		case g.payloads[i] != payloads[i]:
			t.Errorf("record %d is %.30q, want %.30q", i, g.payloads[i], payloads[i])
		default:
			continue
		}
		break
	}
	if len(g.damages) != damages {
		t.Errorf("damages: %+v, want %d", g.damages, damages)
	}
	if s := g.Stats(); s.Damages != uint64(len(g.damages)) {
		t.Errorf("counted %d damages, reported %d", s.Damages, len(g.damages))
	}
}

func TestRunsAreReadInOrder(t *testing.T) {
	o := small(t)
	var want []string
	var runs []Run
	for i := range 4 {
		w := mustOpen(t, o)
		runs = append(runs, w.Run())
		want = append(want, appendMany(t, w, fmt.Sprint("run", i), i*700)...)
		mustClose(t, w)
	}
	got := readAll(t, o.Dir)
	got.want(t, want, 0)
	if p := got.Position(); p.Run != runs[3] {
		t.Errorf("position %v, want run %v", p, runs[3])
	}
}

func TestManyAppenders(t *testing.T) {
	o := small(t)
	o.SegmentBytes, o.KeepBytes, o.Sync = 256<<10, 1<<30, 5*time.Millisecond
	w := mustOpen(t, o)
	const appenders, each = 64, 500
	var wg sync.WaitGroup
	for a := range appenders {
		wg.Go(func() {
			for i := range each {
				if _, err := w.Append(fmt.Appendf(nil, "%016d appender %d record %d %016d", 0, a, i, 0), 0, len(fmt.Sprintf("%016d appender %d record %d ", 0, a, i))); err != nil {
					t.Errorf("append: %v", err)
				}
			}
		})
	}
	wg.Wait()
	st := w.Stats()
	mustClose(t, w)
	got := readAll(t, o.Dir)
	seen := map[string]bool{}
	for i, p := range got.payloads {
		at := got.records[i]
		if i > 0 && at.Sequence <= got.records[i-1].Sequence {
			t.Fatalf("sequence %d after %d", at.Sequence, got.records[i-1].Sequence)
		}
		digits := fmt.Sprintf("%016d", at.Sequence)
		if !strings.HasPrefix(p, digits) || !strings.HasSuffix(p, digits) {
			t.Fatalf("payload %q lacks its sequence %s", p, digits)
		}
		seen[p[16:len(p)-16]] = true
	}
	if len(seen) != appenders*each || len(got.payloads) != appenders*each || st.Records != appenders*each || len(got.damages) > 0 {
		t.Fatalf("%d different of %d records read, %d counted, want %d; damages %v", len(seen), len(got.payloads), st.Records, appenders*each, got.damages)
	}
}

func TestAppendRefuses(t *testing.T) {
	o := small(t)
	w := mustOpen(t, o)
	largest := make([]byte, 16<<10-recordHeader)
	tests := []struct {
		name       string
		payload    []byte
		sequenceAt []int
		want       error
	}{
		{"largest", largest, nil, nil},
		{"empty", nil, nil, nil},
		{"too large", append(slices.Clone(largest), 0), nil, ErrTooLarge},
		{"offset before", make([]byte, 16), []int{-1}, ErrOffset},
		{"offset behind", make([]byte, 16), []int{0, 1}, ErrOffset},
		{"offset in nothing", nil, []int{0}, ErrOffset},
	}
	for _, tt := range tests {
		if _, err := w.Append(tt.payload, tt.sequenceAt...); err != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if _, err := Open(o); err != ErrLocked {
		t.Errorf("second writer: %v, want %v", err, ErrLocked)
	}
	mustClose(t, w)
	if _, err := w.Append(nil); err != ErrClosed {
		t.Errorf("append after close: %v, want %v", err, ErrClosed)
	}
	if err := w.Close(); err != ErrClosed {
		t.Errorf("second close: %v, want %v", err, ErrClosed)
	}
	got := readAll(t, o.Dir)
	got.want(t, []string{string(largest), ""}, 0)
}

func TestPayloadIsNotTouched(t *testing.T) {
	w := mustOpen(t, small(t))
	defer mustClose(t, w)
	payload := bytes.Repeat([]byte("a"), 40)
	if _, err := w.Append(payload, 3, 22); err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("a", 40); string(payload) != want {
		t.Errorf("payload became %q", payload)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		with func(*Options)
		says string
	}{
		{"no directory", func(o *Options) { o.Dir = "" }, "no directory"},
		{"odd segment", func(o *Options) { o.SegmentBytes = 100_000 }, "power of two"},
		{"small segment", func(o *Options) { o.SegmentBytes = 32 << 10 }, "65536"},
		{"small budget", func(o *Options) { o.Budget = 64 << 10 }, "two segments"},
		{"consumer", func(o *Options) { o.Consumers = []string{"../x"} }, "consumer"},
		{"a file", func(o *Options) { o.Dir = file }, "not a directory"},
	}
	for _, tt := range tests {
		o := small(t)
		tt.with(&o)
		if _, err := Open(o); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
	}
}

func TestCloseWaitsForAppends(t *testing.T) {
	o := small(t)
	o.SegmentBytes, o.Budget, o.KeepBytes = 1<<20, 1<<30, 1<<30
	w := mustOpen(t, o)
	var wg sync.WaitGroup
	acknowledged := make([]int, 8)
	for a := range acknowledged {
		wg.Go(func() {
			for {
				_, err := w.Append(fmt.Appendf(nil, "appender %d record %d", a, acknowledged[a]))
				if err == ErrClosed {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				acknowledged[a]++
			}
		})
	}
	for w.Stats().Records < 2000 {
		time.Sleep(100 * time.Microsecond)
	}
	mustClose(t, w)
	wg.Wait()
	want := 0
	for _, n := range acknowledged {
		want += n
	}
	if got := len(readAll(t, o.Dir).payloads); got != want {
		t.Errorf("read %d, acknowledged %d", got, want)
	}
}
