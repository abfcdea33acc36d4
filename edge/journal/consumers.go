package journal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const consumersDir = "consumers"

// ErrPosition says that a consumer's position file is not one that PublishPosition wrote.
var ErrPosition = errors.New("journal: position file damaged")

// positionText is "waypost-position 1 RUN SEQUENCE CRC32C\n": the run in 16 hex digits, the sequence in 16 decimal digits, and in 8 hex
// digits the checksum of all that stands before it.
func positionText(p Position) string {
	body := fmt.Sprintf("waypost-position 1 %s %016d ", p.Run, p.Sequence)
	return body + fmt.Sprintf("%08x\n", crc32.Checksum([]byte(body), castagnoli))
}

func parsePosition(text string) (Position, error) {
	fields := strings.Fields(text)
	if len(fields) != 5 {
		return Position{}, ErrPosition
	}
	run, err := strconv.ParseUint(fields[2], 16, 64)
	if err != nil {
		return Position{}, ErrPosition
	}
	sequence, err := strconv.ParseUint(fields[3], 10, 64)
	if err != nil {
		return Position{}, ErrPosition
	}
	p := Position{Run(run), sequence}
	if positionText(p) != text {
		return Position{}, ErrPosition
	}
	return p, nil
}

// CheckConsumer says whether name can be a consumer's: 1 to 64 letters, digits, '-', '_' or '.', not beginning with '.'.
func CheckConsumer(name string) error {
	ok := len(name) >= 1 && len(name) <= 64 && name[0] != '.'
	for _, c := range []byte(name) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.')
	}
	if !ok || strings.HasSuffix(name, ".new") {
		return fmt.Errorf("journal: consumer %q: want 1 to 64 letters, digits, '-', '_' or '.', no '.' in front, not ending in .new", name)
	}
	return nil
}

// PublishPosition tells the writer of the journal in dir how far the named consumer's own store has synced. It replaces a file atomically.
// The file is not synced: after a power cut an older position may stand there again, and only holds segments longer.
func PublishPosition(dir, consumer string, p Position) error {
	if err := CheckConsumer(consumer); err != nil {
		return err
	}
	path := filepath.Join(dir, consumersDir, consumer)
	write := func() error { return os.WriteFile(path+".new", []byte(positionText(p)), filePerm) }
	err := write()
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(path), dirPerm); err == nil {
			err = write()
		}
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("journal: publish position: %w", err)
	}
	return nil
}

// ReadPosition gives what the named consumer published last: os.ErrNotExist when it never did, ErrPosition when the file is damaged.
func ReadPosition(dir, consumer string) (Position, error) {
	if err := CheckConsumer(consumer); err != nil {
		return Position{}, err
	}
	text, err := os.ReadFile(filepath.Join(dir, consumersDir, consumer))
	if err != nil {
		return Position{}, err
	}
	return parsePosition(string(text))
}
