package aside

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"waypost/edge/inbound"
)

// Header is one header that is kept beside a body.
type Header = inbound.Header

// Entry is one delivery that was kept.
type Entry struct {
	Tenant, Provider string
	Time             time.Time
	Why              string
	Headers          []Header
	Body             []byte
}

// Chosen says whether the delivery is the tenant's and the provider's, each empty for any, and came at since or later.
func (e *Entry) Chosen(tenant, provider string, since time.Time) bool {
	return (tenant == "" || e.Tenant == tenant) && (provider == "" || e.Provider == provider) && !e.Time.Before(since)
}

// MaxWhy bounds what is kept of a reason, in bytes.
const MaxWhy = 1000

// AppendLine appends the entry's line. It does not fail: what is no text becomes some.
func AppendLine(dst []byte, e *Entry) []byte {
	dst = append(dst, `{"tenant":`...)
	dst = quote(dst, e.Tenant)
	dst = append(dst, `,"provider":`...)
	dst = quote(dst, e.Provider)
	dst = append(dst, `,"time":"`...)
	dst = e.Time.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
	dst = append(dst, `","why":`...)
	dst = quote(dst, short(e.Why))
	if len(e.Headers) > 0 {
		dst = append(dst, `,"headers":{`...)
		for i, h := range e.Headers {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(quote(dst, h.Name), ':')
			dst = quote(dst, h.Value)
		}
		dst = append(dst, '}')
	}
	if oneLine(e.Body) {
		dst = append(dst, `,"body":`...)
		dst = append(dst, e.Body...)
	} else {
		dst = append(dst, `,"body_base64":"`...)
		dst = append(base64.StdEncoding.AppendEncode(dst, e.Body), '"')
	}
	return append(dst, "}\n"...)
}

func quote(dst []byte, s string) []byte {
	quoted, _ := jsontext.AppendQuote(dst, s) // its error is of bytes that are no UTF-8, which it has replaced
	return quoted
}

func short(s string) string {
	if len(s) <= MaxWhy {
		return s
	}
	end := MaxWhy
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "..."
}

// oneLine says whether body may stand in a line as it is, and comes out of it byte for byte.
func oneLine(body []byte) bool {
	return len(body) > 0 && !bytes.ContainsAny(body, "\r\n") && body[0] > ' ' && body[len(body)-1] > ' ' && jsontext.Value(body).IsValid()
}

// ErrDamaged says that a line is none of ours.
var ErrDamaged = errors.New("aside: damaged line")

// parseLine reads a line without its line break. The body is a copy.
func parseLine(line []byte) (*Entry, error) {
	d := jsontext.NewDecoder(bytes.NewReader(line), jsontext.AllowDuplicateNames(true))
	e := &Entry{}
	if token, err := d.ReadToken(); err != nil || token.Kind() != '{' {
		return nil, ErrDamaged
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err == nil {
			err = e.member(name.String(), d)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	if token, err := d.ReadToken(); err != nil || token.Kind() != '}' || e.Provider == "" || e.Tenant == "" || e.Body == nil {
		return nil, ErrDamaged
	}
	return e, nil
}

func (e *Entry) member(name string, d *jsontext.Decoder) error {
	if name == "headers" {
		return e.headers(d)
	}
	value, err := d.ReadValue()
	if err != nil {
		return err
	}
	if name == "body" {
		e.Body = bytes.Clone(value)
		return nil
	}
	if value.Kind() != '"' {
		return nil // a member that is not known here
	}
	text, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return err
	}
	switch name {
	case "tenant":
		e.Tenant = string(text)
	case "provider":
		e.Provider = string(text)
	case "why":
		e.Why = string(text)
	case "time":
		e.Time, err = time.Parse(time.RFC3339Nano, string(text))
	case "body_base64":
		e.Body, err = base64.StdEncoding.DecodeString(string(text))
		if e.Body == nil {
			e.Body = []byte{}
		}
	}
	return err
}

func (e *Entry) headers(d *jsontext.Decoder) error {
	if token, err := d.ReadToken(); err != nil || token.Kind() != '{' {
		return errors.New("headers are no object")
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		key := name.String()
		value, err := d.ReadToken()
		if err != nil {
			return err
		}
		if value.Kind() == '"' {
			e.Headers = append(e.Headers, Header{Name: strings.Clone(key), Value: value.String()})
		}
	}
	_, err := d.ReadToken()
	return err
}
