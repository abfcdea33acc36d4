package mapping

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"waypost/configs"
	"waypost/edge/event"
)

// acmemail is the example of the README.
func acmemail() *configs.Parser {
	return &configs.Parser{
		Name: "acmemail", Each: "body.events", Type: "item.event",
		Types: map[string]string{
			"delivered": "email.delivered", "opened": "email.opened", "clicked": "email.clicked",
			"hard_bounce": "email.bounced", "soft_bounce": "email.deferred", "spam": "email.complained", "processed": "ignore",
		},
		Message: "item.mail.?tags.?waypost", ProviderMessage: "item.mail.id", Recipient: "item.mail.to.lowerAscii()", ID: "item.id", Time: "item.at",
		Sent: "item.mail.?sent", Reason: "item.?reason", BounceCode: "item.?code", URL: "item.?url", UserAgent: "item.?client.?agent", Address: "item.?client.?ip",
		Metadata: "item.mail.?tags", Subject: "item.mail.?subject", Tag: `item.mail.?subject.optMap(s, s.split(" ")[0])`,
	}
}

func mustCompile(t testing.TB, p *configs.Parser) *Parser {
	t.Helper()
	c, faults := Compile(p, true)
	for _, f := range faults {
		t.Error(f)
	}
	if c == nil {
		t.FailNow()
	}
	return c
}

