package configs

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

const mask = "***"

// Secret is a value that is never printed: every way of formatting masks it. string(s) is the value.
type Secret string

// String hides the value.
func (Secret) String() string { return mask }

// Format hides the value under every verb, also those that would go round String.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, mask) }

// LogValue hides the value from logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(mask) }

// MarshalText hides the value from JSON and YAML.
func (Secret) MarshalText() ([]byte, error) { return []byte(mask), nil }

// ErrStandardSecret is the refusal of StandardKey.
var ErrStandardSecret = errors.New("must be whsec_ and base64 of 24 to 64 bytes")

// StandardKey is the signing key of a Standard Webhooks secret: what whsec_<base64> stands for, 24 to 64 bytes. ErrStandardSecret otherwise.
func (s Secret) StandardKey() ([]byte, error) {
	text, ok := strings.CutPrefix(string(s), "whsec_")
	if !ok || strings.ContainsAny(text, "\r\n") { // which base64 would pass over
		return nil, ErrStandardSecret
	}
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(key) < 24 || len(key) > 64 {
		return nil, ErrStandardSecret
	}
	return key, nil
}
