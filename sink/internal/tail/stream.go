package tail

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"time"
)

// maxLine bounds a line of a stream: an event has 64 KiB at most, and what is added to it.
const maxLine = 1 << 20

// message is one event of a stream. An id may come alone.
type message struct {
	id, event, data string
	retry           time.Duration // 0: nothing was said
}

// stream reads server-sent events, with lines that end in LF or CR LF.
type stream struct {
	lines   *bufio.Scanner
	heard   func() // called for each line
	comment string // the last one
}

func newStream(r io.Reader, heard func()) *stream {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	return &stream{lines: lines, heard: heard}
}

// next gives the next message. What was not whole when the stream ended is none; then the error is io.EOF.
func (s *stream) next() (message, error) {
	var m message
	var data []string
	some := false
	for s.lines.Scan() {
		s.heard()
		line := s.lines.Text()
		if line == "" {
			if some {
				m.data = strings.Join(data, "\n")
				return m, nil
			}
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "":
			s.comment = value
		case "id":
			if !strings.Contains(value, "\x00") {
				m.id, some = value, true
			}
		case "event":
			m.event, some = value, true
		case "data":
			data, some = append(data, value), true
		case "retry":
			if n, err := strconv.ParseUint(value, 10, 31); err == nil {
				m.retry, some = time.Duration(n)*time.Millisecond, true
			}
		}
	}
	if err := s.lines.Err(); err != nil {
		return message{}, err
	}
	return message{}, io.EOF
}
