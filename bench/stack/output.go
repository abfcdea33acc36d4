package stack

import (
	"bytes"
	"io"
	"sync"
)

// tailLines is how many of a life's last lines are kept for error texts.
const tailLines = 40

// maxLine bounds a line that is kept in memory; the log file gets all of it.
const maxLine = 64 << 10

// output takes what one life of a program prints on one of its streams: into the log file, cut into lines for whoever watches.
// exec's copying goroutine is its only writer; tail may be read at any time.
type output struct {
	log    io.Writer
	onLine func(line string)

	part []byte
	mu   sync.Mutex
	last []string
}

func (o *output) Write(p []byte) (int, error) {
	if _, err := o.log.Write(p); err != nil {
		return 0, err
	}
	for rest := p; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			o.hold(rest)
			break
		}
		o.hold(rest[:end])
		o.flush()
		rest = rest[end+1:]
	}
	return len(p), nil
}

func (o *output) hold(p []byte) {
	if room := maxLine - len(o.part); len(p) > room {
		p = p[:room]
	}
	o.part = append(o.part, p...)
}

// finish hands on a line that the program did not end.
func (o *output) finish() {
	if len(o.part) > 0 {
		o.flush()
	}
}

// flush hands on the line held so far.
func (o *output) flush() {
	line := string(o.part)
	o.part = o.part[:0]
	o.mu.Lock()
	o.last = append(o.last, line)
	if len(o.last) > tailLines {
		o.last = o.last[1:]
	}
	o.mu.Unlock()
	if o.onLine != nil {
		o.onLine(line)
	}
}

// tail is a copy of the last lines.
func (o *output) tail() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.last...)
}

// lastLine is the last line that is not empty.
func (o *output) lastLine() string {
	lines := o.tail()
	for i := len(lines) - 1; i >= 0; i-- {
		if lines[i] != "" {
			return lines[i]
		}
	}
	return ""
}
