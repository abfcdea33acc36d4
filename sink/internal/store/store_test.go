package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"waypost/edge/event"
)

func TestDayOf(t *testing.T) {
	for text, want := range map[string]int{
		"2024-12-31T23:59:59Z":      -1,
		"2025-01-01T00:00:00Z":      0,
		"2025-01-01T23:59:59Z":      0,
		"2025-01-02T00:30:00+01:00": 0,
		"2026-03-01T00:00:00Z":      424,
	} {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		if got := DayOf(at); got != want {
			t.Errorf("%s: day %d, want %d", text, got, want)
		}
		if start := DayStart(want); want >= 0 && (at.Before(start) || !at.Before(start.AddDate(0, 0, 1))) {
			t.Errorf("%s is not within day %d, which begins at %s", text, want, start)
		}
	}
}

func TestUniqueKeyBytes(t *testing.T) {
	k := NewUniqueKey(0x0102, 0x03040506, 0x0708090a, event.UniqueKey([]byte("0123456789abcdef")))
	if want := []byte("u\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a0123456789abcdef"); !bytes.Equal(k[:], want) {
		t.Fatalf("%x, want %x", k, want)
	}
	back, err := ParseUniqueKey(k[:])
	if err != nil || back != k || back.Day() != 0x0102 || back.Tenant() != 0x03040506 || back.Partition() != 0x0708090a || back.Unique() != k.Unique() {
		t.Errorf("%x, %v", back, err)
	}
	if moved := k.OnDay(9); moved.Day() != 9 || k.Day() != 0x0102 {
		t.Error("OnDay is not a copy on another day")
	}
}

// The order of keys is by day, then tenant; a day's range holds that tenant's keys of that day and no other.
func TestDayRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		day, tenant := rapid.Uint16().Draw(t, "day"), rapid.Uint32().Draw(t, "tenant")
		start, end := DayRange(day, tenant)
		otherDay := rapid.SampledFrom([]uint16{day, day + 1, day - 1}).Draw(t, "other day")
		otherTenant := rapid.SampledFrom([]uint32{tenant, tenant + 1, tenant - 1}).Draw(t, "other tenant")
		unique := event.UniqueKey(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "unique"))
		k := NewUniqueKey(otherDay, otherTenant, rapid.Uint32().Draw(t, "partition"), unique)
		inside := bytes.Compare(k[:], start) >= 0 && bytes.Compare(k[:], end) < 0
		if want := otherDay == day && otherTenant == tenant; inside != want {
			t.Errorf("key %x inside %x-%x: %v, want %v", k, start, end, inside, want)
		}
	})
}

