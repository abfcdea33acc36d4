package inbound

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"waypost/edge/event"
	"waypost/edge/inbound/mapping"
)

// What mapping can end in beside ErrIgnored. They name members, never values of people.
var (
	errNoMessage = errors.New("it names no message")
	errNoTime    = errors.New("it has no time that can be read")
	errNoLink    = errors.New("it is a click and has no link")
)

// unknownType says what a provider calls something that we do not know.
func unknownType(member, name string) error {
	const most = 64
	if len(name) > most {
		name = name[:most]
	}
	return fmt.Errorf("%s is %q, which is not known", member, name)
}

// word is a string of a provider's document. A number or a boolean stands for its text, everything else for none: what is only handed on must not keep a delivery from being mapped.
type word string

// UnmarshalJSON reads any value.
func (w *word) UnmarshalJSON(text []byte) error {
	*w = ""
	switch text[0] {
	case '"':
		return json.Unmarshal(text, (*string)(w))
	case '{', '[', 'n':
		return nil
	}
	*w = word(text)
	return nil
}

// bytes is nil for no word, as events have it.
func (w word) bytes() []byte {
	if w == "" {
		return nil
	}
	return []byte(w)
}

// address is that of a recipient, without a name.
func (w word) address() []byte { return word(bareAddress(string(w))).bytes() }

// pairs are tags or metadata: an object, or an array of objects with name and value. What is neither has none.
type pairs map[string]string

// UnmarshalJSON reads any value.
func (p *pairs) UnmarshalJSON(text []byte) error {
	*p = pairs{}
	switch text[0] {
	case '{':
		var members map[string]word
		if err := json.Unmarshal(text, &members); err != nil {
			return err
		}
		for name, value := range members {
			(*p)[name] = string(value)
		}
	case '[':
		var entries []json.RawMessage
		if err := json.Unmarshal(text, &entries); err != nil {
			return err
		}
		for _, entry := range entries {
			var tag struct{ Name, Value word }
			if entry[0] == '{' && json.Unmarshal(entry, &tag) == nil && tag.Name != "" {
				(*p)[string(tag.Name)] = string(tag.Value)
			}
		}
	}
	return nil
}

// metadata is the sender's: what we had sent along ourselves is no part of it. In the order of the names, so that a repeated delivery makes the same event.
func (p pairs) metadata() (list [][2]string) {
	for name, value := range p {
		if name != mapping.SentAlong && value != "" {
			list = append(list, [2]string{name, value})
		}
	}
	slices.SortFunc(list, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return list
}

// addresses are one or more: a string, or an array of them.
type addresses []string

// UnmarshalJSON reads any value.
func (a *addresses) UnmarshalJSON(text []byte) error {
	*a = nil
	var all []word
	if text[0] == '[' {
		if err := json.Unmarshal(text, &all); err != nil {
			return err
		}
	} else {
		var one word
		if err := one.UnmarshalJSON(text); err != nil {
			return err
		}
		all = []word{one}
	}
	for _, w := range all {
		if address := bareAddress(string(w)); address != "" {
			*a = append(*a, address)
		}
	}
	return nil
}

// bareAddress takes the name off: Jane <jane@example.com>.
func bareAddress(s string) string {
	if open := strings.LastIndexByte(s, '<'); open >= 0 {
		if end := strings.IndexByte(s[open:], '>'); end >= 0 {
			s = s[open+1 : open+end]
		}
	}
	return strings.TrimSpace(s)
}

// moments are the forms of RFC 3339, also with a blank in place of the T, and with a zone of hours alone.
var moments = []string{time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05Z07"}

// moment reads a time as text, with any number of fractional digits.
func (w word) moment() (time.Time, error) {
	for _, form := range moments {
		if t, err := time.Parse(form, string(w)); err == nil {
			return plausible(t)
		}
	}
	return time.Time{}, errNoTime
}

// unix reads a time in whole seconds since 1970.
func (w word) unix() (time.Time, error) {
	n, err := strconv.ParseInt(string(w), 10, 64)
	if err != nil {
		return time.Time{}, errNoTime
	}
	return plausible(time.Unix(n, 0))
}

func plausible(t time.Time) (time.Time, error) {
	t, ok := mapping.Plausible(t)
	if !ok {
		return time.Time{}, errNoTime
	}
	return t, nil
}

// newTold begins what is told of a mail: by the tag that mint gave to send along, else by the provider's own id.
func newTold(kind event.Type, sent pairs, own word) (told Told, err error) {
	told.Event.Type = kind
	told.Event.Metadata = sent.metadata()
	tag := word(sent[mapping.SentAlong])
	told.Known = tag != ""
	if told.Event.Message = cmp.Or(tag, own).bytes(); told.Event.Message == nil {
		return told, errNoMessage
	}
	return told, nil
}

// clicked says where a click went.
func (t *Told) clicked(link word) error {
	if link == "" {
		return errNoLink
	}
	t.Event.Destination = link.bytes()
	t.Event.Original = t.Event.Destination
	return nil
}
