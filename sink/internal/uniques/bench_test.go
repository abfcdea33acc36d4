package uniques

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/sink/ingest"
	"waypost/sink/internal/metrics"
	"waypost/sink/internal/store"
)

// firsts are clicks as mail brings them, each of a message of its own.
func firsts(n int, at time.Time) []ingest.First {
	all := make([]ingest.First, n)
	for i := range all {
		e := event.Event{
			ID: event.ID{Run: 7, Sequence: uint64(i + 1)}, Type: event.Clicked, Time: at.Add(time.Duration(i) * time.Millisecond), Tenant: 1, TenantName: "demo",
			Message: fmt.Appendf(nil, "%d", 1795843288712+i*7919), Prospect: fmt.Appendf(nil, "%d", i*31), User: []byte("789"), Recipient: fmt.Appendf(nil, "person%d@example.com", i*31),
			Destination: fmt.Appendf(nil, "https://www.example.com/products/spring-offer?utm_source=mail&utm_medium=email&utm_campaign=2026-06&id=%d", i),
			Minted:      at.Truncate(time.Minute), RetentionDays: 45, Stream: []byte("outbound"), Method: []byte("GET"),
			UserAgent: []byte("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"),
			Address:   []byte("203.0.113.77"), Language: []byte("en-GB,en;q=0.9"),
		}
		all[i] = ingest.First{ID: e.ID, Type: e.Type, Tenant: 1, Time: e.Time, Key: event.AppendKey(nil, &e), Document: event.AppendDocument(nil, &e)}
	}
	return all
}

// BenchmarkWalk is a search that looks into every event: an operation is one of 100,000, by index alone or with its document.
func BenchmarkWalk(b *testing.B) {
	s, err := store.Open(b.TempDir(), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	k, err := Open(Options{Store: s, Settings: configs.DefaultSink().Uniques, Metrics: metrics.Discard(), Failed: func(err error) { b.Error(err) }})
	if err != nil {
		b.Fatal(err)
	}
	defer k.Close()
	const size = 100_000
	batch := s.NewBatch()
	for _, f := range firsts(size, time.Now().Add(-time.Hour)) {
		if err := k.Keep(f); err != nil {
			b.Fatal(err)
		}
	}
	if err := errors.Join(k.Write(batch), batch.Commit(pebble.Sync)); err != nil {
		b.Fatal(err)
	}
	k.Committed()
	for _, documents := range []bool{false, true} {
		b.Run(fmt.Sprintf("documents=%v", documents), func(b *testing.B) {
			for done := 0; done < b.N; done += size {
				v, err := k.View()
				if err != nil {
					b.Fatal(err)
				}
				var decoder event.Decoder
				var decoded event.Event
				err = v.Walk(b.Context(), Query{Tenant: 1, Types: Types()}, func(e *Event) (bool, error) {
					if !documents {
						return true, nil
					}
					text, err := e.Document()
					return true, errors.Join(err, decoder.Decode(&decoded, text))
				})
				v.Close()
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkKeep is what keeping adds to a decision: an operation is one event, in synced batches of 5,000, on a real disk.
func BenchmarkKeep(b *testing.B) {
	s, err := store.Open(b.TempDir(), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	k, err := Open(Options{Store: s, Settings: configs.DefaultSink().Uniques, Metrics: metrics.Discard(), Failed: func(err error) { b.Error(err) }})
	if err != nil {
		b.Fatal(err)
	}
	defer k.Close()
	const size = 5000
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += size {
		b.StopTimer()
		all := firsts(size, time.Now())
		for i := range all {
			all[i].ID.Run = uint64(done)
		}
		b.StartTimer()
		batch := s.NewBatch()
		for i := range all {
			if err := k.Keep(all[i]); err != nil {
				b.Fatal(err)
			}
		}
		if err := k.Write(batch); err != nil {
			b.Fatal(err)
		}
		if err := batch.Commit(pebble.Sync); err != nil {
			b.Fatal(err)
		}
		k.Committed()
	}
	b.StopTimer()
	var events, stored uint64
	for i := range k.segments {
		events, stored = events+k.segments[i].Count, stored+k.segments[i].Bytes
	}
	b.ReportMetric(float64(stored)/float64(events), "bytes/event")
}
