package server

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"waypost/configs"
)

// What follows reads what anybody may have written. It is strict, so that a browser cannot read it otherwise: who is in doubt gets a page, not a redirect.

// maxMessageID bounds a message's id. NexoMailer's have 36 characters.
const maxMessageID = 200

// isMessageID says whether id can be one: visible ASCII.
func isMessageID(id []byte) bool {
	if len(id) == 0 || len(id) > maxMessageID {
		return false
	}
	for _, c := range id {
		if c <= ' ' || c >= 0x7F {
			return false
		}
	}
	return true
}

// queryOf is what stands between a request target's first ? and its fragment.
func queryOf(uri []byte) []byte {
	if end := bytes.IndexByte(uri, '#'); end >= 0 {
		uri = uri[:end]
	}
	_, query, _ := bytes.Cut(uri, []byte{'?'})
	return query
}

// parameters finds url and s in a query, still escaped. Others are passed over. Not ok: there is no url, or one of the two is written twice, of which programs take different ones.
func parameters(query []byte) (url, signature []byte, ok bool) {
	for len(query) > 0 {
		var pair []byte
		pair, query, _ = bytes.Cut(query, []byte{'&'})
		name, value, _ := bytes.Cut(pair, []byte{'='})
		to := &url
		switch string(name) {
		case "url":
		case "s":
			to = &signature
		default:
			continue
		}
		if *to != nil {
			return nil, nil, false
		}
		*to = value
		if value == nil { // a name without =
			*to = []byte{}
		}
	}
	return url, signature, len(url) > 0
}

// unescape appends s with each %XX replaced by its byte, once. Nothing else is changed: a plus stays a plus. Not ok: a % that begins no such triple.
func unescape(dst, s []byte) (unescaped []byte, ok bool) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) {
				return dst, false
			}
			var decoded [1]byte
			if _, err := hex.Decode(decoded[:], s[i+1:i+3]); err != nil {
				return dst, false
			}
			c, i = decoded[0], i+2
		}
		dst = append(dst, c)
	}
	return dst, true
}

// judge says whether the signature is one of the secrets' over the message's id, a line feed and the destination, in hex: nexoSigned, nexoForged, or nexoAsked without one.
// Neither id nor destination can hold a line feed, so no two links have the same bytes. All secrets are tried, whichever fits, in constant time each.
func judge(secrets [][]byte, id, destination, signature []byte) nexoOutcome {
	if len(signature) == 0 {
		return nexoAsked
	}
	var given, want [sha256.Size]byte
	if len(signature) != hex.EncodedLen(len(given)) {
		return nexoForged
	}
	if _, err := hex.Decode(given[:], signature); err != nil {
		return nexoForged
	}
	why := nexoForged
	for _, secret := range secrets {
		h := hmac.New(sha256.New, secret)
		h.Write(id)
		h.Write([]byte{'\n'})
		h.Write(destination)
		if hmac.Equal(h.Sum(want[:0]), given[:]) {
			why = nexoSigned
		}
	}
	return why
}

// listedHosts are where links of a tenant may lead without a signature.
type listedHosts map[configs.HostRule]struct{}

func newListedHosts(rules []configs.HostRule) listedHosts {
	l := make(listedHosts, len(rules))
	for _, rule := range rules {
		l[rule] = struct{}{}
	}
	return l
}

// take says whether a destination's host is listed. The host must be written plainly: labels of ASCII letters, digits, - and _ with single dots, or an address in brackets; a port in decimal, or none. A
// user before it, an escape, a backslash, another alphabet, an empty port, a dot at the end: such a host is none of the list, even where a browser would go to one that is.
func (l listedHosts) take(destination []byte) bool {
	rest, ok := cutScheme(destination)
	if !ok || len(l) == 0 {
		return false
	}
	usual := 80
	if len(destination)-len(rest) == len("https://") {
		usual = 443
	}
	if end := bytes.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	name, port, ok := plainHost(rest, usual)
	if !ok {
		return false
	}
	var room [maxHostName]byte
	name = appendLower(room[:0], name)
	if l.has(name, false, port, usual) {
		return true
	}
	for dot := bytes.IndexByte(name, '.'); dot >= 0 && name[0] != '['; dot = bytes.IndexByte(name, '.') {
		name = name[dot+1:]
		if l.has(name, true, port, usual) {
			return true
		}
	}
	return false
}

func (l listedHosts) has(name []byte, below bool, port, usual int) bool {
	if _, ok := l[configs.HostRule{Name: string(name), Below: below, Port: port}]; ok {
		return true
	}
	if port != usual {
		return false
	}
	_, ok := l[configs.HostRule{Name: string(name), Below: below}]
	return ok
}

// maxHostName is the longest name that the name service knows.
const maxHostName = 253

// plainHost parts a URL's host from its port, usual without one. Not ok where either is not written plainly.
func plainHost(authority []byte, usual int) (name []byte, port int, ok bool) {
	name, port = authority, usual
	if colon := bytes.LastIndexByte(authority, ':'); colon >= 0 && authority[len(authority)-1] != ']' {
		digits := string(authority[colon+1:])
		n, err := strconv.ParseUint(digits, 10, 16)
		if err != nil || n == 0 || strconv.FormatUint(n, 10) != digits {
			return nil, 0, false
		}
		name, port = authority[:colon], int(n)
	}
	if len(name) == 0 || len(name) > maxHostName {
		return nil, 0, false
	}
	if name[0] == '[' {
		return name, port, isBracketed(name)
	}
	previous := byte('.')
	for _, c := range name {
		if c == '.' && previous == '.' || c != '.' && !isLabelByte(c) {
			return nil, 0, false
		}
		previous = c
	}
	return name, port, previous != '.'
}

func isLabelByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

func isBracketed(name []byte) bool {
	if len(name) < 4 || name[len(name)-1] != ']' {
		return false
	}
	for _, c := range name[1 : len(name)-1] {
		if c != ':' && c != '.' && (c == '-' || c == '_' || !isLabelByte(c)) {
			return false
		}
	}
	return true
}

func appendLower(dst, s []byte) []byte {
	for _, c := range s {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}
