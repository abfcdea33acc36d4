package enrich

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/ua-parser/uap-go/uaparser"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"waypost/edge/event"
	"waypost/sink/internal/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// page is the user agent of the example on Postmark's page.
const page = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_7_5) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/35.0.1916.153 Safari/537.36"

func newTestAgents(t testing.TB) *agents {
	t.Helper()
	a, err := newAgents(metrics.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.close)
	return a
}

// Each line is a user agent as programs send it, and what is made of it: client, its company, its family | system, company, family | platform.
var known = []struct{ text, want string }{
	{page, "Chrome 35.0.1916.153, Google, Chrome | OS X 10.7 Lion, Apple Computer, Inc., OS X 10 | Desktop"},
	{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
		"Chrome 126.0.0.0, Google, Chrome | Windows 10, Microsoft, Windows | Desktop"},
	{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.2592.68",
		"Edge 126.0.2592.68, Microsoft, Edge | Windows 10, Microsoft, Windows | Desktop"},
	{"Mozilla/5.0 (Windows NT 6.3; Trident/7.0; rv:11.0) like Gecko", "IE 11.0, Microsoft, IE | Windows 8.1, Microsoft, Windows | Desktop"},
	{"Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0", "Firefox 127.0, Mozilla, Firefox | Ubuntu, Canonical, Ubuntu | Desktop"},
	{"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36", "Chrome 125.0.0.0, Google, Chrome | Linux, , Linux | Desktop"},
	{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
		"Safari 17.5, Apple Computer, Inc., Safari | macOS 10.15 Catalina, Apple Computer, Inc., macOS | Desktop"},
	{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_6) AppleWebKit/601.7.7 (KHTML, like Gecko)",
		"Apple Mail 601.7.7, Apple Computer, Inc., Apple Mail | OS X 10.11 El Capitan, Apple Computer, Inc., OS X 10 | Desktop"},
	{"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
		"Mobile Safari 17.5, Apple Computer, Inc., Mobile Safari | iOS 17.5.1, Apple Computer, Inc., iOS | Mobile"},
	{"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
		"Mobile Safari UI/WKWebView, Apple Computer, Inc., Mobile Safari UI/WKWebView | iOS 17.5.1, Apple Computer, Inc., iOS | Mobile"},
	{"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.6478.71 Mobile Safari/537.36",
		"Chrome Mobile 126.0.6478.71, Google, Chrome Mobile | Android 14, Google, Android | Mobile"},
	{"Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", "Gmail, Google, Gmail | Windows XP, Microsoft, Windows | WebMail"},
	{"YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", "Yahoo! Mail, Yahoo, Yahoo! Mail | , ,  | WebMail"},
	{"Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0; Microsoft Outlook 16.0.17726; ms-office; MSOffice 16)", "Outlook 2016, Microsoft, Outlook | Windows 10, Microsoft, Windows | Desktop"},
	{"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:115.0) Gecko/20100101 Thunderbird/115.12.0", "Thunderbird 115.12.0, MZLA Technologies, Thunderbird | Windows 10, Microsoft, Windows | Desktop"},
	{"curl/7.88.1", "curl 7.88.1, , curl | , ,  | "},
	{"Mozilla/5.0", ", ,  | , ,  | "},
	{"", ", ,  | , ,  | "},
}

func (a *agent) String() string {
	return fmt.Sprintf("%s, %s, %s | %s, %s, %s | %s", a.client.Name, a.client.Company, a.client.Family, a.os.Name, a.os.Company, a.os.Family, a.platform)
}

func TestAgents(t *testing.T) {
	a := newTestAgents(t)
	for range 2 { // read, then known
		for _, k := range known {
			if diff := cmp.Diff(k.want, a.of([]byte(k.text)).String()); diff != "" {
				t.Errorf("%s\n%s", k.text, diff)
			}
		}
	}
	if hits, misses := testutil.ToFloat64(a.hits), testutil.ToFloat64(a.misses); hits < float64(len(known)-1) || misses != float64(len(known)-1) {
		t.Errorf("%v hits, %v misses of %d", hits, misses, len(known))
	}
}

