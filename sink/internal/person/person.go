// Package person says which events are of somebody who wants to be forgotten, and stands for people and their unique keys by keyed hashes: who has not the secret cannot find out by guessing whether
// somebody is among them. No value of it prints an address.
package person

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"strings"
	"unicode"

	"waypost/edge/event"
	"waypost/mint/link"
	"waypost/sink/internal/store"
)

// maxText bounds an address and a prospect's id, in bytes: an event has no longer ones.
const maxText = 1024

// Errors of New. They do not say what was given.
var (
	ErrNobody    = errors.New("recipient or prospect must be set")
	ErrRecipient = errors.New("recipient: must be an address such as abc@example.com, or the hash of one as events have it, of at most 1024 bytes without control characters")
	ErrProspect  = errors.New("prospect: must be at most 1024 bytes without control characters")
)

// Person is a recipient of one tenant, by address, by prospect id, or by both: an event is of the person when either fits.
type Person struct {
	Tenant uint32

	address  string // lowered, as in a Kafka key; "": not known
	hash     string // of the address, as events have it where a tenant keeps no addresses
	prospect string // "": not known
}

// New checks what was given of a person. An address that is given as its hash fits only that.
func New(tenant uint32, recipient, prospect string) (*Person, error) {
	switch {
	case recipient == "" && prospect == "":
		return nil, ErrNobody
	case !clean(recipient) || recipient != "" && !strings.Contains(recipient, "@") && recipient[0] != '#':
		return nil, ErrRecipient
	case !clean(prospect):
		return nil, ErrProspect
	}
	p := &Person{Tenant: tenant, prospect: prospect}
	if strings.Contains(recipient, "@") {
		p.address, p.hash = string(appendLowered(nil, []byte(recipient))), string(link.HashRecipient(tenant, []byte(recipient)))
	} else {
		p.hash = recipient
	}
	return p, nil
}

func clean(text string) bool {
	for _, r := range text {
		if unicode.IsControl(r) {
			return false
		}
	}
	return len(text) <= maxText
}

// Is says whether a decoded event is of the person.
func (p *Person) Is(e *event.Event) bool {
	if e.Tenant != p.Tenant {
		return false
	}
	if p.prospect != "" && string(e.Prospect) == p.prospect {
		return true
	}
	var room [256]byte
	recipient := appendLowered(room[:0], e.Recipient)
	return len(recipient) > 0 && (string(recipient) == p.hash || string(recipient) == p.address)
}

// appendLowered appends an address, or the hash of one, in the letters that it has in a Kafka key.
func appendLowered(dst, recipient []byte) []byte {
	start := len(dst)
	dst = append(dst, recipient...)
	event.LowerAddress(dst[start:])
	return dst
}

// Hash is a keyed hash.
type Hash = [store.HashBytes]byte

// Hasher makes keyed hashes: HMAC-SHA256, the first half of it. Not for concurrent use.
type Hasher struct {
	mac  hash.Hash
	room [sha256.Size]byte
	text []byte
}

// NewHasher makes one of a secret.
func NewHasher(secret [store.SecretBytes]byte) *Hasher {
	return &Hasher{mac: hmac.New(sha256.New, secret[:])}
}

// What is hashed begins with a byte that says what it is.
const (
	ofUnique    = 'u'
	ofRecipient = 'r'
	ofProspect  = 'p'
)

// Unique stands for a unique key.
func (h *Hasher) Unique(key event.UniqueKey) Hash {
	h.text = append(append(h.text[:0], ofUnique), key[:]...)
	return h.sum()
}

// Event are the hashes under which the person of an event may have been forgotten: none to two.
func (h *Hasher) Event(e *event.Event, visit func(Hash)) {
	if len(e.Recipient) > 0 {
		h.begin(ofRecipient, e.Tenant)
		h.text = appendLowered(h.text, e.Recipient)
		visit(h.sum())
	}
	if len(e.Prospect) > 0 {
		h.begin(ofProspect, e.Tenant)
		h.text = append(h.text, e.Prospect...)
		visit(h.sum())
	}
}

// Person are the hashes that stand for a person: one of them is among those of each event of the person.
func (h *Hasher) Person(p *Person) (all []Hash) {
	for _, name := range [...]struct {
		of   byte
		text string
	}{{ofRecipient, p.address}, {ofRecipient, p.hash}, {ofProspect, p.prospect}} {
		if name.text != "" {
			h.begin(name.of, p.Tenant)
			h.text = append(h.text, name.text...)
			all = append(all, h.sum())
		}
	}
	return all
}

func (h *Hasher) begin(of byte, tenant uint32) {
	h.text = binary.BigEndian.AppendUint32(append(h.text[:0], of), tenant)
}

func (h *Hasher) sum() Hash {
	h.mac.Reset()
	_, _ = h.mac.Write(h.text) // never fails, by its documentation
	return Hash(h.mac.Sum(h.room[:0])[:store.HashBytes])
}
