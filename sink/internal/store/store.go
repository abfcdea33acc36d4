package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Sizes of what Pebble keeps in memory. They bound the store's memory: a few hundred megabytes, whatever the load.
const (
	// blockBytes is for blocks of files: above all their filters (62 MB at fifty million keys), which every look-up of a new key asks.
	// Where they do not fit, each look-up reads megabytes.
	blockBytes    = 160 << 20
	memTableBytes = 32 << 20
	// sharedMemTableBytes is a table's size where each partition has a store.
	sharedMemTableBytes = 8 << 20
	memTables           = 3 // at most, before writes wait
	filterBits          = 10
	l0Stop              = 24
)

// cacheBytes is the cache of a store of its own: Pebble takes the tables in memory out of the cache's size.
const cacheBytes = blockBytes + memTables*memTableBytes

const formatVersion = 1

var (
	// ErrLocked says that another process has the store open.
	ErrLocked = errors.New("store: another sink has it open")
	// ErrVersion says that a store was written by a newer program.
	ErrVersion = errors.New("store: its version is not known to this program")
	// ErrMissing says that there is no store to read.
	ErrMissing = errors.New("store: there is none in this directory")
)

// Options of Open. Zero values mean the defaults in the comments.
type Options struct {
	Logger *slog.Logger // none
	// Fatal is called when the log of the store cannot be written any more (the disk is full or failed). It must not return: what is in
	// memory can no longer become durable, and a restart goes on from what is on disk. Default: panic.
	Fatal func(reason string)
	// Cache is shared by stores that are open together; nil: one of its own. Such stores also keep smaller tables in memory.
	Cache *pebble.Cache
	// FS is for tests; the operating system's.
	FS vfs.FS
	// Existing opens a store that exists, and makes none.
	Existing bool
	// ReadOnly is Existing, for tools; the sink must not be running.
	ReadOnly bool
}

// Store is an open store. Reads and batches of any goroutine are safe.
type Store struct {
	*pebble.DB
	lock   *pebble.Lock
	dir    string
	files  *recycling
	onDisk bool // files are the operating system's
}

// Open opens the store in dir and takes its lock; the directory is made when only it is missing, not its parents.
func Open(dir string, o Options) (*Store, error) {
	files := o.FS
	var err error
	if files == nil {
		files = vfs.Default
		err = prepareDir(dir, o.ReadOnly || o.Existing)
	} else {
		err = files.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, err
	}
	lock, err := pebble.LockDirectory(dir, files)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("store: %w", err)
		}
		return nil, fmt.Errorf("%w: %s", ErrLocked, dir)
	}
	recycled := &recycling{FS: files}
	options := pebbleOptions(recycled, o)
	options.Lock = lock
	db, err := pebble.Open(dir, options)
	if err != nil {
		_ = lock.Close()
		if errors.Is(err, pebble.ErrDBDoesNotExist) {
			return nil, fmt.Errorf("%w: %s", ErrMissing, dir)
		}
		return nil, fmt.Errorf("store %s: %w", dir, err)
	}
	s := &Store{DB: db, lock: lock, dir: dir, files: recycled, onDisk: o.FS == nil}
	if err := s.checkVersion(o.ReadOnly); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// NewCache makes what so many stores share that are open together. It has room for two tables of each: one that is being filled, one that is being written.
func NewCache(stores int) *pebble.Cache {
	return pebble.NewCache(blockBytes + int64(stores)*2*sharedMemTableBytes)
}

// Lock takes a directory that holds stores for this process; it is made when only it is missing. ErrLocked when another sink has it.
func Lock(dir string) (io.Closer, error) {
	if err := prepareDir(dir, false); err != nil {
		return nil, err
	}
	lock, err := pebble.LockDirectory(dir, vfs.Default)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("store: %w", err)
		}
		return nil, fmt.Errorf("%w: %s", ErrLocked, dir)
	}
	return lock, nil
}

// Close flushes and gives the directory back.
func (s *Store) Close() error {
	err := s.DB.Close()
	if lockErr := s.lock.Close(); err == nil {
		err = lockErr
	}
	return err
}

