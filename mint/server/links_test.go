package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"waypost/mint/link"
)

// held is what a test says of one link: identity, message, prospect, user, recipient, number.
type held struct {
	Original, Message, Prospect, User, Recipient string
	Number                                       uint32
}

func heldBy(links map[string]*link.Link) map[string]held {
	got := map[string]held{}
	for value, l := range links {
		got[value] = held{
			string(l.Original), l.Message.String(), l.Prospect.String(), l.User.String(), string(l.Recipient), l.Number,
		}
	}
	return got
}

// TestLinks has requests that are answered 200, and what their links hold.
func TestLinks(t *testing.T) {
	const a, b = "https://a.example/1", "https://b.example/2"
	tests := []struct {
		name, body string
		want       map[string]held
	}{
		{"bare", `{"data":["https://a.example/1"]}`, map[string]held{a: {}}},
		{"no links", `{"data":[]}`, map[string]held{}},
		{"meta first", `{"meta":{"mailing":{"id":"1"}},"data":["https://a.example/1"]}`, map[string]held{a: {Message: "1"}}},
		{"repeated value", `{"data":["https://a.example/1","https://a.example/1","https://b.example/2"]}`, map[string]held{a: {}, b: {Number: 1}}},
		{"numbers as ids", `{"data":["https://a.example/1"],"meta":{"mailing":{"id":123},"prospect":{"id":4e5},"user":{"id":-7.50}}}`,
			map[string]held{a: {Message: "123", Prospect: "4e5", User: "-7.50"}}},
		{"ids as text", `{"data":["https://a.example/1"],"meta":{"mailing":{"id":"007"},"prospect":{"id":"x y"},"user":{"id":"1b4e28ba-2fa1-11d2-883f-0016d3cca427"}}}`,
			map[string]held{a: {Message: "007", Prospect: "x y", User: "1b4e28ba-2fa1-11d2-883f-0016d3cca427"}}},
		{"nulls", `{"data":["https://a.example/1"],"meta":{"mailing":null,"prospect":{"id":null,"email":null},"user":{},"urls":null}}`, map[string]held{a: {}}},
		{"empty strings", `{"data":["https://a.example/1"],"meta":{"mailing":{"id":""},"prospect":{"id":"","email":""}}}`, map[string]held{a: {}}},
		{"user's email is not the recipient's", `{"data":["https://a.example/1"],"meta":{"user":{"id":"1","email":"u@x"},"prospect":{"id":"2"}}}`,
			map[string]held{a: {User: "1", Prospect: "2"}}},
		{"address as written", `{"data":["https://a.example/1"],"meta":{"prospect":{"email":"Abc@Prospect.com"}}}`, map[string]held{a: {Recipient: "Abc@Prospect.com"}}},
		{"identity", `{"data":["https://a.example/1"],"meta":{"urls":{"https://a.example/1":"https://a.example/1"}}}`, map[string]held{a: {}}},
		{"partial", `{"data":["https://a.example/1","https://b.example/2"],"meta":{"urls":{"https://o.example/":"https://b.example/2"}}}`,
			map[string]held{a: {}, b: {Original: "https://o.example/", Number: 1}}},
		{"several originals: the first", `{"data":["https://a.example/1"],"meta":{"urls":{"https://z.example/":"https://a.example/1","https://o.example/":"https://a.example/1"}}}`,
			map[string]held{a: {Original: "https://z.example/"}}},
		{"first is the identity", `{"data":["https://a.example/1"],"meta":{"urls":{"https://a.example/1":"https://a.example/1","https://o.example/":"https://a.example/1"}}}`,
			map[string]held{a: {}}},
		{"original of an unknown value", `{"data":["https://a.example/1"],"meta":{"urls":{"https://o.example/":"https://elsewhere.example/"}}}`, map[string]held{a: {}}},
		{"escapes", `{"data":["https:\/\/a.example\/\u0031"],"\u006deta":{"urls":{"https:\/\/o.example\/":"https:\u002f\u002fa.example/1"}}}`,
			map[string]held{a: {Original: "https://o.example/"}}},
		{"one value, two spellings", `{"data":["https://a.example/1","https:\/\/a.example/1"]}`, map[string]held{a: {}}},
		{"surrogate pair", `{"data":["https://a.example/\ud83d\ude00"]}`, map[string]held{"https://a.example/\U0001F600": {}}},
		{"data twice: the last", `{"data":["https://a.example/1"],"data":["https://b.example/2"]}`, map[string]held{b: {}}},
		{"meta twice: the last", `{"data":["https://a.example/1"],"meta":{"mailing":{"id":1},"urls":{"x":"https://a.example/1"}},"meta":{"user":{"id":2}}}`, map[string]held{a: {User: "2"}}},
		{"id twice: the last", `{"data":["https://a.example/1"],"meta":{"mailing":{"id":1,"id":2}}}`, map[string]held{a: {Message: "2"}}},
		{"urls' members twice: the first", `{"data":["https://a.example/1"],"meta":{"urls":{"u":"https://a.example/1","v":"https://a.example/1","u":"https://b.example/2"}}}`, map[string]held{a: {Original: "u"}}},
		{"unknown members", `{"x":[{"data":1}],"data":["https://a.example/1"],"meta":{"y":{"id":1},"mailing":{"z":[],"id":3}}}`, map[string]held{a: {Message: "3"}}},
		{"wide spaces", " {\n\t\"data\" : [ \"https://a.example/1\" ] } \r\n", map[string]held{a: {}}},
		{"upper case scheme", `{"data":["HTTPS://A.example/1"]}`, map[string]held{"HTTPS://A.example/1": {}}},
	}
	s := newStack(t, nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s.t = t
			links := s.answer(test.body)
			for value, l := range links {
				if string(l.Destination) != value {
					t.Errorf("%q leads to %q", value, l.Destination)
				}
			}
			if diff := cmp.Diff(test.want, heldBy(links)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWrongMeta has members of the wrong type: they count as absent, and the mail keeps its links.
func TestWrongMeta(t *testing.T) {
	tests := []struct{ meta, member string }{
		{`"x"`, "meta"},
		{`[{}]`, "meta"},
		{`{"mailing":"123"}`, "meta.mailing"},
		{`{"mailing":{"id":[1]}}`, "meta.mailing"},
		{`{"mailing":{"id":true}}`, "meta.mailing"},
		{`{"mailing":{"id":"\ud800"}}`, "meta.mailing"},
		{`{"mailing":{"id":"` + strings.Repeat("x", maxID+1) + `"}}`, "meta.mailing"},
		{`{"prospect":{"email":5}}`, "meta.prospect"},
		{`{"prospect":{"email":"` + strings.Repeat("x", maxEmail+1) + `"}}`, "meta.prospect"},
		{`{"prospect":[]}`, "meta.prospect"},
		{`{"user":{"id":{}}}`, "meta.user"},
		{`{"urls":[]}`, "meta.urls"},
		{`{"urls":{"https://o.example/":5}}`, "meta.urls"},
	}
	s := newStack(t, nil)
	for _, test := range tests {
		t.Run(test.meta[:min(len(test.meta), 40)], func(t *testing.T) {
			s.t = t
			before := s.counter("waypost_mint_members_ignored_total", "member", test.member)
			links := s.answer(`{"data":["https://a.example/1"],"meta":` + test.meta + `}`)
			if diff := cmp.Diff(map[string]held{"https://a.example/1": {}}, heldBy(links)); diff != "" {
				t.Error(diff)
			}
			if n := s.counter("waypost_mint_members_ignored_total", "member", test.member) - before; n != 1 {
				t.Errorf("counted %v times", n)
			}
		})
	}
}

// TestLeft has entries of data that stay as they are, each beside one that does not.
func TestLeft(t *testing.T) {
	s := newStack(t, nil)
	own := func(tenant uint32, host string) string {
		token, err := s.keys.AppendToken(nil, &link.Link{Tenant: tenant, Destination: []byte("https://a.example/")})
		if err != nil {
			t.Fatal(err)
		}
		return host + "/" + string(token)
	}
	long := "https://a.example/" + strings.Repeat("0Zq", 1200)
	tests := []struct {
		name   string
		entry  any
		reason string
	}{
		{"mailto", "mailto:a@b.example", "scheme"},
		{"javascript", "javascript:alert(1)", "scheme"},
		{"ftp", "ftp://a.example/", "scheme"},
		{"relative", "/path", "scheme"},
		{"no scheme", "//a.example/", "scheme"},
		{"empty", "", "scheme"},
		{"no host", "https://", "host"},
		{"only a path", "https:///path", "host"},
		{"only a port", "http://:80/", "host"},
		{"only a user", "https://user@/", "host"},
		{"line feed", "https://a.example/\nSet-Cookie: x", "control"},
		{"carriage return", "https://a.example/\r", "control"},
		{"NUL", "https://a.example/\x00", "control"},
		{"DEL", "https://a.example/\x7f", "control"},
		{"space", "https://a.example/ b", "control"},
		{"long", long, "budget"},
		{"far too long", "https://a.example/" + strings.Repeat("x", 100_000), "budget"},
		{"our own", own(1, "https://links.example.com"), "own"},
		{"our own, older host, query", own(1, "http://127.0.0.1:8080") + "?x=1", "own"},
		{"our own in upper case", own(1, "HTTPS://LINKS.example.com:443"), "own"},
		{"number", 5, "not_string"},
		{"null", nil, "not_string"},
		{"object", map[string]any{"url": "https://a.example/"}, "not_string"},
		{"array", []string{"https://a.example/"}, "not_string"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s.t = t
			before := s.counter("waypost_mint_links_left_total", "reason", test.reason)
			body, err := json.Marshal(map[string]any{"data": []any{test.entry, "https://good.example/"}})
			if err != nil {
				t.Fatal(err)
			}
			links := s.answer(string(body))
			if len(links) != 1 || links["https://good.example/"] == nil {
				t.Errorf("answered for %v", links)
			}
			if n := s.counter("waypost_mint_links_left_total", "reason", test.reason) - before; n != 1 {
				t.Errorf("counted %v times as %s", n, test.reason)
			}
		})
	}
}

// TestNotOwn has URLs that look like links of ours and are none: they are minted.
func TestNotOwn(t *testing.T) {
	s := newStack(t, nil)
	token, err := s.keys.AppendToken(nil, &link.Link{Tenant: 1, Destination: []byte("https://a.example/")})
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{
		"https://links.example.com",
		"https://links.example.com/",
		"https://links.example.com/about",
		"https://go.other.example/" + string(token),
		"https://links.example.com/" + string(token) + "x",
		"https://a.example/?u=https://links.example.com/" + string(token),
	} {
		if links := s.answer(fmt.Sprintf(`{"data":[%q]}`, url)); string(links[url].Destination) != url {
			t.Errorf("%s: %v", url, links)
		}
	}
}

// TestBudget finds the longest URL that a link may have: that the link fits is decided by the whole URL's length.
func TestBudget(t *testing.T) {
	s := newStack(t, func(s *stack) { s.tenant.LinkBudget = 150 })
	longest, minted := 0, 0
	for n := range 120 {
		_, text, _ := s.do(s.request(`{"data":["https://a.example/` + strings.Repeat("\u00e9", n) + `"]}`))
		var document struct{ Data map[string]string }
		if err := json.Unmarshal([]byte(text), &document); err != nil {
			t.Fatal(err)
		}
		for _, url := range document.Data {
			longest = max(longest, len(url))
			minted++
		}
	}
	if longest > 150 || longest < 145 {
		t.Errorf("longest link: %d characters, budget 150", longest)
	}
	if left := s.counter("waypost_mint_links_left_total", "reason", "budget"); int(left)+minted != 120 || minted == 0 {
		t.Errorf("%d minted and %v left of 120", minted, left)
	}
}

// TestOddBytes has strings that a JSON library would mend: the key comes back as it was, the destination is what was sent.
func TestOddBytes(t *testing.T) {
	s := newStack(t, nil)
	raw := "\"https://a.example/\xff\xc0\x80\xed\xa0\x80?\xe9\""
	status, text, _ := s.do(s.request(`{"data":[` + raw + `,"https://b.example/\ud800","https://b.example/\udc00\ud800x"]}`))
	if status != 200 || !strings.HasPrefix(text, `{"data":{`+raw+`:"https://links.example.com/`) {
		t.Fatalf("%d %q", status, text)
	}
	token := text[len(`{"data":{`+raw+`:"https://links.example.com/`) : len(text)-len(`"}}`)]
	var l link.Link
	if err := s.keys.Open(&l, []byte(token)); err != nil {
		t.Fatalf("%v: %q", err, token)
	}
	if got := `"` + string(l.Destination) + `"`; got != raw {
		t.Errorf("leads to %q, want %q", got, raw)
	}
	if n := s.counter("waypost_mint_links_left_total", "reason", "surrogate"); n != 2 {
		t.Errorf("halves of surrogate pairs counted: %v", n)
	}
}

func TestNoRecipientInLink(t *testing.T) {
	s := newStack(t, func(s *stack) { s.tenant.RecipientInLink = false })
	const head = `{"data":["https://a.example/1"],"meta":{"prospect":{"email":"A@b.example"`
	hash := string(link.HashRecipient(1, []byte("a@b.example")))
	want := map[string]held{"https://a.example/1": {Prospect: "5"}}
	if diff := cmp.Diff(want, heldBy(s.answer(head+`,"id":5}}}`))); diff != "" {
		t.Error(diff)
	}
	want = map[string]held{"https://a.example/1": {Recipient: hash}}
	if diff := cmp.Diff(want, heldBy(s.answer(head+`}}}`))); diff != "" {
		t.Error(diff)
	}
}

// TestManyLinks is larger than any mail: thousands of entries, each with an original.
func TestManyLinks(t *testing.T) {
	const n = 5000
	var data, urls []string
	for i := range n {
		data = append(data, fmt.Sprintf(`"https://a.example/%d"`, i))
		urls = append(urls, fmt.Sprintf(`"https://o.example/%d":"https://a.example/%d"`, i, i))
	}
	s := newStack(t, nil)
	links := s.answer(`{"meta":{"urls":{` + strings.Join(urls, ",") + `}},"data":[` + strings.Join(data, ",") + `]}`)
	if len(links) != n {
		t.Fatalf("%d links, want %d", len(links), n)
	}
	for i := range n {
		l := links[fmt.Sprintf("https://a.example/%d", i)]
		if want := fmt.Sprintf("https://o.example/%d", i); l == nil || string(l.Original) != want || l.Number != uint32(i) {
			t.Fatalf("link %d: %+v", i, l)
		}
	}
}

// TestLate ends minting between two entries: those done are answered, the others stay out and are counted.
func TestLate(t *testing.T) {
	s := newStack(t, nil)
	m := new(minter)
	if err := m.parse([]byte(`{"data":["https://a.example/1","https://b.example/2","https://c.example/3"]}`)); err != nil {
		t.Fatal(err)
	}
	asked := 0
	late := func() bool { asked++; return asked > 2 }
	links := s.open(string(s.server.mint(m, s.demo(), testNow, late)))
	if len(links) != 2 || links["https://c.example/3"] != nil || m.left[leftLate] != 1 {
		t.Errorf("%d links, %d late", len(links), m.left[leftLate])
	}
	links = s.open(string(s.server.mint(m, s.demo(), testNow, func() bool { return true })))
	if len(links) != 0 || m.left[leftLate] != 3 {
		t.Errorf("%d links, %d late", len(links), m.left[leftLate])
	}
}

// TestMinute has the same request in the next minute: another link.
func TestMinute(t *testing.T) {
	s := newStack(t, nil)
	m := new(minter)
	if err := m.parse([]byte(oneLink)); err != nil {
		t.Fatal(err)
	}
	mint := func(now time.Time) string {
		return string(s.server.mint(m, s.demo(), now, func() bool { return false }))
	}
	first := mint(testNow)
	if mint(testNow.Truncate(time.Minute)) != first {
		t.Error("another link within the minute")
	}
	if mint(testNow.Add(time.Minute)) == first {
		t.Error("the same link a minute later")
	}
}
