package server

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/valyala/fasthttp"

	"waypost/edge/event"
	"waypost/mint/link"
)

func (r *rig) deadline() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	r.Cleanup(cancel)
	return ctx
}

func TestHandle(t *testing.T) {
	r := newRig(t, nil)
	demo := r.token(demoLink())
	other := demoLink()
	other.Tenant = 2
	anyHost := demoLink()
	anyHost.Tenant = 3
	unknown := demoLink()
	unknown.Tenant = 99
	open := &link.Link{Kind: link.Open, Tenant: 1, Minted: demoMinted}
	const to = "https://bit.ly/33zYFqH"
	for _, c := range []struct {
		name   string
		q      request
		status int
		to     string
		events int
	}{
		{"link", request{uri: "/" + demo}, 302, to, 1},
		{"head", request{method: "HEAD", uri: "/" + demo}, 302, to, 1},
		{"query", request{uri: "/" + demo + "?fbclid=x&y=/z"}, 302, to, 1},
		{"fragment", request{uri: "/" + demo + "#top"}, 302, to, 1},
		{"bare question mark", request{uri: "/" + demo + "?"}, 302, to, 1},
		{"default port", request{uri: "/" + demo, host: "links.example.com:443"}, 302, to, 1},
		{"host in capitals", request{uri: "/" + demo, host: "LINKS.Example.COM"}, 302, to, 1},
		{"second host", request{uri: "/" + demo, host: "127.0.0.1:8080"}, 302, to, 1},
		{"absolute form", request{uri: "http://links.example.com/" + demo, host: "other.example.com"}, 302, to, 1},
		{"absolute form of another's host", request{uri: "http://other.example.com/" + demo}, 404, "", 0},
		{"absolute form, user info", request{uri: "HTTPS://links.example.com@other.example.com/" + demo}, 404, "", 0},
		{"absolute form, no path", request{uri: "http://links.example.com?" + demo}, 404, "", 0},
		{"other tenant", request{uri: "/" + r.token(other), host: "other.example.com"}, 302, to, 1},
		{"another tenant's host", request{uri: "/" + demo, host: "other.example.com"}, 404, "", 0},
		{"another port", request{uri: "/" + demo, host: "links.example.com:8443"}, 404, "", 0},
		{"any host", request{uri: "/" + r.token(anyHost), host: "whatever.invalid"}, 302, to, 1},
		{"tenant gone", request{uri: "/" + r.token(unknown)}, 404, "", 0},
		{"open", request{uri: "/" + r.token(open)}, 404, "", 0},
		{"nothing", request{uri: "/"}, 404, "", 0},
		{"other path", request{uri: "/favicon.ico"}, 404, "", 0},
		{"slash behind", request{uri: "/" + demo + "/"}, 302, to, 1},
		{"slash before", request{uri: "//" + demo}, 302, to, 1},
		{"dot segment", request{uri: "/x/../" + demo}, 404, "", 0},
		{"percent-encoded", request{uri: "/%" + "41" + demo[1:]}, 302, to, 1},
		{"changed, on another tenant's host", request{uri: "/" + demo + ".", host: "other.example.com"}, 404, "", 0},
		{"in the query", request{uri: "/?" + demo}, 404, "", 0},
		{"long", request{uri: "/" + strings.Repeat("A", 100000)}, 404, "", 0},
		{"robots", request{uri: "/robots.txt"}, 200, "", 0},
		{"robots with query", request{uri: "/robots.txt?x"}, 200, "", 0},
		{"robots head", request{method: "HEAD", uri: "/robots.txt", host: "any.invalid"}, 200, "", 0},
		{"post", request{method: "POST", uri: "/" + demo}, 405, "", 0},
		{"options", request{method: "OPTIONS", uri: "*"}, 405, "", 0},
		{"trace", request{method: "TRACE", uri: "/"}, 405, "", 0},
		{"connect", request{method: "CONNECT", uri: "links.example.com:443"}, 405, "", 0},
		{"lower-case get", request{method: "get", uri: "/" + demo}, 405, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(r.events())
			a := r.do(c.q)
			if a.StatusCode() != c.status || string(a.Header.Peek("Location")) != c.to {
				t.Errorf("status %d, Location %q; want %d, %q", a.StatusCode(), a.Header.Peek("Location"), c.status, c.to)
			}
			if got := string(a.Header.Peek("Cache-Control")); got != "no-store" {
				t.Errorf("Cache-Control %q", got)
			}
			if got := string(a.Header.Peek("X-Robots-Tag")); got != "noindex" {
				t.Errorf("X-Robots-Tag %q", got)
			}
			if got := string(a.Header.Peek("Allow")); (got == "GET, HEAD") != (c.status == 405) {
				t.Errorf("Allow %q", got)
			}
			want := map[int][]byte{302: nil, 404: pageNotFound, 200: robots, 405: pageMethod}[c.status]
			if string(a.Body()) != string(want) {
				t.Errorf("body %q, want %q", a.Body(), want)
			}
			if got := len(r.events()) - before; got != c.events {
				t.Errorf("%d events, want %d", got, c.events)
			}
		})
	}
	want := Counts{
		Requests: map[string]uint64{"redirect": 14, "opened": 0, "refused": 13, "asked": 0, "blocked": 0, "robots": 3, "method": 5, "malformed": 0, "delivery": 0},
		Refusals: map[string]uint64{"version": 0, "key": 0, "forged": 0, "truncated": 2, "too_long": 1, "encoding": 0, "content": 0, "kind": 1, "tenant": 1, "host": 5},
	}
	got := r.Counts()
	if diff := cmp.Diff(want.Requests, got.Requests); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	var refused uint64
	for reason, n := range got.Refusals {
		refused += n
		if w := want.Refusals[reason]; w > 0 && n < w {
			t.Errorf("refused for %s: %d, want %d", reason, n, w)
		}
	}
	if refused != got.Requests["refused"] {
		t.Errorf("%d refusals by reason, %d by outcome", refused, got.Requests["refused"])
	}
}

