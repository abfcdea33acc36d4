package server

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"

	"waypost/configs"
)

// apiKeys are the keys of one tenant, as hashes of one length: comparing them tells nothing of how long a key is, or how much of it was right.
type apiKeys [][sha256.Size]byte

func newAPIKeys(keys []configs.Secret) apiKeys {
	hashes := make(apiKeys, len(keys))
	for i, key := range keys {
		hashes[i] = sha256.Sum256([]byte(key))
	}
	return hashes
}

// admits says whether the value of a header Authorization is Bearer and one of the keys. All are tried, whichever fits.
func (a apiKeys) admits(header []byte) bool {
	scheme, key, _ := bytes.Cut(header, []byte(" "))
	hash := sha256.Sum256(bytes.TrimLeft(key, " "))
	same := 0
	for i := range a {
		same |= subtle.ConstantTimeCompare(hash[:], a[i][:])
	}
	return same == 1 && bytes.EqualFold(scheme, []byte("bearer"))
}
