package link

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// KeyState says what a key of a key file is for.
type KeyState string

// The states of a key.
const (
	KeyPrimary KeyState = "primary" // seals new tokens, and opens; one in a file
	KeyOpen    KeyState = "open"    // opens tokens that it sealed when it was the primary key
	KeyRetired KeyState = "retired" // opens nothing; its bytes are gone, for good
)

// KeyInfo is what may be shown of a key.
type KeyInfo struct {
	Slot    uint8
	State   KeyState
	Created time.Time // UTC, whole seconds
}

const (
	keyFileMagic   = "waypost-keys 1"
	keyFileComment = `# Waypost's link keys. Keep this file secret (mode 0600) and keep a copy of it: a link opens only with the key that sealed it.
# A key a line: slot (0 to 63), state, when it was made, 64 bytes in base64.
# primary: seals new links, opens them; open: opens older links; retired: opens nothing, its bytes are gone and its slot may be used again.
`
	keyFileLimit = 1 << 20 // bytes
	noKey        = "-"     // stands for the bytes of a retired key
)

// keyFile is a key file as it was read: its lines in order, so that comments survive a change.
type keyFile struct {
	path  string
	lines []keyLine
}

// keyLine is a key, or, where key.State is empty, any other line.
type keyLine struct {
	text  string
	key   KeyInfo
	bytes [64]byte
}

// LoadKeyring reads a key file. It refuses one that others than its owner can read, one without a primary key, and names every fault with its line.
func LoadKeyring(path string) (*Keyring, error) {
	file, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	k := new(Keyring)
	for i := range file.lines {
		line := &file.lines[i]
		switch line.key.State {
		case KeyPrimary:
			k.primary = line.key.Slot
		case KeyOpen:
		default:
			continue
		}
		if err := k.add(line.key.Slot, &line.bytes); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, i+1, err)
		}
	}
	return k, nil
}

// InitKeyFile makes a key file with one fresh primary key, in slot 0. It never overwrites anything.
func InitKeyFile(path string) error {
	file := &keyFile{path: path}
	for text := range strings.Lines(keyFileComment + keyFileMagic) {
		file.lines = append(file.lines, keyLine{text: strings.TrimSuffix(text, "\n")})
	}
	file.lines = append(file.lines, freshKey(0))
	return file.create()
}

// Rotate makes a fresh key the primary one and gives its slot. The key that was primary goes on opening links. The slot is one that was never used or,
// when there is none left, the one of the oldest retired key. Programs that open links must know the new key before others mint with it.
func Rotate(path string) (slot uint8, err error) {
	err = changeKeyFile(path, func(file *keyFile) error {
		line, err := file.freeLine()
		if err != nil {
			return err
		}
		for i := range file.lines {
			if key := &file.lines[i].key; key.State == KeyPrimary {
				key.State = KeyOpen
			}
		}
		slot = file.lines[line].key.Slot
		file.lines[line] = freshKey(slot)
		return nil
	})
	return slot, err
}

// List gives the keys of a key file by slot, without their bytes.
func List(path string) ([]KeyInfo, error) {
	file, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	keys := file.keys()
	slices.SortFunc(keys, func(a, b KeyInfo) int { return int(a.Slot) - int(b.Slot) })
	return keys, nil
}

// Retire takes the bytes of slot's key out of the file, for good: the links that it sealed never open again. The primary key cannot be retired.
func Retire(path string, slot uint8) error {
	return changeKeyFile(path, func(file *keyFile) error {
		for i := range file.lines {
			line := &file.lines[i]
			if line.key.State == "" || line.key.Slot != slot {
				continue
			}
			if line.key.State != KeyOpen {
				return fmt.Errorf("%s:%d: slot %d: is %s; only an open key can be retired", path, i+1, slot, line.key.State)
			}
			line.key.State, line.bytes = KeyRetired, [64]byte{}
			return nil
		}
		return fmt.Errorf("%s: slot %d: holds no key", path, slot)
	})
}

func freshKey(slot uint8) keyLine {
	line := keyLine{key: KeyInfo{slot, KeyPrimary, time.Now().UTC().Truncate(time.Second)}}
	rand.Read(line.bytes[:]) // never fails: the runtime ends the program instead
	return line
}

func (f *keyFile) keys() []KeyInfo {
	var keys []KeyInfo
	for _, line := range f.lines {
		if line.key.State != "" {
			keys = append(keys, line.key)
		}
	}
	return keys
}

// freeLine gives the index of the line for a new key, and appends one where an unused slot is left.
func (f *keyFile) freeLine() (int, error) {
	var used [Slots]bool
	oldest := -1
	for i, line := range f.lines {
		if line.key.State == "" {
			continue
		}
		used[line.key.Slot] = true
		if line.key.State == KeyRetired && (oldest < 0 || line.key.Created.Before(f.lines[oldest].key.Created)) {
			oldest = i
		}
	}
	if slot := slices.Index(used[:], false); slot >= 0 {
		f.lines = append(f.lines, keyLine{key: KeyInfo{Slot: uint8(slot)}})
		return len(f.lines) - 1, nil
	}
	if oldest < 0 {
		return 0, fmt.Errorf("%s: all %d slots hold keys that still open links: retire one first", f.path, Slots)
	}
	return oldest, nil
}

