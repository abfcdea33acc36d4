package load

import (
	"bytes"
	"errors"
)

// Faults of an answer that this client does not read. It reads HTTP/1.x answers with a Content-Length.
var (
	errNotHTTP  = errors.New("load: the answer is not HTTP/1")
	errNoLength = errors.New("load: the answer has no Content-Length")
	errUnasked  = errors.New("load: more came than was asked for")
	errTooBig   = errors.New("load: the answer is longer than the client keeps")
)

var headEnd = []byte("\r\n\r\n")

// scanAnswer finds the status and the whole length of the answer at the start of buf. Length 0: not all of its head is there yet. The answer to a HEAD is bodiless,
// whatever length it tells.
func scanAnswer(buf []byte, bodiless bool) (status, length int, err error) {
	end := bytes.Index(buf, headEnd)
	if end < 0 {
		return 0, 0, nil
	}
	head := buf[:end+2]
	if len(head) < 14 || string(head[:7]) != "HTTP/1." || head[8] != ' ' {
		return 0, 0, errNotHTTP
	}
	status, ok := decimal(head[9:12])
	if !ok || status < 100 {
		return 0, 0, errNotHTTP
	}
	if bodiless {
		return status, end + len(headEnd), nil
	}
	body, err := contentLength(head)
	if err != nil {
		return 0, 0, err
	}
	return status, end + len(headEnd) + body, nil
}

// contentLength looks at each header line; the first is the status line.
func contentLength(head []byte) (int, error) {
	const name = "content-length:"
	for {
		eol := bytes.IndexByte(head, '\n')
		if eol < 0 || eol+1 == len(head) {
			return 0, errNoLength
		}
		head = head[eol+1:]
		if len(head) < len(name) || head[0]|0x20 != 'c' || head[len(name)-1] != ':' || !bytes.EqualFold(head[:len(name)], []byte(name)) {
			continue
		}
		line, _, _ := bytes.Cut(head[len(name):], []byte("\r\n"))
		n, ok := decimal(bytes.TrimSpace(line))
		if !ok {
			return 0, errNoLength
		}
		return n, nil
	}
}

// decimal reads a plain number of at most nine digits.
func decimal(text []byte) (int, bool) {
	if len(text) == 0 || len(text) > 9 {
		return 0, false
	}
	n := 0
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}
