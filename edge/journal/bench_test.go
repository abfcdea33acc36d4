package journal

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// BenchmarkAppend is what an append costs in prefaulted pages, as it meets them at any rate that the disk can follow, beside a write(2) of
// the same bytes over a file that has its blocks.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{328, 600} {
		payload := make([]byte, n)
		b.Run(fmt.Sprintf("bytes=%d", n), func(b *testing.B) { appendPaced(b, payload) })
		b.Run(fmt.Sprintf("bytes=%d/sequences=2", n), func(b *testing.B) { appendPaced(b, payload, 8, 40) })
		b.Run(fmt.Sprintf("bytes=%d/write", n), func(b *testing.B) { writeFile(b, payload) })
	}
}

// BenchmarkAppendSaturated appends as fast as the segments come: it measures the disk and the preparation of segments.
func BenchmarkAppendSaturated(b *testing.B) {
	payload := make([]byte, 328)
	w := benchWriter(b, Options{Patience: time.Minute})
	b.SetBytes(int64(len(payload)))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := w.Append(payload, 8, 40); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// appendPaced stops the clock while pages are prefaulted and the next segment is prepared.
func appendPaced(b *testing.B, payload []byte, sequenceAt ...int) {
	w := benchWriter(b, Options{Patience: time.Minute})
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n++; n%4096 == 0 {
			b.StopTimer()
			s := w.current.Load()
			s.prefault(s.tail.Load(), 8<<20)
			for !hasPrepared(w) {
				time.Sleep(time.Millisecond)
			}
			b.StartTimer()
		}
		if _, err := w.Append(payload, sequenceAt...); err != nil {
			b.Fatal(err)
		}
	}
}

func hasPrepared(w *Writer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.prepared > 0
}

func writeFile(b *testing.B, payload []byte) {
	f, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	const size = 64 << 20
	if err := allocate(f, size); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(payload)))
	var at int64
	for b.Loop() {
		if _, err := f.WriteAt(payload, at); err != nil {
			b.Fatal(err)
		}
		at = (at + int64(len(payload))) % (size - 4096)
	}
}

// BenchmarkNext reads back what was appended, in a finished run.
func BenchmarkNext(b *testing.B) {
	w := benchWriter(b, Options{SegmentBytes: 16 << 20, KeepBytes: 1 << 30, Patience: time.Minute})
	for range 100_000 {
		if _, err := w.Append(make([]byte, 328), 8, 40); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(328)
	b.ReportAllocs()
	r := newReading(b, ReaderOptions{Dir: w.o.Dir})
	for b.Loop() {
		if _, err := r.Next(); err == ErrWait {
			r = newReading(b, ReaderOptions{Dir: w.o.Dir})
		} else if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppendLatency paces appends at a rate and gives the distribution of each one's time, with the syncer on and segments
// recycled; "disturbed" has another process write and sync 1 MiB blocks on the same disk all the while.
func BenchmarkAppendLatency(b *testing.B) {
	for _, rate := range []int{20_000, 200_000} {
		for _, disturbed := range []bool{false, true} {
			b.Run(fmt.Sprintf("rate=%d/disturbed=%v", rate, disturbed), func(b *testing.B) {
				w := benchWriter(b, Options{SegmentBytes: 1 << 20, KeepBytes: -1}) // small, so that also a short run recycles
				if disturbed {
					disturb(b)
				}
				measureLatency(b, w, rate)
			})
		}
	}
}

func measureLatency(b *testing.B, w *Writer, rate int) {
	histogram := hdrhistogram.New(1, int64(10*time.Second), 3)
	payload := make([]byte, 328)
	perTick := rate / 1000
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	b.ResetTimer()
	for n := 0; n < b.N; {
		<-tick.C
		before := time.Now()
		for range perTick {
			if _, err := w.Append(payload, 8, 40); err != nil {
				b.Fatal(err)
			}
			after := time.Now()
			_ = histogram.RecordValue(int64(after.Sub(before)))
			before = after
			n++
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(histogram.ValueAtQuantile(50)), "p50-ns")
	b.ReportMetric(float64(histogram.ValueAtQuantile(99)), "p99-ns")
	b.ReportMetric(float64(histogram.ValueAtQuantile(99.9)), "p99.9-ns")
	b.ReportMetric(float64(histogram.ValueAtQuantile(99.99))/1e3, "p99.99-us")
	b.ReportMetric(float64(histogram.Max())/1e3, "max-us")
	reportLoss(b, w)
}

func reportLoss(b *testing.B, w *Writer) {
	st := w.Stats()
	b.ReportMetric(float64(st.Recycled), "recycled")
	b.ReportMetric(float64(st.LastSyncDuration.Microseconds()), "sync-us")
}

func benchWriter(b *testing.B, o Options) *Writer {
	o.Dir = b.TempDir()
	if o.KeepBytes == 0 {
		o.KeepBytes = 64 << 20
	}
	w := mustOpen(b, o)
	b.Cleanup(func() {
		if err := w.Close(); err != nil {
			b.Error(err)
		}
	})
	return w
}

// disturb runs a child that writes and syncs until the benchmark ends.
func disturb(b *testing.B) {
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), "JOURNAL_TEST_CHILD=disturb", "JOURNAL_TEST_DIR="+b.TempDir())
	out, err := child.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	in, err := child.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = in.Close(); _, _ = io.Copy(io.Discard, out); _ = child.Wait() })
}

// disturbDisk is the child: it ends when its standard input does.
func disturbDisk(dir string) {
	f, err := os.Create(filepath.Join(dir, "noise"))
	if err != nil {
		panic(err)
	}
	over := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); close(over) }()
	block := make([]byte, 1<<20)
	for n := int64(0); ; n++ {
		if _, err := f.WriteAt(block, n%256<<20); err != nil {
			panic(err)
		}
		if err := f.Sync(); err != nil {
			panic(err)
		}
		if n == 0 {
			fmt.Println("writing")
		}
		select {
		case <-over:
			return
		default:
		}
	}
}
