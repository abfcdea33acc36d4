package length

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"waypost/mint/link"
)

// Contents are what a link carries beside the three ids.
type Contents int

// The contents that are measured.
const (
	IDs      Contents = iota // the URL and three ids
	Address                  // and the recipient's address
	Original                 // and the URL as the original of a shortened destination
)

// String is the contents' name in reports.
func (c Contents) String() string {
	return [...]string{"three ids", "and the address", "and an original"}[c]
}

// MarshalText makes the name what a report in JSON has too.
func (c Contents) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// minted is when every link is made.
var minted = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// claims are what the peers carry, in the order of their names in doc.go. A field that is empty is left out.
type claims struct {
	Tenant      uint32 `json:"t"`
	Mailing     uint64 `json:"m"`
	Prospect    uint64 `json:"p"`
	User        uint64 `json:"u"`
	Number      uint32 `json:"n"`
	Issued      int64  `json:"iat,omitempty"`
	Destination string `json:"d"`
	Recipient   string `json:"r,omitempty"`
	Original    string `json:"o,omitempty"`
}

const shortened = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// claimsOf are those of the URL at a place of the list, from 0; the place alone decides all of them but the URL.
func claimsOf(url string, place int, contents Contents) claims {
	r := rand.New(rand.NewPCG(uint64(place), 1))
	c := claims{
		Tenant: 1, Mailing: 4_000_000_000 + r.Uint64N(1e9), Prospect: 100_000_000 + r.Uint64N(9e8), User: 100_000 + r.Uint64N(9e5),
		Number: uint32(r.IntN(8)), Issued: minted.Unix(), Destination: url,
	}
	if contents >= Address {
		c.Recipient = fmt.Sprintf("%s.%s@%s.com", pick(r, givenNames), pick(r, familyNames), pick(r, companies))
	}
	if contents >= Original {
		short := []byte("https://bit.ly/")
		for range 7 {
			short = append(short, shortened[r.IntN(len(shortened))])
		}
		c.Destination, c.Original = string(short), url
	}
	return c
}

func pick(r *rand.Rand, words []string) string { return words[r.IntN(len(words))] }

var (
	givenNames  = []string{"ada", "mei", "omar", "lucia", "jonas", "priya", "stefan", "charlotte", "maximilian"}
	familyNames = []string{"ito", "weber", "okafor", "svensson", "fairweather", "castellanos"}
	companies   = []string{"acme", "fabrikam", "tailspintoys", "northwind-traders", "adventure-works"}
)

// text is the claims' JSON without white space.
func (c claims) text() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // else & would be six characters, and every query longer than it has to be
	if err := e.Encode(c); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// link is the claims as mint has them.
func (c claims) link() *link.Link {
	id := func(n uint64) link.ID { return link.ParseID(fmt.Append(nil, n)) }
	return &link.Link{
		Kind: link.Click, Place: link.PlaceHTML, Tenant: c.Tenant, Minted: link.Minutes(time.Unix(c.Issued, 0)), Number: c.Number,
		Message: id(c.Mailing), Prospect: id(c.Prospect), User: id(c.User),
		Destination: []byte(c.Destination), Recipient: []byte(c.Recipient), Original: []byte(c.Original),
	}
}

// maker makes the tokens of all schemes. Its keys are fixed: lengths do not depend on them, but for one character of ours in a while.
type maker struct {
	ring *link.Keyring
	key  [32]byte // the peers'
	made [][]byte // what tokens gives
}

// schemes are the rows of a report, in their order.
var schemes = [...]string{"waypost", "jwt", "hmac", "hmac-16", "fernet"}

func newMaker() (*maker, error) {
	var key [64]byte
	for i := range 2 {
		half := sha256.Sum256([]byte{byte(i)})
		copy(key[i*32:], half[:])
	}
	ring, err := link.NewKeyring(0, key)
	if err != nil {
		return nil, err
	}
	return &maker{ring: ring, key: sha256.Sum256([]byte("peers")), made: make([][]byte, len(schemes))}, nil
}

// tokens gives one token for each of schemes; they are valid until the next call. The error is mint/link's, for what it refuses.
func (m *maker) tokens(c claims) ([][]byte, error) {
	ours, err := m.ring.AppendToken(m.made[0][:0], c.link())
	if err != nil {
		return nil, err
	}
	text, err := c.text()
	if err != nil {
		return nil, err
	}
	timeless := c
	timeless.Issued = 0
	message, err := timeless.text()
	if err != nil {
		return nil, err
	}
	var iv [16]byte
	binary.BigEndian.PutUint64(iv[:], c.Mailing) // a real one is random; its bytes do not change the length
	t := m.made
	t[0] = ours
	t[1] = appendJWT(t[1][:0], m.key[:], []byte(jwtHeader), text)
	t[2] = appendHMAC(t[2][:0], m.key[:], text, sha256.Size)
	t[3] = appendHMAC(t[3][:0], m.key[:], text, sha256.Size/2)
	t[4] = appendFernet(t[4][:0], m.key, uint64(c.Issued), iv, message)
	return t, nil
}
