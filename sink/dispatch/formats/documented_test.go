package formats

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"waypost/edge/event"
)

// documented are the examples in testdata/documented, which have the members of the services' own documentation, and what we make such
// documents of.
var documented = map[string]any{
	"postmark-click":         &postmarkClick{},
	"postmark-open":          &postmarkOpen{},
	"postmark-delivery":      &postmarkDelivery{},
	"postmark-bounce":        &postmarkBounce{},
	"postmark-spamcomplaint": &postmarkBounce{},
	"maileroo-clicked":       &mailerooDocument{EventData: &mailerooClick{}},
	"maileroo-opened":        &mailerooDocument{EventData: &mailerooOpen{}},
	"maileroo-delivered":     &mailerooDocument{EventData: &mailerooDelivery{}},
	"maileroo-deferred":      &mailerooDocument{EventData: &mailerooFailure{}},
	"maileroo-failed":        &mailerooDocument{EventData: &mailerooFailure{}},
	"nexomailer-clicked":     &nexoMailerDocument{Data: &nexoMailerHit{}},
	"nexomailer-opened":      &nexoMailerDocument{Data: &nexoMailerHit{}},
	"nexomailer-bounced":     &nexoMailerDocument{Data: &nexoMailerReport{}},
}

func documentedExample(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "documented", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		t.Fatal(err)
	}
	return compact.Bytes()
}

// Read into our document and written again, an example is the same byte for byte: names, types, order.
func TestDocumentedExamples(t *testing.T) {
	files, err := filepath.Glob("testdata/documented/*.json")
	if err != nil || len(files) != len(documented) {
		t.Errorf("%d examples of %d, %v", len(files), len(documented), err)
	}
	for _, name := range slices.Sorted(maps.Keys(documented)) {
		t.Run(name, func(t *testing.T) {
			document := documented[name]
			example := documentedExample(t, name)
			decoder := json.NewDecoder(bytes.NewReader(example))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(document); err != nil {
				t.Fatal(err)
			}
			again, err := appendJSON(nil, document)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(example), string(again)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Every document that a format has for an event has the members of the documented one of its kind. What is not known of a client may be missing.
func TestDocumentsAreAsDocumented(t *testing.T) {
	for name, kinds := range map[string]map[event.Type]string{
		"postmark": {
			event.Clicked: "click", event.Opened: "open", event.Delivered: "delivery", event.Bounced: "bounce", event.Deferred: "bounce",
			event.Complained: "spamcomplaint",
		},
		"maileroo": {
			event.Clicked: "clicked", event.Opened: "opened", event.Delivered: "delivered", event.Bounced: "failed", event.Failed: "failed",
			event.Deferred: "deferred", event.Complained: "delivered",
		},
		"nexomailer": {
			event.Clicked: "clicked", event.Opened: "opened", event.Delivered: "bounced", event.Bounced: "bounced", event.Failed: "bounced",
			event.Complained: "bounced", event.Sent: "bounced",
		},
	} {
		for _, kind := range allTypes {
			example, has := kinds[kind]
			if byName[name].Has(kind) != has {
				t.Errorf("%s, %s: has %v", name, kind, !has)
			}
			if !has {
				continue
			}
			for what, e := range map[string]*event.Event{"full": told(kind), "hit": hit(kind), "empty": {Type: kind}} {
				t.Run(name+" "+string(kind)+" "+what, func(t *testing.T) {
					partial := []string{"Client", "OS", "Geo"}
					if what == "empty" && name == "nexomailer" {
						partial = append(partial, "data")
					}
					sameShape(t, name+"-"+example, body(t, byName[name], e), partial...)
				})
			}
		}
	}
}

// What we send has an example's members in the example's order, each of the example's type, and times in its form. What is not known may be
// missing from the objects named.
func sameShape(t *testing.T, name string, got []byte, partial ...string) {
	t.Helper()
	compareShapes(t, "", documentedExample(t, name), got, partial)
}

func compareShapes(t *testing.T, at string, want, got []byte, partial []string) {
	t.Helper()
	wantNames, wantValues := members(t, want)
	gotNames, gotValues := members(t, got)
	if slices.Contains(partial, at) {
		wantNames = slices.DeleteFunc(wantNames, func(name string) bool { return !slices.Contains(gotNames, name) })
	}
	if !slices.Equal(wantNames, gotNames) {
		t.Fatalf("members of %q: documented %q, ours %q", at, wantNames, gotNames)
	}
	for _, name := range gotNames {
		w, g := wantValues[name], gotValues[name]
		switch where := strings.TrimPrefix(at+"."+name, "."); {
		case name == "tags" || name == "Metadata" || name == "metadata": // objects of others
		case w[0] == '{':
			compareShapes(t, where, w, g, partial)
		case kind(w) != kind(g):
			t.Errorf("%s: documented is %s, ours %s", where, w, g)
		default:
			compareTimes(t, where, w, g)
		}
	}
}

func kind(value json.RawMessage) string {
	switch c := value[0]; {
	case c == '-' || c >= '0' && c <= '9':
		return "number"
	case c == 't' || c == 'f':
		return "bool"
	}
	return string(value[:1])
}

func compareTimes(t *testing.T, at string, want, got json.RawMessage) {
	t.Helper()
	form := func(value json.RawMessage) string {
		return strings.Map(func(c rune) rune {
			if c >= '0' && c <= '9' {
				return '0'
			}
			return c
		}, string(value))
	}
	if _, err := time.Parse(`"`+time.RFC3339+`"`, string(want)); err == nil && form(want) != form(got) {
		t.Errorf("%s: the documented time is %s, ours %s", at, want, got)
	}
}

// members are an object's member names, in order, and their values.
func members(t *testing.T, object []byte) (names []string, values map[string]json.RawMessage) {
	t.Helper()
	values = map[string]json.RawMessage{}
	d := json.NewDecoder(bytes.NewReader(object))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		t.Fatalf("no object: %s, %v", object, err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
		names = append(names, name.(string))
		values[name.(string)] = value
	}
	return names, values
}
