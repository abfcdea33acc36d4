package machines

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"waypost/configs"
	"waypost/edge/event"
)

func shipped(t testing.TB) *Set {
	t.Helper()
	m, faults := configs.LoadMachines("", nil)
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	return New(m.Rules)
}

const (
	chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
	gmail  = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
)

// What the list that comes with the program makes of visits as they are seen.
func TestShippedList(t *testing.T) {
	s := shipped(t)
	for _, c := range []struct {
		agent, address string
		click, open    event.Labels
	}{
		// In a person's place.
		{gmail, "66.249.84.1", 0, event.Proxy},
		{gmail, "66.249.66.1", event.Machine, event.Proxy}, // from a crawler's network: the agent counts first, where a rule has it
		{"YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", "", 0, event.Proxy},
		{"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/118.0.5993.117 Safari/537.36 FastmailUA/1.0", "", 0, event.Proxy},

		// Ahead of them.
		{"Mozilla/5.0", "", 0, event.Machine},
		{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0", "", 0, event.Machine},

		// Nobody's.
		{"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "", event.Machine, event.Machine},
		{"mozilla/5.0 (compatible; GOOGLEBOT/2.1)", "", event.Machine, event.Machine},
		{"Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "", event.Machine, event.Machine},
		{"Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "", event.Machine, event.Machine},
		{"facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", "", event.Machine, event.Machine},
		{"Twitterbot/1.0", "", event.Machine, event.Machine},
		{"LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)", "", event.Machine, event.Machine},
		{"Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5", "", event.Machine, event.Machine},
		{"Microsoft Office Existence Discovery", "", event.Machine, event.Machine},
		{"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/141.0.0.0 Safari/537.36", "", event.Machine, event.Machine},
		{chrome, "66.249.66.1", event.Machine, event.Machine},
		{chrome, "2001:4860:4801:10::1", event.Machine, event.Machine},
		{chrome, "157.55.39.7", event.Machine, event.Machine},
		{chrome, "17.241.75.9", event.Machine, event.Machine},
		{"", "40.77.167.255", event.Machine, event.Machine},

		// People.
		{chrome, "", 0, 0},
		{chrome, "198.51.100.7", 0, 0},
		{chrome, "66.249.96.1", 0, 0},
		{chrome, "2001:db8::1", 0, 0},
		{"", "", 0, 0},
		{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1", "", 0, 0},
		{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)", "", 0, 0}, // Apple Mail without Mail Privacy Protection
		{"Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; WOW64; Trident/7.0; .NET4.0C; .NET4.0E; Microsoft Outlook 16.0.5000; ms-office; MSOffice 16)", "", 0, 0},
		{"Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17000; Pro)", "", 0, 0},
		{"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Thunderbird/140.2.0", "", 0, 0},
		{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0", "", 0, 0},

		// What people's scripts, the examples, the tests and the load runs of this project send.
		{"curl/7.88.1", "127.0.0.1", 0, 0},
		{"Wget/1.21.3", "127.0.0.1", 0, 0},
		{"Go-http-client/1.1", "127.0.0.1", 0, 0},
		{"node", "127.0.0.1", 0, 0},
		{"python-requests/2.32.3", "127.0.0.1", 0, 0},
		{"outreach", "", 0, 0},
		{"Ruby", "", 0, 0},
		{"agent a", "", 0, 0},
		{"12 345", "", 0, 0},
		{"Mozilla/5.0 (compatible; MailScanner/1.0; +https://scanner.example.com/about)", "", 0, 0},
	} {
		var address netip.Addr
		if c.address != "" {
			address = netip.MustParseAddr(c.address)
		}
		for range 3 { // seen, too
			if got := s.Labels([]byte(c.agent), address, false); got != c.click {
				t.Errorf("%q from %s, click: %b, want %b", c.agent, c.address, got, c.click)
			}
			if got := s.Labels([]byte(c.agent), address, true); got != c.open {
				t.Errorf("%q from %s, open: %b, want %b", c.agent, c.address, got, c.open)
			}
		}
	}
}

func TestNoRules(t *testing.T) {
	for _, s := range []*Set{nil, New(nil)} {
		if got := s.Labels([]byte(chrome), netip.MustParseAddr("66.249.66.1"), false); got != 0 || s.Len() != 0 {
			t.Errorf("%b of %d rules", got, s.Len())
		}
	}
}

// Only as much of a user agent counts as an event keeps of it.
func TestLongAgents(t *testing.T) {
	s := shipped(t)
	const bot = "Twitterbot"
	for padding, want := range map[int]event.Labels{0: event.Machine, longest - len(bot): event.Machine, longest - len(bot) + 1: 0, 8000: 0} {
		agent := []byte(strings.Repeat("x", padding) + bot)
		if got := s.Labels(agent, netip.Addr{}, false); got != want {
			t.Errorf("behind %d bytes: %b, want %b", padding, got, want)
		}
		if got := label(s.Explain(agent, netip.Addr{}, false)); got != want {
			t.Errorf("behind %d bytes, explained: %b, want %b", padding, got, want)
		}
	}
}

// label is what an explanation comes to.
func label(m Match) event.Labels {
	switch {
	case m.Rule == nil:
		return 0
	case m.Rule.Label == "proxy":
		return event.Proxy
	}
	return event.Machine
}

// The automaton, the table of networks and what was seen say what reading the rules one after the other says.
func TestSetsSayWhatTheRulesSay(t *testing.T) {
	words := rapid.SampledFrom([]string{"aaa", "aab", "aba", "bab", "abab", "BaB", "ab ab", "aabaab", "b-a"})
	networks := rapid.SampledFrom([]string{"10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32", "2001:db8::/32", "2001:db8:1::/48"})
	rapid.Check(t, func(t *rapid.T) {
		var rules []configs.MachineRule
		taken := map[string]bool{} // as in a file, a network is one rule's
		for i := range rapid.IntRange(0, 6).Draw(t, "rules") {
			rule := configs.MachineRule{
				Name:        fmt.Sprint("rule-", i),
				Label:       rapid.SampledFrom([]string{"machine", "proxy"}).Draw(t, "label"),
				Visits:      rapid.SampledFrom([]string{"all", "clicks", "opens"}).Draw(t, "visits"),
				Agents:      rapid.SliceOfN(words, 0, 3).Draw(t, "agents"),
				WholeAgents: rapid.SliceOfN(words, 0, 2).Draw(t, "whole"),
			}
			for _, text := range rapid.SliceOfN(networks, 0, 2).Draw(t, "networks") {
				if !taken[text] {
					taken[text] = true
					rule.Networks = append(rule.Networks, netip.MustParsePrefix(text))
				}
			}
			rules = append(rules, rule)
		}
		s := New(rules)
		for range 20 {
			agent := []byte(rapid.StringOfN(rapid.SampledFrom([]rune("abAB -\u212a\u00e4")), 0, 9, -1).Draw(t, "agent"))
			var address netip.Addr
			if text := rapid.SampledFrom([]string{"", "10.1.2.3", "10.1.2.4", "10.1.3.1", "10.9.9.9", "11.0.0.1", "2001:db8::1", "2001:db8:1::1", "2001:db9::1"}).Draw(t, "address"); text != "" {
				address = netip.MustParseAddr(text)
			}
			open := rapid.Bool().Draw(t, "open")
			explained := s.Explain(agent, address, open)
			if got, want := s.Labels(agent, address, open), label(explained); got != want {
				t.Fatalf("%q from %v, open %v: labels %b, explained %b by %+v", agent, address, open, got, want, explained)
			}
		}
	})
}

// Who is seen often is remembered, whoever makes up agents beside; and nothing grows.
func TestStrangersDoNotPushOutWhoComesOften(t *testing.T) {
	s := shipped(t)
	regulars := make([][]byte, 50)
	for i := range regulars {
		regulars[i] = fmt.Appendf(nil, "%s visitor/%d", chrome, i)
	}
	visit := func() {
		for _, agent := range regulars {
			s.Labels(agent, netip.Addr{}, false)
		}
	}
	for range 2 * mostCredit {
		visit()
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 200 {
		for range 1000 {
			s.Labels(fmt.Appendf(nil, "%s made/%x", chrome, random.Uint64()), netip.Addr{}, false)
		}
		if i%10 == 0 {
			visit()
		}
	}
	remembered := 0
	for _, agent := range regulars {
		if _, _, ok := s.seen.get(agent); ok {
			remembered++
		}
	}
	if remembered < len(regulars)*8/10 { // some share a place
		t.Errorf("%d of %d are remembered", remembered, len(regulars))
	}
}

// Any number of goroutines may ask; none gets another's answer.
func TestConcurrentVisits(t *testing.T) {
	s := shipped(t)
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 20_000 {
				agent, want := fmt.Appendf(nil, "visitor/%d", (g*7+i)%6000), event.Labels(0)
				if i%3 == 0 {
					agent, want = append(agent, " twitterbot"...), event.Machine
				}
				if got := s.Labels(agent, netip.Addr{}, i%2 == 0); got != want {
					t.Errorf("%s: %b, want %b", agent, got, want)
					return
				}
			}
		})
	}
	all.Wait()
}

// FuzzLabels: any agent and address, from the list that comes with the program.
func FuzzLabels(f *testing.F) {
	f.Add([]byte(gmail), []byte{66, 249, 66, 1})
	f.Add([]byte("MOZILLA/5.0"), []byte{})
	f.Add([]byte("\xff\xfetwitterbo\x00t"), make([]byte, 16))
	s := shipped(f)
	f.Fuzz(func(t *testing.T, agent, bytes []byte) {
		address, _ := netip.AddrFromSlice(bytes)
		address = address.Unmap()
		for _, open := range []bool{false, true} {
			if got, want := s.Labels(agent, address, open), label(s.Explain(agent, address, open)); got != want {
				t.Errorf("%q from %v, open %v: %b, explained %b", agent, address, open, got, want)
			}
		}
	})
}
