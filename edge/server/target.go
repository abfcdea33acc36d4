package server

import "bytes"

// target is what a request line asks for.
type target struct {
	host []byte // of the absolute form, else of the Host header
	path []byte // without the slash it begins with, without query and fragment
}

// parseTarget reads a request target in origin form ("/token?x") or absolute form ("http://host/token"), in which its host is the one that
// counts (RFC 9112, 3.2.2). It never fails: what has no path has an empty one.
func parseTarget(uri, host []byte) target {
	if len(uri) > 0 && uri[0] != '/' {
		rest, ok := cutScheme(uri)
		if !ok {
			return target{host: host}
		}
		n := bytes.IndexAny(rest, "/?#")
		if n < 0 {
			n = len(rest)
		}
		host, uri = rest[:n], rest[n:]
		if at := bytes.LastIndexByte(host, '@'); at >= 0 {
			host = host[at+1:]
		}
	}
	if len(uri) == 0 || uri[0] != '/' {
		return target{host: host}
	}
	path := uri[1:]
	for i, c := range path {
		if c == '?' || c == '#' {
			path = path[:i]
			break
		}
	}
	return target{host: host, path: path}
}

func cutScheme(uri []byte) (rest []byte, ok bool) {
	for _, scheme := range [...]string{"http://", "https://"} {
		if len(uri) >= len(scheme) && bytes.EqualFold(uri[:len(scheme)], []byte(scheme)) {
			return uri[len(scheme):], true
		}
	}
	return nil, false
}
