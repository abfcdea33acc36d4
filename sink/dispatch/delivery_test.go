package dispatch

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"waypost/edge/event"
	"waypost/sink/internal/store"
)

func TestDeliveryBytes(t *testing.T) {
	d := Delivery{Attempts: 0x0102, Created: 0x0304050607080910, Document: []byte("{}")}
	value := d.AppendTo(nil)
	if want := []byte("\x01\x01\x02\x03\x04\x05\x06\x07\x08\x09\x10{}"); !bytes.Equal(value, want) {
		t.Errorf("%x, want %x", value, want)
	}
	l := DeadLetter{Status: 410, Reason: "stopped", Delivery: d}
	value = l.AppendTo(nil)
	if want := append([]byte("\x01\x01\x9a\x07stopped"), d.AppendTo(nil)...); !bytes.Equal(value, want) {
		t.Errorf("%x, want %x", value, want)
	}
	back, err := ParseDeadLetter(value)
	if diff := cmp.Diff(l, back); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

func FuzzParseDelivery(f *testing.F) {
	f.Add((&Delivery{Attempts: 3, Created: 9, Document: []byte("{}")}).AppendTo(nil))
	f.Add([]byte{})
	f.Add([]byte{2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, value []byte) {
		d, err := ParseDelivery(value)
		if err != nil {
			if err != ErrDelivery {
				t.Fatalf("%v is not the package's own error", err)
			}
			return
		}
		if again := d.AppendTo(nil); !bytes.Equal(again, value) {
			t.Errorf("%x became %x", value, again)
		}
	})
}

func FuzzParseDeadLetter(f *testing.F) {
	f.Add((&DeadLetter{Status: 500, Reason: "timeout", Delivery: Delivery{Document: []byte("{}")}}).AppendTo(nil))
	f.Add([]byte{1, 0, 0, 255})
	f.Fuzz(func(t *testing.T, value []byte) {
		l, err := ParseDeadLetter(value)
		if err != nil {
			if err != ErrDelivery {
				t.Fatalf("%v is not the package's own error", err)
			}
			return
		}
		if again := l.AppendTo(nil); !bytes.Equal(again, value) {
			t.Errorf("%x became %x", value, again)
		}
	})
}

// The place at the end of a key is what a refill begins from.
func TestPlaceIsTheEndOfAKey(t *testing.T) {
	p := place{due: 77, id: event.ID{Run: 5, Sequence: 6}}
	key := store.DueKey(3, "hook", p.due, p.id)
	if want := append(store.DuePrefix(3, "hook"), key[len(key)-placeBytes:]...); !bytes.Equal(key, want) {
		t.Error("a key is not its prefix and its place")
	}
	if got := rangeFrom(store.DuePrefix(3, "hook"), p).LowerBound; !bytes.Equal(got, key) {
		t.Errorf("a refill from the place begins at %x, want %x", got, key)
	}
}