func TestEventOfAClick(t *testing.T) {
	r := newRig(t, nil)
	l := demoLink()
	l.Stream, l.Tag = []byte("broadcast"), []byte("welcome")
	l.Metadata = link.AppendMetadata(link.AppendMetadata(nil, "plan", "pro"), "seat", "4")
	uri := "/" + r.token(l)
	q := request{uri: uri, headers: [][2]string{{"User-Agent", "Mozilla/5.0 \xfc"}, {"Referer", "https://mail.example.com/\xfc"},
		{"Accept-Language", "de-DE,de;q=0.9"}, {"Purpose", "Prefetch;prerender"}, {"Cookie", "a=b"}}}
	for range keepAfter + 1 { // opened, at last kept, then from the cache
		r.do(q)
		r.cache.links.Wait()
	}
	q.method = "HEAD"
	r.do(q)
	if hits := r.Counts().CacheHits; hits != 2 {
		t.Errorf("%d hits of the cache, want 2", hits)
	}
	want := event.Event{
		Type: event.Clicked, Tenant: 1, TenantName: "demo", Message: []byte("123"), Prospect: []byte("456"), User: []byte("789"),
		Recipient: []byte("abc@prospect.com"), LinkNumber: 1, Place: "html", Destination: []byte("https://bit.ly/33zYFqH"),
		Original: []byte("https://www.google.com/"), Minted: time.Date(2026, 11, 23, 18, 14, 0, 0, time.UTC), Stream: []byte("broadcast"), Tag: []byte("welcome"),
		Metadata: [][2]string{{"plan", "pro"}, {"seat", "4"}}, RetentionDays: 45, Method: []byte("GET"), UserAgent: []byte("Mozilla/5.0 ü"),
		Address: []byte("198.51.100.7"), Referrer: []byte("https://mail.example.com/%FC"), Language: []byte("de-DE,de;q=0.9"), Labels: event.Prefetch,
	}
	events := r.events()
	if len(events) != keepAfter+2 {
		t.Fatalf("%d events", len(events))
	}
	for i, e := range events {
		w := want
		if i == keepAfter+1 {
			w.Method, w.Labels = []byte("HEAD"), event.Head|event.Prefetch
		}
		if e.ID.Run != uint64(r.journal.Run()) || i > 0 && e.ID.Sequence <= events[i-1].ID.Sequence {
			t.Errorf("id %v", e.ID)
		}
		if age := time.Since(e.Time); age < 0 || age > time.Minute {
			t.Errorf("time %v", e.Time)
		}
		if diff := cmp.Diff(w, e, cmpopts.IgnoreFields(event.Event{}, "ID", "Time")); diff != "" {
			t.Errorf("event %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestSettingsTravelInTheEvent(t *testing.T) {
	r := newRig(t, nil)
	for _, c := range []struct {
		tenant  uint32
		host    string
		unique  bool
		address string
	}{
		{1, "links.example.com", false, "198.51.100.7"},
		{2, "other.example.com", true, ""},
		{3, "open.example.com", false, "198.51.100.0"},
	} {
		l := demoLink()
		l.Tenant, l.Destination, l.Original = c.tenant, []byte("http://x.example/"), nil
		r.do(request{uri: "/" + r.token(l), host: c.host})
		events := r.events()
		e := events[len(events)-1]
		if e.UniqueAny != c.unique || string(e.Address) != c.address || string(e.Stream) != "outbound" || string(e.Original) != "http://x.example/" {
			t.Errorf("tenant %d: unique any %v, address %q, stream %q, original %q", c.tenant, e.UniqueAny, e.Address, e.Stream, e.Original)
		}
	}
}

func TestPrefetch(t *testing.T) {
	r := newRig(t, nil)
	uri := "/" + r.token(demoLink())
	for _, c := range []struct {
		name, value string
		want        event.Labels
	}{
		{"Sec-Purpose", "prefetch", event.Prefetch}, {"Sec-Purpose", "prefetch;anonymous-client-ip", event.Prefetch}, {"Purpose", "PREFETCH", event.Prefetch},
		{"X-Moz", "prefetch", event.Prefetch}, {"X-Purpose", "preview, prefetch", event.Prefetch}, {"X-Purpose", "preview", 0},
		{"Sec-Fetch-Mode", "prefetch", 0}, {"Purpose", "prefetc", 0}, {"Purpose", "", 0},
	} {
		r.do(request{uri: uri, headers: [][2]string{{c.name, c.value}}})
		events := r.events()
		if got := events[len(events)-1].Labels; got != c.want {
			t.Errorf("%s: %s gives labels %b", c.name, c.value, got)
		}
	}
}

// However a link is changed, it gives what was minted or nothing; what was minted, always when something stands behind the token.
func TestChangedLinks(t *testing.T) {
	changes := 1_000_000
	if testing.Short() || raceEnabled {
		changes = 50_000
	}
	r := newRig(t, nil)
	second := demoLink()
	second.Destination, second.Original, second.Number = []byte("https://elsewhere.example/"), nil, 2
	tokens := []string{r.token(demoLink()), r.token(second)}
	destinations := map[string]string{tokens[0]: "https://bit.ly/33zYFqH", tokens[1]: "https://elsewhere.example/"}
	random := rand.New(rand.NewPCG(1, 2))
	ctx := request{uri: "/"}.context()
	opened, repaired := 0, 0
	for i := range changes {
		token := tokens[i%2]
		changed := change(random, token, tokens[1-i%2])
		if !validTarget(changed) {
			continue // no request line can carry it
		}
		ctx.Request.Header.SetRequestURI("/" + changed)
		ctx.Response.Reset()
		r.Handle(ctx)
		end := strings.IndexAny(changed, "?#")
		if end < 0 {
			end = len(changed)
		}
		want := destinations[changed[:end]]
		status, to := ctx.Response.StatusCode(), string(ctx.Response.Header.Peek("Location"))
		switch {
		case want == "" && status == fasthttp.StatusFound && to == destinations[token]:
			repaired++
		case want == "" && (status != fasthttp.StatusNotFound || to != ""):
			t.Fatalf("%s, changed to %s: %d %s", token, changed, status, to)
		case want != "" && (status != fasthttp.StatusFound || to != want):
			t.Fatalf("%s with something behind it, %s: %d %s", token, changed, status, to)
		case want != "":
			opened++
		}
	}
	if opened == 0 || opened > changes/5 || repaired == 0 || repaired > changes/5 {
		t.Errorf("%d of %d changes left the token whole, %d were undone: the test changes too much or too little", opened, changes, repaired)
	}
}

const tokenLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// change makes a token into something else (now and then, by swapping equals, into itself).
func change(random *rand.Rand, token, other string) string {
	b := []byte(token)
	at, to := random.IntN(len(b)), random.IntN(len(b))
	switch random.IntN(11) {
	case 0: // a bit
		b[at] ^= 1 << random.IntN(8)
	case 1: // a letter
		b[at] = tokenLetters[random.IntN(64)]
	case 2: // cut
		return token[:at]
	case 3: // cut in front
		return token[at:]
	case 4: // two swapped
		b[at], b[to] = b[to], b[at]
	case 5: // case
		if b[at]|0x20 >= 'a' && b[at]|0x20 <= 'z' {
			b[at] ^= 0x20
		}
	case 6: // longer
		for range 1 + random.IntN(4) {
			b = append(b, tokenLetters[random.IntN(64)])
		}
	case 7: // halves of two
		return token[:at] + other[min(at, len(other)):]
	case 8: // a byte within
		return token[:at] + string(byte(random.IntN(256))) + token[at:]
	case 9: // a byte behind
		return token + string(byte(random.IntN(256)))
	case 10: // behind the token
		return token + []string{"?", "#", "?utm_source=x", "#a?b", "?" + other, "/", ".", ")", "&x=1", "%20", "%3F"}[random.IntN(11)]
	}
	return string(b)
}

func validTarget(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