// Position is how far a run of a journal has been decided: the lowest sequence that is not; 0: nothing is.
func (s *Store) Position(dir string, run uint64) (uint64, error) {
	key := PositionKey(dir, run)
	value, closer, err := s.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer closer.Close()
	_, _, sequence, err := ParsePosition(key, value)
	return sequence, err
}

// Each visits the keys of a space in their order, with their values; both are valid until visit returns. An error of visit ends it, and is Each's.
func (s *Store) Each(space Space, visit func(key, value []byte) error) error {
	start, end := space.Range()
	iter, err := s.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
	if err != nil {
		return err
	}
	defer iter.Close()
	for ok := iter.First(); ok; ok = iter.Next() {
		value, err := iter.ValueAndErr()
		if err != nil {
			return err
		}
		if err := visit(iter.Key(), value); err != nil {
			return err
		}
	}
	return iter.Error()
}

// DeleteAll deletes keys, durably.
func (s *Store) DeleteAll(keys [][]byte) error {
	b := s.NewBatch()
	defer b.Close()
	for _, key := range keys {
		if err := b.Delete(key, nil); err != nil {
			return err
		}
	}
	return b.Commit(pebble.Sync)
}

// prepareDir makes the store's own directory only: a whole missing path is a typing mistake or an unmounted disk, and a store begun there
// would take every click for a first one.
func prepareDir(dir string, existing bool) error {
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return fmt.Errorf("store %s: is not a directory", dir)
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("store: %w", err)
	case existing:
		return fmt.Errorf("%w: %s", ErrMissing, dir)
	}
	if parent := filepath.Dir(filepath.Clean(dir)); !isDir(parent) {
		return fmt.Errorf("store %s: the directory %s is missing", dir, parent)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func pebbleOptions(files vfs.FS, o Options) *pebble.Options {
	options := &pebble.Options{
		FS:                          files,
		ReadOnly:                    o.ReadOnly,
		ErrorIfNotExists:            o.ReadOnly || o.Existing,
		Logger:                      pebbleLogger{log: o.Logger, fatal: o.Fatal},
		FormatMajorVersion:          pebble.FormatTableFormatV6, // named, so that a newer module does not upgrade stores by itself
		CacheSize:                   cacheBytes,
		MemTableSize:                memTableBytes,
		MemTableStopWritesThreshold: memTables,
		L0StopWritesThreshold:       l0Stop,
		MaxOpenFiles:                512,
	}
	if o.Cache != nil {
		options.Cache, options.MemTableSize = o.Cache, sharedMemTableBytes
	}
	for i := range options.Levels {
		options.Levels[i].FilterPolicy = bloom.FilterPolicy(filterBits)
	}
	return options
}

func (s *Store) checkVersion(readOnly bool) error {
	value, closer, err := s.Get([]byte{versionSpace})
	if errors.Is(err, pebble.ErrNotFound) {
		if readOnly {
			return nil
		}
		return s.Set([]byte{versionSpace}, []byte{formatVersion}, pebble.Sync)
	}
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	defer closer.Close()
	if len(value) != 1 || value[0] != formatVersion {
		return ErrVersion
	}
	return nil
}

// pebbleLogger passes Pebble's own words on. Its information (each flush, each compaction) is for debugging.
type pebbleLogger struct {
	log   *slog.Logger
	fatal func(string)
}

func (l pebbleLogger) Infof(format string, args ...any) {
	if l.log != nil {
		l.log.Debug("store", "pebble", fmt.Sprintf(format, args...))
	}
}

func (l pebbleLogger) Errorf(format string, args ...any) {
	if l.log != nil {
		l.log.Error("store", "pebble", fmt.Sprintf(format, args...))
	}
}

func (l pebbleLogger) Fatalf(format string, args ...any) {
	reason := fmt.Sprintf(format, args...)
	if l.fatal != nil {
		l.fatal(reason)
	}
	panic("store: " + reason)
}
