package link

import (
	"encoding/base64"
	"fmt"
	"sync"

	"waypost/mint/link/internal/urlcode"
)

const (
	// Slots is the number of key slots: a header has six bits for them.
	Slots = 64

	version     = 0 // the header's two top bits
	slotBits    = 6
	overhead    = 1 + blockSize // header and synthetic IV
	minTokenLen = ((overhead+minPlain)*4 + 2) / 3
)

// Keyring holds the keys of a key file, prepared for use. It never changes after loading and may be used by many goroutines at once.
type Keyring struct {
	slots   [Slots]*siv
	primary uint8
}

// NewKeyring is for tests and tools: one key, in slot, primary.
func NewKeyring(slot uint8, key [64]byte) (*Keyring, error) {
	k := &Keyring{primary: slot}
	if err := k.add(slot, &key); err != nil {
		return nil, err
	}
	return k, nil
}

func (k *Keyring) add(slot uint8, key *[64]byte) error {
	if slot >= Slots {
		return fmt.Errorf("link: key slot %d: must be 0 to %d", slot, Slots-1)
	}
	prepared, err := newSIV(key[:], []byte{header(slot)})
	if err != nil {
		return fmt.Errorf("link: key slot %d: %w", slot, err)
	}
	k.slots[slot] = prepared
	urlcode.Decoder1() // now, and not when the first person clicks
	return nil
}

// Primary is the slot whose key seals.
func (k *Keyring) Primary() uint8 { return k.primary }

// Has says whether the key of slot opens tokens.
func (k *Keyring) Has(slot uint8) bool { return slot < Slots && k.slots[slot] != nil }

// Slot is the key slot that a token names, whether or not there is such a key. It is not ok for what cannot be a token: see Open's first refusals, up to ErrVersion.
func Slot(token []byte) (slot uint8, ok bool) {
	if len(token) < minTokenLen || len(token) > MaxToken {
		return 0, false
	}
	first, second := decodeValue[token[0]], decodeValue[token[1]]
	var bad uint8
	for _, c := range token {
		bad |= decodeValue[c]
	}
	header := first<<2 | second>>4
	return header & (Slots - 1), bad&badCharacter == 0 && header>>slotBits == version
}

func header(slot uint8) byte { return version<<slotBits | slot }

// sealer is memory for one AppendToken. It comes from a pool: a Link that is being minted belongs to its caller, who may mint it in several goroutines.
type sealer struct {
	work          work
	raw           []byte // header, synthetic IV, plaintext and then ciphertext
	stored, coded []byte // the strings in codec 0 and 1
	space         urlcode.Workspace
	texts         [6][]byte
	kinds         [6]urlcode.Kind
}

var sealers = sync.Pool{New: func() any { return new(sealer) }}

// AppendToken seals l under the primary key and appends the token (base64url) to dst. The same link under the same key gives the same token.
// It allocates nothing when dst has room. Errors, with dst as it was: CheckDestination's for a Click, ErrTooLong beyond MaxContents, ErrField.
func (k *Keyring) AppendToken(dst []byte, l *Link) ([]byte, error) {
	if err := l.check(); err != nil {
		return dst, err
	}
	s := sealers.Get().(*sealer)
	defer sealers.Put(s)
	strings := l.strings()
	codec, section := s.section(&strings)
	for _, try := range [...]spelling{{codec, 0, false}, {codec, 1, false}, {codec, 0, true}} {
		s.raw = append(s.raw[:0], make([]byte, overhead)...)
		s.raw = l.appendPlain(s.raw, &strings, section, try)
		if len(s.raw) > overhead+MaxContents {
			return dst, ErrTooLong
		}
		s.raw[0] = header(k.primary)
		k.slots[k.primary].seal(&s.work, s.raw[overhead:])
		copy(s.raw[1:], s.work.sum[:])
		if endsSafely(s.raw) {
			break
		}
	}
	return base64.RawURLEncoding.AppendEncode(dst, s.raw), nil
}

// Open opens a token into l, reusing l's memory. It allocates nothing once l has grown to size. Refusals, after which l is empty, in the order in which they
// are looked for: ErrTooLong, ErrTruncated, ErrEncoding, ErrVersion, ErrKey, ErrForged; and, for what was sealed under our key but not by
// AppendToken, ErrContent and ErrDestination.
func (k *Keyring) Open(l *Link, token []byte) error {
	l.reset()
	if len(token) > MaxToken {
		return ErrTooLong
	}
	if len(token) < minTokenLen {
		return ErrTruncated
	}
	raw := l.grow(decodedLen(len(token)))
	if !decodeToken(raw, token) {
		return ErrEncoding
	}
	if raw[0]>>slotBits != version {
		return ErrVersion
	}
	key := k.slots[raw[0]&(Slots-1)]
	if key == nil {
		return ErrKey
	}
	if !key.open(&l.work, raw[1:overhead], raw[overhead:]) {
		return ErrForged
	}
	if err := l.decodePlain(raw[overhead:]); err != nil {
		l.reset()
		return err
	}
	return nil
}

// grow gives n bytes of l's own memory, with the slack behind them that codec 1 wants.
func (l *Link) grow(n int) []byte {
	if cap(l.scratch) < n+urlcode.Slack {
		l.scratch = make([]byte, max(n+urlcode.Slack, 256))
	}
	return l.scratch[:n]
}
