package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"waypost/configs"
	"waypost/mint/link"
)

const (
	testKey  = "the-key-of-today"
	otherKey = "0123456789abcdef-the-key-before"
)

// withKeys gives demo two keys.
func withKeys(s *stack) {
	s.tenant.APIKeys = []configs.Secret{testKey, otherKey}
}

// ask posts body to that path with demo's first key; change may alter the request.
func (s *stack) ask(path, body string, change func(*http.Request)) (int, string, http.Header) {
	s.t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://"+s.addr+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+testKey)
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	if change != nil {
		change(r)
	}
	return s.do(r)
}

// reply is an answer of /v1/messages and /v1/links.
type reply struct {
	Message           string            `json:"message"`
	HTML              *string           `json:"html"`
	Text              *string           `json:"text"`
	Links             map[string]string `json:"links"`
	Opens             *bool             `json:"opens"`
	Replaced          int               `json:"replaced"`
	Left              map[string]int    `json:"left"`
	ResendTag         map[string]string `json:"resend_tag"`
	PostmarkMetadata  map[string]string `json:"postmark_metadata"`
	MailerooTags      map[string]string `json:"maileroo_tags"`
	MailerooReference string            `json:"maileroo_reference_id"`
}

func (s *stack) reply(path, body string) reply {
	s.t.Helper()
	status, text, _ := s.ask(path, body, nil)
	if status != http.StatusOK {
		s.t.Fatalf("%d %s", status, text)
	}
	var r reply
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		s.t.Fatalf("%v in %s", err, text)
	}
	return r
}

var tokenPattern = regexp.MustCompile(`https://links\.example\.com/(o/[A-Za-z0-9_-]+\.gif|[A-Za-z0-9_-]+)`)

// opened puts what the links hold in their places: place, number and destination.
func (s *stack) opened(text string) string {
	s.t.Helper()
	return tokenPattern.ReplaceAllStringFunc(text, func(url string) string {
		l := s.link(url)
		return fmt.Sprintf("[%d %d %s]", l.Place, l.Number, l.Destination)
	})
}

func (s *stack) link(url string) *link.Link {
	s.t.Helper()
	l := new(link.Link)
	token, picture := strings.CutPrefix(strings.TrimPrefix(url, "https://links.example.com/"), "o/")
	if err := s.keys.Open(l, []byte(strings.TrimSuffix(token, ".gif"))); err != nil || picture != (l.Kind == link.Open) {
		s.t.Fatalf("%s: %v, kind %d", url, err, l.Kind)
	}
	return l
}

const wholeMessage = `{"message": "order-17", "recipient": "Jane@example.com", "stream": "receipts", "tag": "order", "metadata": {"shop": "7", "note": ""},
 "list_unsubscribe": "<mailto:u@example.com>, <https://example.com/u?a=1&b=2>",
 "html": "<p>\u00fc &amp; <a href=\"https://example.com/a?x=1&amp;y=2\">a<\/a> <a href='https://example.com/b'>b</a><a href=https://example.com/u?a=1&amp;b=2>u</a><a href='https:///'>c</a>",
 "text": "https://example.com/b, https://example.com/a?x=1&y=2. https://example.com/u?a=1&b=2",
 "links": ["https://example.com/c", "https://example.com/b", "https://example.com/c", "ftp://example.com/"]}`

