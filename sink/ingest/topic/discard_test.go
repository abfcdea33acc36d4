package topic

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"waypost/sink/internal/store"
)

// A life that ends while it discards a store leaves none, or a whole one, for the next; and the next one clears up behind it.
func TestDiscardCutShort(t *testing.T) {
	dir := t.TempDir()
	w := &worker{o: &options{stores: map[int]*store.Store{}}, dir: StoreDir(dir, 3)}
	w.o.Logger = slog.New(slog.DiscardHandler)
	if err := os.MkdirAll(filepath.Dir(w.dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := w.open(); err != nil {
		t.Fatal(err)
	}
	// What the other life left: part of a store that was on its way out.
	left := filepath.Join(w.dir+".discarded", "marker.manifest.000001.MANIFEST-000001")
	if err := os.Mkdir(filepath.Dir(left), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if partitions, err := Stores(dir); err != nil || len(partitions) != 1 || partitions[0] != 3 {
		t.Errorf("stores %v, %v: what is discarded is none", partitions, err)
	}
	if err := w.store.Set([]byte("key"), []byte("value"), nil); err != nil {
		t.Fatal(err)
	}
	if err := w.discard(); err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if _, _, err := w.store.Get([]byte("key")); err == nil {
		t.Error("the store is not empty")
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.Contains(path, "discarded") {
			t.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
