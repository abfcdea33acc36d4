package length

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"waypost/mint/link"
)

// maxLine bounds a line of a list; no link can hold so much.
const maxLine = 1 << 20

// list is what a file of URLs holds.
type list struct {
	urls    []string
	refused refusals
}

// refusals counts the lines that cannot be links, by mint/link's reason.
type refusals map[error]int

// readList reads one URL a line. A byte order mark at the beginning, white space around a URL and empty lines mean nothing.
func readList(r io.Reader) (*list, error) {
	l := &list{refused: refusals{}}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	number := 0
	for lines.Scan() {
		number++
		line := lines.Bytes()
		if number == 1 {
			line = bytes.TrimPrefix(line, []byte("\uFEFF"))
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if err := link.CheckDestination(line); err != nil {
			l.refused[err]++
			continue
		}
		l.urls = append(l.urls, string(line))
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("line %d: more than %d bytes", number+1, maxLine-1)
	case err != nil:
		return nil, err
	}
	return l, nil
}

// reasons are the refusals as a report has them: most first.
func (r refusals) reasons() []Refusal {
	var all []Refusal
	for err, n := range r {
		all = append(all, Refusal{Reason: err.Error(), URLs: n})
	}
	slices.SortFunc(all, func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(b.URLs, a.URLs), cmp.Compare(a.Reason, b.Reason))
	})
	return all
}

func (r refusals) total() (n int) {
	for _, urls := range r {
		n += urls
	}
	return n
}
