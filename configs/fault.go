package configs

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Fault is one mistake in a settings file.
type Fault struct {
	File  string
	Line  int    // from 1; 0 when the file itself is at fault
	Key   string // dotted, with indexes: tenants[0].outreach.secrets[1]; empty when no key is concerned
	Value string // as written; masked for secrets; empty when nothing was written
	Want  string // what is allowed
}

// String is file:line: key = value: what is allowed.
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		b.WriteString(":" + strconv.Itoa(f.Line))
	}
	b.WriteString(": ")
	if f.Key != "" {
		b.WriteString(printable(f.Key))
		if f.Value != "" {
			b.WriteString(" = " + printable(f.Value))
		}
		b.WriteString(": ")
	}
	b.WriteString(f.Want)
	return b.String()
}

// Faults are all mistakes found; as an error it prints one a line. No faults are a nil error: use Err.
type Faults []Fault

// Error is every fault on a line of its own.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// Err is the faults as an error, nil when there are none.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// sorted orders the faults of one file by line, so that they read like the file.
func (f Faults) sorted() Faults {
	slices.SortStableFunc(f, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
	return f
}

// printable keeps a fault on one line of a terminal, whatever the file holds.
func printable(s string) string {
	const most = 120
	if len(s) > most {
		cut := most
		for !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = fmt.Sprintf("%s... (%d bytes)", s[:cut], len(s))
	}
	for _, r := range s {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return strconv.Quote(s)
		}
	}
	return s
}
