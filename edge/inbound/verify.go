package inbound

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"time"

	"waypost/configs"
)

// delivery is what a sender is known by, beside the body. Its slices are the request's.
type delivery struct {
	header func(name string) []byte
	secret []byte // of the path
	at     time.Time
}

// verifier says whether a delivery is its provider's. Any goroutine may call it.
type verifier interface {
	// admits looks at what can be told without the body, so that a stranger's is not read: nil or why not.
	admits(d *delivery) *refusal
	// signed looks at the body. It is asked only of what was admitted.
	signed(d *delivery, body []byte) bool
	// id is the provider's own of the delivery, the same when it is repeated; empty where it gives none.
	id(d *delivery) []byte
}

// standardSigned knows Standard Webhooks, and Svix, from which they come: one of the secrets signs id, time and body.
type standardSigned struct {
	keys      [][]byte
	tolerance time.Duration
}

// standardNames are what the headers begin with: Svix's name first, because Resend sends it.
var standardNames = [...]string{"svix-", "webhook-"}

// maxSignatures bounds what one header makes us compare. Senders list two while a secret is replaced.
const maxSignatures = 16

func newStandardSigned(secrets []configs.Secret, tolerance time.Duration) standardSigned {
	s := standardSigned{tolerance: tolerance}
	for _, secret := range secrets {
		key, err := secret.StandardKey()
		if err != nil {
			panic("BUG: a secret that the settings refuse: " + err.Error())
		}
		s.keys = append(s.keys, key)
	}
	return s
}

// headers are id, time and signatures: of the first name that has all three.
func (standardSigned) headers(d *delivery) (id, at, signatures []byte, ok bool) {
	for _, name := range standardNames {
		id, at, signatures = d.header(name+"id"), d.header(name+"timestamp"), d.header(name+"signature")
		if len(id) > 0 && len(at) > 0 && len(signatures) > 0 {
			return id, at, signatures, true
		}
	}
	return nil, nil, nil, false
}

func (s standardSigned) admits(d *delivery) *refusal {
	_, at, _, ok := s.headers(d)
	if !ok {
		return refuseUnsigned
	}
	seconds, err := strconv.ParseInt(string(at), 10, 64)
	if err != nil {
		return refuseUnsigned
	}
	if off := d.at.Sub(time.Unix(seconds, 0)); off > s.tolerance || off < -s.tolerance {
		return refuseStale
	}
	return nil
}

func (s standardSigned) signed(d *delivery, body []byte) bool {
	id, at, signatures, ok := s.headers(d)
	if !ok {
		return false
	}
	same := 0
	for _, key := range s.keys {
		mac := hmac.New(sha256.New, key)
		for _, part := range [...][]byte{id, {'.'}, at, {'.'}, body} {
			mac.Write(part)
		}
		want := base64.StdEncoding.AppendEncode(nil, mac.Sum(nil))
		rest := signatures
		for n := 0; n < maxSignatures && len(rest) > 0; n++ {
			var one []byte
			one, rest, _ = bytes.Cut(rest, []byte{' '})
			if version, text, _ := bytes.Cut(one, []byte{','}); string(version) == "v1" {
				same |= subtle.ConstantTimeCompare(want, text)
			}
		}
	}
	return same == 1
}

func (standardSigned) id(d *delivery) []byte {
	for _, name := range standardNames {
		if id := d.header(name + "id"); len(id) > 0 {
			return id
		}
	}
	return nil
}

// bodySigned knows senders whose header is the HMAC-SHA256 of the body, its key the secret's plain bytes.
type bodySigned struct {
	name   string
	prefix string // before the signature
	decode func(dst, text []byte) ([]byte, error)
	length int // of the header
	keys   [][]byte
}

func newHexSigned(header string, secrets []configs.Secret) bodySigned {
	return newBodySigned(&configs.ParserHMAC{Header: header, Secrets: secrets})
}

