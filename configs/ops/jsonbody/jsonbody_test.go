package jsonbody

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

func TestIs(t *testing.T) {
	for kind, want := range map[string]bool{"application/json": true, "application/json; charset=utf-8": true, "text/json": false, "": false, "application/json;;": false} {
		if got := Is(http.Header{"Content-Type": {kind}}); got != want {
			t.Errorf("%q: %v", kind, got)
		}
	}
}

func TestDecode(t *testing.T) {
	var v struct{ A int }
	if err := Decode(strings.NewReader(` {"A": 1} `), &v); err != nil || v.A != 1 {
		t.Errorf("%+v, %v", v, err)
	}
	for _, text := range []string{"", "{", `{"B": 1}`, `{"A": "x"}`} {
		if err := Decode(strings.NewReader(text), &v); err == nil || errors.Is(err, ErrMore) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{`{} {}`, `{} x`} {
		if err := Decode(strings.NewReader(text), &v); !errors.Is(err, ErrMore) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
