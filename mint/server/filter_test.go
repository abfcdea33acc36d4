package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"waypost/configs"
)

// withFilter gives demo keys and a filter.
func withFilter(s *stack) {
	withKeys(s)
	s.tenant.Filter = `(?i)^https?://([^/?#]+\.)?example\.com([/?#]|$)|^https://(b+)+/$`
}

// reload has the server take up demo as changed, and no other tenant.
func (s *stack) reload(changed *configs.Tenant) error {
	return s.server.Reload(s.keys, &configs.Tenants{List: []*configs.Tenant{changed}})
}

// stuck is a URL on which that filter gives up.
var stuck = "https://" + strings.Repeat("b", 60) + "."

// TestFilterOfOutreach looks at the original, not at what an earlier tracker made of it.
func TestFilterOfOutreach(t *testing.T) {
	s := newStack(t, withFilter)
	body := fmt.Sprintf(`{"data": ["https://r.example.net/1", "https://r.example.com/2", "https://www.EXAMPLE.com", "https://example.com.example.net/", %q],
		"meta": {"urls": {"https://example.com/a": "https://r.example.net/1", "https://example.net/b": "https://r.example.com/2"}}}`, stuck)
	replaced := slices.Sorted(maps.Keys(s.answer(body)))
	if diff := cmp.Diff([]string{"https://r.example.net/1", "https://www.EXAMPLE.com"}, replaced); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for reason, want := range map[string]float64{"filter": 2, "filter_failed": 1} {
		if got := s.counter("waypost_mint_links_left_total", "reason", reason); got != want {
			t.Errorf("%v left by %s, want %v", got, reason, want)
		}
	}
}

