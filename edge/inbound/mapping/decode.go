package mapping

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// MaxText is how much of a text expressions see, in bytes.
	MaxText = 64 << 10
	// maxDepth bounds how deep a document may nest: the values are walked by recursion.
	maxDepth = 100
)

// decode reads one JSON document into what expressions see: map[string]any, []any, string, int64, float64, bool and nil.
func decode(document []byte) (any, error) {
	d := jsontext.NewDecoder(bytes.NewReader(document), jsontext.AllowInvalidUTF8(true))
	v, err := value(d, 0)
	if err != nil {
		return nil, unreadable(err)
	}
	switch _, err = d.ReadToken(); {
	case errors.Is(err, io.EOF):
		return v, nil
	case err != nil:
		return nil, unreadable(err)
	}
	return nil, errors.New("is no single JSON document: more follows it")
}

// unreadable says where a document is broken, without its contents.
func unreadable(err error) error {
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("is no JSON document: byte %d: %s", syntactic.ByteOffset, values.ReplaceAllString(syntactic.Err.Error(), `"..."`))
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("is no JSON document: it ends too early")
	}
	return fmt.Errorf("is no JSON document that can be read: %w", err)
}

func value(d *jsontext.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("it nests deeper than %d", maxDepth)
	}
	token, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case '{':
		return object(d, depth)
	case '[':
		return array(d, depth)
	case '"':
		return cut(token.String()), nil
	case '0':
		return number(token.String())
	case 't', 'f':
		return token.Bool(), nil
	}
	return nil, nil // null
}

func object(d *jsontext.Decoder, depth int) (any, error) {
	members := map[string]any{}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String() // a token lives until the next one is read
		if members[key], err = value(d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.ReadToken()
	return members, err
}

func array(d *jsontext.Decoder, depth int) (any, error) {
	items := []any{}
	for d.PeekKind() != ']' {
		item, err := value(d, depth+1)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	_, err := d.ReadToken()
	return items, err
}

// number keeps every digit of what is probably an id.
func number(text string) (any, error) {
	if !strings.ContainsAny(text, ".eE") {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, nil
		}
		return cut(text), nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, errors.New("it has a number that is too large")
	}
	return f, nil
}

// cut is the beginning of a text that is too long, in whole characters.
func cut(text string) string {
	if len(text) <= MaxText {
		return strings.Clone(text)
	}
	end := MaxText
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.Clone(text[:end])
}
