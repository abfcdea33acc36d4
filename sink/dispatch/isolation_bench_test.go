package dispatch

import (
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"waypost/sink/internal/metrics"
	"waypost/sink/internal/store"
)

// BenchmarkIsolation measures from decision to delivery: the healthy half alone, and beside the sick half, in turns. Before the decision there is its synced batch: with the store on
// the disk it is most of the time.
//
//	go test -run xxx -bench Isolation -benchtime 1x ./sink/dispatch
//
// On a machine that others use, p99 is theirs: chrt -r 5 in front of the command keeps them away for the minute that it takes.
//
// Both halves are due at one rate, so that the sink has twice the work beside the sick half; what the sick receivers do themselves is not its work, and they have a process of their own (see openWard). The store
// in memory is one whose Sync costs nothing: that of the tests, which can be cloned as a power cut leaves it, copies the whole log at each, more and more, and twice as much with twice as many deliveries.
func BenchmarkIsolation(b *testing.B) {
	w := openWard(b)
	for _, c := range []struct {
		files, name string
		sick        []string
	}{
		{"memory", "refusing", []string{w.refusing}},
		{"memory", "silent", []string{w.silent}},
		{"memory", "dribbling", []string{w.dribbling}},
		{"memory", "all", w.all()},
		{"disk", "all", w.all()},
	} {
		b.Run("files="+c.files+"/sick="+c.name, func(b *testing.B) { isolation(b, c.files == "disk", c.sick) })
	}
}

func isolation(b *testing.B, disk bool, sick []string) {
	times := map[bool][]time.Duration{}
	for range b.N {
		for range 3 {
			times[false] = append(times[false], pace(b, disk, nil)...)
			times[true] = append(times[true], pace(b, disk, sick)...)
		}
	}
	p := func(beside bool, share float64) float64 {
		slices.Sort(times[beside])
		return times[beside][int(share*float64(len(times[beside])-1))].Seconds() * 1000
	}
	b.ReportMetric(0, "ns/op")
	for _, share := range []float64{0.5, 0.99} {
		b.ReportMetric(p(false, share), fmt.Sprintf("p%.0f-alone-ms", share*100))
		b.ReportMetric(p(true, share), fmt.Sprintf("p%.0f-beside-ms", share*100))
	}
	b.ReportMetric(p(true, 0.99)/p(false, 0.99), "p99-ratio")
}

// pace decides on clicks at an even pace, round the tenants, and returns how long each was on its way to the healthy endpoint.
func pace(b *testing.B, disk bool, sick []string) (took []time.Duration) {
	const tenants, clicks, every = 500, 3000, time.Millisecond
	var mu sync.Mutex
	began := map[string]time.Time{}
	done := make(chan struct{})
	healthy := receive(b, func(_ int, _ http.ResponseWriter, r *http.Request) {
		now := time.Now()
		mu.Lock()
		defer mu.Unlock()
		took = append(took, now.Sub(began[r.Header.Get("webhook-id")]))
		if len(took) == clicks {
			close(done)
		}
	})
	settings := isolated()
	settings.Window, settings.MarkEvery = 1000, 50*time.Millisecond
	settings.BreakerFailures = 10
	settings.AttemptsDays, settings.AttemptsBytes = 7, 256<<20
	o := Options{Settings: settings, Metrics: metrics.Discard(), Logger: slog.New(slog.DiscardHandler), Store: quickStore(b, disk)}
	h := prepare(b, nil, o, pairs(tenants, healthy.URL, sick)...)
	h.Start()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := range clicks {
		<-tick.C
		e := click(h.next)
		mu.Lock()
		began[e.ID.String()] = time.Now()
		mu.Unlock()
		h.decide(uint32(i%tenants + 1))
	}
	<-done
	h.cancel()
	h.stop()
	healthy.Close()
	return took
}

// quickStore is a store on the disk, or one whose Sync costs nothing.
func quickStore(b *testing.B, disk bool) *store.Store {
	o, dir := store.Options{FS: vfs.NewMem()}, "store"
	if disk {
		o.FS, dir = nil, filepath.Join(b.TempDir(), "store")
	}
	s, err := store.Open(dir, o)
	if err != nil {
		b.Fatal(err)
	}
	return s
}