func TestMessage(t *testing.T) {
	s := newStack(t, withKeys)
	r := s.reply("/v1/messages/demo", wholeMessage)
	want := `<p>ü &amp; <a href="[1 0 https://example.com/a?x=1&y=2]">a</a> <a href='[1 1 https://example.com/b]'>b</a><a href=https://example.com/u?a=1&amp;b=2>u</a><a href='https:///'>c</a>` +
		`<img src="[0 0 ]" alt="" width="1" height="1" border="0" style="width:1px;height:1px;border:0">`
	if got := s.opened(*r.HTML); got != want {
		t.Errorf("html %s\nwant %s", got, want)
	}
	if got, want := s.opened(*r.Text), `[2 1 https://example.com/b], [2 0 https://example.com/a?x=1&y=2]. https://example.com/u?a=1&b=2`; got != want {
		t.Errorf("text %s\nwant %s", got, want)
	}
	links := map[string]string{}
	for url, replacement := range r.Links {
		links[url] = s.opened(replacement)
	}
	if diff := cmp.Diff(map[string]string{"https://example.com/c": "[0 4 https://example.com/c]", "https://example.com/b": "[0 1 https://example.com/b]"}, links); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
	l := s.link(tokenPattern.FindString(*r.HTML))
	key, value, rest, _ := link.NextMetadata(l.Metadata)
	key2, value2, _, _ := link.NextMetadata(rest)
	got := []string{l.Message.String(), l.Prospect.String(), string(l.Recipient), string(l.Stream), string(l.Tag), string(key), string(value), string(key2), string(value2), string(l.Original)}
	if diff := cmp.Diff([]string{"order-17", "", "Jane@example.com", "receipts", "order", "shop", "7", "note", "", ""}, got); diff != "" {
		t.Errorf("a link holds (-want +got):\n%s", diff)
	}
	if o := s.link(tokenPattern.FindAllString(*r.HTML, -1)[2]); o.Message.String() != "order-17" || string(o.Recipient) != "Jane@example.com" || string(o.Tag) != "order" || len(o.Metadata) == 0 {
		t.Errorf("the picture holds %+v", o)
	}
	if r.Opens == nil || !*r.Opens {
		t.Error("the answer does not say that opens will be told of")
	}
	r.HTML, r.Text, r.Links, r.Opens = nil, nil, nil, nil
	along := map[string]string{"waypost": "order-17"}
	wantReply := reply{
		Message: "order-17", Replaced: 6, Left: map[string]int{"excluded": 2, "host": 1, "scheme": 1},
		ResendTag: map[string]string{"name": "waypost", "value": "order-17"}, PostmarkMetadata: along, MailerooTags: along,
	}
	if diff := cmp.Diff(wantReply, r, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := s.counter("waypost_mint_links_total", "tenant", "demo"); got != 6 {
		t.Errorf("%v links counted", got)
	}
	if got := s.counter("waypost_mint_links_left_total", "reason", "excluded"); got != 2 {
		t.Errorf("%v links counted as excluded", got)
	}
}

func TestMessageWithoutAnID(t *testing.T) {
	s := newStack(t, withKeys)
	const body = `{"recipient": "jane@example.com", "links": ["https://example.com/"], "message": null, "stream": "outbound", "place": "text"}`
	first, second := s.reply("/v1/links/demo", body), s.reply("/v1/links/demo", body)
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	if !uuid.MatchString(first.Message) || first.Message == second.Message {
		t.Errorf("made %q and %q", first.Message, second.Message)
	}
	l := s.link(first.Links["https://example.com/"])
	if l.Message.String() != first.Message || l.Place != link.PlaceText || len(l.Stream) > 0 {
		t.Errorf("the link holds message %q, place %d, stream %q", l.Message, l.Place, l.Stream)
	}
	if again := s.reply("/v1/links/demo", strings.ReplaceAll(body, "null", `"`+first.Message+`"`)); again.Links["https://example.com/"] != first.Links["https://example.com/"] {
		t.Error("the same request gave another link")
	}
}

// A recipient whose address the tenant keeps out of links is told from others by its hash.
func TestMessageHashesTheRecipient(t *testing.T) {
	s := newStack(t, func(s *stack) {
		withKeys(s)
		s.tenant.RecipientInLink = false
	})
	r := s.reply("/v1/links/demo", `{"recipient": "jane@example.com", "links": ["https://example.com/"]}`)
	if got, want := string(s.link(r.Links["https://example.com/"]).Recipient), string(link.HashRecipient(1, []byte("jane@example.com"))); got != want {
		t.Errorf("recipient %q, want %q", got, want)
	}
}

func TestMessageUntracked(t *testing.T) {
	s := newStack(t, withKeys)
	r := s.reply("/v1/messages/demo", `{"message": "1", "track": false, "html": "<a href='https://example.com/'>\u2028", "text": "https://example.com/", "links": ["https://example.com/"]}`)
	if *r.HTML != "<a href='https://example.com/'>\u2028" || *r.Text != "https://example.com/" || len(r.Links) > 0 || r.Links == nil || r.Replaced != 0 {
		t.Errorf("%+v", r)
	}
	if r.ResendTag["value"] != "1" {
		t.Errorf("resend_tag %v", r.ResendTag)
	}
}

// A picture is put into HTML only, and not where the sender does not want it.
func TestMessageWithoutAPicture(t *testing.T) {
	s := newStack(t, withKeys)
	r := s.reply("/v1/messages/demo", `{"recipient": "jane@example.com", "opens": false, "html": "<p>x</p>", "text": "x"}`)
	if *r.HTML != "<p>x</p>" || *r.Text != "x" || r.Opens == nil || *r.Opens {
		t.Errorf("%s, %s, opens %v", *r.HTML, *r.Text, r.Opens)
	}
	if r := s.reply("/v1/messages/demo", `{"recipient": "jane@example.com", "text": "x"}`); *r.Text != "x" || r.Opens != nil {
		t.Errorf("%s, opens %v", *r.Text, r.Opens)
	}
	s2 := newStack(t, func(s *stack) {
		withKeys(s)
		s.tenant.LinkBudget = 70
	})
	if r := s2.reply("/v1/messages/demo", `{"recipient": "jane@example.com", "html": "<p>x</p>"}`); *r.HTML != "<p>x</p>" || *r.Opens {
		t.Errorf("over the budget: %s", *r.HTML)
	}
}

// Of a tenant with tracking off nothing is recorded: its links lead on all the same, and a picture would be in the mail for nothing.
func TestMessageOfATenantWithTrackingOff(t *testing.T) {
	s := newStack(t, func(s *stack) {
		withKeys(s)
		s.tenant.Track = "off"
	})
	r := s.reply("/v1/messages/demo", `{"recipient": "jane@example.com", "html": "<a href=\"https://example.com/\">x</a>"}`)
	if got := s.opened(*r.HTML); got != `<a href="[1 0 https://example.com/]">x</a>` || *r.Opens {
		t.Errorf("%s, opens %v", got, *r.Opens)
	}
}

// Links of our own stay, so that a body may come twice; those over the budget stay too.
func TestMessageLeavesLinks(t *testing.T) {
	s := newStack(t, withKeys)
	first := s.reply("/v1/messages/demo", `{"message": "1", "recipient": "jane@example.com", "text": "https://example.com/"}`)
	again := s.reply("/v1/messages/demo", `{"message": "1", "recipient": "jane@example.com", "text": "`+*first.Text+`"}`)
	if *again.Text != *first.Text || again.Left["own"] != 1 {
		t.Errorf("%q, left %v", *again.Text, again.Left)
	}
	var random strings.Builder
	for n := range 400 {
		fmt.Fprintf(&random, "%04x/", n*7919%65536)
	}
	long := s.reply("/v1/messages/demo", `{"recipient": "jane@example.com", "text": "https://example.com/`+random.String()+`"}`)
	if long.Left["budget"] != 1 || long.Replaced != 0 {
		t.Errorf("%+v", long)
	}
}

// What is not minted in time stays.
func TestMessageLate(t *testing.T) {
	s := newStack(t, withKeys)
	m, err := parseMessage([]byte(`{"message": "1", "recipient": "a@example.com", "text": "https://example.com/1 https://example.com/2 https://example.com/1"}`), endpointMessages)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	r := newReplacer(m, s.demo(), testNow, func() bool { asked++; return asked > 1 })
	var document reply
	if err := json.Unmarshal(r.appendReply(nil), &document); err != nil {
		t.Fatal(err)
	}
	if got, want := s.opened(*document.Text), "[2 0 https://example.com/1] https://example.com/2 [2 0 https://example.com/1]"; got != want || document.Left["late"] != 1 {
		t.Errorf("%s, left %v", got, document.Left)
	}
}

func TestSendAlong(t *testing.T) {
	long := strings.Repeat("x", 81)
	for id, want := range map[string]string{
		"0123456789abcdef01234567": `,"resend_tag":{"name":"waypost","value":"0123456789abcdef01234567"},"postmark_metadata":{"waypost":"0123456789abcdef01234567"},"maileroo_tags":{"waypost":"0123456789abcdef01234567"},"maileroo_reference_id":"0123456789abcdef01234567"`,
		"<1@example.com>":          `,"postmark_metadata":{"waypost":"<1@example.com>"},"maileroo_tags":{"waypost":"<1@example.com>"}`,
		long:                       `,"resend_tag":{"name":"waypost","value":"` + long + `"},"maileroo_tags":{"waypost":"` + long + `"}`,
	} {
		if got := string(appendSendAlong(nil, id)); got != want {
			t.Errorf("%s: %s\nwant %s", id, got, want)
		}
	}
}

func TestMessageRefusals(t *testing.T) {
	s := newStack(t, withKeys)
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Del(name)
			if value != "" {
				r.Header.Set(name, value)
			}
		}
	}
	const good = `{"recipient": "a@example.com", "links": []}`
	for _, c := range []struct {
		name, path, body string
		change           func(*http.Request)
		status           int
		want             string
	}{
		{"good", "/v1/links/demo", good, nil, 200, `"links":{}`},
		{"the other key", "/v1/links/demo", good, header("Authorization", "bearer  "+otherKey), 200, `"links":{}`},
		{"no type", "/v1/links/demo", good, header("Content-Type", ""), 200, `"links":{}`},
		{"no key", "/v1/links/demo", good, header("Authorization", ""), 401, "Bearer and one of the tenant's api_keys"},
		{"another scheme", "/v1/links/demo", good, header("Authorization", "Basic "+otherKey), 401, "Bearer"},
		{"another key", "/v1/links/demo", "{", header("Authorization", "Bearer "+otherKey+"x"), 401, "Bearer"},
		{"the key of another tenant", "/v1/links/other", good, nil, 401, "Bearer"},
		{"no tenant", "/v1/messages/", good, nil, 404, "nothing here"},
		{"unknown tenant", "/v1/messages/nobody", good, nil, 404, "unknown tenant"},
		{"a path that begins alike", "/v1/linksdemo", good, nil, 404, "nothing here"},
		{"not POST", "/v1/messages/demo", "", func(r *http.Request) { r.Method = http.MethodGet }, 405, "only POST"},
		{"a form", "/v1/messages/demo", good, header("Content-Type", "application/x-www-form-urlencoded"), 415, "Content-Type must be application/json"},
		{"another coding", "/v1/messages/demo", good, header("Content-Encoding", "br"), 415, "Content-Encoding"},
		{"damaged gzip", "/v1/messages/demo", good, header("Content-Encoding", "gzip"), 400, "damaged"},
		{"too long", "/v1/messages/demo", `{"html": "` + strings.Repeat("x", 1<<20) + `"}`, nil, 413, "too long"},

		{"nothing", "/v1/messages/demo", "", nil, 400, "not JSON: the body is empty"},
		{"no JSON", "/v1/messages/demo", "{\n'", nil, 400, "line 2, column 1"},
		{"two objects", "/v1/messages/demo", good + "{}", nil, 400, "more after the end of the object"},
		{"not UTF-8", "/v1/messages/demo", "{\"html\": \"\xff\"}", nil, 400, "invalid UTF-8"},
		{"half a surrogate pair", "/v1/messages/demo", `{"html": "\ud800"}`, nil, 400, "surrogate"},
		{"an array", "/v1/messages/demo", "[]", nil, 400, `{"error":"the request must be a JSON object"}`},
		{"an unknown member", "/v1/messages/demo", `{"recipient": "a", "HTML": ""}`, nil, 400, `{"error":"/HTML: no such member; there are message, recipient, stream, tag, metadata, track, opens, list_unsubscribe, html, text, links, place"}`},
		{"a body for links", "/v1/links/demo", `{"recipient": "a", "html": ""}`, nil, 400, `/html: no such member; there are message, recipient, stream, tag, metadata, track, list_unsubscribe, links, place"}`},
		{"twice", "/v1/messages/demo", `{"metadata": {"a": "", "a": ""}}`, nil, 400, `{"error":"/metadata/a: is written twice"}`},
		{"no recipient", "/v1/links/demo", `{"links": []}`, nil, 400, `/recipient: must be set`},
		{"no links", "/v1/links/demo", `{"recipient": "a"}`, nil, 400, `/links: must be set`},
		{"no body", "/v1/messages/demo", `{"recipient": "a", "html": null}`, nil, 400, `/html: must be set, or text, or links`},
		{"an empty id", "/v1/messages/demo", `{"message": ""}`, nil, 400, `/message: must be a string of 1 to 200 bytes`},
		{"a number as id", "/v1/messages/demo", `{"message": 17}`, nil, 400, `/message: must be a string of 1 to 200 bytes`},
		{"a long recipient", "/v1/messages/demo", `{"recipient": "` + strings.Repeat("x", 321) + `"}`, nil, 400, `/recipient: must be a string of 1 to 320 bytes`},
		{"a line break in a tag", "/v1/messages/demo", `{"tag": "a\nb"}`, nil, 400, `/tag: must be a string of 1 to 200 bytes without control characters`},
		{"a list as stream", "/v1/messages/demo", `{"stream": ["a"]}`, nil, 400, `/stream: must be`},
		{"metadata", "/v1/messages/demo", `{"metadata": []}`, nil, 400, `/metadata: must be an object of at most 20 strings`},
		{"a number in metadata", "/v1/messages/demo", `{"metadata": {"a/b~": 1}}`, nil, 400, `/metadata/a~1b~0: must be a string of at most 200 bytes`},
		{"a long name in metadata", "/v1/messages/demo", `{"metadata": {"` + strings.Repeat("x", 41) + `": ""}}`, nil, 400, `: its name must have 1 to 40 bytes`},
		{"an object as html", "/v1/messages/demo", `{"html": {}}`, nil, 400, `/html: must be a string`},
		{"a number among the links", "/v1/messages/demo", `{"links": ["https://example.com/", 1]}`, nil, 400, `/links/1: must be a string: a URL`},
		{"one link", "/v1/messages/demo", `{"links": "https://example.com/"}`, nil, 400, `/links: must be an array of URLs`},
		{"another place", "/v1/messages/demo", `{"place": "HTML"}`, nil, 400, `/place: must be html or text`},
		{"opens", "/v1/messages/demo", `{"opens": 1}`, nil, 400, `/opens: must be true or false`},
		{"opens of links", "/v1/links/demo", `{"opens": true}`, nil, 400, `/opens: no such member; there are `},
		{"track", "/v1/messages/demo", `{"track": "false"}`, nil, 400, `/track: must be true or false`},
		{"list_unsubscribe", "/v1/messages/demo", `{"list_unsubscribe": "https://example.com/"}`, nil, 400, `/list_unsubscribe: must be the value of the mail's header`},
		{"broken inside", "/v1/messages/demo", `{"metadata": {"a": }}`, nil, 400, `not JSON`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			status, body, headers := s.ask(c.path, c.body, c.change)
			if status != c.status || !strings.Contains(body, c.want) {
				t.Errorf("%d %s, want %d and %s", status, body, c.status, c.want)
			}
			if (headers.Get("WWW-Authenticate") == "Bearer") != (status == 401) {
				t.Errorf("%d with WWW-Authenticate %q", status, headers.Get("WWW-Authenticate"))
			}
		})
	}
	if log := s.log.String(); strings.Contains(log, otherKey) || !strings.Contains(log, "API key refused") {
		t.Errorf("the log says: %s", log)
	}
}

