package ingest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"waypost/edge/event"
	"waypost/sink/internal/metrics"
	"waypost/sink/internal/person"
	"waypost/sink/internal/store"
)

// mailClicks fills a batch with clicks as mail brings them: most within days of sending, each recipient on its own, one in five a repeat.
func mailClicks(b *Batch, r *rand.Rand, n int, sequence *uint64) {
	now := start.Add(days(45))
	for range n {
		*sequence++
		age := time.Duration(r.ExpFloat64()*2*24) * time.Hour
		person := r.Uint64N(1 << 32)
		if r.IntN(5) == 0 {
			person = r.Uint64N(1 << 12)
			age = days(1)
		}
		e := click(*sequence, minted(now.Add(-min(age, days(44))).Truncate(time.Minute)), at(now), func(e *event.Event) {
			e.Prospect = fmt.Appendf(nil, "%d", person)
			e.Message = fmt.Appendf(nil, "%d", 1_000_000+person%1000)
			e.Destination = []byte("https://www.example.com/products/spring-offer?utm_source=mail&utm_medium=email&utm_campaign=2026-06&id=88213")
			e.UserAgent = []byte("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36")
			e.Address = []byte("203.0.113.77")
			e.Language = []byte("en-GB,en;q=0.9")
		})
		record := record(&e)
		b.Add(record.Key, record.Document)
	}
}

type discardOutbox struct{}

func (discardOutbox) Due(*pebble.Batch, First) error { return nil }
func (discardOutbox) Committed()                     {}

// BenchmarkDecide is decoding, deciding and the synced commit, with a real store on a real disk; an operation is one event. Beside the
// standard figures it says events/s, the making of the test's events left out.
func BenchmarkDecide(b *testing.B) {
	for _, size := range []int{100, 5000} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			s, err := store.Open(b.TempDir(), store.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			in := New(Options{Store: s, Outbox: discardOutbox{}, Metrics: metrics.Discard(), Logger: quiet(), Now: func() time.Time { return start.Add(days(100)) }})
			r, sequence := rand.New(rand.NewPCG(1, 2)), uint64(0)
			b.ReportAllocs()
			b.ResetTimer()
			for done := 0; done < b.N; done += size {
				b.StopTimer()
				in.batch.Reset()
				mailClicks(&in.batch, r, size, &sequence)
				b.StartTimer()
				if _, err := in.decide(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkClassify is the part of a decision that the event alone decides: decoding and hashing.
func BenchmarkClassify(b *testing.B) {
	s, err := store.Open(b.TempDir(), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var batch Batch
	sequence := uint64(0)
	mailClicks(&batch, rand.New(rand.NewPCG(1, 2)), 1000, &sequence)
	d := NewDecider(s, time.Now)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%len(batch.Records) == 0 {
			d.decisions, d.waiting = d.decisions[:0], d.waiting[:0]
		}
		if err := d.classify(&batch.Records[i%len(batch.Records)], start); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecideForgotten is BenchmarkDecide in batches of 5,000, with nobody forgotten, with tombstones of another tenant, and with some on each day of the mails: then each would-be first is looked up once more.
func BenchmarkDecideForgotten(b *testing.B) {
	for name, tenant := range map[string]uint32{"nobody": 0, "elsewhere": 2, "everyday": 1} {
		b.Run("forgotten="+name, func(b *testing.B) {
			s, err := store.Open(b.TempDir(), store.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			in := New(Options{Store: s, Outbox: discardOutbox{}, Metrics: metrics.Discard(), Logger: quiet(), Now: func() time.Time { return start.Add(days(100)) }})
			if tenant != 0 {
				bury(b, in, tenant)
			}
			r, sequence := rand.New(rand.NewPCG(1, 2)), uint64(0)
			b.ReportAllocs()
			b.ResetTimer()
			for done := 0; done < b.N; done += 5000 {
				b.StopTimer()
				in.batch.Reset()
				mailClicks(&in.batch, r, 5000, &sequence)
				b.StartTimer()
				if _, err := in.decide(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// bury makes tombstones on each day of mailClicks, and somebody who was forgotten before they happened.
func bury(b *testing.B, in *Ingester, tenant uint32) {
	b.Helper()
	p, err := person.New(tenant, "abc@prospect.com", "")
	if err != nil {
		b.Fatal(err)
	}
	hands := in.Forgetter()
	if _, err := hands.Begin(p, start); err != nil {
		b.Fatal(err)
	}
	batch := in.o.Store.NewBatch()
	defer batch.Close()
	for n := range 46 {
		for i := range byte(100) {
			key := store.NewUniqueKey(uint16(store.DayOf(start.Add(days(n)))), tenant, 0, event.UniqueKey{i})
			if err := in.decider.bury(batch, &key, store.Firsts{Any: event.ID{Run: 1}}); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := batch.Commit(pebble.Sync); err != nil {
		b.Fatal(err)
	}
}
