package crash

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// errNotFound says that the events to cut do not stand in the journal.
var errNotFound = errors.New("cut: the events are not in the journal")

// cutJournal takes the events with these ids, the journal's last ones in order, out of the journal in dir: the segment that holds the first of
// them is zeroed from there on, and the files that hold only later ones are removed. It knows nothing of the format but that an event's id
// stands in it as text. It gives the number of files changed.
func cutJournal(dir string, ids []string) (files int, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return 0, err
	}
	place := map[string]int{} // file to the offset of the first of the ids that it holds
	first := ""
	for _, name := range names {
		if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() { // a killed edge leaves its socket there
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return 0, err
		}
		for i, id := range ids {
			if at := bytes.Index(text, []byte(id)); at >= 0 {
				place[name] = at
				if i == 0 {
					first = name
				}
				break
			}
		}
	}
	if first == "" {
		return 0, fmt.Errorf("%w: %s", errNotFound, ids[0])
	}
	for name, at := range place {
		if name != first {
			err = os.Remove(name)
		} else {
			err = zeroFrom(name, int64(at))
		}
		if err != nil {
			return files, err
		}
		files++
	}
	return files, nil
}

// zeroFrom overwrites the file from offset at to its end.
func zeroFrom(name string, at int64) error {
	file, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil {
		_, err = file.WriteAt(make([]byte, info.Size()-at), at)
	}
	return errors.Join(err, file.Close())
}
