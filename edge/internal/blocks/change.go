package blocks

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// head begins a file that Add makes.
const head = "# Links that are not followed any more. `edge blocks` changes this file; running edges take it up within a second.\n"

// Add writes an entry at the end of the file, with a note behind it. It is not added when it stands there already, whatever its note.
func Add(path string, e Entry, note string) (added bool, err error) {
	err = change(path, func(text string, entries []placed) string {
		if added = !slices.ContainsFunc(entries, func(p placed) bool { return p.Entry == e }); !added {
			return text
		}
		if text == "" {
			text = head
		}
		if !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		if note = strings.Join(strings.Fields(note), " "); note != "" {
			note = "  # " + note
		}
		return text + e.String() + note + "\n"
	})
	return added && err == nil, err
}

// Remove takes every line of an entry out of the file. Other lines stay as they are.
func Remove(path string, e Entry) (removed bool, err error) {
	err = change(path, func(text string, entries []placed) string {
		var b strings.Builder
		number := 0
		for line := range strings.Lines(text) {
			number++
			if slices.Contains(entries, placed{e, number}) {
				removed = true
				continue
			}
			b.WriteString(line)
		}
		return b.String()
	})
	return removed && err == nil, err
}

// change replaces the file by what edit makes of it, as a whole. A file with faults is left to people.
func change(path string, edit func(text string, entries []placed) string) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // the file is replaced, not a link to it
	}
	directory, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { _ = directory.Close() }() // and with it the lock; on the directory, because the file itself is replaced
	if err := syscall.Flock(int(directory.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", directory.Name(), err)
	}
	text, err := read(path)
	if err != nil {
		return err
	}
	entries, faults := parse(path, text)
	if err := faults.Err(); err != nil {
		return err
	}
	changed := edit(text, entries)
	if changed == text {
		return nil
	}
	return errors.Join(replace(path, changed), directory.Sync())
}

// replace puts text into path's place, synced, with the mode and the owner of the file that was there: root may block for a service that runs as another user.
func replace(path, text string) error {
	mode := os.FileMode(0o644)
	var owner *syscall.Stat_t
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
		owner, _ = info.Sys().(*syscall.Stat_t)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already after the rename
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync())
	if owner != nil {
		err = errors.Join(err, f.Chown(int(owner.Uid), int(owner.Gid)))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
