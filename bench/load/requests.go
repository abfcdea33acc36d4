package load

import (
	"fmt"

	"waypost/mint/link"
)

// requests are prepared GETs that differ in their path only. The paths lie one after the other in one piece of memory; the request sent is built in one small
// buffer, so that preparing millions does not drive the rest out of the generator's caches.
type requests struct {
	paths   []byte
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
	return &requests{suffix: " HTTP/1.1\r\nHost: " + host + "\r\n" + headers + "\r\n"}
}

// add appends a path, which begins with a slash.
func (r *requests) add(path []byte) {
	r.paths = append(r.paths, path...)
	r.ends = append(r.ends, uint32(len(r.paths)))
}

// seal replaces what is prepared by n links that m makes, sealed under k.
func (r *requests) seal(k *link.Keyring, m *linkMaker, n int) error {
	r.reset()
	var l link.Link
	for range n {
		m.next(&l)
		r.paths = append(r.paths, '/')
		var err error
		if r.paths, err = k.AppendToken(r.paths, &l); err != nil {
			return fmt.Errorf("load: sealing a link: %w", err)
		}
		r.ends = append(r.ends, uint32(len(r.paths)))
	}
	return nil
}

// repeat prepares n requests for the path that was added first.
func (r *requests) repeat(n int) {
	path := r.paths[:r.ends[0]]
	r.reset()
	for range n {
		r.add(path)
	}
}

func (r *requests) reset() { r.paths, r.ends, r.at = r.paths[:0], r.ends[:0], 0 }

func (r *requests) left() int { return len(r.ends) - r.at }

// next is the next request; nil when none is left. It is valid until the next call.
func (r *requests) next() []byte {
	if r.at == len(r.ends) {
		return nil
	}
	begin := uint32(0)
	if r.at > 0 {
		begin = r.ends[r.at-1]
	}
	r.request = append(r.request[:0], "GET "...)
	r.request = append(r.request, r.paths[begin:r.ends[r.at]]...)
	r.request = append(r.request, r.suffix...)
	r.at++
	return r.request
}
