package link

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// A key file is never half there: it is written beside its place, synced, and then linked (a new one, so that nothing is overwritten) or renamed
// (a changed one) into it, and the directory synced. A lock on the directory keeps two changes from losing one.

// create puts f into its place, where nothing may be.
func (f *keyFile) create() error {
	return f.write(func(temporary string) error {
		err := os.Link(temporary, f.path)
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s: exists already; keys are never overwritten", f.path)
		}
		return err
	})
}

// changeKeyFile reads path, applies change and puts the result in its place.
func changeKeyFile(path string, change func(*keyFile) error) error {
	path, err := filepath.EvalSymlinks(path) // the file is replaced, not a link to it
	if err != nil {
		return fmt.Errorf("link keys: %w", err)
	}
	unlock, err := lockDirectory(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer unlock()
	file, err := readKeyFile(path)
	if err != nil {
		return err
	}
	if err := change(file); err != nil {
		return err
	}
	return file.write(func(temporary string) error {
		if err := copyOwner(temporary, path); err != nil {
			return err
		}
		return os.Rename(temporary, path)
	})
}

// copyOwner gives temporary the owner of path: root may rotate the keys of a service that runs as another user.
func copyOwner(temporary, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return os.Lchown(temporary, int(owner.Uid), int(owner.Gid))
}

// write hands f's bytes to place, as a synced file of mode 0600 in the same directory.
func (f *keyFile) write(place func(temporary string) error) (err error) {
	directory := filepath.Dir(f.path)
	handle, err := os.CreateTemp(directory, "."+filepath.Base(f.path)+"-*") // 0600
	if err != nil {
		return fmt.Errorf("link keys: %w", err)
	}
	defer os.Remove(handle.Name()) // gone already after a rename
	_, err = handle.Write(f.append(nil))
	if err = errors.Join(err, handle.Sync(), handle.Close()); err != nil {
		return fmt.Errorf("link keys: %w", err)
	}
	if err := place(handle.Name()); err != nil {
		return fmt.Errorf("link keys: %w", err)
	}
	return syncDirectory(directory)
}

func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("link keys: %w", err)
	}
	if err = errors.Join(directory.Sync(), directory.Close()); err != nil {
		return fmt.Errorf("link keys: %s: %w", path, err)
	}
	return nil
}

// lockDirectory waits for the lock on a directory: the file itself is replaced by each change, so a lock on it would hold nobody off.
func lockDirectory(path string) (unlock func(), err error) {
	directory, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("link keys: %w", err)
	}
	if err := syscall.Flock(int(directory.Fd()), syscall.LOCK_EX); err != nil {
		directory.Close()
		return nil, fmt.Errorf("link keys: lock %s: %w", path, err)
	}
	return func() { directory.Close() }, nil
}