func newBodySigned(h *configs.ParserHMAC) bodySigned {
	s := bodySigned{name: h.Header, prefix: h.Prefix, decode: hex.AppendDecode, length: hex.EncodedLen(sha256.Size)}
	if h.Encoding == "base64" {
		s.decode, s.length = base64.StdEncoding.AppendDecode, base64.StdEncoding.EncodedLen(sha256.Size)
	}
	s.length += len(h.Prefix)
	for _, secret := range h.Secrets {
		s.keys = append(s.keys, []byte(secret))
	}
	return s
}

func (s bodySigned) admits(d *delivery) *refusal {
	if len(d.header(s.name)) != s.length {
		return refuseUnsigned
	}
	return nil
}

func (s bodySigned) signed(d *delivery, body []byte) bool {
	text, ok := bytes.CutPrefix(d.header(s.name), []byte(s.prefix))
	if !ok {
		return false
	}
	signature, err := s.decode(nil, text)
	if err != nil {
		return false
	}
	same := 0
	for _, key := range s.keys {
		mac := hmac.New(sha256.New, key)
		mac.Write(body)
		same |= subtle.ConstantTimeCompare(mac.Sum(nil), signature)
	}
	return same == 1
}

func (bodySigned) id(*delivery) []byte { return nil }

// anyOf takes what one of its verifiers takes.
type anyOf []verifier

// newRegisteredVerifier knows a provider by every way that its parser sets.
func newRegisteredVerifier(a *configs.ParserAuth, tolerance time.Duration) verifier {
	var ways anyOf
	if len(a.StandardSecrets) > 0 {
		ways = append(ways, newStandardSigned(a.StandardSecrets, tolerance))
	}
	if len(a.HMAC.Secrets) > 0 {
		ways = append(ways, newBodySigned(&a.HMAC))
	}
	if a.Username != "" || len(a.PathSecrets) > 0 {
		ways = append(ways, newUnsigned(&a.InboundUnsigned))
	}
	return ways
}

func (ways anyOf) admits(d *delivery) *refusal {
	refused := refuseUnsigned // where there is no way, nobody comes in
	for i, v := range ways {
		switch r := v.admits(d); {
		case r == nil:
			return nil
		case i == 0:
			refused = r
		}
	}
	return refused
}

func (ways anyOf) signed(d *delivery, body []byte) bool {
	for _, v := range ways {
		if v.admits(d) == nil && v.signed(d, body) {
			return true
		}
	}
	return false
}

func (ways anyOf) id(d *delivery) []byte {
	for _, v := range ways {
		if id := v.id(d); len(id) > 0 {
			return id
		}
	}
	return nil
}

// unsigned knows senders that sign nothing: by Basic auth, or by a secret in the path. It keeps hashes of one length: comparing them tells nothing of how long a secret is, or
// how much of it was right.
type unsigned struct {
	basic [][sha256.Size]byte // of user:password
	paths [][sha256.Size]byte
}

func newUnsigned(p *configs.InboundUnsigned) unsigned {
	var k unsigned
	if p.Username != "" {
		k.basic = append(k.basic, sha256.Sum256([]byte(p.Username+":"+string(p.Password))))
	}
	for _, secret := range p.PathSecrets {
		k.paths = append(k.paths, sha256.Sum256([]byte(secret)))
	}
	return k
}

func (k unsigned) admits(d *delivery) *refusal {
	login := []byte(nil)
	if scheme, text, _ := bytes.Cut(d.header("Authorization"), []byte{' '}); bytes.EqualFold(scheme, []byte("basic")) {
		login, _ = base64.StdEncoding.AppendDecode(nil, bytes.TrimSpace(text)) // what is none is nobody's
	}
	if oneOf(k.basic, login)|oneOf(k.paths, d.secret) == 1 {
		return nil
	}
	return refuseLogin
}

func oneOf(hashes [][sha256.Size]byte, text []byte) (same int) {
	hash := sha256.Sum256(text)
	for i := range hashes {
		same |= subtle.ConstantTimeCompare(hashes[i][:], hash[:])
	}
	return same
}

func (unsigned) signed(*delivery, []byte) bool { return true }

func (unsigned) id(*delivery) []byte { return nil }
