package event

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// anyDocument reads a document of the schema in any order and form. Members that it does not know are passed over.
type anyDocument struct {
	*jsontext.Decoder
	d             *Decoder
	e             *Event
	id            []byte
	run, sequence []byte
	specversion   bool
	timed         bool
	data          bool
}

func (d *Decoder) decodeAny(e *Event, document []byte) error {
	d.text = d.text[:0]
	// The strings are copied behind each other into text, which must not move meanwhile. They do not get longer than in the document.
	if cap(d.text) < len(document) {
		d.text = make([]byte, 0, len(document))
	}
	a := anyDocument{Decoder: jsontext.NewDecoder(bytes.NewReader(document)), d: d, e: e}
	if err := a.object("", a.attribute); err != nil {
		return err
	}
	if _, err := a.ReadToken(); err != io.EOF {
		return fault("", "ends with more than one value")
	}
	return a.check()
}

func (a *anyDocument) check() error {
	var err error
	switch {
	case !a.specversion:
		return fault("specversion", "missing")
	case a.e.Type == "":
		return fault("type", "missing")
	case !a.timed:
		return fault("time", "missing")
	case !a.data:
		return fault("data", "missing")
	}
	if a.e.ID, err = ParseID(a.id); err != nil {
		return fault("id", "is no event's id")
	}
	if !bytes.Equal(a.run, a.id[:RunDigits]) || !bytes.Equal(a.sequence, a.id[RunDigits+1:]) {
		return fault("run, sequence", "differ from id")
	}
	return nil
}

func fault(member, what string) error {
	if member == "" {
		return fmt.Errorf("%w: %s", ErrDocument, what)
	}
	return fmt.Errorf("%w: %s %s", ErrDocument, member, what)
}

// object calls member for each member of the object that comes next, with the decoder before the value.
func (a *anyDocument) object(name string, member func(name string) error) error {
	token, err := a.ReadToken()
	if err != nil {
		return fault(name, err.Error())
	}
	if token.Kind() != '{' {
		return fault(name, "is no object")
	}
	for a.PeekKind() != '}' {
		token, err := a.ReadToken()
		if err != nil {
			return fault(name, err.Error())
		}
		if err := member(token.String()); err != nil {
			return err
		}
	}
	if _, err := a.ReadToken(); err != nil {
		return fault(name, err.Error())
	}
	return nil
}

func (a *anyDocument) attribute(name string) (err error) {
	switch name {
	case "specversion":
		var version []byte
		if err = a.text(name, &version); err == nil && string(version) != "1.0" {
			return fault(name, "is not 1.0")
		}
		a.specversion = true
	case "id":
		err = a.text(name, &a.id)
	case "run":
		err = a.text(name, &a.run)
	case "sequence":
		err = a.text(name, &a.sequence)
	case "type":
		var kind []byte
		err = a.text(name, &kind)
		a.e.Type = Type(a.d.name(kind))
	case "time":
		a.timed = true
		a.e.Time, err = a.time(name, time.Microsecond)
	case "data":
		a.data = true
		err = a.object(name, a.datum)
	default:
		err = a.skip(name)
	}
	return err
}

func (a *anyDocument) datum(name string) (err error) {
	if field := a.field(name); field != nil {
		return a.text(name, field)
	}
	var n uint64
	var text []byte
	switch name {
	case "tenant":
		n, err = a.number(name, math.MaxUint32)
		a.e.Tenant = uint32(n)
	case "tenant_name":
		err = a.text(name, &text)
		a.e.TenantName = a.d.name(text)
	case "link":
		err = a.object(name, a.link)
	case "metadata":
		err = a.object(name, a.pair)
	case "retention_days":
		n, err = a.number(name, math.MaxUint16)
		a.e.RetentionDays = uint16(n)
	case "unique":
		err = a.text(name, &text)
		a.e.UniqueAny = string(text) == "any"
		if err == nil && !a.e.UniqueAny && string(text) != "person" {
			return fault(name, "is neither person nor any")
		}
	case "labels":
		err = a.list(name, func(text []byte) { a.e.Labels |= parseLabel(text) })
	case "cut":
		err = a.list(name, func(text []byte) { a.d.cut = append(a.d.cut, a.d.name(text)) })
	default:
		var known bool
		if known, err = a.reported(name); !known {
			err = a.skip(name)
		}
	}
	return err
}

