package server

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"waypost/mint/link"
)

// FuzzRequest passes any body through parsing and minting. It must agree with encoding/json on what is JSON and, where all is UTF-8, on what data
// holds; and every link of the answer must lead to its key.
func FuzzRequest(f *testing.F) {
	s := newStack(f, nil)
	demo := s.demo()
	f.Add([]byte(vector(f)))
	f.Add(tenLinks(f))
	f.Add([]byte(`{"meta":{"urls":{"a":"https:\/\/a\u002f\ud83d\ude00\ud800"}},"data":["https:\/\/a\u002f\ud83d\ude00",1,{"x":[]}],"data":[null]} `))
	f.Add([]byte("{\"data\":[\"http://a/\xff\xed\xa0\x80\"],\"meta\":{\"mailing\":{\"id\":-1.5e9},\"prospect\":{\"id\":\"7\",\"email\":\"\"}}}"))
	f.Add([]byte(`{"data":["https://links.example.com/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA?x"]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		m := new(minter)
		err := m.parse(body)
		switch err {
		case nil, errNotObject, errDataMissing, errDataType:
			if !json.Valid(body) {
				t.Fatalf("taken for JSON: %v", err)
			}
		default:
			if json.Valid(body) {
				t.Fatalf("refused: %v", err)
			}
		}
		if err != nil {
			if refused := refuseContent(body, err); !json.Valid(refused.body) {
				t.Fatalf("refusal is no JSON: %s", refused.body)
			}
			return
		}
		checkEntries(t, m, body)
		answer := s.server.mint(m, demo, testNow, func() bool { return false })
		checkAnswer(t, s, m, answer)
	})
}

// checkEntries compares the distinct strings of data with those that encoding/json finds, if it can tell them.
func checkEntries(t *testing.T, m *minter, body []byte) {
	if !utf8.Valid(body) || bytes.Contains(body, []byte(`\u`)) {
		return // encoding/json mends what is no UTF-8
	}
	var document map[string]json.RawMessage
	if err := json.Unmarshal(body, &document); err != nil {
		t.Fatal(err)
	}
	var data []any
	if err := json.Unmarshal(document["data"], &data); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	var want []string
	for _, item := range data {
		if text, ok := item.(string); ok && !seen[text] {
			seen[text] = true
			want = append(want, text)
		}
	}
	var got []string
	for _, e := range m.entries {
		got = append(got, string(e.value))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") || len(got) != len(want) {
		t.Fatalf("data is %q, want %q", got, want)
	}
}

// checkAnswer opens every link of an answer.
func checkAnswer(t *testing.T, s *stack, m *minter, answer []byte) {
	d := jsontext.NewDecoder(bytes.NewBuffer(bytes.Clone(answer)), jsontext.AllowInvalidUTF8(true))
	read := func() []byte {
		value, err := d.ReadToken()
		if err != nil {
			t.Fatalf("answer %q: %v", answer, err)
		}
		return []byte(value.String())
	}
	for _, want := range []string{"{", "data", "{"} {
		if got := read(); string(got) != want {
			t.Fatalf("answer %q: %q, want %q", answer, got, want)
		}
	}
	links := 0
	for d.PeekKind() != '}' {
		raw, err := d.ReadValue()
		if err != nil {
			t.Fatalf("answer %q: %v", answer, err)
		}
		key, whole := appendUnescaped(nil, raw[1:len(raw)-1])
		token, ok := bytes.CutPrefix(read(), []byte("https://links.example.com/"))
		var l link.Link
		if err := s.keys.Open(&l, token); !ok || err != nil {
			t.Fatalf("link of %q: %v", key, err)
		}
		if !bytes.Equal(l.Destination, key) || !whole {
			t.Fatalf("link of %q leads to %q", key, l.Destination)
		}
		links++
	}
	if left := m.left[leftNotString] + m.left[leftSurrogate]; links != m.minted || links > len(m.entries) || m.left[leftLate] != 0 || left < 0 {
		t.Fatalf("%d links, %d minted of %d", links, m.minted, len(m.entries))
	}
}

// FuzzText holds our unescaping to encoding/json's wherever that changes nothing by itself.
func FuzzText(f *testing.F) {
	f.Add(`plain`)
	f.Add(`\"\\\/\b\f\n\r\t\u0041\ud83d\ude00`)
	f.Add(`\ud800\u0041`)
	f.Add(`\ud800\ud800\udc00`)
	f.Fuzz(func(t *testing.T, inner string) {
		raw := []byte(`"` + inner + `"`)
		var want string
		if !utf8.ValidString(inner) || json.Unmarshal(raw, &want) != nil {
			return
		}
		got, whole := appendUnescaped(nil, raw[1:len(raw)-1])
		if string(got) != want {
			t.Fatalf("%q gives %q, want %q", inner, got, want)
		}
		if !whole && !strings.Contains(want, "\uFFFD") {
			t.Fatalf("%q: no half of a surrogate pair is in it", inner)
		}
	})
}

// FuzzGunzip unpacks any bytes within the limit.
func FuzzGunzip(f *testing.F) {
	f.Add(gzipped(f, oneLink))
	f.Add(gzipped(f, "", strings.Repeat("x", 5000)))
	f.Fuzz(func(t *testing.T, packed []byte) {
		const limit = 4096
		plain, err := appendInflated([]byte("before"), packed, limit)
		if len(plain) > len("before")+limit+1 || !bytes.HasPrefix(plain, []byte("before")) {
			t.Fatalf("%d bytes: %v", len(plain), err)
		}
		if err == nil && len(plain) > len("before")+limit {
			t.Fatal("beyond the limit without an error")
		}
	})
}