func TestMap(t *testing.T) {
	body, err := os.ReadFile("testdata/acmemail.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := mustCompile(t, acmemail()).Map(body)
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string) time.Time {
		u, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	url := []byte("https://example.com/pricing?plan=2")
	want := []Mail{
		{
			Known: true,
			Event: event.Event{
				Type: event.Delivered, Message: []byte("order-17"), Recipient: []byte("ann@example.com"), Minted: at("2026-11-30T06:59:00Z"),
				Tag: []byte("Your"), Metadata: [][2]string{{"attempt", "2"}, {"parts", `["html","text"]`}},
			},
			Report: event.Report{
				Provider: []byte("acmemail"), ProviderType: []byte("delivered"), ProviderEvent: []byte("9007199254740993"), Occurred: at("2026-11-30T07:00:02.250Z"),
				Subject: []byte("Your order"),
			},
		},
		{
			Event: event.Event{
				Type: event.Clicked, Message: []byte("m-18"), Recipient: []byte("bob@example.com"), Destination: url, Original: url, UserAgent: []byte("Mozilla/5.0"), Address: []byte("192.0.2.7"),
			},
			Report: event.Report{Provider: []byte("acmemail"), ProviderType: []byte("clicked"), ProviderEvent: []byte("ev-3"), Occurred: at("2026-11-30T07:01:00Z")},
		},
		{
			Event: event.Event{Type: event.Bounced, Message: []byte("m-19"), Recipient: []byte("eve@example.com")},
			Report: event.Report{
				Provider: []byte("acmemail"), ProviderType: []byte("hard_bounce"), ProviderEvent: []byte("ev-4"), Occurred: at("2026-11-30T07:02:00.5Z"),
				Reason: []byte("550 5.1.1 no such user"), Bounce: event.Bounce{Code: 550},
			},
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(event.Report{}, "Raw")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(got) > 2 {
		const raw = `{"at":1796022120500,"code":550,"event":"hard_bounce","id":"ev-4","mail":{"id":"m-19","to":"eve@example.com"},"reason":"550 5.1.1 no such user"}`
		if diff := cmp.Diff(raw, string(got[2].Report.Raw)); diff != "" {
			t.Error(diff)
		}
	}
}

// simple is a parser with one expression changed.
func simple(key, text string) *configs.Parser {
	p := &configs.Parser{Name: "acmemail", Type: "body.event", Types: map[string]string{"sent": "email.sent", "clicked": "email.clicked", "other": "ignore"}, ProviderMessage: "body.id"}
	set(p, key, text)
	return p
}

func set(p *configs.Parser, key, text string) {
	switch key {
	case "each":
		p.Each = text
	case "type":
		p.Type = text
	case "provider_message":
		p.ProviderMessage = text
	case "time":
		p.Time = text
	case "recipient":
		p.Recipient = text
	case "metadata":
		p.Metadata = text
	case "bounce_code":
		p.BounceCode = text
	case "url":
		p.URL = text
	default:
		panic(key)
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct{ key, text, want string }{
		{"recipient", "body.", "recipient: line 1, column 6: Syntax error"},
		{"recipient", "bdy.to", "recipient: line 1, column 1: unknown name bdy"},
		{"recipient", "has(body.to) ?\n  body.to :\n  itm.to", "recipient: line 3, column 3: unknown name itm"},
		{"recipient", "body.to.lowerASCII()", "recipient: line 1, column 19: unknown name lowerASCII"},
		{"recipient", "body.to.size() > 2", "recipient: line 1, column 1: must give text or a number, gives bool"},
		{"recipient", "[body.to]", "recipient: line 1, column 1: must give text or a number, gives list(dyn)"},
		{"recipient", `body.to.replace("a")`, "recipient: line 1, column 16: found no matching overload for 'replace' applied to 'dyn.(string)'"},
		{"recipient", `body.to.matches("(") ? "a" : "b"`, "recipient: line 1, column 1: error parsing regexp: missing closing )"},
		{"recipient", `body.to.matches("(a{30}){30}") ? "a" : "b"`, "recipient: line 1, column 17: "},
		{"recipient", `"a" + 1`, "recipient: line 1, column 5: found no matching overload for '_+_' applied to '(string, int)'"},
		{"time", "true", "time: line 1, column 1: must give a time"},
		{"time", `duration("1h")`, "time: line 1, column 1: must give a time"},
		{"metadata", `"a"`, "metadata: line 1, column 1: must give a map, gives string"},
		{"each", "{}", "each: line 1, column 1: must give a list, gives map(dyn, dyn)"},
		{"type", `body.sent ? "sent" : "snt"`, `type: line 1, column 22: "snt" is none of the words in types`},
		{"recipient", strings.Repeat("(", 100) + "body" + strings.Repeat(")", 100), "recipient: line 1, column 1: "},
	} {
		_, faults := Compile(simple(c.key, c.text), false)
		if len(faults) == 0 {
			t.Errorf("%s: %s: no fault, want %s", c.key, c.text, c.want)
			continue
		}
		if got := faults[0].Error(); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s:\ngot  %s\nwant %s", c.key, c.text, got, c.want)
		}
	}
}

// All mistakes are found at once, and in each expression too.
func TestAllMistakes(t *testing.T) {
	p := simple("recipient", "bdy.to + itm.to")
	p.Time, p.Type, p.Types = "now", `body.a ? "email.sent" : body.b ? "email.snet" : ""`, nil
	_, faults := Compile(p, true)
	var got []string
	for _, f := range faults {
		got = append(got, f.Error())
	}
	want := []string{"type: line 1, column 34: ", "time: line 1, column 1: ", "recipient: line 1, column 1: ", "recipient: line 1, column 10: "}
	if len(got) != len(want) {
		t.Fatalf("%q", got)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("%s, want %s", got[i], want[i])
		}
	}
}

// A delivery that an expression does not fit is told with the expression, the place in it, and the member.
func TestMisfits(t *testing.T) {
	for _, c := range []struct{ key, text, body, want string }{
		{"recipient", "body.mail.to", `{"event":"sent","id":1,"mail":{}}`, "recipient: line 1, column 10: the delivery has no member to here; .?to in place of .to allows for that"},
		{"recipient", "body.to[0]", `{"event":"sent","id":1,"to":[]}`, "recipient: line 1, column 8: index out of bounds: 0"},
		{"recipient", "body.to", `{"event":"sent","id":1,"to":["a"]}`, "recipient: must give text or a number, gives list"},
		{"recipient", "body.to", `{"event":"sent","id":1,"to":true}`, "recipient: must give text or a number, gives bool"},
		{"recipient", "body.to.trim()", `{"event":"sent","id":1,"to":7}`, "recipient: line 1, column 13: a member has another type here than the expression wants, or is null"},
		{"recipient", "body.to.substring(3)", `{"event":"sent","id":1,"to":"ab"}`, "recipient: line 1, column 18: substring: from 3: the text has 2 characters"},
		{"time", "body.at", `{"event":"sent","id":1,"at":"yesterday"}`, "time: must give a time: a timestamp, text such as 2026-11-30T07:20:00Z, or seconds or milliseconds since 1970, gives string"},
		{"time", "body.at", `{"event":"sent","id":1,"at":-1}`, "time: must give a time"},
		{"time", "body.at", `{"event":"sent","id":1,"at":1e300}`, "time: must give a time"},
		{"bounce_code", "body.code", `{"event":"sent","id":1,"code":"5.1.1"}`, "bounce_code: must give a whole number of 32 bits, gives string"},
		{"type", "body.event", `{"event":"snet","id":1}`, `type: "snet" is none of the words in types; "*" stands for all others`},
		{"type", "body.event", `{"event":null,"id":1}`, `type: "" is none of the words in types`},
		{"type", "body.event", `{"event":{},"id":1}`, `type: must give text, gives map`},
		{"type", "body.event", `[]`, "type: line 1, column "},
		{"provider_message", "body.?id", `{"event":"sent"}`, "message: gives nothing, nor does provider_message"},
		{"url", "body.?url", `{"event":"clicked","id":1}`, "url: gives nothing: a click has to be on a link"},
		{"each", "body.events", `{"events":{}}`, "each: must give a list, gives map"},
		{"each", "body.?events", `{}`, "each: must give a list, gives nothing"},
		{"each", "body", `[` + strings.Repeat("0,", MaxEvents) + `0]`, "each: gives 10001 entries, at most 10000 are allowed"},
		{"each", "body", `[{"event":"other"},0]`, "entry 0: type: line 1, column "},
		{"recipient", "json(body.to).to", `{"event":"sent","id":1,"to":"{\"to\":"}`, "recipient: line 1, column 5: json: is no JSON document: it ends too early"},
		{"recipient", "body.to", ``, "the body is no JSON document: it ends too early"},
		{"recipient", "body.to", `{"event":"sent","id":1`, "the body is no JSON document: "},
		{"recipient", "body.to", `{"event":"sent","id":1}{}`, "the body is no single JSON document: more follows it"},
		{"recipient", "body.to", `event=sent&id=1`, "the body is no JSON document: byte 0: "},
		{"recipient", "body.to", `{"id":1,"id":2}`, `the body is no JSON document: byte 8: duplicate object member name`},
		{"recipient", "body.to", strings.Repeat("[", 200) + strings.Repeat("]", 200), "the body is no JSON document that can be read: it nests deeper than 100"},
	} {
		_, err := mustCompile(t, simple(c.key, c.text)).Map([]byte(c.body))
		if err == nil || errors.Is(err, ErrIgnored) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %s, %.60s:\ngot  %v\nwant %s", c.key, c.text, c.body, err, c.want)
		}
	}
}

func TestIgnored(t *testing.T) {
	for _, c := range []struct{ each, body string }{{"", `{"event":"other"}`}, {"body", `[{"event":"other"}]`}, {"body", `[]`}} {
		p := simple("type", "item.event")
		p.Each = c.each
		if mails, err := mustCompile(t, p).Map([]byte(c.body)); !errors.Is(err, ErrIgnored) {
			t.Errorf("%s: %v, %v; want ErrIgnored", c.body, mails, err)
		}
	}
	p := simple("type", `body.event == "sent" ? "email.sent" : ""`)
	p.Types = nil
	if _, err := mustCompile(t, p).Map([]byte(`{"event":"dropped"}`)); !errors.Is(err, ErrIgnored) {
		t.Errorf("%v; want ErrIgnored", err)
	}
	p = simple("type", "body.event")
	p.Types["*"] = "email.failed"
	mails, err := mustCompile(t, p).Map([]byte(`{"event":"dropped","id":7}`))
	if err != nil || len(mails) != 1 || mails[0].Event.Type != event.Failed || string(mails[0].Report.ProviderType) != "dropped" || string(mails[0].Event.Message) != "7" {
		t.Errorf("%v, %v", mails, err)
	}
}

func TestTimes(t *testing.T) {
	want := time.Date(2026, 11, 30, 7, 0, 2, 250e6, time.UTC)
	for _, text := range []string{`"2026-11-30T07:00:02.25Z"`, `"2026-11-30T08:00:02.25+01:00"`, `1796022002.25`, `1796022002250`, `1796022002250000`, `"1796022002.25"`} {
		for _, expression := range []string{"body.at", "[body.at][0]"} {
			mails, err := mustCompile(t, simple("time", expression)).Map([]byte(`{"event":"sent","id":1,"at":` + text + `}`))
			if err != nil || !mails[0].Report.Occurred.Equal(want) {
				t.Errorf("%s: %v, %v", text, mails, err)
			}
		}
	}
	mails, err := mustCompile(t, simple("time", `timestamp(body.day + "T00:00:00Z") + duration("1h")`)).Map([]byte(`{"event":"sent","id":1,"day":"2026-11-30"}`))
	if err != nil || !mails[0].Report.Occurred.Equal(time.Date(2026, 11, 30, 1, 0, 0, 0, time.UTC)) {
		t.Errorf("%v, %v", mails, err)
	}
}

// Amazon SES comes through SNS so: a document as text within a document.
func TestDocumentInText(t *testing.T) {
	p := simple("each", "[json(body.Message)]")
	p.Type, p.ProviderMessage = "item.event", "item.id"
	mails, err := mustCompile(t, p).Map([]byte(`{"Message":"{\"event\":\"sent\",\"id\":\"m-1\"}"}`))
	if err != nil || len(mails) != 1 || string(mails[0].Event.Message) != "m-1" {
		t.Errorf("%v, %v", mails, err)
	}
}
