package blocks

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"waypost/configs"
	"waypost/mint/link"
)

// Kind says by what a link is blocked.
type Kind uint8

// The kinds.
const (
	None Kind = iota
	Tenant
	Mailing
	Prospect
	Host
	Key
	Link
	Kinds // how many there are
)

// Names are the kinds' words in the file, on the command line and in metrics.
var Names = [Kinds]string{"none", "tenant", "mailing", "prospect", "host", "key", "link"}

// Entry is what one line blocks.
type Entry struct {
	Kind   Kind
	Tenant string // its name, for Tenant, Mailing and Prospect
	Value  string // id, host, slot or token; empty for Tenant
}

// String is the entry as its line has it.
func (e Entry) String() string {
	words := []string{Names[e.Kind]}
	if e.Tenant != "" {
		words = append(words, quote(e.Tenant))
	}
	if e.Value != "" {
		words = append(words, quote(e.Value))
	}
	return strings.Join(words, " ")
}

func quote(word string) string {
	if strings.ContainsFunc(word, func(c rune) bool { return unicode.IsSpace(c) || !unicode.IsPrint(c) || c == '#' || c == '"' }) {
		return strconv.Quote(word)
	}
	return word
}

// usage is what a line may be.
const usage = "must be one of: tenant NAME, mailing TENANT ID, prospect TENANT ID, host NAME, key SLOT, link TOKEN"

// ParseEntry reads the words of a line, or of a command. A link may be a whole URL, a host may be in capitals. The error is what is allowed.
func ParseEntry(words []string) (Entry, error) {
	var e Entry
	wanted := 2
	if len(words) > 0 {
		for kind := Tenant; kind < Kinds; kind++ {
			if Names[kind] == words[0] {
				e.Kind = kind
			}
		}
	}
	if e.Kind == Mailing || e.Kind == Prospect {
		wanted = 3
	}
	if e.Kind == None || len(words) != wanted || slices.Contains(words, "") {
		return Entry{}, fmt.Errorf("%s", usage)
	}
	e.Value = words[wanted-1]
	switch e.Kind {
	case Tenant:
		e.Tenant, e.Value = e.Value, ""
	case Mailing, Prospect:
		e.Tenant = words[1]
	case Host:
		e.Value = strings.TrimSuffix(strings.ToLower(e.Value), ".")
		if !hostPattern.MatchString(e.Value) {
			return Entry{}, fmt.Errorf("host: must be a host's name or address alone, as it stands in links: no scheme, port or path")
		}
	case Key:
		if n, err := strconv.ParseUint(e.Value, 10, 8); err != nil || n >= link.Slots || strconv.FormatUint(n, 10) != e.Value {
			return Entry{}, fmt.Errorf("key: must be a key's slot, from 0 to %d", link.Slots-1)
		}
	case Link:
		e.Value = tokenOf(e.Value)
		if _, ok := link.Slot([]byte(e.Value)); !ok {
			return Entry{}, fmt.Errorf("link: must be a link, or its token")
		}
	}
	return e, nil
}

var hostPattern = regexp.MustCompile(`^(\[[0-9a-f:.]+\]|[^\s/?#\\@:\[\]]+)$`)

// tokenOf takes scheme and host off a link, and what stands behind its token.
func tokenOf(s string) string {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		_, s, _ = strings.Cut(rest, "/")
	}
	if end := strings.IndexAny(s, "?#"); end >= 0 {
		s = s[:end]
	}
	return s
}

// words splits a line; none for one that means nothing.
func words(line string) (words []string, err error) {
	for {
		line = strings.TrimLeftFunc(line, unicode.IsSpace)
		switch {
		case line == "" || line[0] == '#':
			return words, nil
		case line[0] == '"':
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("a word in quotes does not end")
			}
			word, _ := strconv.Unquote(quoted) // it is a prefix that was found to be quoted
			words, line = append(words, word), line[len(quoted):]
		default:
			end := strings.IndexFunc(line, unicode.IsSpace)
			if end < 0 {
				end = len(line)
			}
			words, line = append(words, line[:end]), line[end:]
		}
	}
}

// maxFile is the longest file that is read. It holds some hundred thousand entries.
const maxFile = 64 << 20

// read gives the file's text; a file that is not there is empty.
func read(path string) (string, error) {
	info, err := os.Stat(path)
	if os.IsNotExist(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return "", fmt.Errorf("%s: must be a file of at most %d MiB", path, maxFile>>20)
	}
	text, err := os.ReadFile(path)
	return string(text), err
}

// placed is an entry and where it stands.
type placed struct {
	Entry
	line int // from 1
}

// parse reads every line: all entries, and all faults.
func parse(path, text string) (entries []placed, faults configs.Faults) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		fields, err := words(line)
		if err == nil && len(fields) == 0 {
			continue
		}
		var e Entry
		if err == nil {
			e, err = ParseEntry(fields)
		}
		if err != nil {
			faults = append(faults, configs.Fault{File: path, Line: number, Want: err.Error()})
			continue
		}
		entries = append(entries, placed{e, number})
	}
	return entries, faults
}

// List gives the file's entries, in its order.
func List(path string) ([]Entry, error) {
	text, err := read(path)
	if err != nil {
		return nil, err
	}
	found, faults := parse(path, text)
	entries := make([]Entry, len(found))
	for i, p := range found {
		entries[i] = p.Entry
	}
	return entries, faults.Err()
}
