package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"hash"
	"sync"

	"waypost/configs"
)

// SignatureHeader carries the lower-case hex HMAC-SHA256 of the body, its key the secret's plain bytes.
const SignatureHeader = "Outreach-Webhook-Signature"

// Sign gives the value of the header Outreach-Webhook-Signature for body.
func Sign(body []byte, secret configs.Secret) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// secret verifies signatures of one secret. Requests share nothing but the pool, which has no lock.
type secret struct{ macs sync.Pool }

// mac is an HMAC that has hashed its key already: Reset takes it back to there, at no further cost.
type mac struct {
	hash.Hash
	sum  [sha256.Size]byte
	text [2 * sha256.Size]byte
}

func newSecret(key configs.Secret) *secret {
	s := &secret{}
	s.macs.New = func() any { return &mac{Hash: hmac.New(sha256.New, []byte(key))} }
	return s
}

// verify says whether signature is body's. Its time does not depend on how much of the signature is right.
func (s *secret) verify(body, signature []byte) bool {
	m := s.macs.Get().(*mac)
	m.Reset()
	m.Write(body)
	hex.Encode(m.text[:], m.Sum(m.sum[:0]))
	same := subtle.ConstantTimeCompare(m.text[:], signature) == 1
	s.macs.Put(m)
	return same
}

// verifyAny tries every secret of a tenant: while one is being replaced, two are valid.
func verifyAny(secrets []*secret, body, signature []byte) bool {
	for _, s := range secrets {
		if s.verify(body, signature) {
			return true
		}
	}
	return false
}
