package formats

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"time"

	"waypost/configs"
	"waypost/edge/event"
)

// Signer makes Standard Webhooks' headers, which may ride beside any format. Safe for concurrent use.
type Signer struct{ keys [][]byte }

// NewSigner reads secrets, whsec_<base64> each; while a secret is replaced there are two, and the receiver knows one of them.
func NewSigner(secrets ...configs.Secret) (*Signer, error) {
	s := &Signer{}
	for _, secret := range secrets {
		key, err := secret.StandardKey()
		if err != nil {
			return nil, err
		}
		s.keys = append(s.keys, key)
	}
	return s, nil
}

// SetHeaders sets the headers of an attempt at that time: the event's id, which is the same over retries, restarts and endpoints; the time; a
// v1 signature for each secret.
func (s *Signer) SetHeaders(h http.Header, id event.ID, at time.Time, body []byte) {
	timestamp, signature := s.sign(id.String(), at, body)
	h.Set("Webhook-Id", id.String())
	h.Set("Webhook-Timestamp", timestamp)
	h.Set("Webhook-Signature", signature)
}

// sign gives the values of webhook-timestamp and webhook-signature. The id holds no dot.
func (s *Signer) sign(id string, at time.Time, body []byte) (timestamp, signature string) {
	timestamp = strconv.FormatInt(at.Unix(), 10)
	var list []byte
	for i, key := range s.keys {
		if i > 0 {
			list = append(list, ' ')
		}
		list = append(list, "v1,"...)
		list = base64.StdEncoding.AppendEncode(list, sum(key, []byte(id), dot, []byte(timestamp), dot, body))
	}
	return timestamp, string(list)
}

var dot = []byte{'.'}

// hexSignature is lower-case hex of the HMAC-SHA256 of the body, with the secret's text as the key: Maileroo's and NexoMailer's.
func hexSignature(secret string, body []byte) string {
	return hex.EncodeToString(sum([]byte(secret), body))
}

func sum(key []byte, parts ...[]byte) []byte {
	mac := hmac.New(sha256.New, key)
	for _, part := range parts {
		mac.Write(part)
	}
	return mac.Sum(nil)
}
