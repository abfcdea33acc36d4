package ingest

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"waypost/edge/event"
	"waypost/sink/internal/metrics"
	"waypost/sink/internal/store"
)

// start is when the tests' mails are sent: noon, far from midnight, far from the store's day 0.
var start = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

// click is an event that a table can change.
func click(sequence uint64, change ...func(*event.Event)) event.Event {
	e := event.Event{
		ID: event.ID{Run: 7, Sequence: sequence}, Type: event.Clicked, Time: start.Add(time.Minute),
		Tenant: 1, Message: []byte("123"), Prospect: []byte("456"), Recipient: []byte("abc@prospect.com"),
		Destination: []byte("https://example.com/a"), Minted: start, RetentionDays: 45, Method: []byte("GET"),
	}
	for _, c := range change {
		c(&e)
	}
	return e
}

// open is of the same mail.
func open(sequence uint64) event.Event {
	return click(sequence, func(e *event.Event) { e.Type, e.Destination = event.Opened, nil })
}

// told is what a provider told of the same mail: of a click, on the same link.
func told(sequence uint64, kind event.Type, id string, change ...func(*event.Event)) event.Event {
	e := click(sequence, change...)
	e.Type, e.Report = kind, &event.Report{Provider: []byte("resend"), ProviderEvent: []byte(id)}
	if kind != event.Clicked {
		e.Destination = nil
	}
	return e
}

func nobody(e *event.Event) { e.Prospect, e.Recipient = nil, nil }

func at(t time.Time) func(*event.Event)        { return func(e *event.Event) { e.Time = t } }
func minted(t time.Time) func(*event.Event)    { return func(e *event.Event) { e.Minted = t } }
func retention(d uint16) func(*event.Event)    { return func(e *event.Event) { e.RetentionDays = d } }
func labels(l event.Labels) func(*event.Event) { return func(e *event.Event) { e.Labels = l } }
func recipient(r string) func(*event.Event)    { return func(e *event.Event) { e.Prospect = []byte(r) } }
func anyClient(e *event.Event)                 { e.UniqueAny = true }

func record(e *event.Event) Record {
	return Record{Key: event.AppendKey(nil, e), Document: event.AppendDocument(nil, e)}
}

func openStore(t testing.TB, files vfs.FS) *store.Store {
	t.Helper()
	s, err := store.Open("store", store.Options{FS: files})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func memStore(t testing.TB) *store.Store {
	s := openStore(t, vfs.NewMem())
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// decide decides events as one committed batch and gives a copy of the decisions.
func decide(t testing.TB, s *store.Store, d *Decider, events ...event.Event) []Decision {
	t.Helper()
	records := make([]Record, len(events))
	for i := range events {
		records[i] = record(&events[i])
	}
	b := s.NewBatch()
	defer b.Close()
	decisions, err := d.Decide(b, records)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	return append([]Decision(nil), decisions...)
}

// word is a decision in a table's terms.
func word(d Decision) string {
	text := "repeat"
	switch {
	case d.Reason != Eligible:
		return string(d.Reason)
	case d.FirstAny && d.FirstPerson:
		text = "first"
	case d.FirstAny:
		text = "machine"
	case d.FirstPerson:
		text = "person"
	}
	if d.Webhook {
		text += "+"
	}
	return text
}

// memorySource is a log in memory with one run, read like a partition: it keeps its position in the store.
type memorySource struct {
	name   string
	events []event.Event
	next   int
	store  *store.Store
	fail   error // of Fill, once
	stored int
}

func newMemorySource(name string, s *store.Store, events []event.Event) *memorySource {
	m := &memorySource{name: name, events: events, store: s}
	if value, closer, err := s.Get(store.PositionKey(name, 1)); err == nil {
		m.next = int(binary.BigEndian.Uint64(value))
		_ = closer.Close()
	}
	m.stored = m.next
	return m
}

func (m *memorySource) Name() string { return m.name }
func (m *memorySource) AtEnd() bool  { return m.next == len(m.events) }
func (m *memorySource) Close() error { return nil }

func (m *memorySource) Fill(b *Batch, room int) (int, error) {
	if err := m.fail; err != nil {
		m.fail = nil
		return 0, err
	}
	n := min(room, len(m.events)-m.next)
	for range n {
		r := record(&m.events[m.next])
		b.Add(r.Key, r.Document)
		m.next++
	}
	return n, nil
}

func (m *memorySource) Positions(put func(key, value []byte) error) error {
	return put(store.PositionKey(m.name, 1), binary.BigEndian.AppendUint64(nil, uint64(m.next)))
}

func (m *memorySource) Stored() error {
	m.stored = m.next
	return nil
}

// memoryOutbox remembers what it was given, by whether its batch was committed.
type memoryOutbox struct {
	due, sent []event.ID
}

func (o *memoryOutbox) Due(_ *pebble.Batch, f First) error {
	if len(f.Document) == 0 {
		return fmt.Errorf("no document for %v", f.ID)
	}
	o.due = append(o.due, f.ID)
	return nil
}

func (o *memoryOutbox) Committed() {
	o.sent = append(o.sent, o.due...)
	o.due = nil
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func newIngester(s *store.Store, out Outbox, sources ...Source) *Ingester {
	return New(Options{Store: s, Sources: sources, Outbox: out, Metrics: metrics.Discard(), Logger: quiet(), Now: func() time.Time { return start.Add(days(400)) }})
}
