package event

import "errors"

// ID is the run and the sequence of the journal that first held the event. It never changes. Its text is
// 16 lower-case hex digits, '-', 16 decimal digits.
type ID struct {
	Run, Sequence uint64
}

// Widths of an id's text in bytes.
const (
	RunDigits      = 16
	SequenceDigits = 16
	IDBytes        = RunDigits + 1 + SequenceDigits
)

// MaxSequence is the largest sequence that has a text.
const MaxSequence = 1e16 - 1

// ErrID says that a text is no event's id.
var ErrID = errors.New("event: id is not 16 hex digits, '-', 16 decimal digits")

const hexDigits = "0123456789abcdef"

// AppendTo appends the id's text.
func (id ID) AppendTo(dst []byte) []byte {
	dst = appendRun(dst, id.Run)
	dst = append(dst, '-')
	return appendSequence(dst, id.Sequence)
}

// String is AppendTo as a string.
func (id ID) String() string { return string(id.AppendTo(make([]byte, 0, IDBytes))) }

// ParseID reads an id's text; anything but its one form is ErrID.
func ParseID(text []byte) (ID, error) {
	if len(text) != IDBytes || text[RunDigits] != '-' {
		return ID{}, ErrID
	}
	run, ok := parseRun(text[:RunDigits])
	sequence, ok2 := parseSequence(text[RunDigits+1:])
	if !ok || !ok2 {
		return ID{}, ErrID
	}
	return ID{Run: run, Sequence: sequence}, nil
}

func appendRun(dst []byte, run uint64) []byte {
	var text [RunDigits]byte
	for i := RunDigits - 1; i >= 0; i-- {
		text[i] = hexDigits[run&15]
		run >>= 4
	}
	return append(dst, text[:]...)
}

func appendSequence(dst []byte, sequence uint64) []byte {
	var text [SequenceDigits]byte
	for i := SequenceDigits - 1; i >= 0; i-- {
		text[i] = '0' + byte(sequence%10)
		sequence /= 10
	}
	return append(dst, text[:]...)
}

func parseRun(text []byte) (run uint64, ok bool) {
	if len(text) != RunDigits {
		return 0, false
	}
	for _, c := range text {
		switch {
		case c >= '0' && c <= '9':
			run = run<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			run = run<<4 | uint64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return run, true
}

func parseSequence(text []byte) (sequence uint64, ok bool) {
	if len(text) != SequenceDigits {
		return 0, false
	}
	return parseDigits(text)
}

// parseDigits reads decimal digits only; the caller bounds their number.
func parseDigits(text []byte) (n uint64, ok bool) {
	for _, c := range text {
		if c-'0' > 9 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}