// field gives the place of a string member of data; nil for members of other kinds.
func (a *anyDocument) field(name string) *[]byte {
	switch name {
	case "message":
		return &a.e.Message
	case "prospect":
		return &a.e.Prospect
	case "user":
		return &a.e.User
	case "recipient":
		return &a.e.Recipient
	case "stream":
		return &a.e.Stream
	case "tag":
		return &a.e.Tag
	case "method":
		return &a.e.Method
	case "user_agent":
		return &a.e.UserAgent
	case "address":
		return &a.e.Address
	case "referrer":
		return &a.e.Referrer
	case "language":
		return &a.e.Language
	}
	return nil
}

func (a *anyDocument) link(name string) (err error) {
	switch name {
	case "number":
		var n uint64
		n, err = a.number(name, math.MaxUint32)
		a.e.LinkNumber = uint32(n)
	case "place":
		var place []byte
		err = a.text(name, &place)
		a.e.Place = a.d.name(place)
	case "destination":
		err = a.text(name, &a.e.Destination)
	case "original":
		err = a.text(name, &a.e.Original)
	case "minted":
		a.e.Minted, err = a.time(name, time.Second)
	default:
		err = a.skip(name)
	}
	return err
}

func (a *anyDocument) pair(name string) error {
	var value []byte
	if err := a.text(name, &value); err != nil {
		return err
	}
	a.d.metadata = append(a.d.metadata, [2]string{a.d.name([]byte(name)), a.d.name(value)})
	return nil
}

func (a *anyDocument) skip(name string) error {
	if err := a.SkipValue(); err != nil {
		return fault(name, err.Error())
	}
	return nil
}

func (a *anyDocument) text(name string, field *[]byte) error {
	token, err := a.ReadToken()
	if err != nil {
		return fault(name, err.Error())
	}
	if token.Kind() != '"' {
		return fault(name, "is no string")
	}
	*field = a.keep(token.String())
	return nil
}

// keep copies s into the decoder's memory; nil for nothing, as an absent member.
func (a *anyDocument) keep(s string) []byte {
	if s == "" {
		return nil
	}
	start := len(a.d.text)
	a.d.text = append(a.d.text, s...)
	return a.d.text[start:len(a.d.text):len(a.d.text)]
}

func (a *anyDocument) number(name string, limit uint64) (uint64, error) {
	token, err := a.ReadToken()
	if err != nil {
		return 0, fault(name, err.Error())
	}
	n, err := strconv.ParseUint(token.String(), 10, 64)
	if token.Kind() != '0' || err != nil || n > limit {
		return 0, fault(name, "is no number from 0 to "+strconv.FormatUint(limit, 10))
	}
	return n, nil
}

func (a *anyDocument) time(name string, unit time.Duration) (time.Time, error) {
	var text []byte
	if err := a.text(name, &text); err != nil {
		return time.Time{}, err
	}
	t, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		return time.Time{}, fault(name, "is no RFC 3339 time")
	}
	return t.UTC().Truncate(unit), nil
}

func (a *anyDocument) list(name string, each func([]byte)) error {
	token, err := a.ReadToken()
	if err != nil {
		return fault(name, err.Error())
	}
	if token.Kind() != '[' {
		return fault(name, "is no array")
	}
	for a.PeekKind() != ']' {
		var text []byte
		if err := a.text(name, &text); err != nil {
			return err
		}
		each(text)
	}
	_, err = a.ReadToken()
	return err
}
