package link

import (
	"bytes"
	"encoding/binary"
)

// CheckDestination says whether url can be a link's destination: http or https, with a host, without control characters, spaces or DEL. Nothing
// is parsed further and nothing changed: every other byte, also above 0x7F, stays as it is. The error names the reason for counters:
// ErrScheme, ErrControl or ErrHost, in this order.
func CheckDestination(url []byte) error {
	rest, ok := cutScheme(url)
	if !ok {
		return ErrScheme
	}
	if !locationSafe(url) {
		return ErrControl
	}
	if host := authority(rest); len(host) == 0 || host[0] == ':' {
		return ErrHost
	}
	return nil
}

// DestinationHost is the host of a destination as it is written there, without port; an IPv6 address in its brackets. Nothing for what CheckDestination refuses.
func DestinationHost(url []byte) []byte {
	rest, ok := cutScheme(url)
	if !ok {
		return nil
	}
	host := authority(rest)
	if colon := bytes.LastIndexByte(host, ':'); colon >= 0 && bytes.IndexByte(host[colon:], ']') < 0 {
		host = host[:colon]
	}
	return host
}

// authority is host and port at the begin of what stands behind the scheme.
func authority(rest []byte) []byte {
	// Browsers end the host of a http URL at a backslash too.
	if end := bytes.IndexAny(rest, `/?#\`); end >= 0 {
		rest = rest[:end]
	}
	if at := bytes.LastIndexByte(rest, '@'); at >= 0 {
		rest = rest[at+1:]
	}
	return rest
}

// cutScheme takes http:// or https://, in any case, off url.
func cutScheme(url []byte) (rest []byte, ok bool) {
	for _, scheme := range [...]string{"https://", "http://"} {
		if len(url) >= len(scheme) && bytes.EqualFold(url[:len(scheme)], []byte(scheme)) {
			return url[len(scheme):], true
		}
	}
	return nil, false
}

// locationSafe says that url holds no byte up to 0x20 and no 0x7F: what could end a header line, or a link in one. Every opened link passes here,
// so eight bytes are looked at together.
func locationSafe(url []byte) bool {
	for len(url) >= 8 {
		if unsafeBytes(binary.LittleEndian.Uint64(url)) {
			return false
		}
		url = url[8:]
	}
	for _, c := range url {
		if c <= ' ' || c == 0x7F {
			return false
		}
	}
	return true
}

// unsafeBytes says whether one of x's eight bytes is up to 0x20, or 0x7F. Without their top bits the bytes cannot carry into each other: adding
// 0x5F sets the top bit of those from 0x21 on, adding 1 only that of 0x7F. Bytes with a top bit of their own are safe.
func unsafeBytes(x uint64) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	low := x &^ tops
	above := low + 0x5F*ones
	del := low + ones
	return (^above|del)&^x&tops != 0
}
