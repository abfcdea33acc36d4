package formats

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"waypost/configs"
)

const (
	newSecret = configs.Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	oldSecret = configs.Secret("whsec_b2xkIHNlY3JldCBvZiAyNCBieXRlcyBvciBtb3Jl")
)

func signer(t *testing.T, secrets ...configs.Secret) *Signer {
	t.Helper()
	s, err := NewSigner(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The vector of the Standard Webhooks specification.
func TestSignatureVector(t *testing.T) {
	timestamp, signature := signer(t, newSecret).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if timestamp != "1614265330" || signature != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Errorf("%s %s", timestamp, signature)
	}
}

// While a secret is replaced, who knows either of the two verifies; a changed byte, id or time verifies for nobody.
func TestSignatureIsVerifiedByOthers(t *testing.T) {
	e := click()
	for name, f := range byName {
		text := body(t, f, e)
		h := http.Header{}
		signer(t, newSecret, oldSecret).SetHeaders(h, e.ID, time.Now(), text)
		if h.Get("webhook-id") != e.ID.String() || strings.Contains(h.Get("webhook-id"), ".") {
			t.Errorf("id %q", h.Get("webhook-id"))
		}
		for _, secret := range []configs.Secret{newSecret, oldSecret} {
			webhook, err := standardwebhooks.NewWebhook(string(secret))
			if err != nil {
				t.Fatal(err)
			}
			if err := webhook.Verify(text, h); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			changed := append([]byte(nil), text...)
			changed[len(changed)/2] ^= 1
			if webhook.Verify(changed, h) == nil {
				t.Errorf("%s: a changed byte verifies", name)
			}
			for header, value := range map[string]string{"Webhook-Id": "another", "Webhook-Timestamp": "1614265330"} {
				other := h.Clone()
				other.Set(header, value)
				if webhook.Verify(text, other) == nil {
					t.Errorf("%s: another %s verifies", name, header)
				}
			}
		}
	}
}

func TestSecrets(t *testing.T) {
	for _, secret := range []configs.Secret{"", "whsec_", "whsec_*", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"} {
		if _, err := NewSigner(newSecret, secret); err != configs.ErrStandardSecret {
			t.Errorf("%q: %v", string(secret), err)
		}
	}
}

// What Maileroo and NexoMailer send for these bodies under the key test-secret.
func TestHexSignatureVectors(t *testing.T) {
	for file, want := range map[string]string{
		"testdata/maileroo-click.json":   "c700bab7898678debf3df89edb24a97ebcff3e938502d46d5c628c837ba13129",
		"testdata/nexomailer-click.json": "8b0a4c6ca75602d39a458b77c6084f6415a97a9fad970f732ec738c21dc5a507",
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := hexSignature("test-secret", text); got != want {
			t.Errorf("%s: %s, want %s", file, got, want)
		}
	}
}
