package enrich_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"waypost/edge/event"
	"waypost/sink/enrich"
	"waypost/sink/enrich/enrichtest"
)

const pageAgent = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_7_5) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/35.0.1916.153 Safari/537.36"

func click() *event.Event {
	return &event.Event{
		ID: event.ID{Run: 0xabc, Sequence: 17}, Type: event.Clicked, Time: time.Date(2026, 6, 15, 18, 14, 10, 123456000, time.UTC),
		Tenant: 1, TenantName: "demo", Message: []byte("123"), Prospect: []byte("456"), Recipient: []byte("abc@prospect.com"),
		Place: "html", Destination: []byte("https://bit.ly/33zYFqH"), Original: []byte(`https://www.google.com/?"data":{"client":`),
		Minted: time.Date(2026, 6, 15, 18, 14, 0, 0, time.UTC), RetentionDays: 45, Method: []byte("GET"), Metadata: [][2]string{{"client", "theirs"}},
		UserAgent: []byte(pageAgent), Address: []byte("8.8.8.8"),
	}
}

const (
	pageClient   = `"client":{"name":"Chrome 35.0.1916.153","company":"Google","family":"Chrome"}`
	pageOS       = `"os":{"name":"OS X 10.7 Lion","company":"Apple Computer, Inc.","family":"OS X 10"}`
	pagePlatform = `"platform":"Desktop"`
	pageGeo      = `"geo":{"country_iso_code":"RS","country":"Serbia","region_iso_code":"VO","region":"Autonomna Pokrajina Vojvodina","city":"Novi Sad","zip":"21000","coords":"45.2517,19.8369"}`
)

// The document of the journal gets four members at the end of its data, and nothing else changes. It is still what the schema says.
func TestAppend(t *testing.T) {
	r := open(t, func(file string) { enrichtest.Write(t, file, enrichtest.Page) })
	e := click()
	document := event.AppendDocument(nil, e)
	want := "before" + strings.TrimSuffix(string(document), "}}") + "," + pageClient + "," + pageOS + "," + pagePlatform + "," + pageGeo + "}}"
	got := r.Append([]byte("before"), document, e)
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	validate(t, got[len("before"):])
}

// validate holds a document to the schema, in which what is added has no members but those that it lists.
func validate(t *testing.T, document []byte) {
	t.Helper()
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(event.Schema))
	if err != nil {
		t.Fatal(err)
	}
	data := schema.(map[string]any)["properties"].(map[string]any)["data"].(map[string]any)["properties"].(map[string]any)
	for _, name := range []string{"client", "os", "geo"} {
		data[name].(map[string]any)["additionalProperties"] = false
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("event.json", schema); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("event.json")
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err == nil {
		err = compiled.Validate(value)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, document)
	}
}

func TestAppendTo(t *testing.T) {
	chrome := enrich.Program{Name: "Chrome 1", Company: "Google", Family: "Chrome"}
	all := enrich.Details{Client: chrome, OS: enrich.Program{Family: "x"}, Platform: "Desktop", Place: enrich.Place{City: "Köln \"\n"}}
	const members = `"client":{"name":"Chrome 1","company":"Google","family":"Chrome"},"os":{"family":"x"},"platform":"Desktop","geo":{"city":"Köln \"\n"}`
	for document, want := range map[string]string{
		`{"data":{}}`: `{"data":{` + members + `}}`,
		`{"data" : { "tenant" : 1 } , "id" : "}" }`:               `{"data" : { "tenant" : 1 ,` + members + `} , "id" : "}" }`,
		`{"x":{"data":{}},"data":{"y":[{"os":1}]}}`:               `{"x":{"data":{}},"data":{"y":[{"os":1}],` + members + `}}`,
		`{"data":{"client":1,"geo":2}}`:                           `{"data":{"client":1,"geo":2,"os":{"family":"x"},"platform":"Desktop"}}`,
		`{"data":{"client":1,"os":"\\","platform":"\"","geo":2}}`: `{"data":{"client":1,"os":"\\","platform":"\"","geo":2}}`,
		`{"data":"client"}`:                                       `{"data":"client"}`,
		`{"data":{"a":"os","b":"platform"}}`:                      `{"data":{"a":"os","b":"platform",` + members + `}}`,
		`{}`:                                                      `{}`,
	} {
		if diff := cmp.Diff(want, string(all.AppendTo(nil, []byte(document)))); diff != "" {
			t.Errorf("%s\n%s", document, diff)
		}
		if got := string((&enrich.Details{}).AppendTo(nil, []byte(document))); got != document {
			t.Errorf("with nothing known %s became %s", document, got)
		}
	}
	only := enrich.Details{Platform: "Mobile"}
	if got := string(only.AppendTo(nil, []byte(`{"data":{"a":1}}`))); got != `{"data":{"a":1,"platform":"Mobile"}}` {
		t.Error(got)
	}
}

// Whatever a client calls itself and a document holds, what comes is valid, and the same event with members added.
func FuzzAppend(f *testing.F) {
	r := open(f, func(file string) { enrichtest.Write(f, file, enrichtest.Page) })
	f.Add(event.AppendDocument(nil, click()), pageAgent, "8.8.8.8")
	f.Add([]byte(`{"specversion":"1.0","id":"0000000000000abc-0000000000000017","source":"x","type":"email.opened","time":"2026-06-15T18:14:10.123456Z","datacontenttype":"application/json",`+
		`"data":{"retention_days":1,"unique":"any","tenant":1}, "run":"0000000000000abc","sequence":"0000000000000017"}`), "Mozilla/5.0 (Windows NT 5.1; rv:11.0) (via ggpht.com GoogleImageProxy)", "::1")
	f.Add(event.AppendDocument(nil, click()), "\x00\"\\/1.2 (iPhone; \xff) ſ\u212a", "8.8.8.0")
	f.Fuzz(func(t *testing.T, document []byte, agent, address string) {
		var decoder, again event.Decoder
		var e, after event.Event
		if decoder.Decode(&e, document) != nil {
			return
		}
		e.UserAgent, e.Address = []byte(agent), []byte(address)
		d := r.Of(&e)
		for _, text := range []string{d.Client.Name, d.Client.Family, d.OS.Name, d.OS.Family, d.Place.City} {
			if !utf8.ValidString(text) || len(text) > 1024 {
				t.Errorf("%q", text)
			}
		}
		got := r.Append(nil, document, &e)
		if !json.Valid(got) {
			t.Fatalf("%s", got)
		}
		if err := again.Decode(&after, got); err != nil {
			t.Fatalf("%v: %s", err, got)
		}
		if decoder.Decode(&e, document) != nil { // as it was
			t.Fatal("not read again")
		}
		if diff := cmp.Diff(e, after); diff != "" {
			t.Errorf("another event:\n%s", diff)
		}
	})
}
