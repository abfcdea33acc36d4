package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"waypost/mint/link"
)

// Bounds of a message's members. Those of the ids are maxID and maxEmail.
const (
	maxStream        = 100
	maxTag           = 200
	maxPairs         = 20
	maxMetadataKey   = 40
	maxMetadataValue = 200
	maxUnsubscribe   = 8 << 10
)

// message is what a body of /v1/messages or /v1/links says. Unlike Outreach's requests it is read strictly: its sender is told what is wrong, and can mend it.
type message struct {
	id, recipient, stream, tag string
	metadata                   []byte // as a link has it
	html, text                 *string
	links                      []string
	hasLinks                   bool
	place                      link.Place      // of links
	track                      bool            // false: nothing is replaced
	opens                      bool            // whether html gets the picture that tells of an open
	unsubscribe                map[string]bool // the targets of List-Unsubscribe
}

// fault is what is wrong with one member.
type fault struct {
	at   jsontext.Pointer
	want string
}

// Error is the member's JSON pointer, and what is allowed.
func (f *fault) Error() string {
	if f.at == "" {
		return f.want
	}
	return string(f.at) + ": " + f.want
}

// parseMessage reads a body. Its faults are *fault and what is no JSON, see request.parse.
func parseMessage(body []byte, which endpoint) (*message, error) {
	m := &message{track: true, opens: true}
	if err := parseObject(body, func(d *jsontext.Decoder, name string) error { return m.member(d, name, which) }); err != nil {
		return nil, err
	}
	return m, m.complete(which)
}

// parseObject reads a body that is one object; visit reads each member's value.
func parseObject(body []byte, visit func(d *jsontext.Decoder, name string) error) error {
	d := jsontext.NewDecoder(bytes.NewBuffer(body))
	if d.PeekKind() != '{' {
		return wrong(d, "", errNotObject.Error())
	}
	if err := members(d, func(name string) error { return visit(d, name) }); err != nil {
		return doubled(err)
	}
	switch _, err := d.ReadToken(); err {
	case io.EOF:
		return nil
	case nil:
		return errTrailing
	default:
		return err
	}
}

// doubled makes a fault of a member that is written twice.
func doubled(err error) error {
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) && errors.Is(syntactic, jsontext.ErrDuplicateName) {
		return &fault{syntactic.JSONPointer, "is written twice"}
	}
	return err
}

// complete finds what is missing.
func (m *message) complete(which endpoint) error {
	switch {
	case m.recipient == "" && m.track:
		return &fault{"/recipient", fmt.Sprintf("must be set: the address, %d bytes at most; without it nobody's clicks can be told apart", maxEmail)}
	case which == endpointLinks && !m.hasLinks:
		return &fault{"/links", "must be set: an array of URLs"}
	case m.html == nil && m.text == nil && !m.hasLinks:
		return &fault{"/html", "must be set, or text, or links: there is nothing to replace links in"}
	}
	return nil
}

// members reads an object and calls visit for each member, which reads the value.
func members(d *jsontext.Decoder, visit func(name string) error) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		if err := visit(name.String()); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

const (
	membersOfLinks    = "message, recipient, stream, tag, metadata, track, list_unsubscribe, links, place"
	membersOfMessages = "message, recipient, stream, tag, metadata, track, opens, list_unsubscribe, html, text, links, place"
)

// member reads one member. What is null counts as absent.
func (m *message) member(d *jsontext.Decoder, name string, which endpoint) error {
	if d.PeekKind() == 'n' {
		_, err := d.ReadToken()
		return err
	}
	at := d.StackPointer()
	known := membersOfMessages
	switch name {
	case "message":
		return word(d, &m.id, at, maxID)
	case "recipient":
		return word(d, &m.recipient, at, maxEmail)
	case "stream":
		return word(d, &m.stream, at, maxStream)
	case "tag":
		return word(d, &m.tag, at, maxTag)
	case "metadata":
		return m.pairs(d, at)
	case "links":
		return m.list(d, at)
	case "place":
		return m.readPlace(d, at)
	case "track":
		return boolean(d, &m.track, at)
	case "list_unsubscribe":
		return m.readUnsubscribe(d, at)
	}
	if which == endpointLinks {
		known = membersOfLinks
	} else {
		switch name {
		case "html":
			return text(d, &m.html, at)
		case "text":
			return text(d, &m.text, at)
		case "opens":
			return boolean(d, &m.opens, at)
		}
	}
	return &fault{at, "no such member; there are " + known}
}

