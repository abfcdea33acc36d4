package ingest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"waypost/edge/event"
	"waypost/sink/internal/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func events(run uint64, n int) []event.Event {
	list := make([]event.Event, n)
	for i := range list {
		list[i] = click(uint64(i+1), recipient(string(rune('a'+i%26))), func(e *event.Event) { e.ID.Run = run })
	}
	return list
}

// The order of the merge decides; every source gets its turn.
func TestSourcesTakeTurns(t *testing.T) {
	s := memStore(t)
	busy, idle := newMemorySource("busy", s, events(1, 1000)), newMemorySource("idle", s, events(2, 3))
	out := &memoryOutbox{}
	in := newIngester(s, out, busy, idle)
	in.o.BatchRecords = 10
	n, err := in.Step()
	if err != nil || n != 10 {
		t.Fatal(n, err)
	}
	if idle.next != 3 || busy.next != 7 {
		t.Errorf("busy gave %d, idle %d: want 7 and 3", busy.next, idle.next)
	}
	for n > 0 {
		if n, err = in.Step(); err != nil {
			t.Fatal(err)
		}
	}
	if len(out.sent) != 26 {
		t.Errorf("%d firsts, want 26", len(out.sent))
	}
}

func TestFailingSourceHoldsUpNoOther(t *testing.T) {
	s := memStore(t)
	bad, good := newMemorySource("bad", s, events(1, 2)), newMemorySource("good", s, events(2, 2))
	bad.fail = errors.New("device")
	out := &memoryOutbox{}
	in := newIngester(s, out, bad, good)
	var told [][]string
	in.o.Trouble = func(reasons []string) { told = append(told, reasons) }
	for range 2 {
		if _, err := in.Step(); err != nil {
			t.Fatal(err)
		}
	}
	if len(out.sent) != 2 || bad.next != 2 || good.next != 2 {
		t.Errorf("sent %v, bad at %d, good at %d", out.sent, bad.next, good.next)
	}
	if diff := cmp.Diff([][]string{{"source cannot be read: bad"}, nil}, told); diff != "" {
		t.Error(diff)
	}
}

func TestDecisionLines(t *testing.T) {
	s := memStore(t)
	var lines bytes.Buffer
	list := []event.Event{click(1, labels(event.Head)), click(2), click(3), click(4, labels(event.Machine)), click(5, labels(event.Prefetch)), click(6, minted(start.Add(-days(90))))}
	in := New(Options{Store: s, Sources: []Source{newMemorySource("log", s, list)}, Outbox: &memoryOutbox{}, Decisions: &lines, Metrics: metrics.Discard(), Logger: quiet()})
	if _, err := in.Step(); err != nil {
		t.Fatal(err)
	}
	const want = `click 0000000000000007-0000000000000002 first
click 0000000000000007-0000000000000003 repeat
click 0000000000000007-0000000000000004 repeat
click 0000000000000007-0000000000000006 repeat
`
	if diff := cmp.Diff(want, lines.String()); diff != "" {
		t.Error(diff)
	}
}

func TestClosedPipeEndsTheSink(t *testing.T) {
	s := memStore(t)
	r, w := io.Pipe()
	_ = r.Close()
	in := New(Options{Store: s, Sources: []Source{newMemorySource("log", s, events(1, 1))}, Outbox: &memoryOutbox{}, Decisions: w, Metrics: metrics.Discard(), Logger: quiet()})
	if _, err := in.Step(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v, want a closed pipe", err)
	}
}

// waitingOutbox tells when it was given as many as were wanted.
type waitingOutbox struct {
	memoryOutbox
	wanted int
	enough chan struct{}
}

func (o *waitingOutbox) Committed() {
	if o.memoryOutbox.Committed(); len(o.sent) == o.wanted {
		close(o.enough)
	}
}

// Run works off what is there, waits for more, and ends with its context.
func TestRun(t *testing.T) {
	s := memStore(t)
	out := &waitingOutbox{wanted: 20, enough: make(chan struct{})}
	in := newIngester(s, out, newMemorySource("log", s, events(1, 20)))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- in.Run(ctx) }()
	<-out.enough
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// What a crash takes from the store is decided again, to the same end.
func TestCrashBeforeCommit(t *testing.T) {
	files := vfs.NewCrashableMem()
	s := openStore(t, files)
	list := events(1, 5)
	out := &memoryOutbox{}
	in := newIngester(s, out, newMemorySource("log", s, list[:3]))
	if _, err := in.Step(); err != nil {
		t.Fatal(err)
	}
	after := files.CrashClone(vfs.CrashCloneCfg{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, after)
	defer s.Close()
	source := newMemorySource("log", s, list)
	if source.next != 3 {
		t.Fatalf("the position after the crash is %d, want 3: it was synced with the decisions", source.next)
	}
	in = newIngester(s, out, source)
	if _, err := in.Step(); err != nil {
		t.Fatal(err)
	}
	if len(out.sent) != 5 {
		t.Errorf("%d webhooks, want 5", len(out.sent))
	}
}

func TestBatchMemory(t *testing.T) {
	var b Batch
	var want [][]byte
	for i := range 100 {
		document := bytes.Repeat([]byte{byte(i)}, 10_000)
		b.Add([]byte{byte(i)}, document)
		want = append(want, document)
	}
	for i, r := range b.Records {
		if !bytes.Equal(r.Document, want[i]) || r.Key[0] != byte(i) {
			t.Fatalf("record %d changed when the batch grew", i)
		}
	}
	b.Reset()
	if len(b.Records) != 0 {
		t.Error("not empty")
	}
	if allocs := testing.AllocsPerRun(10, func() {
		b.Reset()
		for range 20 {
			b.Add(want[0][:1], want[0])
		}
	}); allocs != 0 {
		t.Errorf("%v allocations in a batch that has grown", allocs)
	}
}
