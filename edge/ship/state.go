package ship

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"waypost/edge/journal"
)

// Faults of a state file. Compare with errors.Is.
var (
	ErrState      = errors.New("ship: state file damaged")
	ErrTopic      = errors.New("ship: the state file belongs to another topic")
	ErrPartitions = errors.New("ship: the topic's number of partitions has changed: an event's partition would change with it")
)

const stateMagic = "waypost-ship 1"

// runsKept is how many finished runs a state remembers; each opening of the journal is a run. Older ones left the journal long ago.
const runsKept = 4096

// text is the state file for a topic.
func (l *ledger) text(topic string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %d\n", stateMagic, topic, l.partitions)
	for i, r := range l.runs {
		if i < len(l.runs)-runsKept {
			continue
		}
		fmt.Fprintf(&b, "%s %d", r.run, r.end)
		if last := i == len(l.runs)-1; !r.level() || !last && !r.whole {
			for p := range r.acked {
				fmt.Fprintf(&b, " %d", r.place(p))
			}
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%08x\n", crc32.Checksum(b.Bytes(), castagnoli))
	return b.Bytes()
}

// parseState reads what text wrote.
func parseState(text []byte, topic string, partitions int) (*ledger, error) {
	lines := strings.Split(string(text), "\n")
	if len(lines) < 3 || lines[len(lines)-1] != "" {
		return nil, ErrState
	}
	sum := lines[len(lines)-2]
	if fmt.Sprintf("%08x", crc32.Checksum(text[:len(text)-len(sum)-1], castagnoli)) != sum {
		return nil, ErrState
	}
	head, ok := strings.CutPrefix(lines[0], stateMagic+" ")
	name, number, two := strings.Cut(head, " ")
	n, err := strconv.Atoi(number)
	switch {
	case !ok || !two || err != nil || n < 1:
		return nil, ErrState
	case name != topic:
		return nil, fmt.Errorf("%w: %s, not %s", ErrTopic, name, topic)
	case n != partitions:
		return nil, fmt.Errorf("%w: from %d to %d", ErrPartitions, n, partitions)
	}
	l := newLedger(partitions)
	runs := lines[1 : len(lines)-2]
	for i, line := range runs {
		if err := l.parseRun(line, i == len(runs)-1); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *ledger) parseRun(line string, last bool) error {
	fields := strings.Fields(line)
	if len(fields) != 2 && len(fields) != 2+l.partitions {
		return ErrState
	}
	number, err := strconv.ParseUint(fields[0], 16, 64)
	if err != nil || l.byRun[journal.Run(number)] != nil {
		return ErrState
	}
	r := l.of(journal.Run(number))
	if r.end, err = strconv.ParseUint(fields[1], 10, 64); err != nil {
		return ErrState
	}
	r.whole = len(fields) == 2 && !last
	for p := range l.partitions {
		at := r.end
		if len(fields) > 2 {
			if at, err = strconv.ParseUint(fields[2+p], 10, 64); err != nil {
				return ErrState
			}
		}
		r.acked[p], r.taken[p] = at, at
	}
	return nil
}

// loadState reads a state file; one that does not exist is an empty ledger.
//
// What was read, but not acknowledged, when the state was written must be read again: so a run's end is set back to its least place.
func loadState(path, topic string, partitions int) (*ledger, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return newLedger(partitions), nil
	}
	if err != nil {
		return nil, fmt.Errorf("ship: %w", err)
	}
	l, err := parseState(text, topic, partitions)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, r := range l.runs {
		r.end = slices.Min(r.acked)
	}
	return l, nil
}

// Dir is the shipper's folder in a journal's: its places mean nothing without that journal, and go with it.
func Dir(journalDir string) string { return filepath.Join(journalDir, "ship") }

// ErrBegun says that a shipper's directory has a state already.
var ErrBegun = errors.New("ship: the journal is being shipped already")

// BeginAt makes the first state of the shipper whose directory is dir: it will ship what stands behind positions, given in the order in which their runs were begun, and every
// run that is not among them. ErrBegun where it has a state.
func BeginAt(dir, topic string, partitions int, positions []journal.Position) error {
	path := filepath.Join(dir, stateName)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		if err == nil {
			err = fmt.Errorf("%w: %s", ErrBegun, path)
		}
		return err
	}
	l := newLedger(partitions)
	for _, p := range positions {
		r := l.of(p.Run)
		r.end = p.Sequence
		for i := range r.acked {
			r.acked[i], r.taken[i] = p.Sequence, p.Sequence
		}
	}
	if err := os.Mkdir(dir, 0o750); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("ship: %w", err)
	}
	return saveState(path, l.text(topic))
}

// stateName is the state file in a shipper's directory.
const stateName = "state"

// saveState replaces the state file, synced: its bytes first, then its name.
func saveState(path string, text []byte) error {
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return fmt.Errorf("ship: %w", err)
	}
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}
	if fault := file.Close(); err == nil {
		err = fault
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("ship: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("ship: %w", err)
	}
	defer dir.Close()
	return dir.Sync()
}