func TestFilterOfMessages(t *testing.T) {
	s := newStack(t, withFilter)
	r := s.reply("/v1/messages/demo", `{"recipient": "jane@example.com", "opens": false, "html": "<a href=\"https://example.com/a\">a</a> <a href=\"https://example.net/b\">b</a>", "text": "https://example.net/b https://example.com/a"}`)
	if got, want := s.opened(*r.HTML), `<a href="[1 0 https://example.com/a]">a</a> <a href="https://example.net/b">b</a>`; got != want {
		t.Errorf("html %s\nwant %s", got, want)
	}
	if got, want := s.opened(*r.Text), `https://example.net/b [2 0 https://example.com/a]`; got != want {
		t.Errorf("text %s\nwant %s", got, want)
	}
	if diff := cmp.Diff(map[string]int{"filter": 2}, r.Left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

// A mail whose links all take too long takes no more time than a few of them: the others are left untried, those too that would match.
func TestFilterGivesUpOnAMail(t *testing.T) {
	s := newStack(t, withFilter)
	urls := []string{"https://example.com/first"}
	for n := range maxGivenUp {
		urls = append(urls, fmt.Sprint(stuck, n))
	}
	urls = append(urls, "https://example.com/last", "https://example.net/")
	body, err := json.Marshal(map[string]any{"recipient": "jane@example.com", "links": urls})
	if err != nil {
		t.Fatal(err)
	}
	r := s.reply("/v1/links/demo", string(body))
	if _, first := r.Links["https://example.com/first"]; !first || r.Replaced != 1 {
		t.Errorf("replaced %v", r.Links)
	}
	if diff := cmp.Diff(map[string]int{"filter_failed": maxGivenUp + 2}, r.Left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

// TestFilterIsReloaded takes a filter up, refuses one with a mistake, and goes on by the old one.
func TestFilterIsReloaded(t *testing.T) {
	s := newStack(t, withKeys)
	links := `{"recipient": "jane@example.com", "links": ["https://example.com/a", "https://example.net/b"]}`
	if r := s.reply("/v1/links/demo", links); r.Replaced != 2 {
		t.Fatalf("without a filter: %+v", r)
	}
	for _, c := range []struct {
		filter   string
		fails    bool
		replaced int
	}{{`example\.com`, false, 1}, {`(`, true, 1}, {`^ftp:`, false, 0}, {``, false, 2}} {
		changed := *s.tenant
		changed.Filter = c.filter
		if err := s.reload(&changed); (err != nil) != c.fails {
			t.Errorf("%q: %v", c.filter, err)
		}
		if r := s.reply("/v1/links/demo", links); r.Replaced != c.replaced {
			t.Errorf("%q: %d replaced, want %d", c.filter, r.Replaced, c.replaced)
		}
	}
}

func TestFilterTester(t *testing.T) {
	s := newStack(t, withFilter)
	const path = "/v1/filter/test/demo"
	own, err := json.Marshal(s.tenant.Filter)
	if err != nil {
		t.Fatal(err)
	}
	many := `["a"` + strings.Repeat(`,"a"`, maxFilterURLs) + `]`
	for _, c := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"another expression", `{"expression": "<\\Kb&", "urls": ["a<b&c", "ü<b&", "x"]}`, 200,
			`{"expression":"<\\Kb&","results":[{"url":"a<b&c","matches":true,"matched":"b&","from":2,"to":4},{"url":"ü<b&","matches":true,"matched":"b&","from":3,"to":5},{"url":"x","matches":false}]}`},
		{"the tenant's", `{"urls": ["http://example.com"]}`, 200, `{"expression":` + string(own) + `,"results":[{"url":"http://example.com","matches":true,"matched":"http://example.com","from":0,"to":18}]}`},
		{"matches nothing of it", `{"expression": "", "urls": [""]}`, 200, `{"expression":"","results":[{"url":"","matches":true,"matched":"","from":0,"to":0}]}`},
		{"given up", `{"expression": "^(b+)+$", "urls": ["` + strings.Repeat("b", 50) + `a"]}`, 200,
			`{"expression":"^(b+)+$","results":[{"url":"` + strings.Repeat("b", 50) + `a","matches":false,"error":"given up: the match takes too many steps"}]}`},
		{"no URLs", `{"expression": "a", "urls": []}`, 200, `{"expression":"a","results":[]}`},
		{"a mistake", `{"expression": "ab)", "urls": []}`, 400, `{"error":"/expression: must be a PCRE expression: unmatched closing parenthesis, at byte 2, after ab","offset":2}`},
		{"too long", `{"expression": "` + strings.Repeat("a", 2001) + `", "urls": []}`, 400, `{"error":"/expression: must be a string of at most 2000 bytes: a PCRE expression"}`},
		{"no string", `{"expression": 1, "urls": []}`, 400, `{"error":"/expression: must be a string of at most 2000 bytes: a PCRE expression"}`},
		{"without URLs", `{"expression": "a"}`, 400, `{"error":"/urls: must be set: an array of URLs"}`},
		{"too many", `{"expression": "a", "urls": ` + many + `}`, 400, `{"error":"/urls: must be an array of at most 100 URLs"}`},
		{"no URL", `{"expression": "a", "urls": ["a", null]}`, 400, `{"error":"/urls/1: must be a string: a URL"}`},
		{"unknown", `{"url": "a"}`, 400, `{"error":"/url: no such member; there are expression, urls"}`},
		{"no object", `[]`, 400, `{"error":"the request must be a JSON object"}`},
	} {
		if status, body, _ := s.ask(path, c.body, nil); status != c.status || body != c.want {
			t.Errorf("%s: %d %s\nwant %d %s", c.name, status, body, c.status, c.want)
		}
	}
	if status, body, _ := s.ask(path, `{}`, func(r *http.Request) { r.Header.Set("Authorization", "Bearer another-key-that-is-none") }); status != 401 {
		t.Errorf("a wrong key: %d %s", status, body)
	}
	for path, want := range map[string]int{"/v1/filter/test/nobody": 404, "/v1/filter/test": 404, "/v1/filter/demo": 404} {
		if status, body, _ := s.ask(path, `{}`, nil); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	changed := *s.tenant
	changed.Filter = ""
	if err := s.reload(&changed); err != nil {
		t.Fatal(err)
	}
	if status, body, _ := s.ask(path, `{"urls": []}`, nil); status != 400 || body != `{"error":"/expression: must be set: the tenant has no filter"}` {
		t.Errorf("without a filter: %d %s", status, body)
	}
}

// The handler of Outreach's requests allocates nothing with a filter either.
func TestNoAllocationsWithFilter(t *testing.T) {
	if raceEnabled {
		t.Log("pools drop what they hold under the race detector: nothing to measure")
		return
	}
	s := newStack(t, func(s *stack) { s.tenant.Filter = `^https?://` })
	run, _ := handled(t, s, tenLinks(t))
	run()
	if n := testing.AllocsPerRun(1000, run); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}
