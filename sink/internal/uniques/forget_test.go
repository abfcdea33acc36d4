package uniques

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"waypost/edge/event"
	"waypost/sink/ingest"
	"waypost/sink/internal/store"
)

// toldOf is an event of a recipient.
func toldOf(sequence uint64, tenant uint32, recipient string, at time.Time) ingest.First {
	f := told(sequence, tenant, event.Clicked, "1", at)
	f.Document = bytes.Replace(f.Document, []byte(`"prospect":"456"`), fmt.Appendf(nil, `"prospect":%q`, recipient), 1)
	return f
}

func of(recipient string) func(uint64, []byte) bool {
	text := fmt.Appendf(nil, `"prospect":%q`, recipient)
	return func(_ uint64, document []byte) bool { return bytes.Contains(document, text) }
}

func (h *harness) forget(tenant uint32, fits func(uint64, []byte) bool) int {
	h.t.Helper()
	n, touched, err := h.Forget(context.Background(), tenant, func(do func() error) error { return do() }, fits)
	if err != nil || (n > 0) != (len(touched) > 0) {
		h.t.Fatal(n, len(touched), err)
	}
	return n
}

// Whoever is forgotten, in whatever blocks and segments: the others' events stay findable in their order, counts and bytes stay true, over restarts.
func TestForgetLeavesTheOthers(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		files := vfs.NewMem()
		settings := usual()
		settings.KeepBytes = 1 << 20 // segments of 32 kB
		h := start(rt, files, settings, noon)
		defer func() { h.stop() }()
		kept := map[uint32][]uint64{}
		gone := 0
		for sequence := uint64(1); sequence <= uint64(rapid.IntRange(1, 150).Draw(rt, "events")); {
			var batch []ingest.First
			for range rapid.IntRange(1, 60).Draw(rt, "batch") {
				tenant, who := uint32(rapid.IntRange(1, 2).Draw(rt, "tenant")), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "who")
				batch = append(batch, toldOf(sequence, tenant, who, h.now))
				if tenant == 1 && who == "a" {
					gone++
				} else {
					kept[tenant] = append(kept[tenant], sequence)
				}
				sequence++
				h.now = h.now.Add(time.Minute)
			}
			h.put(batch...)
		}
		if n := h.forget(1, of("a")); n != gone {
			rt.Fatalf("%d events went, want %d", n, gone)
		}
		if n := h.forget(1, of("a")); n != 0 {
			rt.Fatalf("%d events went the second time", n)
		}
		for range 2 {
			for tenant, all := range kept {
				slices.Reverse(all)
				if got := h.clicks(tenant); !slices.Equal(got, all) {
					rt.Fatalf("tenant %d: %v, want %v", tenant, got, all)
				}
				slices.Reverse(all)
			}
			h.consistent()
			h.stop()
			h = start(rt, files, settings, h.now)
		}
	})
}

// consistent checks what is known of the segments against what they hold.
func (h *harness) consistent() {
	h.t.Helper()
	for _, s := range h.segments {
		is := s
		if err := count(h.store, &is); err != nil {
			h.t.Fatal(err)
		}
		if is.Count != s.Count || is.Bytes != s.Bytes {
			h.t.Fatal(fmt.Sprintf("segment %d: %d events and %d bytes, known are %d and %d", s.Number, is.Count, is.Bytes, s.Count, s.Bytes))
		}
	}
}

// What is too old to be found has not left yet: it goes too.
func TestForgetFindsWhatIsTooOld(t *testing.T) {
	h := start(t, vfs.NewMem(), usual(), noon)
	defer h.stop()
	h.put(toldOf(1, 1, "a", noon), toldOf(2, 1, "b", noon))
	h.now = noon.Add(11 * 24 * time.Hour)
	if found := h.clicks(1); len(found) != 0 {
		t.Fatalf("%v can be found", found)
	}
	if n := h.forget(1, of("a")); n != 1 {
		t.Errorf("%d events went, want 1", n)
	}
}

// A segment that left meanwhile gets no block back: nothing would ever take it away.
func TestForgetBringsNothingBack(t *testing.T) {
	h := start(t, vfs.NewMem(), usual(), noon)
	defer h.stop()
	h.put(toldOf(1, 1, "a", noon), toldOf(2, 1, "b", noon))
	between := func(do func() error) error {
		h.now = noon.Add(365 * 24 * time.Hour)
		if err := h.prune(); err != nil {
			t.Fatal(err)
		}
		return do()
	}
	if n, touched, err := h.Forget(context.Background(), 1, between, of("a")); n != 0 || len(touched) != 0 || err != nil {
		t.Error(n, touched, err)
	}
	iter, err := h.store.NewIter(&pebble.IterOptions{LowerBound: []byte{byte(store.Kept)}, UpperBound: []byte{byte(store.Kept) + 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer iter.Close()
	if iter.First() {
		t.Errorf("key %x is there", iter.Key())
	}
}

// A search that began before is waited for, and reads what was there then.
func TestForgetWaitsForSearches(t *testing.T) {
	h := start(t, vfs.NewMem(), usual(), noon)
	defer h.stop()
	h.put(toldOf(1, 1, "a", noon), toldOf(2, 1, "b", noon))
	v, err := h.View()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan int, 1)
	go func() {
		n, _, err := h.Forget(context.Background(), 1, func(do func() error) error { return do() }, of("a"))
		if err != nil {
			t.Error(err)
		}
		ended <- n
	}()
	found := 0
	err = v.Walk(context.Background(), Query{Tenant: 1, Types: Types()}, func(e *Event) (bool, error) {
		found++
		_, err := e.Document()
		return true, err
	})
	if err != nil || found != 2 {
		t.Errorf("%d events, %v", found, err)
	}
	select {
	case <-ended:
		t.Error("it ended before the search")
	default:
	}
	v.Close()
	if n := <-ended; n != 1 {
		t.Errorf("%d events went, want 1", n)
	}
}
