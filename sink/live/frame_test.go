package live

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"waypost/edge/event"
)

// still is a source that stands still.
type still struct{ source }

func (still) cursor(dst []byte) []byte { return append(dst, "CURSOR"...) }

func TestFrames(t *testing.T) {
	e := event.Event{Type: event.Clicked}
	for _, c := range []struct {
		document    string
		any, person bool
		want        string
	}{
		{`{"id":"1","data":{"tenant":1}}`, true, true, `{"id":"1","data":{"tenant":1,"first":"any,person"}}`},
		{`{"id":"1","data":{"tenant":1}}`, true, false, `{"id":"1","data":{"tenant":1,"first":"any"}}`},
		{`{"id":"1","data":{"tenant":1}}`, false, true, `{"id":"1","data":{"tenant":1,"first":"person"}}`},
		{`{"id":"1","data":{"tenant":1}}`, false, false, `{"id":"1","data":{"tenant":1}}`},
		{`{"id":"}\"data\":{","data" : { "a":{"data":{}},"b":["}"]}, "x":{}}`, true, false, `{"id":"}\"data\":{","data" : { "a":{"data":{}},"b":["}"],"first":"any"}, "x":{}}`},
		{"{\n \"data\":{\r\n \"tenant\":1\n }}", true, false, `{"data":{"tenant":1,"first":"any"}}`},
		{`{"data":{}}`, true, false, ""},
		{`{"date":{"data":{"tenant":1}}}`, true, false, ""},
		{`{"data":"`, true, false, ""},
	} {
		got, ok := appendEvent([]byte("before\n"), still{}, &entry{event: &e, document: []byte(c.document), any: c.any, person: c.person})
		want := "before\n"
		if c.want != "" {
			want += "id: CURSOR\nevent: email.clicked\ndata: " + c.want + "\n\n"
		}
		if diff := cmp.Diff(want, string(got)); diff != "" || ok != (c.want != "") {
			t.Errorf("%s (-want +got): %v\n%s", c.document, ok, diff)
		}
	}
	if got := string(appendGap(nil, still{}, "a \"b\"\n")); got != "id: CURSOR\nevent: gap\ndata: {\"reason\":\"a \\\"b\\\"\\n\"}\n\n" {
		t.Errorf("%q", got)
	}
}

// A member is added to data and to nothing else, whatever the document is.
func FuzzMembers(f *testing.F) {
	e := event.Event{Type: event.Clicked, Tenant: 1, RetentionDays: 45}
	f.Add(string(event.AppendDocument(nil, &e)))
	f.Add(`{"data":{"a":"\\\""},"b":{"data":{}}}`)
	f.Add(`{"data":[{"data":{}}]}`)
	f.Fuzz(func(t *testing.T, document string) {
		if !json.Valid([]byte(document)) || !strings.HasPrefix(document, "{") || strings.Contains(document, `data\u`) {
			return
		}
		got, ok := appendEvent(nil, still{}, &entry{event: &e, document: []byte(document), any: true})
		if !ok {
			return
		}
		_, line, _ := strings.Cut(string(got), "\ndata: ")
		line = strings.TrimSuffix(line, "\n\n")
		var before, after map[string]any
		if err := json.Unmarshal([]byte(document), &before); err != nil {
			t.Skip() // an object that is not the decoder's
		}
		if err := json.Unmarshal([]byte(line), &after); err != nil || strings.ContainsAny(line, "\r\n") {
			t.Fatalf("%q became %q: %v", document, line, err)
		}
		// Of names that stand twice the decoders take the last: only where data stands once can both be compared.
		if strings.Count(document, `"data"`) > 1 || strings.Contains(document, `\u`) {
			return
		}
		if data, ok := before["data"].(map[string]any); ok {
			data["first"] = "any"
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("%q became %q (-want +got):\n%s", document, line, diff)
		}
	})
}
