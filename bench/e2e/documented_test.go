package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pages are the examples of the services' own documentation that golden documents are held to, by format and the beginning of the step's name.
var pages = map[string]map[string]string{
	"postmark":   {"opened": "open", "clicked": "click", "delivered": "delivery", "deferred": "bounce", "bounced": "bounce", "complained": "spamcomplaint"},
	"maileroo":   {"opened": "opened", "clicked": "clicked", "delivered": "delivered", "deferred": "deferred", "bounced": "failed", "complained": "delivered"},
	"nexomailer": {"opened": "opened", "clicked": "clicked", "sent": "bounced", "delivered": "bounced", "bounced": "bounced", "complained": "bounced"},
}

var unquoted = regexp.MustCompile(`: \$\{[^}]*\}`)

// The golden documents have the members of the services' documented ones: the same names, in the same order, of the same types.
func TestJourneyIsAsDocumented(t *testing.T) {
	for format, documents := range readGoldens(t) {
		for step, document := range documents {
			kind, _, _ := strings.Cut(step, " ")
			page, ok := pages[format][kind]
			if !ok {
				if pages[format] != nil {
					t.Errorf("%s: no page shows a document such as of %q", format, step)
				}
				continue
			}
			example, err := os.ReadFile("../../sink/dispatch/formats/testdata/documented/" + format + "-" + page + ".json")
			if err != nil {
				t.Fatal(err)
			}
			want, got := shape(t, example), shape(t, unquoted.ReplaceAll([]byte(document), []byte(": 0")))
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s, %s (-page +golden):\n%s", format, step, d)
			}
		}
	}
}

// ofOthers are members whose insides are the sender's.
var ofOthers = map[string]bool{"Metadata": true, "metadata": true, "tags": true}

// shape is the names and types of a document's members, in their order.
func shape(t *testing.T, document []byte) (members []string) {
	t.Helper()
	var walk func(at string, object []byte)
	walk = func(at string, object []byte) {
		d := json.NewDecoder(bytes.NewReader(object))
		if _, err := d.Token(); err != nil {
			t.Fatalf("%v in %s", err, object)
		}
		for d.More() {
			name, err := d.Token()
			var value json.RawMessage
			if err == nil {
				err = d.Decode(&value)
			}
			if err != nil {
				t.Fatalf("%v in %s", err, object)
			}
			where := at + name.(string)
			switch {
			case ofOthers[name.(string)]:
				members = append(members, where)
			case value[0] == '{':
				walk(where+".", value)
			default:
				var v any
				if err := json.Unmarshal(value, &v); err != nil {
					t.Fatal(err)
				}
				members = append(members, fmt.Sprintf("%s %T", where, v))
			}
		}
	}
	walk("", document)
	return members
}
