package link

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func newKeyFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "link.keys")
	if err := InitKeyFile(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// states is List, as "slot state" lines.
func states(t *testing.T, path string) []string {
	t.Helper()
	keys, err := List(path)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, key := range keys {
		lines = append(lines, fmt.Sprint(key.Slot, " ", key.State))
	}
	return lines
}

func mustRotate(t *testing.T, path string) uint8 {
	t.Helper()
	slot, err := Rotate(path)
	if err != nil {
		t.Fatal(err)
	}
	return slot
}

func mustLoad(t *testing.T, path string) *Keyring {
	t.Helper()
	ring, err := LoadKeyring(path)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestKeyFileFromInitToRetire(t *testing.T) {
	path := newKeyFile(t)
	first := mustToken(t, mustLoad(t, path), usualLink())
	if slot := mustRotate(t, path); slot != 1 {
		t.Errorf("rotated to slot %d, want 1", slot)
	}
	ring := mustLoad(t, path)
	second := mustToken(t, ring, usualLink())
	var l Link
	if err := ring.Open(&l, first); err != nil || ring.Primary() != 1 {
		t.Errorf("after a rotation the old token: %v; primary %d", err, ring.Primary())
	}
	if err := Retire(path, 0); err != nil {
		t.Fatal(err)
	}
	ring = mustLoad(t, path)
	if err := ring.Open(&l, first); err != ErrKey {
		t.Errorf("a retired key's token: %v, want ErrKey", err)
	}
	if err := ring.Open(&l, second); err != nil {
		t.Errorf("the primary key's token: %v", err)
	}
	if diff := cmp.Diff([]string{"0 retired", "1 primary"}, states(t, path)); diff != "" {
		t.Error(diff)
	}
	keys, err := List(path)
	if err != nil || time.Since(keys[1].Created) > time.Hour || keys[1].Created.Location() != time.UTC {
		t.Errorf("created %v, %v", keys, err)
	}
}

func TestRetireRefuses(t *testing.T) {
	path := newKeyFile(t)
	mustRotate(t, path)
	if err := Retire(path, 0); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	for slot, want := range map[uint8]string{
		0: path + ":5: slot 0: is retired; only an open key can be retired",
		1: path + ":6: slot 1: is primary; only an open key can be retired",
		2: path + ": slot 2: holds no key",
	} {
		if err := Retire(path, slot); err == nil || err.Error() != want {
			t.Errorf("Retire(%d) = %v, want %s", slot, err, want)
		}
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(after, before) {
		t.Error("a refused change changed the file")
	}
}

func TestSlotsAreUsedAgainOnlyAfterRetirement(t *testing.T) {
	path := newKeyFile(t)
	for want := uint8(1); want < Slots; want++ {
		if want == 40 { // a retired slot waits until no unused one is left
			if err := Retire(path, 7); err != nil {
				t.Fatal(err)
			}
		}
		if slot := mustRotate(t, path); slot != want {
			t.Fatalf("rotated to slot %d, want %d", slot, want)
		}
	}
	if slot := mustRotate(t, path); slot != 7 {
		t.Errorf("rotated to slot %d, want the retired 7", slot)
	}
	if _, err := Rotate(path); err == nil || !strings.Contains(err.Error(), "retire one first") {
		t.Errorf("a rotation without a free slot: %v", err)
	}
	if ring := mustLoad(t, path); ring.Primary() != 7 {
		t.Errorf("primary %d, want 7", ring.Primary())
	}
}

func TestInitNeverOverwrites(t *testing.T) {
	path := newKeyFile(t)
	before, _ := os.ReadFile(path)
	err := InitKeyFile(path)
	if err == nil || !strings.Contains(err.Error(), path+": exists already") {
		t.Errorf("a second init: %v", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(after, before) {
		t.Error("a second init changed the file")
	}
	expectAlone(t, path)
	if err := InitKeyFile(filepath.Join(t.TempDir(), "none", "link.keys")); err == nil {
		t.Error("a missing directory was made")
	}
}

func TestKeyFilesOpenToOthersAreRefused(t *testing.T) {
	path := newKeyFile(t)
	mustRotate(t, path)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	for _, mode := range []os.FileMode{0o644, 0o640, 0o604, 0o610, 0o620} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("%s: mode %04o: others than the owner can use the keys; chmod 600 %s", path, mode, path)
		if _, err := LoadKeyring(path); err == nil || err.Error() != want {
			t.Errorf("LoadKeyring = %v, want %s", err, want)
		}
		if _, err := Rotate(path); err == nil || err.Error() != want {
			t.Errorf("Rotate = %v, want %s", err, want)
		}
	}
	if _, err := LoadKeyring(t.TempDir()); err == nil {
		t.Error("a directory was taken")
	}
	if _, err := LoadKeyring(path + "-none"); err == nil || !strings.Contains(err.Error(), path+"-none") {
		t.Errorf("a missing file: %v", err)
	}
}

func TestRotationsAtTheSameTimeLoseNoKey(t *testing.T) {
	path := newKeyFile(t)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if _, err := Rotate(path); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := len(states(t, path)); got != 21 {
		t.Errorf("%d keys, want 21", got)
	}
	expectAlone(t, path)
}

// A rotation follows a symbolic link, keeps comments, and leaves nothing beside the file.
func TestRotateKeepsWhatItDoesNotChange(t *testing.T) {
	path := newKeyFile(t)
	data, _ := os.ReadFile(path)
	data = append([]byte("# ours\n\n"), append(data, "# last"...)...)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "linked.keys")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	mustRotate(t, link)
	after, _ := os.ReadFile(path)
	want := bytes.Replace(data, []byte("0 primary"), []byte("0 open"), 1)
	if rest, ok := bytes.CutPrefix(after, append(want, '\n')); !ok || !bytes.HasPrefix(rest, []byte("1 primary")) {
		t.Errorf("the file became\n%s", after)
	}
	expectAlone(t, path)
}

func expectAlone(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the key file: %v, %v", entries, err)
	}
}

func TestKeyFileFaults(t *testing.T) {
	key := func(b byte) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 64)) }
	const magic, when = "waypost-keys 1\n", " 2026-11-23T18:14:00Z "
	good := magic + "0 primary" + when + key(1) + "\n"
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", `k:1: no line "waypost-keys 1": not a key file`},
		{"comments only", "# a\n# b\n", `k:2: no line "waypost-keys 1": not a key file`},
		{"no primary", magic + "1 open" + when + key(1) + "\n", "k:2: no primary key"},
		{"another version", strings.Replace(good, "keys 1", "keys 2", 1), `k:1: must be "waypost-keys 1", before all keys`},
		{"key first", "0 primary" + when + key(1) + "\n" + magic, `k:1: must be "waypost-keys 1", before all keys` + "\nk:2: 2 fields: must be 4: slot, state, time, key"},
		{"slot too great", good + "64 open" + when + key(2), `k:3: slot = "64": must be 0 to 63`},
		{"slot not canonical", good + "01 open" + when + key(2), `k:3: slot = "01": must be 0 to 63`},
		{"slot negative", good + "-1 open" + when + key(2), `k:3: slot = "-1": must be 0 to 63`},
		{"slot twice", good + "0 open" + when + key(2), "k:3: slot = 0: given in line 2 already"},
		{"key twice", good + "1 open" + when + key(1), "k:3: key of slot 1: the same as in line 2"},
		{"two primaries", good + "1 primary" + when + key(2), "k:3: state = primary: line 2 is already; only one key seals"},
		{"state", good + "1 closed" + when + key(2), `k:3: state = "closed": must be primary, open or retired`},
		{"time", good + "1 open today " + key(2), `k:3: time = "today": must be like 2026-01-31T12:00:00Z`},
		{"key short", good + "1 open" + when + "AAAA", "k:3: key of slot 1: must be 64 bytes in base64"},
		{"key not base64", good + "1 open" + when + strings.Replace(key(2), "g", "!", 1), "k:3: key of slot 1: must be 64 bytes in base64"},
		{"retired with key", good + "1 retired" + when + key(2), `k:3: key of slot 1: must be "-", as it is retired`},
		{"fields", good + "1 open\n\n2 open" + when, "k:3: 2 fields: must be 4: slot, state, time, key\nk:5: 3 fields: must be 4: slot, state, time, key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseKeyFile("k", []byte(test.text))
			if err == nil || err.Error() != test.want {
				t.Errorf("got\n%v\nwant\n%s", err, test.want)
			}
			if err != nil && (strings.Contains(err.Error(), key(1)[:8]) || strings.Contains(err.Error(), key(2)[:8])) {
				t.Error("a key got into the error")
			}
		})
	}
	if _, err := parseKeyFile("k", bytes.Repeat([]byte("#\n"), keyFileLimit)); err == nil {
		t.Error("a file without end was read")
	}
}