func TestOtherKeys(t *testing.T) {
	id := event.ID{Run: 1, Sequence: 2}
	tenant, endpoint, due, got, err := ParseDue(DueKey(7, "hook", 99, id))
	if tenant != 7 || endpoint != "hook" || due != 99 || got != id || err != nil {
		t.Error(tenant, endpoint, due, got, err)
	}
	at, tenant, endpoint, got, err := ParseDead(DeadKey(55, 7, "", id))
	if at != 55 || tenant != 7 || endpoint != "" || got != id || err != nil {
		t.Error(at, tenant, endpoint, got, err)
	}
	a := Attempt{At: 55, Tenant: 7, Endpoint: "hook", ID: id, Number: 3}
	if back, err := ParseAttempt(a.AppendKey(nil)); back != a || err != nil {
		t.Error(back, err)
	}
	if key := a.AppendKey(nil); bytes.Compare(AttemptsFrom(55), key) >= 0 || bytes.Compare(AttemptsFrom(56), key) <= 0 {
		t.Errorf("%x is not among the attempts of its time", key)
	}
	dir, run, sequence, err := ParsePosition(PositionKey("/var/\x00odd", 3), []byte{0, 0, 0, 0, 0, 0, 1, 0})
	if dir != "/var/\x00odd" || run != 3 || sequence != 256 || err != nil {
		t.Error(dir, run, sequence, err)
	}
	floorTenant, day, err := ParseFloor(FloorKey(9), AppendFloor(nil, 500))
	if floorTenant != 9 || day != 500 || err != nil {
		t.Error(floorTenant, day, err)
	}
	firsts := Firsts{Any: id, Person: event.ID{Run: 3, Sequence: 4}}
	back, err := ParseFirsts(firsts.AppendTo(nil))
	if diff := cmp.Diff(firsts, back); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestKeptKeys(t *testing.T) {
	k := Block{Segment: 0x01020304, Tenant: 0x05060708, Oldest: 9, Newest: 10, First: event.ID{Run: 1, Sequence: 2}}
	want := "\x01\x02\x03\x04\x05\x06\x07\x08\x00\x00\x00\x00\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02"
	s := Segment{Number: k.Segment, Began: 1, Oldest: 2, Newest: 3, Count: 4, Bytes: 5}
	events, index := s.Ranges()
	for space, c := range map[string]struct {
		key    []byte
		bounds [2][]byte
	}{"b": {k.Key(), events}, "i": {k.IndexKey(), index}} {
		if string(c.key) != space+want {
			t.Errorf("%x, want %x", c.key, space+want)
		}
		if back, err := ParseBlock(c.key); back != k || err != nil {
			t.Error(back, err)
		}
		if bytes.Compare(c.bounds[0], c.key) >= 0 || bytes.Compare(c.bounds[1], c.key) <= 0 {
			t.Errorf("%x is not among the segment's", c.key)
		}
	}
	for tenant, inside := range map[uint32]bool{k.Tenant: true, k.Tenant - 1: false, k.Tenant + 1: false} {
		start, end := s.IndexOf(tenant)
		if got := bytes.Compare(start, k.IndexKey()) < 0 && bytes.Compare(end, k.IndexKey()) > 0; got != inside {
			t.Errorf("tenant %x: %v", tenant, got)
		}
	}
	if back, err := ParseSegment(s.Key(), s.AppendTo(nil)); back != s || err != nil {
		t.Error(back, err)
	}
}

// Endpoints whose ids begin alike do not read each other's deliveries.
func TestDuePrefixesDoNotMix(t *testing.T) {
	prefix := DuePrefix(1, "a")
	other := DueKey(1, "ab", 5, event.ID{})
	if bytes.Compare(other, prefix) >= 0 && bytes.Compare(other, After(prefix)) < 0 {
		t.Error("the range of endpoint a holds a key of endpoint ab")
	}
}

func TestAfter(t *testing.T) {
	for _, test := range [][2]string{{"a", "b"}, {"a\xff", "b"}, {"\xff", ""}, {"a\x00", "a\x01"}} {
		if got := string(After([]byte(test[0]))); got != test[1] {
			t.Errorf("after %q: %q, want %q", test[0], got, test[1])
		}
	}
}

// Bytes of no use are refused, never a panic.
func FuzzParse(f *testing.F) {
	unique := NewUniqueKey(1, 2, 3, event.UniqueKey{})
	for _, key := range [][]byte{unique[:], FloorKey(1), PositionKey("/a", 1), DueKey(1, "a", 2, event.ID{}), DeadKey(1, 2, "a", event.ID{}), (&Attempt{1, 2, "a", event.ID{}, 1}).AppendKey(nil), (&Block{}).Key(), (&Block{}).IndexKey(), (&Segment{Number: 1}).Key(), {}} {
		f.Add(key, []byte{1, 2})
		f.Add(key, Firsts{}.AppendTo(nil))
		f.Add(key, (&Segment{Number: 1}).AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		var errs []error
		_, err := ParseUniqueKey(key)
		errs = append(errs, err)
		_, err = ParseFirsts(value)
		errs = append(errs, err)
		_, _, err = ParseFloor(key, value)
		errs = append(errs, err)
		if dir, run, _, err := ParsePosition(key, value); err == nil && !bytes.Equal(PositionKey(dir, run), key) {
			t.Errorf("position key %x does not come back", key)
		}
		if tenant, endpoint, due, id, err := ParseDue(key); err == nil && !bytes.Equal(DueKey(tenant, endpoint, due, id), key) {
			t.Errorf("due key %x does not come back", key)
		}
		if at, tenant, endpoint, id, err := ParseDead(key); err == nil && !bytes.Equal(DeadKey(at, tenant, endpoint, id), key) {
			t.Errorf("dead key %x does not come back", key)
		}
		if b, err := ParseBlock(key); err == nil && !bytes.Equal(b.Key(), key) && !bytes.Equal(b.IndexKey(), key) {
			t.Errorf("block key %x does not come back", key)
		}
		if s, err := ParseSegment(key, value); err == nil && (!bytes.Equal(s.Key(), key) || !bytes.Equal(s.AppendTo(nil), value)) {
			t.Errorf("segment %x does not come back", key)
		}
		if a, err := ParseAttempt(key); err == nil && !bytes.Equal(a.AppendKey(nil), key) {
			t.Errorf("attempt key %x does not come back", key)
		}
		if slices.ContainsFunc(errs, func(err error) bool { return err != nil && err != ErrKey }) {
			t.Errorf("%v: not the package's own errors", errs)
		}
	})
}

func TestOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second sink: %v", err)
	}
	if _, err := Open(dir, Options{ReadOnly: true}); !errors.Is(err, ErrLocked) {
		t.Errorf("a tool beside a running sink: %v", err)
	}
	key := FloorKey(1)
	if err := s.Set(key, AppendFloor(nil, 7), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = Open(dir, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, closer, err := s.Get(key); err != nil {
		t.Error(err)
	} else {
		_ = closer.Close()
	}
}

func TestOpenRefuses(t *testing.T) {
	base := t.TempDir()
	file := filepath.Join(base, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		dir      string
		readOnly bool
		want     string
	}{
		"a file":            {file, false, "is not a directory"},
		"parent missing":    {filepath.Join(base, "no", "store"), false, filepath.Join(base, "no") + " is missing"},
		"nothing to read":   {filepath.Join(base, "none"), true, ErrMissing.Error()},
		"empty, to be read": {base, true, ErrMissing.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			for _, o := range []Options{{ReadOnly: test.readOnly}, {Existing: test.readOnly}} {
				if _, err := Open(test.dir, o); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%+v: %v, want %q", o, err, test.want)
				}
			}
		})
	}
}

func TestNewerStoreIsRefused(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Set([]byte{versionSpace}, []byte{formatVersion + 1}, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrVersion) {
		t.Errorf("%v, want ErrVersion", err)
	}
}
