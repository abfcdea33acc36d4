package configs

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretIsNeverPrinted(t *testing.T) {
	const value = "hunter2"
	hex := fmt.Sprintf("%x", value)
	endpoint := Endpoint{Secret: value, Password: value, StandardSecrets: []Secret{value}, Headers: []Header{{Name: "X-Token", Value: value}}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%T %v"} {
		for _, is := range []any{Secret(value), endpoint, &endpoint, []Secret{value}, map[string]Secret{"a": value}} {
			if got := fmt.Sprintf(verb, is, is); strings.Contains(got, value) || strings.Contains(strings.ToLower(got), hex) {
				t.Errorf("%s of %T shows the secret: %s", verb, is, got)
			}
		}
	}
	text, err := json.Marshal(endpoint)
	if err != nil || bytes.Contains(text, []byte(value)) || !bytes.Contains(text, []byte(mask)) {
		t.Errorf("JSON: %s, %v", text, err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", Secret(value), "endpoint", endpoint)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", Secret(value), "endpoint", endpoint)
	if strings.Contains(log.String(), value) || strings.Count(log.String(), mask) < 4 {
		t.Errorf("log: %s", log.String())
	}
}

func TestStandardKey(t *testing.T) {
	whsec := func(n int) Secret {
		return Secret("whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xfb}, n)))
	}
	for _, n := range []int{24, 25, 32, 64} {
		if key, err := whsec(n).StandardKey(); err != nil || len(key) != n {
			t.Errorf("%d bytes: %d, %v", n, len(key), err)
		}
	}
	for name, s := range map[string]Secret{
		"empty": "", "short": whsec(23), "long": whsec(65), "bare": whsec(32)[6:], "URL alphabet": "whsec_" + Secret(base64.URLEncoding.EncodeToString(bytes.Repeat([]byte{0xfb}, 24))),
		"no padding": Secret(strings.TrimRight(string(whsec(25)), "=")), "line break": whsec(24) + "\n", "capital": "WHSEC_" + whsec(24)[6:],
	} {
		if _, err := s.StandardKey(); err != ErrStandardSecret {
			t.Errorf("%s: %v", name, err)
		}
	}
}
