package load

import (
	"fmt"

	"waypost/mint/link"
)

// requests are prepared ones that differ in their heads: the request line, and headers that a request has for itself. The heads lie one after the other in one piece
// of memory; the request sent is built in one small buffer, so that preparing millions does not drive the rest out of the generator's caches.
type requests struct {
	heads   []byte
	ends    []uint32
	at      int
	suffix  string
	request []byte
}

// browserHeaders are what a click sends that Chrome makes out of a web mailer.
const browserHeaders = "User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
	"Accept-Language: en-US,en;q=0.9\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"

// headerSets are the choices of --headers.
var headerSets = map[string]string{"browser": browserHeaders, "minimal": ""}

func newRequests(headers string) *requests { return newRequestsTo(loadHost, headers) }

func newRequestsTo(host, headers string) *requests {
	return &requests{suffix: "Host: " + host + "\r\n" + headers + "\r\n"}
}

// What stands before and behind the path in the line of a request.
const (
	getLine = "GET /"
	lineEnd = " HTTP/1.1\r\n"
)

// add appends a GET of a path, which begins with a slash.
func (r *requests) add(path []byte) {
	r.heads = append(append(append(r.heads, "GET "...), path...), lineEnd...)
	r.end()
}

// end ends the head that was appended to heads.
func (r *requests) end() { r.ends = append(r.ends, uint32(len(r.heads))) }

// seal replaces what is prepared by n links that m makes, sealed under k.
func (r *requests) seal(k *link.Keyring, m *linkMaker, n int) error {
	r.reset()
	var l link.Link
	for range n {
		m.next(&l)
		r.heads = append(r.heads, getLine...)
		var err error
		if r.heads, err = k.AppendToken(r.heads, &l); err != nil {
			return fmt.Errorf("load: sealing a link: %w", err)
		}
		r.heads = append(r.heads, lineEnd...)
		r.end()
	}
	return nil
}

// repeat prepares n requests like the one that was added first.
func (r *requests) repeat(n int) {
	head := r.head(0)
	r.reset()
	for range n {
		r.heads = append(r.heads, head...)
		r.end()
	}
}

func (r *requests) reset() { r.heads, r.ends, r.at = r.heads[:0], r.ends[:0], 0 }

// head is the i-th of those prepared.
func (r *requests) head(i int) []byte {
	begin := uint32(0)
	if i > 0 {
		begin = r.ends[i-1]
	}
	return r.heads[begin:r.ends[i]]
}

func (r *requests) left() int { return len(r.ends) - r.at }

// next is the next request; nil when none is left. It is valid until the next call.
func (r *requests) next() []byte {
	if r.at == len(r.ends) {
		return nil
	}
	r.request = append(r.request[:0], r.head(r.at)...)
	r.request = append(r.request, r.suffix...)
	r.at++
	return r.request
}