// str reads a string; a fault with want where there is something else.
func str(d *jsontext.Decoder, at jsontext.Pointer, want string) (string, error) {
	if d.PeekKind() != '"' {
		return "", wrong(d, at, want)
	}
	token, err := d.ReadToken()
	if err != nil {
		return "", err
	}
	return token.String(), nil
}

// wrong passes over a value and gives its fault; but what is no JSON is told as such.
func wrong(d *jsontext.Decoder, at jsontext.Pointer, want string) error {
	if err := d.SkipValue(); err != nil {
		return err
	}
	return &fault{at, want}
}

func word(d *jsontext.Decoder, to *string, at jsontext.Pointer, most int) (err error) {
	want := fmt.Sprintf("must be a string of 1 to %d bytes without control characters", most)
	if *to, err = str(d, at, want); err != nil {
		return err
	}
	if *to == "" || len(*to) > most || strings.ContainsFunc(*to, control) {
		return &fault{at, want}
	}
	return nil
}

func control(c rune) bool { return c < ' ' || c == 0x7F }

func text(d *jsontext.Decoder, to **string, at jsontext.Pointer) error {
	s, err := str(d, at, "must be a string: the body, decoded")
	*to = &s
	return err
}

// pairs reads the metadata.
func (m *message) pairs(d *jsontext.Decoder, at jsontext.Pointer) error {
	want := fmt.Sprintf("must be an object of at most %d strings", maxPairs)
	if d.PeekKind() != '{' {
		return wrong(d, at, want)
	}
	n := 0
	return members(d, func(name string) error {
		inner := d.StackPointer()
		if n++; n > maxPairs {
			return &fault{at, want}
		}
		if name == "" || len(name) > maxMetadataKey || strings.ContainsFunc(name, control) {
			return &fault{inner, fmt.Sprintf("its name must have 1 to %d bytes without control characters", maxMetadataKey)}
		}
		wantValue := fmt.Sprintf("must be a string of at most %d bytes", maxMetadataValue)
		value, err := str(d, inner, wantValue)
		if err == nil && len(value) > maxMetadataValue {
			err = &fault{inner, wantValue}
		}
		m.metadata = link.AppendMetadata(m.metadata, name, value)
		return err
	})
}

func (m *message) list(d *jsontext.Decoder, at jsontext.Pointer) (err error) {
	m.hasLinks = true
	m.links, err = urlList(d, at)
	return err
}

func urlList(d *jsontext.Decoder, at jsontext.Pointer) (urls []string, err error) {
	if d.PeekKind() != '[' {
		return nil, wrong(d, at, "must be an array of URLs")
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	for n := 0; d.PeekKind() != ']'; n++ {
		url, err := str(d, at.AppendToken(fmt.Sprint(n)), "must be a string: a URL")
		if err != nil {
			return nil, err
		}
		urls = append(urls, url)
	}
	_, err = d.ReadToken()
	return urls, err
}

func (m *message) readPlace(d *jsontext.Decoder, at jsontext.Pointer) error {
	const want = "must be html or text: where the URLs of links stand"
	place, err := str(d, at, want)
	if err != nil {
		return err
	}
	switch place {
	case "html":
		m.place = link.PlaceHTML
	case "text":
		m.place = link.PlaceText
	default:
		return &fault{at, want}
	}
	return nil
}

func boolean(d *jsontext.Decoder, to *bool, at jsontext.Pointer) error {
	switch d.PeekKind() {
	case 't', 'f':
		token, err := d.ReadToken()
		*to = err == nil && token.Bool()
		return err
	}
	return wrong(d, at, "must be true or false")
}

// readUnsubscribe reads the value of a header List-Unsubscribe: URLs between < and >.
func (m *message) readUnsubscribe(d *jsontext.Decoder, at jsontext.Pointer) error {
	want := fmt.Sprintf("must be the value of the mail's header, as in <https://example.com/u/1>, <mailto:u@example.com>: at most %d bytes", maxUnsubscribe)
	value, err := str(d, at, want)
	if err != nil {
		return err
	}
	m.unsubscribe = map[string]bool{}
	for rest := value; ; {
		_, after, found := strings.Cut(rest, "<")
		if !found {
			break
		}
		var url string
		if url, rest, found = strings.Cut(after, ">"); found {
			m.unsubscribe[strings.TrimSpace(url)] = true
		}
	}
	if len(m.unsubscribe) == 0 || len(value) > maxUnsubscribe {
		return &fault{at, want}
	}
	return nil
}
