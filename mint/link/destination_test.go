package link

import (
	"fmt"
	"testing"
)

func TestCheckDestination(t *testing.T) {
	for url, want := range map[string]error{
		"https://www.google.com/":             nil,
		"http://a":                            nil,
		"HtTpS://A":                           nil,
		"https://user:pw@host:8080/p?q#f":     nil,
		"https://[::1]:80/":                   nil,
		"https://h/caf\xe9\xff\x80":           nil,
		"https://b\xc3\xbccher.example":       nil,
		"https://h/%0d%0a|<>\"{}\\^`":         nil,
		"https://h?q":                         nil,
		"":                                    ErrScheme,
		"https":                               ErrScheme,
		"https:/h":                            ErrScheme,
		"//host/path":                         ErrScheme,
		"mailto:a@b.c":                        ErrScheme,
		"javascript:alert(1)":                 ErrScheme,
		"ftp://host/":                         ErrScheme,
		" https://host/":                      ErrScheme,
		"https:\\\\host":                      ErrScheme,
		"https://":                            ErrHost,
		"https:///path":                       ErrHost,
		"https://?q":                          ErrHost,
		"https://#f":                          ErrHost,
		"https://:80/":                        ErrHost,
		"https://user@":                       ErrHost,
		"https://user@:80/":                   ErrHost,
		`https://\evil.example`:               ErrHost,
		"https://host/a b":                    ErrControl,
		"https://host/\r\nSet-Cookie: x":      ErrControl,
		"https://host/\tx":                    ErrControl,
		"https://host/\x7f":                   ErrControl,
		"https://host/\x00":                   ErrControl,
		"https:// host/":                      ErrControl,
		"https://host/long enough to be wide": ErrControl,
	} {
		if got := CheckDestination([]byte(url)); got != want {
			t.Errorf("CheckDestination(%q) = %v, want %v", url, got, want)
		}
	}
}

// Each byte value at each place of a word of eight, so that the wide check has no blind spot.
func TestLocationSafeKnowsEveryByteAtEveryPlace(t *testing.T) {
	for value := range 256 {
		want := value > ' ' && value != 0x7F
		for at := range 19 {
			for _, around := range []byte{'a', 0x21, 0x7E, 0x80, 0xFF} {
				url := make([]byte, 19)
				for i := range url {
					url[i] = around
				}
				url[at] = byte(value)
				if got := locationSafe(url); got != want {
					t.Fatalf("byte %#x at %d among %#x: %v", value, at, around, got)
				}
			}
		}
	}
}

func TestParseIDKeepsEveryText(t *testing.T) {
	for text, want := range map[string]idKind{
		"":                                     idAbsent,
		"0":                                    idNumber,
		"7":                                    idNumber,
		"18446744073709551615":                 idNumber,
		"18446744073709551616":                 idText,
		"18446744073709551620":                 idText,
		"99999999999999999999":                 idText,
		"100000000000000000000":                idText,
		"00":                                   idText,
		"007":                                  idText,
		"-1":                                   idText,
		"+1":                                   idText,
		"1.0":                                  idText,
		" 1":                                   idText,
		"0b0e7f3a-52c1-4c55-9c1e-5f7d2a3b4c5d": idUUID,
		"00000000-0000-0000-0000-000000000000": idUUID,
		"0B0E7F3A-52c1-4c55-9c1e-5f7d2a3b4c5d": idText,
		"0b0e7f3a-52c1-4c55-9c1e5-f7d2a3b4c5d": idText,
		"0b0e7f3a-52c1-4c55-9c1e-5f7d2a3b4c5g": idText,
		"0b0e7f3a52c14c559c1e5f7d2a3b4c5d":     idText,
		"<a@b.example>":                        idText,
		"\xff\x00":                             idText,
	} {
		parsed := ParseID([]byte(text))
		if parsed.kind != want || parsed.String() != text || parsed.IsZero() != (text == "") {
			t.Errorf("ParseID(%q): kind %d, text %q; want kind %d", text, parsed.kind, parsed, want)
		}
		if !parsed.Equal(ParseID([]byte(text))) || parsed.Equal(ParseID([]byte(text+"1"))) {
			t.Errorf("Equal is wrong about %q", text)
		}
	}
}

func TestDecodeTokenIsStrict(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "AA": "\x00", "AAA": "\x00\x00", "AAAA": "\x00\x00\x00", "-_8": "\xfb\xff", "__-_": "\xff\xff\xbf",
	} {
		got := make([]byte, decodedLen(len(text)))
		if !decodeToken(got, []byte(text)) || string(got) != want {
			t.Errorf("decodeToken(%q) = %q, want %q", text, got, want)
		}
	}
	refused := []string{"A", "AAAAA", "AB", "AP", "AAB", "AAD", "AA==", "AA=", "AAA=", "AA\r\n", "\nAAA", "AA A", "AA+A", "AA/A", "AAA\x80", "\xffAAA", "AAé"}
	for c := range 256 {
		if value := decodeValue[c]; value == badCharacter {
			refused = append(refused, fmt.Sprintf("AA%cA", c), "AA"+string([]byte{byte(c)}), string([]byte{byte(c), 'A'}))
		}
	}
	for _, text := range refused {
		if decodeToken(make([]byte, decodedLen(len(text))+3), []byte(text)) {
			t.Errorf("decodeToken(%q) was taken", text)
		}
	}
}

func TestDestinationHost(t *testing.T) {
	for url, want := range map[string]string{
		"https://example.com":                  "example.com",
		"HTTP://Example.COM:8080/path?x#y":     "Example.COM",
		"https://user:pass@example.com/":       "example.com",
		"https://good.example@evil.example:1/": "evil.example",
		`https://evil.example\@good.example/`:  "evil.example",
		"https://evil.example?@good.example/":  "evil.example",
		"https://[2001:db8::1]:443/":           "[2001:db8::1]",
		"https://[2001:db8::1]":                "[2001:db8::1]",
		"ftp://example.com/":                   "",
		"https:///":                            "",
		"":                                     "",
	} {
		if got := string(DestinationHost([]byte(url))); got != want {
			t.Errorf("%s: host %q, want %q", url, got, want)
		}
	}
}
