package ingest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"waypost/edge/event"
	"waypost/edge/journal"
	"waypost/sink/internal/metrics"
	"waypost/sink/internal/store"
)

func openWriter(t *testing.T, dir string) *journal.Writer {
	t.Helper()
	w, err := journal.Open(journal.Options{Dir: dir, SegmentBytes: 64 << 10, Budget: 1 << 20, Sync: -1, Patience: time.Minute, Consumers: []string{"sink"}, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// appendClicks writes one click each of the recipients.
func appendClicks(t *testing.T, w *journal.Writer, recipients ...string) {
	t.Helper()
	for _, r := range recipients {
		e := click(0, recipient(r), func(e *event.Event) { e.ID.Run = uint64(w.Run()) })
		payload, offsets := event.AppendRecord(nil, &e)
		if _, err := w.Append(payload, offsets[:]...); err != nil {
			t.Fatal(err)
		}
	}
}

func closeWriter(t *testing.T, w *journal.Writer) {
	t.Helper()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func openJournal(t *testing.T, s *store.Store, dir string) *Journal {
	t.Helper()
	j, err := NewJournal(JournalOptions{Dir: dir, Consumer: "sink", Store: s, Metrics: metrics.Discard(), Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

// drain decides all that the sources have, and gives how many webhooks came of it.
func drain(t *testing.T, s *store.Store, sources ...Source) int {
	t.Helper()
	out := &memoryOutbox{}
	in := newIngester(s, out, sources...)
	for {
		n, err := in.Step()
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return len(out.sent)
		}
	}
}

func TestJournalIsReadOnce(t *testing.T) {
	s, dir := memStore(t), t.TempDir()
	w := openWriter(t, dir)
	appendClicks(t, w, "a", "b", "a")
	j := openJournal(t, s, dir)
	if n := drain(t, s, j); n != 2 {
		t.Fatalf("%d webhooks, want 2", n)
	}
	published, err := journal.ReadPosition(dir, "sink")
	if err != nil || published.Run != w.Run() {
		t.Fatalf("published %v, %v", published, err)
	}
	appendClicks(t, w, "c")
	if n := drain(t, s, j); n != 1 {
		t.Errorf("%d webhooks for what came later, want 1", n)
	}
	closeWriter(t, w)

	again := openJournal(t, s, dir)
	var b Batch
	if _, err := again.Fill(&b, 100); err != nil || len(b.Records) != 0 || !again.AtEnd() {
		t.Errorf("a restart read %d records again, %v", len(b.Records), err)
	}
}

// A journal directory that is deleted, and begun again by another run, loses nothing of the new run and doubles nothing of the old one.
func TestJournalDirectoryIsWiped(t *testing.T) {
	s := memStore(t)
	dir := filepath.Join(t.TempDir(), "journal")
	j := openJournal(t, s, dir) // before there is any
	if n := drain(t, s, j); n != 0 {
		t.Fatal(n)
	}
	w := openWriter(t, dir)
	appendClicks(t, w, "a", "b")
	if n := drain(t, s, j); n != 2 {
		t.Fatalf("%d webhooks, want 2", n)
	}
	closeWriter(t, w)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	w = openWriter(t, dir)
	defer closeWriter(t, w)
	appendClicks(t, w, "a", "c")
	deadline := time.Now().Add(time.Minute)
	got := 0
	for got == 0 && time.Now().Before(deadline) { // the reader looks at the directory again when nothing comes
		got = drain(t, s, j)
	}
	if got != 1 {
		t.Errorf("%d webhooks after the wipe, want 1: only c is new", got)
	}
}

// Two edges with equal settings have runs of their own; the order of the merge decides.
func TestTwoJournals(t *testing.T) {
	s, one, two := memStore(t), t.TempDir(), t.TempDir()
	first, second := openWriter(t, one), openWriter(t, two)
	appendClicks(t, first, "a", "b")
	appendClicks(t, second, "b", "c")
	if n := drain(t, s, openJournal(t, s, one), openJournal(t, s, two)); n != 3 {
		t.Errorf("%d webhooks, want 3", n)
	}
	closeWriter(t, first)
	closeWriter(t, second)
}

// fakeReader hands out what a journal must not: the position rule has to hold all the same.
type fakeReader struct {
	records []journal.Record
	err     error
	last    journal.Position
}

func (r *fakeReader) Next() (journal.Record, error) {
	if len(r.records) == 0 {
		if r.err != nil {
			return journal.Record{}, r.err
		}
		return journal.Record{}, journal.ErrWait
	}
	record := r.records[0]
	r.records = r.records[1:]
	r.last = journal.Position{Run: record.Run, Sequence: record.Sequence + 1}
	return record, nil
}

func (r *fakeReader) Position() journal.Position { return r.last }
func (r *fakeReader) Close() error               { return nil }

func fakeJournal(t *testing.T, s *store.Store, r *fakeReader, publish func(string, string, journal.Position) error) *Journal {
	t.Helper()
	j, err := NewJournal(JournalOptions{
		Dir: "fake", Consumer: "sink", Store: s, Metrics: metrics.Discard(), Logger: quiet(),
		open:    func(journal.ReaderOptions) (reader, error) { return r, nil },
		publish: publish,
	})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func noPublish(string, string, journal.Position) error { return nil }

func payload(e event.Event) []byte {
	p, _ := event.AppendRecord(nil, &e)
	return p
}

func TestPositionRule(t *testing.T) {
	s := memStore(t)
	r := &fakeReader{records: []journal.Record{
		{Run: 1, Sequence: 10, Payload: payload(click(0))},
		{Run: 1, Sequence: 12, Payload: payload(click(0))},
		{Run: 1, Sequence: 10, Payload: payload(click(0))},
		{Run: 2, Sequence: 3, Payload: payload(click(0))},
		{Run: 1, Sequence: 12, Payload: payload(click(0))},
		{Run: 1, Sequence: 13, Payload: []byte{0xff}},
	}}
	j := fakeJournal(t, s, r, noPublish)
	var b Batch
	if n, err := j.Fill(&b, 100); n != 6 || err != nil || len(b.Records) != 3 {
		t.Errorf("%d taken, %d records, %v; want 6 and 3", n, len(b.Records), err)
	}
	if n := testutil.ToFloat64(j.o.Metrics.Repeated.WithLabelValues("fake")); n != 2 {
		t.Errorf("%v repeats counted, want 2", n)
	}
	if n := testutil.ToFloat64(j.o.Metrics.Undecodable.WithLabelValues("fake")); n != 1 {
		t.Errorf("%v undecodable counted, want 1", n)
	}
	positions := map[string]string{}
	_ = j.Positions(func(key, value []byte) error {
		_, run, sequence, err := store.ParsePosition(key, value)
		positions[journal.Run(run).String()] = journal.Run(sequence).String()
		return err
	})
	if len(positions) != 2 || positions[journal.Run(1).String()] != journal.Run(14).String() {
		t.Errorf("positions %v", positions)
	}
}

func TestReaderErrorKeepsWhatWasRead(t *testing.T) {
	s := memStore(t)
	broken := errors.New("no access")
	j := fakeJournal(t, s, &fakeReader{records: []journal.Record{{Run: 1, Sequence: 1, Payload: payload(click(0))}}, err: broken}, noPublish)
	var b Batch
	n, err := j.Fill(&b, 10)
	if n != 1 || len(b.Records) != 1 || !errors.Is(err, broken) || !strings.Contains(err.Error(), "fake") {
		t.Errorf("%d, %d records, %v", n, len(b.Records), err)
	}
}

// A position that could not be published is published later, also when nothing more is read.
func TestPositionIsPublishedAgain(t *testing.T) {
	s := memStore(t)
	var published []journal.Position
	fails := 1
	j := fakeJournal(t, s, &fakeReader{records: []journal.Record{{Run: 1, Sequence: 1, Payload: payload(click(0))}}},
		func(_, _ string, p journal.Position) error {
			if fails--; fails >= 0 {
				return errors.New("disk full")
			}
			published = append(published, p)
			return nil
		})
	if n := drain(t, s, j); n != 1 {
		t.Fatal(n)
	}
	j.publishAt = time.Now().Add(-time.Second)
	var b Batch
	if _, err := j.Fill(&b, 1); err != nil {
		t.Fatal(err)
	}
	if len(published) != 1 || published[0] != (journal.Position{Run: 1, Sequence: 2}) {
		t.Errorf("published %v", published)
	}
}

func TestDamageIsCounted(t *testing.T) {
	s := memStore(t)
	j := fakeJournal(t, s, &fakeReader{}, noPublish)
	j.onDamage(journal.Damage{Run: 1, Bytes: 100, Reason: "checksum"})
	j.onDamage(journal.Damage{Run: 1, Bytes: 50, Reason: "checksum"})
	j.onPastEnd(1, 99)
	for name, got := range map[string]float64{
		"damages":   testutil.ToFloat64(j.o.Metrics.Damage.WithLabelValues("fake")) - 2,
		"bytes":     testutil.ToFloat64(j.o.Metrics.DamagedBytes.WithLabelValues("fake")) - 150,
		"past ends": testutil.ToFloat64(j.o.Metrics.PastEnd.WithLabelValues("fake")) - 1,
	} {
		if got != 0 {
			t.Errorf("%s: off by %v", name, got)
		}
	}
}

// A sink that died between its store and the position file tells the writer at its next start, though nothing new comes: a writer whose
// budget is spent writes nothing until it is told.
func TestPositionOfAnEarlierLife(t *testing.T) {
	s, dir := memStore(t), t.TempDir()
	w := openWriter(t, dir)
	defer closeWriter(t, w)
	e := click(0)
	big, offsets := event.AppendRecord(nil, &e)
	for {
		if _, err := w.Append(big, offsets[:]...); err == journal.ErrFull {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	first := openJournal(t, s, dir)
	first.o.publish = func(string, string, journal.Position) error { return errors.New("died before") }
	if n := drain(t, s, first); n != 1 {
		t.Fatalf("%d webhooks, want 1", n)
	}
	if _, err := journal.ReadPosition(dir, "sink"); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("published in the first life: %v", err)
	}

	again := openJournal(t, s, dir)
	if n := drain(t, s, again); n != 0 {
		t.Fatalf("%d webhooks in the second life, want none", n)
	}
	if p, err := journal.ReadPosition(dir, "sink"); err != nil || p.Run != w.Run() || p.Sequence != first.next[w.Run()] {
		t.Fatalf("published %v, %v; stored %d", p, err, first.next[w.Run()])
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		if _, err := w.Append(big, offsets[:]...); err == nil {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("the writer is still stuck: %v", err)
		}
	}
}

// Long events make a batch end before its count of records is reached, and none is left out.
func TestLongRecordsEndABatch(t *testing.T) {
	const records = 600
	long := click(0, func(e *event.Event) {
		e.Destination = []byte("https://example.com/" + strings.Repeat("a", 16_000))
		e.Original = []byte("https://example.com/" + strings.Repeat("b", 16_000))
	})
	r := &fakeReader{}
	for i := range uint64(records) {
		r.records = append(r.records, journal.Record{Run: 1, Sequence: i + 1, Payload: payload(long)})
	}
	j := fakeJournal(t, memStore(t), r, noPublish)
	taken := 0
	for range records {
		var b Batch
		n, err := j.Fill(&b, 5000)
		if err != nil {
			t.Fatal(err)
		}
		held := 0
		for _, record := range b.Records {
			held += len(record.Key) + len(record.Document)
		}
		if held > fullBatch+1<<16 {
			t.Fatalf("a batch of %d bytes", held)
		}
		if taken += n; j.AtEnd() {
			break
		}
	}
	if taken != records {
		t.Errorf("%d records taken, want %d", taken, records)
	}
}