// Pictures of mails that a browser on a desktop loads are those of web mail.
func TestPlatformOfOpens(t *testing.T) {
	a := newTestAgents(t)
	for text, want := range map[string]string{page: WebMail, known[7].text: Desktop, known[8].text: Mobile, known[11].text: WebMail, "curl/7.88.1": ""} {
		if got := a.of([]byte(text)).platformOf(event.Opened); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestMacs(t *testing.T) {
	for version, want := range map[string]string{
		"10": "OS X 10/OS X 10", "10.0": "OS X 10.0 Cheetah/OS X 10", "10.11": "OS X 10.11 El Capitan/OS X 10", "10.12": "macOS 10.12 Sierra/macOS", "10.16": "macOS 10.16/macOS",
		"11.2": "macOS 11 Big Sur/macOS", "26": "macOS 26 Tahoe/macOS", "99": "macOS 99/macOS", "": "OS X/OS X",
	} {
		var s uaparser.Os
		s.Major, s.Minor, _ = strings.Cut(version, ".")
		if got := macOf(&s); got.Name+"/"+got.Family != want || got.Company != apple {
			t.Errorf("%q: %+v, want %s", version, got, want)
		}
	}
}

func TestWholeVersion(t *testing.T) {
	for _, c := range [][3]string{
		{"Chrome/35.0.1916.153 Safari", "35.0.1916", "35.0.1916.153"},
		{"Chrome/35.0.1916 Safari/1.2", "35.0.1916", "35.0.1916"},
		{"Chrome/35.0.1916.x", "35.0.1916", "35.0.1916"},
		{"Chrome/35.0.1916.", "35.0.1916", "35.0.1916"},
		{"Chrome/35.0.1916.0123456789", "35.0.1916", "35.0.1916"},
		{"x/1.2", "", ""},
	} {
		if got := wholeVersion(c[0], c[1]); got != c[2] {
			t.Errorf("%s: %q, want %q", c[0], got, c[2])
		}
	}
}

// The rules find what uap-go itself finds, though most of them are not even tried, and bounds on repetitions are gone: for user agents that
// each rule fits, made from its expression.
func TestRulesAreThoseOfTheLibrary(t *testing.T) {
	library, err := uaparser.New(uaparser.WithMode(uaparser.EUserAgentLookUpMode | uaparser.EOsLookUpMode))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	if len(rules.all.UA) != len(library.UA) || len(rules.all.OS) != len(library.OS) || len(rules.all.UA) < 200 || len(rules.all.OS) < 100 {
		t.Fatalf("%d and %d rules, the library has %d and %d", len(rules.all.UA), len(rules.all.OS), len(library.UA), len(library.OS))
	}
	same := func(t interface{ Errorf(string, ...any) }, text string) {
		want := newAgent(text, library.ParseUserAgent(text), library.ParseOs(text))
		if diff := cmp.Diff(want.String(), rules.read(text).String()); diff != "" {
			t.Errorf("%q (-library +ours):\n%s", text, diff)
		}
	}
	for _, k := range known {
		same(t, k.text)
	}
	var expressions []string
	for _, rule := range library.UA {
		expressions = append(expressions, rule.Reg.String())
	}
	for _, rule := range library.OS {
		expressions = append(expressions, rule.Reg.String())
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(rapid.SampledFrom(expressions).Draw(t, "rule")).Draw(t, "agent")
		same(t, text)
	})
}

func TestNeeds(t *testing.T) {
	for expression, want := range map[string]needs{
		`(Chrome)/(\d+)`:      {"chrome"},
		`(?i)(Foo|Bars)/x`:    {"foo", "bars"},
		`(Foo|)\d+`:           nil,
		`a(?:bcd)+e?`:         {"bcd"},
		`(?:ab){2}`:           {"ab"},
		`(?:ab){0,2}`:         nil,
		`[a-z]{1,30}bot`:      {"bot"},
		`(?i)straße`:          nil,
		`^.{0,200}/x.*Darwin`: {"darwin"},
		`(`:                   nil,
	} {
		if diff := cmp.Diff(want, needsOf("", expression)); diff != "" {
			t.Errorf("%s\n%s", expression, diff)
		}
	}
}

// However many user agents come, the cache stays within its bytes, and what comes often stays in it.
func TestCacheIsBounded(t *testing.T) {
	a := newTestAgents(t)
	for n := range 3 * cacheBytes / usualEntry {
		text := fmt.Appendf(nil, "Mozilla/5.0 %d %s", n, strings.Repeat("x", mostRead))
		e := &agent{text: text[:mostRead]}
		a.cache.Set(uint64(n), e, e.cost())
	}
	a.cache.Wait()
	if used := a.cache.MaxCost() - a.cache.RemainingCost(); used > cacheBytes {
		t.Errorf("%d bytes, at most %d", used, cacheBytes)
	}
}

// Who waits in vain for a turn goes on without, and it is counted; what is known needs no turn.
func TestShed(t *testing.T) {
	a := newTestAgents(t)
	a.of([]byte(page))
	a.patience = time.Millisecond
	a.turn <- struct{}{}
	if got := a.of([]byte("curl/7.88.1")); got != nobody {
		t.Errorf("read out of turn: %v", got)
	}
	if got := a.of([]byte(page)); got.client.Family != "Chrome" {
		t.Errorf("%v", got)
	}
	<-a.turn
	if n := testutil.ToFloat64(a.shed); n != 1 {
		t.Errorf("shed %v", n)
	}
	if got := a.of([]byte("curl/7.88.1")); got.client.Family != "curl" {
		t.Errorf("%v", got)
	}
}

// One user agent that many see at once is read once.
func TestReadOnce(t *testing.T) {
	a := newTestAgents(t)
	a.patience = time.Minute
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if got := a.of([]byte(page)); got.client.Family != "Chrome" {
				t.Errorf("%v", got)
			}
		})
	}
	all.Wait()
	if n := testutil.ToFloat64(a.misses); n != 1 {
		t.Errorf("read %v times", n)
	}
}
