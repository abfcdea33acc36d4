package inbound

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"waypost/configs"
)

// A registered provider is known by any of the ways that its parser sets, and by nothing else.
func TestRegisteredVerifier(t *testing.T) {
	const body = `{"event":"delivered"}`
	mac := hmac.New(sha256.New, []byte(hexSecret))
	mac.Write([]byte(body))
	sum := mac.Sum(nil)
	plain, encoded := hex.EncodeToString(sum), base64.StdEncoding.EncodeToString(sum)
	inHex := configs.ParserAuth{HMAC: configs.ParserHMAC{Header: "X-Acme-Signature", Prefix: "sha256=", Encoding: "hex", Secrets: []configs.Secret{hexOldSecret, hexSecret}}}
	inBase64 := configs.ParserAuth{HMAC: configs.ParserHMAC{Header: "X-Acme-Signature", Encoding: "base64", Secrets: []configs.Secret{hexSecret}}}
	both := inHex
	both.Username, both.Password, both.PathSecrets = "acme", "pass", []configs.Secret{pathSecret}
	standard := configs.ParserAuth{StandardSecrets: []configs.Secret{resendSecret}}
	login := "Basic " + base64.StdEncoding.EncodeToString([]byte("acme:pass"))
	for name, c := range map[string]struct {
		auth                  configs.ParserAuth
		header, value, secret string
		body                  string
		want                  bool
	}{
		"hex":                       {inHex, "X-Acme-Signature", "sha256=" + plain, "", body, true},
		"hex in capitals":           {inHex, "X-Acme-Signature", "sha256=" + strings.ToUpper(plain), "", body, true},
		"no prefix":                 {inHex, "X-Acme-Signature", plain, "", body, false},
		"another prefix":            {inHex, "X-Acme-Signature", "sha512=" + plain, "", body, false},
		"another body":              {inHex, "X-Acme-Signature", "sha256=" + plain, "", body + " ", false},
		"base64 where hex is":       {inHex, "X-Acme-Signature", "sha256=" + encoded, "", body, false},
		"no hex":                    {inHex, "X-Acme-Signature", "sha256=" + strings.Repeat("x", 64), "", body, false},
		"another header":            {inHex, "X-Signature", "sha256=" + plain, "", body, false},
		"nothing":                   {inHex, "", "", "", body, false},
		"base64":                    {inBase64, "X-Acme-Signature", encoded, "", body, true},
		"hex where base64 is":       {inBase64, "X-Acme-Signature", plain, "", body, false},
		"several ways, signature":   {both, "X-Acme-Signature", "sha256=" + plain, "", body, true},
		"several ways, login":       {both, "Authorization", login, "", body, true},
		"several ways, path":        {both, "", "", pathSecret, body, true},
		"several ways, wrong path":  {both, "", "", pathSecret + "x", body, false},
		"a signature that is wrong": {both, "X-Acme-Signature", "sha256=" + strings.Repeat("0", 64), "", body, false},
		"no way is open to nobody":  {configs.ParserAuth{}, "", "", "", body, false},
		"standard without headers":  {standard, "", "", "", body, false},
	} {
		d := delivery{secret: []byte(c.secret), at: time.Now(), header: func(name string) []byte {
			if strings.EqualFold(name, c.header) {
				return []byte(c.value)
			}
			return nil
		}}
		v := newRegisteredVerifier(&c.auth, time.Minute)
		if got := v.admits(&d) == nil && v.signed(&d, []byte(c.body)); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// Every mistake in a tenant's expressions is found, with the key of the settings.
func TestCheckTenant(t *testing.T) {
	tenant := configs.DefaultTenant()
	tenant.Inbound.Parsers = []configs.Parser{
		{Name: "good", Type: `"email.sent"`, Message: "item.id"},
		{Name: "bad", Type: `"email.snet"`, Message: "item.", Recipient: "itm"},
	}
	var keys []string
	for _, f := range CheckTenant(&tenant) {
		keys = append(keys, f.Key)
	}
	if got := strings.Join(keys, " "); got != "inbound.parsers[1].type inbound.parsers[1].message inbound.parsers[1].recipient" {
		t.Error(got)
	}
}

func TestRegistered(t *testing.T) {
	tenant := configs.DefaultTenant()
	tenant.Inbound.Parsers = []configs.Parser{{Name: "acmemail", Each: "body", Type: "item.event", Types: map[string]string{"sent": "email.sent", "*": "ignore"}, Message: "item.id", Recipient: "item.to"}}
	m := mapperOf(&tenant, "acmemail")
	all, err := m.Map([]byte(`[{"event":"other"},{"event":"sent","id":7,"to":"Ann <ann@example.com>"}]`))
	if err != nil || len(all) != 1 || string(all[0].Event.Recipient) != "ann@example.com" || string(all[0].Event.Message) != "7" || !all[0].Known {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := m.Map([]byte(`[{"event":"other"}]`)); err != ErrIgnored {
		t.Errorf("%v", err)
	}
	if Knows(&tenant, "brand") || !Knows(&tenant, "resend") || !Knows(&tenant, "acmemail") {
		t.Error("providers that are known")
	}
}
