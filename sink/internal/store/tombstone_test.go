package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"waypost/edge/event"
)

func TestTombstoneKeys(t *testing.T) {
	hash := [HashBytes]byte{1, 2, 3}
	for _, want := range []Tombstone{{7, 8, false, hash}, {7, 8, true, hash}, {0, 1, true, [HashBytes]byte{}}, {MaxDay, 1<<32 - 1, false, hash}} {
		key := TombstoneKey(want.Day, want.Tenant, want.Hash)
		if want.Person {
			key = ForgottenKey(want.Day, want.Tenant, want.Hash)
		}
		if got, err := ParseTombstone(key); err != nil || got != want {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
		if start, end := TombstoneRange(want.Day, want.Tenant); bytes.Compare(key, start) < 0 || bytes.Compare(key, end) >= 0 {
			t.Errorf("%x is not from %x to %x", key, start, end)
		}
	}
	for _, f := range []Firsts{{}, {Any: event.ID{Run: 7}}, {Any: event.ID{Run: 7}, Person: event.ID{Sequence: 9}}, {Person: event.ID{Run: 3}}} {
		got, err := ParseBuried(AppendBuried(nil, f))
		if err != nil || (got.Any == Buried) != (f.Any != event.ID{}) || (got.Person == Buried) != (f.Person != event.ID{}) {
			t.Errorf("%+v comes back as %+v, %v", f, got, err)
		}
	}
	for _, want := range []Forgotten{{}, {Until: 1 << 60}, {Until: 3, Whole: true}} {
		if got, err := ParseForgotten(want.AppendTo(nil)); err != nil || got != want {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
}

func FuzzTombstone(f *testing.F) {
	f.Add(TombstoneKey(1, 2, [HashBytes]byte{3}), []byte{3})
	f.Add(ForgottenKey(1, 2, [HashBytes]byte{3}), Forgotten{Until: 4, Whole: true}.AppendTo(nil))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		if got, err := ParseTombstone(key); err == nil && !bytes.Equal(tombstoneKey(got.Day, got.Tenant, key[prefixBytes], got.Hash), key) {
			t.Errorf("key %x does not come back", key)
		}
		if got, err := ParseBuried(value); err == nil && !bytes.Equal(AppendBuried(nil, got), value) {
			t.Errorf("buried %x does not come back", value)
		}
		if got, err := ParseForgotten(value); err == nil && !bytes.Equal(got.AppendTo(nil), value) {
			t.Errorf("forgotten %x does not come back", value)
		}
	})
}

// The secret is made once, stays, and only its owner may read it; a damaged one is refused.
func TestSecret(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, known, err := s.Secret(); known || err != nil {
		t.Errorf("known %v, %v before it is made", known, err)
	}
	made, err := s.MakeSecret()
	if err != nil || made == [SecretBytes]byte{} {
		t.Fatal(made, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "forget.key"))
	if err != nil || info.Mode() != 0o600 || info.Size() != SecretBytes {
		t.Errorf("%v, %v", info, err)
	}
	if s, err = Open(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if again, known, err := s.Secret(); !known || again != made || err != nil {
		t.Errorf("another secret: %v, %v", known, err)
	}
	if again, err := s.MakeSecret(); again != made || err != nil {
		t.Errorf("it is made anew: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "forget.key"), made[1:], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.MakeSecret(); !errors.Is(err, ErrSecret) {
		t.Errorf("a damaged one: %v", err)
	}
}

// What was deleted stands in no file any more once it is scrubbed, neither in tables nor in the log, and the store goes on working.
func TestScrub(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const secret = "someone@example.com"
	var keys [][]byte
	for i := range 40 {
		key := DueKey(1, "crm", uint64(i), event.ID{Run: 1, Sequence: uint64(i)})
		if err := s.Set(key, fmt.Appendf(nil, "%d %s %d", i, secret, i), pebble.Sync); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			keys = append(keys, key)
		}
		if i%7 == 0 { // some in tables of their own
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	others := DueKey(1, "crm", 1, event.ID{Run: 1, Sequence: 1})
	if err := s.DeleteAll(keys[1:]); err != nil {
		t.Fatal(err)
	}
	if err := s.Scrub(context.Background(), keys[1:]); err != nil {
		t.Fatal(err)
	}
	start, end := Dues.Range()
	if err := s.DeleteRange(start, end, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := s.Set(others, []byte("others"), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := s.ScrubSpace(context.Background(), Dues); err != nil {
		t.Fatal(err)
	}
	if err := s.ScrubLog(context.Background()); err != nil {
		t.Fatal(err)
	}
	if found := holding(t, dir, secret); found != "" {
		t.Errorf("it stands in %s", found)
	}
	value, closer, err := s.Get(others)
	if err != nil || string(value) != "others" {
		t.Fatal(value, err)
	}
	_ = closer.Close()
	if s.files.fresh.Load() != 0 {
		t.Error("the log's files are not used again any more")
	}
}

// holding names a file in which text stands.
func holding(t *testing.T, dir, text string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if strings.Contains(string(content), text) {
			return e.Name()
		}
	}
	return ""
}
