package link

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
)

// Kind says what following a token means.
type Kind uint8

// The kinds of token.
const (
	Click Kind = iota // a link in a mail
	Open              // the picture that tells that a mail was opened
)

// Place says in which part of the mail a link stood.
type Place uint8

// The places of a link. An Open has none.
const (
	PlaceUnknown Place = iota
	PlaceHTML
	PlaceText
)

// Limits of a link. Beyond them Keyring.AppendToken answers ErrTooLong, and Keyring.Open too.
const (
	MaxContents = 8192                                  // bytes of a token's plaintext, and of all its strings together
	MaxToken    = ((1+blockSize+MaxContents)*4 + 2) / 3 // characters of a token
	MaxMinutes  = 1<<24 - 1                             // greatest Link.Minted: in the year 2056
)

// Link is what a token carries.
//
// After Keyring.Open every slice points into memory that the Link owns; it is valid until the next Open into the same Link.
type Link struct {
	Kind   Kind
	Place  Place
	Tenant uint32 // the tenant's number, from 1
	Minted uint32 // minutes since Epoch, up to MaxMinutes
	Number uint32 // the link's place among the links of its mail, from 0

	Message  ID // Outreach's mailing id, or the sender's message id
	Prospect ID // the recipient's number at the sender
	User     ID // who sent

	Destination []byte // where the person goes, byte for byte as minted; empty for an Open
	Original    []byte // the link's identity in analytics; empty where it is the destination (AppendToken leaves an equal one out)
	Recipient   []byte // the address, its hash (see HashRecipient), or empty
	Stream      []byte
	Tag         []byte
	Metadata    []byte // key, value, key, value ..., each after its length (see AppendMetadata and NextMetadata)

	scratch []byte // the token's bytes; what is stored points into it
	text    []byte // what codec 1 decoded
	work    work
}

// Refusals of Open, and faults of AppendToken and CheckDestination. They are values: compare with ==.
var (
	ErrVersion     = errors.New("link: version not known")
	ErrKey         = errors.New("link: key not in the file")
	ErrForged      = errors.New("link: not sealed under our key")
	ErrTruncated   = errors.New("link: too short")
	ErrTooLong     = errors.New("link: longer than allowed")
	ErrEncoding    = errors.New("link: not canonical base64url")
	ErrContent     = errors.New("link: contents not readable")
	ErrDestination = errors.New("link: destination cannot stand in a Location header")

	ErrScheme  = errors.New("link: destination is neither http nor https")
	ErrHost    = errors.New("link: destination has no host")
	ErrControl = errors.New("link: destination holds a control character or a space")
	ErrField   = errors.New("link: a field is out of its range")
)

// Epoch is where Link.Minted counts from.
var Epoch = time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC)

// Minutes is t as Link.Minted holds it: whole minutes since Epoch, 0 before it, MaxMinutes at most.
func Minutes(t time.Time) uint32 {
	minutes := t.Unix()/60 - Epoch.Unix()/60
	return uint32(min(max(minutes, 0), MaxMinutes))
}

// MintedTime is the beginning of the minute in which the link was minted, in UTC.
func (l *Link) MintedTime() time.Time { return time.Unix(Epoch.Unix()+int64(l.Minted)*60, 0).UTC() }

// reset empties l and keeps its memory.
func (l *Link) reset() { *l = Link{scratch: l.scratch, text: l.text} }

// HashRecipient stands for the address of a recipient where the tenant keeps no addresses and the mail has no prospect id: '#' and 22 base64url
// characters, the first 16 bytes of SHA-256 over the tenant's number (4 bytes, big-endian) and the address with A to Z lowered. It keeps
// recipients apart; whoever knows the tenant's number and guesses an address can confirm the guess.
func HashRecipient(tenant uint32, address []byte) []byte {
	data := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(address)), tenant)
	for _, c := range address {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		data = append(data, c)
	}
	sum := sha256.Sum256(data)
	return base64.RawURLEncoding.AppendEncode([]byte{'#'}, sum[:16])
}

// KeepRecipient is what a link, or an event, says of the address of a recipient, whole being whether the tenant keeps addresses. Without an address and without a
// prospect's id nobody could be told apart, so that the address's hash stands in where the tenant keeps none.
func KeepRecipient(tenant uint32, whole bool, prospect, address []byte) []byte {
	switch {
	case whole || len(address) == 0:
		return address
	case len(prospect) == 0:
		return HashRecipient(tenant, address)
	}
	return nil
}

// AppendMetadata appends one pair of a Link's Metadata to dst.
func AppendMetadata[T string | []byte](dst []byte, key, value T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	dst = append(dst, key...)
	dst = binary.AppendUvarint(dst, uint64(len(value)))
	return append(dst, value...)
}

// NextMetadata takes the first pair off metadata. It is not ok at the end, or where metadata is not what AppendMetadata writes
// (in a Link that was opened it always is).
//
//	for key, value, rest, ok := link.NextMetadata(l.Metadata); ok; key, value, rest, ok = link.NextMetadata(rest) {
func NextMetadata(metadata []byte) (key, value, rest []byte, ok bool) {
	if key, rest, ok = takeString(metadata); !ok {
		return nil, nil, nil, false
	}
	if value, rest, ok = takeString(rest); !ok {
		return nil, nil, nil, false
	}
	return key, value, rest, true
}

func validMetadata(metadata []byte) bool {
	for len(metadata) > 0 {
		var ok bool
		if _, _, metadata, ok = NextMetadata(metadata); !ok {
			return false
		}
	}
	return true
}