func TestMessageGzipped(t *testing.T) {
	s := newStack(t, withKeys)
	packed := func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }
	if status, body, _ := s.ask("/v1/messages/demo", string(gzipped(t, wholeMessage)), packed); status != 200 || !strings.Contains(body, `"replaced":6`) {
		t.Errorf("%d %s", status, body)
	}
	if status, body, _ := s.ask("/v1/messages/demo", string(gzipped(t, strings.Repeat(" ", 32<<20))), packed); status != 413 {
		t.Errorf("%d %s", status, body)
	}
}

// Without keys nobody is answered, and a reload takes keys away and gives new ones.
func TestAPIKeysReload(t *testing.T) {
	s := newStack(t, nil)
	const good = `{"recipient": "a@example.com", "links": []}`
	if status, body, _ := s.ask("/v1/links/demo", good, nil); status != 401 {
		t.Errorf("%d %s", status, body)
	}
	withKeys(s)
	if err := s.server.Reload(s.keys, &configs.Tenants{List: []*configs.Tenant{s.tenant}}); err != nil {
		t.Fatal(err)
	}
	if status, body, _ := s.ask("/v1/links/demo", good, nil); status != 200 {
		t.Errorf("%d %s", status, body)
	}
}

// FuzzMessage passes any body through parsing and minting: the answer is JSON, its bodies are the request's but for the links, and untracked they are the request's.
func FuzzMessage(f *testing.F) {
	s := newStack(f, withKeys)
	f.Add([]byte(wholeMessage))
	f.Add([]byte(`{"track":false,"html":"<a href=\"https:\/\/example.com\/\ud83d\ude00\">\u0000"}`))
	f.Add([]byte(`{"recipient":"a","text":"https://links.example.com/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA?x","place":"html"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := parseMessage(body, endpointMessages)
		if err != nil {
			if refused := refuseContent(body, err); !json.Valid(refused.body) {
				t.Fatalf("refusal is no JSON: %s", refused.body)
			}
			return
		}
		for _, track := range []bool{m.track, false} {
			m.track = track
			var answer reply
			text := newReplacer(m, s.demo(), testNow, func() bool { return false }).appendReply(nil)
			if err := json.Unmarshal(text, &answer); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			if !track && (m.html != nil && *answer.HTML != *m.html || m.text != nil && *answer.Text != *m.text) {
				t.Fatalf("changed though not tracked: %s", text)
			}
		}
	})
}

// BenchmarkMessage is a request with an HTML body of 100 kB and 50 links in the handler.
func BenchmarkMessage(b *testing.B) {
	s := newStack(b, withKeys)
	var html strings.Builder
	for n := range 50 {
		fmt.Fprintf(&html, `<table width="600"><tr><td style="padding:10px 20px;font-family:Arial,sans-serif"><a href="https://shop.example.com/products/%d?utm_source=newsletter&amp;utm_medium=email&amp;item=%d">Item</a></td></tr></table><p>%s</p>`,
			n, n*7919, strings.Repeat("Something that people read in a mail of ours. ", 38))
	}
	body, err := json.Marshal(map[string]string{"message": "order-17", "recipient": "jane@example.com", "html": html.String()})
	if err != nil {
		b.Fatal(err)
	}
	run, ctx := handled(b, s, body)
	ctx.Request.SetRequestURI("/v1/messages/demo")
	ctx.Request.Header.Set("Authorization", "Bearer "+otherKey)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	before, best := cpu(b), time.Hour
	for since := time.Now(); b.Loop(); since = time.Now() {
		run()
		best = min(best, time.Since(since))
	}
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(best), "best-ns/op")
}
