package load

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// reply is what a server answered to one request.
type reply struct {
	status int
	header http.Header
	bytes  int // head and body
	body   int
	framed bool // by a Content-Length
}

// lines are the headers as NAME: VALUE, but for those that every server writes itself.
func (r *reply) lines() (lines []string) {
	for _, name := range slices.Sorted(maps.Keys(r.header)) {
		if name != "Date" && name != "Content-Length" {
			lines = append(lines, name+": "+r.header[name][0])
		}
	}
	return lines
}

// differences tells in what r differs from the yardstick's answer; the Location is a matter of the link.
func (r *reply) differences(yardstick *reply) string {
	var d []string
	if r.status != yardstick.status {
		d = append(d, fmt.Sprintf("status %d", r.status))
	}
	for _, name := range slices.Sorted(maps.Keys(r.header)) {
		value, want := r.header.Get(name), yardstick.header.Get(name)
		switch {
		case name == "Date" || name == "Content-Length" || name == "Location":
		case want == "":
			d = append(d, "with "+name+": "+value)
		case want != value:
			d = append(d, name+": "+value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(yardstick.header)) {
		if r.header.Get(name) == "" && name != "Content-Length" {
			d = append(d, "no "+name)
		}
	}
	if r.body != yardstick.body {
		d = append(d, fmt.Sprintf("a body of %d bytes", r.body))
	}
	return strings.Join(d, ", ")
}

// ask sends one click, as the generator does, and does not follow the answer.
func ask(addr netip.AddrPort, host, path string) (*reply, error) {
	return askWhole(addr, fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", path, host, browserHeaders))
}

// askWhole sends a request as it is.
func askWhole(addr netip.AddrPort, request []byte) (*reply, error) {
	conn, err := net.DialTimeout("tcp4", addr.String(), 5*time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	method, _, _ := strings.Cut(string(request), " ")
	counted := &countingReader{from: conn}
	response, err := http.ReadResponse(bufio.NewReader(counted), &http.Request{Method: method})
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.Copy(io.Discard, response.Body)
	return &reply{response.StatusCode, response.Header, counted.n, int(body), response.ContentLength >= 0}, err
}

// countingReader counts what was read.
type countingReader struct {
	from io.Reader
	n    int
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.n += n
	return n, err
}