// readKeyFile reads and checks a key file.
func readKeyFile(path string) (*keyFile, error) {
	handle, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("link keys: %w", err)
	}
	defer handle.Close()
	info, err := handle.Stat()
	if err != nil {
		return nil, fmt.Errorf("link keys: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s: mode %04o: others than the owner can use the keys; chmod 600 %s", path, mode, path)
	}
	data, err := io.ReadAll(io.LimitReader(handle, keyFileLimit+1))
	if err != nil {
		return nil, fmt.Errorf("link keys: %w", err)
	}
	return parseKeyFile(path, data)
}

// parseKeyFile gives all faults at once, each with its line.
func parseKeyFile(path string, data []byte) (*keyFile, error) {
	if len(data) > keyFileLimit {
		return nil, fmt.Errorf("%s: longer than %d bytes", path, keyFileLimit)
	}
	file := &keyFile{path: path}
	var faults []error
	var seen keyFileSeen
	number := 0
	for raw := range bytes.Lines(data) {
		number++
		line := keyLine{text: strings.TrimSuffix(string(raw), "\n")}
		text := strings.TrimSpace(line.text)
		var err error
		switch {
		case text == "" || text[0] == '#':
		case !seen.magic:
			seen.magic = true
			if text != keyFileMagic {
				err = fmt.Errorf("must be %q, before all keys", keyFileMagic)
			}
		default:
			if err = line.parse(text); err == nil {
				err = seen.add(&line, number)
			}
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s:%d: %w", path, number, err))
		}
		file.lines = append(file.lines, line)
	}
	switch {
	case len(faults) > 0:
		return nil, errors.Join(faults...)
	case !seen.magic:
		return nil, fmt.Errorf("%s:%d: no line %q: not a key file", path, max(number, 1), keyFileMagic)
	case seen.primary == 0:
		return nil, fmt.Errorf("%s:%d: no primary key", path, number)
	}
	return file, nil
}

// parse reads a key's line; the key's bytes never get into an error.
func (l *keyLine) parse(text string) error {
	fields := strings.Fields(text)
	if len(fields) != 4 {
		return fmt.Errorf("%d fields: must be 4: slot, state, time, key", len(fields))
	}
	slot, err := strconv.ParseUint(fields[0], 10, 8)
	if err != nil || slot >= Slots || strconv.FormatUint(slot, 10) != fields[0] {
		return fmt.Errorf("slot = %.20q: must be 0 to %d", fields[0], Slots-1)
	}
	created, err := time.Parse(time.RFC3339, fields[2])
	if err != nil {
		return fmt.Errorf("time = %.40q: must be like 2026-01-31T12:00:00Z", fields[2])
	}
	state := KeyState(fields[1])
	switch state {
	case KeyPrimary, KeyOpen:
		key, err := base64.StdEncoding.Strict().DecodeString(fields[3])
		if err != nil || len(key) != len(l.bytes) {
			return fmt.Errorf("key of slot %d: must be %d bytes in base64", slot, len(l.bytes))
		}
		copy(l.bytes[:], key)
	case KeyRetired:
		if fields[3] != noKey {
			return fmt.Errorf("key of slot %d: must be %q, as it is retired", slot, noKey)
		}
	default:
		return fmt.Errorf("state = %.20q: must be %s, %s or %s", fields[1], KeyPrimary, KeyOpen, KeyRetired)
	}
	l.key = KeyInfo{uint8(slot), state, created.UTC().Truncate(time.Second)}
	return nil
}

// keyFileSeen is what the lines before have said, with their line numbers.
type keyFileSeen struct {
	magic   bool
	primary int
	slots   [Slots]int
	keys    map[[64]byte]int
}

func (s *keyFileSeen) add(line *keyLine, number int) error {
	slot := line.key.Slot
	if s.slots[slot] != 0 {
		return fmt.Errorf("slot = %d: given in line %d already", slot, s.slots[slot])
	}
	s.slots[slot] = number
	if line.key.State == KeyRetired {
		return nil
	}
	if first, ok := s.keys[line.bytes]; ok {
		return fmt.Errorf("key of slot %d: the same as in line %d", slot, first)
	}
	if s.keys == nil {
		s.keys = make(map[[64]byte]int)
	}
	s.keys[line.bytes] = number
	if line.key.State == KeyPrimary {
		if s.primary != 0 {
			return fmt.Errorf("state = primary: line %d is already; only one key seals", s.primary)
		}
		s.primary = number
	}
	return nil
}

func (f *keyFile) append(dst []byte) []byte {
	for _, line := range f.lines {
		if line.key.State == "" {
			dst = append(append(dst, line.text...), '\n')
			continue
		}
		key := noKey
		if line.key.State != KeyRetired {
			key = base64.StdEncoding.EncodeToString(line.bytes[:])
		}
		dst = fmt.Appendf(dst, "%d %s %s %s\n", line.key.Slot, line.key.State, line.key.Created.Format(time.RFC3339), key)
	}
	return dst
}
