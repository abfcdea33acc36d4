package length

import (
	"encoding/base64"
	"strings"
	"testing"
)

func decode(t *testing.T, e *base64.Encoding, text string) []byte {
	t.Helper()
	b, err := e.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The example of RFC 7515, appendix A.1: header and payload with the line breaks that it has there.
func TestJWTOfRFC7515(t *testing.T) {
	key := decode(t, encoding, "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
	header := "{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}"
	payload := "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}"
	want := "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9" +
		".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ" +
		".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	if got := string(appendJWT(nil, key, []byte(header), []byte(payload))); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Made by Python's hmac, hashlib and base64 modules. The prefix shows that what stands before a token is not signed.
func TestSignedClaims(t *testing.T) {
	const (
		text   = `{"t":1,"m":4815162342,"p":123456789,"u":654321,"n":3,"iat":1767225600,"d":"https://example.com/?a=1&b=<2>"}`
		claims = "eyJ0IjoxLCJtIjo0ODE1MTYyMzQyLCJwIjoxMjM0NTY3ODksInUiOjY1NDMyMSwibiI6MywiaWF0IjoxNzY3MjI1NjAwLCJkIjoiaHR0cHM6Ly9leGFtcGxlLmNvbS8_YT0xJmI9PDI-In0"
	)
	key := []byte("a key of our own")
	for _, test := range []struct {
		name string
		got  []byte
		want string
	}{
		{"jwt", appendJWT([]byte("/"), key, []byte(jwtHeader), []byte(text)),
			"/eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." + claims + ".N7dVeBFQg1fJjj1BSd9Y_Ux8-aEjR-bplF0aY2Xy3FY"},
		{"hmac", appendHMAC([]byte("/"), key, []byte(text), 32), "/" + claims + ".aOKdP_SgYRBwpF0AyAOJBbYWeRXlDrdq2dnPC101Frc"},
		{"hmac-16", appendHMAC([]byte("/"), key, []byte(text), 16), "/" + claims + ".aOKdP_SgYRBwpF0AyAOJBQ"},
	} {
		if string(test.got) != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.name, test.got, test.want)
		}
	}
}

// The first is the specification's generate.json; the second, whose message ends with a block, was made by PyCA's cryptography.
func TestFernetVectors(t *testing.T) {
	key := [32]byte(decode(t, base64.URLEncoding, "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="))
	for _, test := range []struct {
		seconds uint64
		firstIV byte
		message string
		want    string
	}{
		{499162800, 0, "hello", "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA=="},
		{1767225600, 16, strings.Repeat("x", 32), "gAAAAABpVbkAEBESExQVFhcYGRobHB0eHwLG835nJNrOEgun_IJINf_tLpB4H26WhTTnIUQJsSn2KHoAPOg1dZnb7Gon7J6N8LWyOfS3YhtTgQ736q5ofMFqOMs5MhuCyfAw5JHDhoeB"},
	} {
		var iv [16]byte
		for i := range iv {
			iv[i] = test.firstIV + byte(i)
		}
		if got := string(appendFernet(nil, key, test.seconds, iv, []byte(test.message))); got != test.want {
			t.Errorf("%q:\ngot  %s\nwant %s", test.message, got, test.want)
		}
	}
}
