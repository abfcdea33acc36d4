// Package jsonbody reads the bodies of requests that are JSON, strictly: who sends one is told what is wrong with it.
package jsonbody

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
)

// ErrMore says that a value is followed by something.
var ErrMore = errors.New("must be one JSON object and nothing behind it")

// Is says whether the header Content-Type is application/json, with whatever parameters. No page in a browser can send that to another host unasked.
func Is(h http.Header) bool {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// Decode reads the one value that there must be, without members that into does not have. Its errors are those of encoding/json, and ErrMore.
func Decode(r io.Reader, into any) error {
	decoder := json.NewDecoder(r)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return ErrMore
	}
	return nil
}
