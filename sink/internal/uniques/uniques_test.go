package uniques

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	gocmp "github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/sink/dispatch/formats"
	"waypost/sink/ingest"
	"waypost/sink/internal/metrics"
	"waypost/sink/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is when the tests begin: far from the beginning of time.
var noon = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

// tester is a test, also one of rapid's.
type tester interface {
	Helper()
	Fatal(args ...any)
	Error(args ...any)
}

// harness is a keeper over a store in memory, with a clock of its own. Nothing leaves but when prune is called.
type harness struct {
	*Keeper
	t     tester
	files *vfs.MemFS
	store *store.Store
	now   time.Time
}

func start(t tester, files *vfs.MemFS, settings configs.Uniques, now time.Time) *harness {
	t.Helper()
	h := &harness{t: t, files: files, now: now}
	var err error
	if h.store, err = store.Open("store", store.Options{FS: files}); err != nil {
		t.Fatal(err)
	}
	h.Keeper, err = newKeeper(Options{Store: h.store, Settings: settings, Metrics: metrics.Discard(), Now: func() time.Time { return h.now }, Failed: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *harness) stop() {
	h.t.Helper()
	h.Close()
	if err := h.store.Close(); err != nil {
		h.t.Error(err)
	}
}

// told is an event of a tenant's message.
func told(sequence uint64, tenant uint32, of event.Type, message string, at time.Time) ingest.First {
	e := event.Event{
		ID: event.ID{Run: 7, Sequence: sequence}, Type: of, Time: at, Tenant: tenant, Message: []byte(message), Prospect: []byte("456"),
		Destination: []byte("https://example.com/"), Minted: at.Truncate(time.Minute), RetentionDays: 45, Method: []byte("GET"),
	}
	return ingest.First{ID: e.ID, Type: of, Tenant: tenant, Time: at, Key: event.AppendKey(nil, &e), Document: event.AppendDocument(nil, &e)}
}

// put adds events as ingest would: in one synced batch.
func (h *harness) put(all ...ingest.First) {
	h.t.Helper()
	b := h.store.NewBatch()
	defer b.Close()
	h.write(b, all...)
	if err := b.Commit(pebble.Sync); err != nil {
		h.t.Fatal(err)
	}
	h.Committed()
}

// write adds events to a batch.
func (h *harness) write(b *pebble.Batch, all ...ingest.First) {
	h.t.Helper()
	for _, f := range all {
		if err := h.Keep(f); err != nil {
			h.t.Fatal(err)
		}
	}
	if err := h.Write(b); err != nil {
		h.t.Fatal(err)
	}
}

// find gives what a query finds: sequence numbers.
func (h *harness) find(q Query) (all []uint64) {
	h.t.Helper()
	v, err := h.View()
	if err != nil {
		h.t.Fatal(err)
	}
	defer v.Close()
	err = v.Walk(context.Background(), q, func(e *Event) (bool, error) {
		document, err := e.Document()
		if err != nil || !bytes.Contains(document, []byte(e.ID.String())) {
			h.t.Error(e.ID, string(document), err)
		}
		all = append(all, e.ID.Sequence)
		return true, nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

func (h *harness) clicks(tenant uint32) []uint64 {
	h.t.Helper()
	return h.find(Query{Tenant: tenant, Types: []event.Type{event.Clicked}})
}

func message(tenant uint32, text string) *[16]byte {
	id := [16]byte(formats.MessageID(tenant, []byte(text)))
	return &id
}

func usual() configs.Uniques { return configs.Uniques{Keep: 10 * 24 * time.Hour, KeepBytes: 1 << 30} }

// Whatever comes in whatever order, over restarts: a query finds what a list in memory has, in the order of time.
func TestWalkFindsWhatAListHas(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		settings := usual()
		settings.KeepBytes = rapid.SampledFrom([]int64{1 << 30, 40_000}).Draw(rt, "bytes") // segments of hundreds, or of two
		files := vfs.NewCrashableMem()
		h := start(rt, files, settings, noon)
		defer func() { h.stop() }()
		type put struct {
			sequence uint64
			tenant   uint32
			of       event.Type
			message  string
			at       time.Time
		}
		var all []put
		var batch []ingest.First
		for n := range uint64(rapid.IntRange(0, 40).Draw(rt, "events")) {
			e := put{
				n + 1, rapid.SampledFrom([]uint32{1, 2}).Draw(rt, "tenant"), rapid.SampledFrom([]event.Type{event.Clicked, event.Opened}).Draw(rt, "type"),
				rapid.SampledFrom([]string{"123", "a/b%", "883953F4-6105-42A2-A16A-77A8EAC79483"}).Draw(rt, "message"),
				h.now.Add(-time.Duration(rapid.IntRange(-1, 50).Draw(rt, "hours late")) * time.Hour),
			}
			batch = append(batch, told(e.sequence, e.tenant, e.of, e.message, e.at))
			if e.at.After(h.now) {
				e.at = h.now
			}
			all = append(all, e)
			if rapid.Bool().Draw(rt, "more in the batch") {
				continue
			}
			h.put(batch...)
			batch = nil
			h.now = h.now.Add(time.Duration(rapid.IntRange(0, 4).Draw(rt, "hours")) * time.Hour)
			if rapid.IntRange(0, 9).Draw(rt, "crash") == 0 {
				files = files.CrashClone(vfs.CrashCloneCfg{})
				old := h
				h = start(rt, files, settings, h.now)
				old.stop()
			}
		}
		h.put(batch...)
		q := Query{
			Tenant: 1, Types: rapid.SampledFrom([][]event.Type{{event.Clicked}, {event.Opened}, Types()}).Draw(rt, "types"), OldestFirst: rapid.Bool().Draw(rt, "oldest first"),
			From: uint64(noon.Add(time.Duration(rapid.IntRange(-60, 60).Draw(rt, "from")) * time.Hour).UnixMicro()),
		}
		if rapid.Bool().Draw(rt, "to") {
			q.To = uint64(noon.Add(time.Duration(rapid.IntRange(-60, 60).Draw(rt, "to hours")) * time.Hour).UnixMicro())
		}
		text := ""
		if rapid.Bool().Draw(rt, "by message") {
			text = "a/b%"
			q.Message = message(1, text)
		}
		all = slices.DeleteFunc(all, func(e put) bool {
			at := uint64(e.at.UnixMicro())
			return e.tenant != 1 || !slices.Contains(q.Types, e.of) || at < q.From || q.To != 0 && at >= q.To || text != "" && e.message != text
		})
		slices.SortFunc(all, func(a, b put) int {
			order := cmp.Or(a.at.Compare(b.at), cmp.Compare(a.sequence, b.sequence))
			if !q.OldestFirst {
				order = -order
			}
			return order
		})
		var want []uint64
		for _, e := range all {
			want = append(want, e.sequence)
		}
		if diff := gocmp.Diff(want, h.find(q)); diff != "" {
			rt.Fatalf("%+v (-want +got):\n%s", q, diff)
		}
	})
}

// What leaves: what is past its days; the oldest of what is too much; everything, where none is to be kept. Never what a batch under way writes to.
func TestBounds(t *testing.T) {
	files := vfs.NewMem()
	settings := usual()
	h := start(t, files, settings, noon)
	for n := range uint64(20) { // one a day
		h.put(told(n+1, 1, event.Clicked, "123", h.now))
		h.now = h.now.Add(24 * time.Hour)
	}
	if got := h.clicks(1); len(got) != 10 || got[0] != 20 || got[9] != 11 {
		t.Errorf("within their days: %v", got)
	}
	h.put(told(99, 1, event.Clicked, "123", h.now.Add(-11*24*time.Hour))) // older than what is kept
	h.want(20)
	h.prune1()
	h.want(10)
	h.now = h.now.Add(30 * 24 * time.Hour) // no more comes
	h.prune1()
	h.want(0)
	h.put(told(21, 1, event.Clicked, "123", h.now))
	h.want(1)
	h.stop()

	each := int64(len(told(1, 1, event.Clicked, "123", noon).Document)) + 2 + 1 + entryBytes + 2*41
	settings.KeepBytes = 10 * each
	h = start(t, files, settings, h.now)
	for n := range uint64(30) {
		h.put(told(100+n, 1, event.Clicked, "123", h.now.Add(time.Duration(n))))
	}
	h.prune1()
	h.want(10)
	if got := h.clicks(1); got[0] != 129 || got[9] != 120 {
		t.Errorf("the newest: %v", got)
	}
	if got := h.find(Query{Tenant: 1, Types: Types(), Message: message(1, "123")}); len(got) != 10 {
		t.Errorf("by message: %v", got)
	}
	b := h.store.NewBatch()
	for n := range uint64(30) {
		h.write(b, told(200+n, 1, event.Clicked, "123", h.now.Add(time.Duration(n)))) // a block each
	}
	h.prune1()
	if err := b.Commit(pebble.Sync); err != nil {
		t.Fatal(err)
	}
	h.want(31) // all of the batch, and what stood in the segment that it began in
	h.Committed()
	h.prune1()
	h.want(10)
	h.stop()

	settings.Keep = 0
	h = start(t, files, settings, h.now)
	defer h.stop()
	h.put(told(300, 1, event.Clicked, "123", h.now))
	h.prune1()
	h.want(0)
	if _, err := h.View(); !errors.Is(err, ErrOff) {
		t.Error(err)
	}
}

func (h *harness) prune1() {
	h.t.Helper()
	if err := h.prune(); err != nil {
		h.t.Fatal(err)
	}
}

// want is how many events the store has, by documents and by index, and that the segments say so.
func (h *harness) want(n int) {
	h.t.Helper()
	kept, named, segments := 0, 0, map[string]bool{}
	h.each(store.Kept, func(key, value []byte) {
		all, err := Documents(value)
		if err != nil {
			h.t.Error(err)
		}
		kept += len(all)
		segments[string(key[1:5])] = true
	})
	h.each(store.Space('i'), func(_, value []byte) {
		if err := eachEntry(value, func(*entry) { named++ }); err != nil {
			h.t.Error(err)
		}
	})
	h.each(store.Segments, func(key, _ []byte) { delete(segments, string(key[1:])) })
	h.mu.Lock()
	defer h.mu.Unlock()
	counted := 0
	for i := range h.segments {
		again := h.segments[i]
		if err := count(h.store, &again); err != nil || again != h.segments[i] && h.touched == 0 {
			h.t.Error(fmt.Sprintf("segment %+v holds %+v, %v", h.segments[i], again, err))
		}
		counted += int(h.segments[i].Count)
	}
	if kept != n || named != n || counted != n || len(segments) > 0 {
		h.t.Error(fmt.Sprintf("%d kept, %d named, %d counted, want %d; %d segments that nothing says are there", kept, named, counted, n, len(segments)))
	}
}

func (h *harness) each(space store.Space, visit func(key, value []byte)) {
	h.t.Helper()
	from, to := space.Range()
	iter, err := h.store.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		h.t.Fatal(err)
	}
	defer iter.Close()
	for ok := iter.First(); ok; ok = iter.Next() {
		visit(iter.Key(), iter.Value())
	}
}

// What was never committed is not there after a crash, what was is; and the next batch goes on behind it.
func TestCrash(t *testing.T) {
	files := vfs.NewCrashableMem()
	h := start(t, files, usual(), noon)
	h.put(told(1, 1, event.Clicked, "123", noon))
	b := h.store.NewBatch()
	h.write(b, told(2, 1, event.Clicked, "123", noon))
	again := start(t, files.CrashClone(vfs.CrashCloneCfg{}), usual(), noon)
	_ = b.Close()
	h.stop()
	defer again.stop()
	again.want(1)
	again.put(told(2, 1, event.Clicked, "123", noon))
	again.want(2)
	if got := again.clicks(1); !slices.Equal(got, []uint64{2, 1}) {
		t.Error(got)
	}
}

// The end waits for who reads, and lets nobody begin; a search that nobody wants any more ends.
func TestEnd(t *testing.T) {
	h := start(t, vfs.NewMem(), usual(), noon)
	for n := range uint64(2 * checkEvery) {
		h.put(told(n+1, 1, event.Clicked, "123", noon))
	}
	v, err := h.View()
	if err != nil {
		t.Fatal(err)
	}
	q := Query{Tenant: 1, Types: Types()}
	all := func(*Event) (bool, error) { return true, nil }
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := v.Walk(gone, q, all); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	wrong := errors.New("wrong")
	if err := v.Walk(t.Context(), q, func(*Event) (bool, error) { return true, wrong }); err != wrong {
		t.Error(err)
	}
	closed := make(chan struct{})
	go func() { h.Close(); close(closed) }()
	<-h.ending
	if err := v.Walk(t.Context(), q, all); err != ErrEnded {
		t.Error(err)
	}
	if _, err := h.View(); err != ErrEnded {
		t.Error(err)
	}
	select {
	case <-closed:
		t.Error("closed while somebody reads")
	default:
	}
	v.Close()
	<-closed
	if err := h.store.Close(); err != nil {
		t.Error(err)
	}
}

// A full block is followed by another, and is compressed; what is not compact is made so.
func TestBlocks(t *testing.T) {
	h := start(t, vfs.NewMem(), usual(), noon)
	defer h.stop()
	var all []ingest.First
	for n := range uint64(1000) {
		all = append(all, told(n+1, 1, event.Clicked, "123", noon.Add(-time.Duration(n)*time.Second)))
	}
	all[0].Document = append([]byte("{\n "), all[0].Document[1:]...)
	h.put(all...)
	h.want(1000)
	blocks := 0
	h.each(store.Kept, func(_, value []byte) {
		if blocks++; value[0] != s2Documents || len(value) > blockBytes/4 {
			t.Errorf("a block of %d bytes, packed as %d", len(value), value[0])
		}
	})
	if raw := 1000 * len(all[1].Document); blocks < raw/blockBytes || blocks > raw/blockBytes+1 {
		t.Errorf("%d blocks of %d bytes", blocks, raw)
	}
	if got := h.clicks(1); len(got) != 1000 || got[0] != 1 || got[999] != 1000 {
		t.Errorf("%d found", len(got))
	}
}

// Bytes of the store that are no block are refused, never a panic; what is one comes back.
func FuzzBlock(f *testing.F) {
	e := entry{1, 2, event.ID{Run: 3, Sequence: 4}, [16]byte{5}}
	f.Add(append([]byte{indexVersion}, e.appendTo(nil)...))
	f.Add(pack(nil, []byte("{}\n{}\n")))
	f.Add(pack(nil, bytes.Repeat([]byte("{}\n"), leastCompressed)))
	f.Fuzz(func(t *testing.T, value []byte) {
		again := []byte{indexVersion}
		if err := eachEntry(value, func(e *entry) { again = e.appendTo(again) }); err == nil && !bytes.Equal(again, value) {
			t.Errorf("%x comes back as %x", value, again)
		}
		all, err := Documents(value)
		if err != nil {
			if err != store.ErrKey {
				t.Errorf("%v is not the store's error", err)
			}
			return
		}
		lines := append(bytes.Join(all, []byte{'\n'}), '\n')
		if len(lines) > longestBlock {
			return
		}
		if back, err := Documents(pack(nil, lines)); err != nil || len(back) != len(all) {
			t.Errorf("%d lines come back as %d, %v", len(all), len(back), err)
		}
	})
}

func TestKindsAreForEver(t *testing.T) {
	for kind, of := range map[uint8]event.Type{1: event.Clicked, 2: event.Opened, 3: event.Sent, 4: event.Delivered, 5: event.Bounced, 6: event.Deferred, 7: event.Complained, 8: event.Failed, 0: "other"} {
		if got := kindOf(of); got != kind {
			t.Errorf("%s: %d, want %d", of, got, kind)
		}
	}
	if kindOf("") != 0 {
		t.Error("no type has a number")
	}
}
