package server

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/net/html"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/edge/journal"
)

const (
	nexoID     = "7d9c2b1e-3f4a-4c5d-8e6f-0a1b2c3d4e5f"
	nexoSecret = "a-secret-of-16-or-more"
	nexoClick  = "/api/track/click/" + nexoID + "?url="
	nexoOpen   = "/api/track/open/" + nexoID

	// Made by the README's recipes with openssl and Node, which agree: of nexoID and nexoFar.
	nexoFar       = "https://shop.example.org/a?b=1&c=%20"
	nexoSignature = "146eb1d986b37d859ed03083e21528b119e05320adf0440bc8563599898e0f11"
)

// nexoTenants have NexoMailer's paths: demo under /api, open at the root, and on any host. The tenant other has none.
func nexoTenants() *configs.Tenants {
	tenants := demoTenants()
	sent := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	tenants.List[0].NexoMailer = configs.NexoMailer{Enabled: true, Prefix: "/api", SentUntil: sent, Secrets: []configs.Secret{"another-of-16-or-more", nexoSecret},
		Hosts: []configs.HostRule{{Name: "example.com"}, {Name: "example.com", Below: true}, {Name: "ported.example.net", Port: 8443}, {Name: "[2001:db8::1]"}, {Name: "127.0.0.1", Port: 80}}}
	tenants.List[2].NexoMailer = configs.NexoMailer{Enabled: true, Prefix: "/", SentUntil: sent, Hosts: []configs.HostRule{{Name: "example.com"}}}
	return tenants
}

func nexoRig(t testing.TB) *rig {
	return newRig(t, func(o *Options, j *journal.Options) { o.Tenants, j.SegmentBytes = nexoTenants(), 16<<20 })
}

// nexoCase is a request, and what comes of it.
type nexoCase struct {
	name    string
	q       request
	status  int
	to      string
	outcome string
	events  int
}

func nexoCases() []nexoCase {
	const to = "https://example.com/a?b=1&c=%20#d"
	escaped := nexoClick + url.QueryEscape(to)
	far := nexoClick + url.QueryEscape(nexoFar)
	return []nexoCase{
		{"click", request{uri: escaped}, 302, to, "listed", 1},
		{"head", request{method: "HEAD", uri: escaped}, 302, to, "listed", 1},
		{"below", request{uri: nexoClick + "https%3A%2F%2Fwww.a.example.com%2F"}, 302, "https://www.a.example.com/", "listed", 1},
		{"scheme and host in capitals", request{uri: nexoClick + "HTTPS%3A%2F%2FExample.COM"}, 302, "HTTPS://Example.COM", "listed", 1},
		{"not escaped", request{uri: nexoClick + "https://example.com/a?b=1"}, 302, "https://example.com/a?b=1", "listed", 1},
		{"escaped twice", request{uri: nexoClick + "https%3A%2F%2Fexample.com%2F%2541"}, 302, "https://example.com/%41", "listed", 1},
		{"a plus is a plus", request{uri: nexoClick + "https%3A%2F%2Fexample.com%2Fa+b%2Bc"}, 302, "https://example.com/a+b+c", "listed", 1},
		{"other parameters", request{uri: "/api/track/click/" + nexoID + "?fbclid=x&url=https%3A%2F%2Fexample.com%2F&utm_source=y"}, 302, "https://example.com/", "listed", 1},
		{"not ASCII", request{uri: nexoClick + "https%3A%2F%2Fexample.com%2F%C3%A4"}, 302, "https://example.com/\u00e4", "listed", 1},
		{"its port", request{uri: nexoClick + "https%3A%2F%2Fexample.com%3A443%2F"}, 302, "https://example.com:443/", "listed", 1},
		{"the port listed", request{uri: nexoClick + "http%3A%2F%2Fported.example.net%3A8443"}, 302, "http://ported.example.net:8443", "listed", 1},
		{"the port listed is the scheme's", request{uri: nexoClick + "http%3A%2F%2F127.0.0.1%2F"}, 302, "http://127.0.0.1/", "listed", 1},
		{"IPv6", request{uri: nexoClick + "http%3A%2F%2F%5B2001%3ADB8%3A%3A1%5D%2F"}, 302, "http://[2001:DB8::1]/", "listed", 1},
		{"id escaped", request{uri: "/api/track/click/%3Cabc%40example.com%3E?url=https%3A%2F%2Fexample.com"}, 302, "https://example.com", "listed", 1},
		{"slash at the end", request{uri: "/api/track/click/" + nexoID + "/?url=https%3A%2F%2Fexample.com"}, 302, "https://example.com", "listed", 1},
		{"absolute form", request{uri: "https://links.example.com:443" + escaped, host: "other.example.com"}, 302, to, "listed", 1},
		{"second host", request{uri: escaped, host: "127.0.0.1:8080"}, 302, to, "listed", 1},
		{"host in capitals", request{uri: escaped, host: "LINKS.Example.com"}, 302, to, "listed", 1},
		{"signed", request{uri: far + "&s=" + nexoSignature}, 302, nexoFar, "signed", 1},
		{"signed in capitals", request{uri: far + "&s=" + strings.ToUpper(nexoSignature)}, 302, nexoFar, "signed", 1},
		{"signature first", request{uri: "/api/track/click/" + nexoID + "?s=" + nexoSignature + "&url=" + url.QueryEscape(nexoFar)}, 302, nexoFar, "signed", 1},
		{"wrong signature, but listed", request{uri: escaped + "&s=" + nexoSignature}, 302, to, "listed", 1},
		{"no prefix", request{uri: "/track/click/" + nexoID + "?url=https%3A%2F%2Fexample.com", host: "open.example.com"}, 302, "https://example.com", "listed", 1},

		{"another host", request{uri: far}, 200, "", "asked", 0},
		{"another host, head", request{method: "HEAD", uri: far}, 200, "", "asked", 0},
		{"signature of another id", request{uri: strings.Replace(far, "7d9c", "7d9d", 1) + "&s=" + nexoSignature}, 200, "", "forged", 0},
		{"signature of another url", request{uri: far + "x&s=" + nexoSignature}, 200, "", "forged", 0},
		{"signature cut", request{uri: far + "&s=" + nexoSignature[:62]}, 200, "", "forged", 0},
		{"signature no hex", request{uri: far + "&s=" + strings.Repeat("x", 64)}, 200, "", "forged", 0},
		{"signature empty", request{uri: far + "&s="}, 200, "", "asked", 0},
		{"no secrets", request{uri: "/track/click/" + nexoID + "?url=" + url.QueryEscape(nexoFar) + "&s=" + nexoSignature, host: "open.example.com"}, 200, "", "forged", 0},

		{"no url", request{uri: "/api/track/click/" + nexoID}, 404, "", "refused", 0},
		{"empty url", request{uri: nexoClick}, 404, "", "refused", 0},
		{"two urls", request{uri: escaped + "&url=https%3A%2F%2Fevil.example"}, 404, "", "refused", 0},
		{"two signatures", request{uri: far + "&s=" + nexoSignature + "&s"}, 404, "", "refused", 0},
		{"url in the fragment", request{uri: "/api/track/click/" + nexoID + "#?url=https%3A%2F%2Fexample.com"}, 404, "", "refused", 0},
		{"anchor", request{uri: nexoClick + "%23top"}, 404, "", "refused", 0},
		{"no id", request{uri: "/api/track/click/?url=https%3A%2F%2Fexample.com"}, 404, "", "refused", 0},
		{"id of two segments", request{uri: "/api/track/click/a/b?url=https%3A%2F%2Fexample.com"}, 404, "", "refused", 0},
		{"id with a line end", request{uri: "/api/track/click/a%0Ab?url=https%3A%2F%2Fexample.com"}, 404, "", "refused", 0},
		{"id not ASCII", request{uri: "/api/track/click/%C3%A4?url=https%3A%2F%2Fexample.com"}, 404, "", "refused", 0},
		{"id too long", request{uri: "/api/track/click/" + strings.Repeat("a", maxMessageID+1) + "?url=https%3A%2F%2Fexample.com"}, 404, "", "refused", 0},
		{"id cut within an escape", request{uri: "/api/track/click/a%4?url=https%3A%2F%2Fexample.com"}, 404, "", "refused", 0},

		{"another tenant's host", request{uri: escaped, host: "other.example.com"}, 404, "", "", 0},
		{"a host of nobody's, though one tenant's links open anywhere", request{uri: "/track/click/a?url=https%3A%2F%2Fexample.com", host: "x.example"}, 404, "", "", 0},
		{"a very long host", request{uri: escaped, host: strings.Repeat("a", 1000)}, 404, "", "", 0},
		{"another port", request{uri: escaped, host: "links.example.com:80"}, 404, "", "", 0},
		{"another prefix", request{uri: strings.Replace(escaped, "/api", "/ap", 1)}, 404, "", "", 0},
		{"prefix in capitals", request{uri: strings.Replace(escaped, "/api", "/API", 1)}, 404, "", "", 0},
		{"something else", request{uri: "/api/track/other/" + nexoID}, 404, "", "", 0},
		{"post", request{method: "POST", uri: escaped}, 405, "", "", 0},

		{"open", request{uri: nexoOpen}, 200, "", "opened", 1},
		{"open, head", request{method: "HEAD", uri: nexoOpen}, 200, "", "opened", 0},
		{"open of nothing", request{uri: "/api/track/open/"}, 200, "", "refused", 0},
		{"open, id not ASCII", request{uri: "/api/track/open/%FF"}, 200, "", "refused", 0},
	}
}

func TestNexoMailer(t *testing.T) {
	r := nexoRig(t)
	for _, c := range nexoCases() {
		t.Run(c.name, func(t *testing.T) {
			before, events := r.Counts(), len(r.events())
			a := r.do(c.q)
			if got := string(a.Header.Peek("Location")); a.StatusCode() != c.status || got != c.to {
				t.Errorf("%d to %q, want %d to %q", a.StatusCode(), got, c.status, c.to)
			}
			if string(a.Header.Peek("Cache-Control")) != "no-store" || string(a.Header.Peek("X-Robots-Tag")) != "noindex" {
				t.Errorf("%s", &a.Header)
			}
			if got := len(r.events()) - events; got != c.events {
				t.Errorf("%d events, want %d", got, c.events)
			}
			for outcome, n := range r.Counts().Nexo {
				want := before.Nexo[outcome]
				if outcome == c.outcome {
					want++
				}
				if n != want {
					t.Errorf("%s: %d, want %d", outcome, n, want)
				}
			}
			isPicture := string(a.Header.ContentType()) == "image/gif" && string(a.Body()) == string(picture)
			if strings.HasPrefix(c.name, "open") != isPicture {
				t.Errorf("%s, %d bytes", a.Header.ContentType(), len(a.Body()))
			}
		})
	}
	c := r.Counts()
	if c.Requests["asked"] != c.Nexo["asked"]+c.Nexo["forged"] || c.Requests["redirect"] != c.Nexo["listed"]+c.Nexo["signed"] || c.Refusals["nexomailer"] != c.Nexo["refused"] ||
		c.Requests["opened"] != 2 || c.Tenants["demo"].Redirects+c.Tenants["open"].Redirects != c.Requests["redirect"] || c.Tenants["demo"].Opens != 1 {
		t.Errorf("%+v", c)
	}
}

// The id is message and recipient; every hit, whenever, is of the day that the tenant names.
func TestEventsOfNexoMailer(t *testing.T) {
	r := nexoRig(t)
	headers := [][2]string{{"User-Agent", "Mozilla/5.0"}, {"Sec-Purpose", "prefetch"}}
	r.do(request{uri: nexoClick + url.QueryEscape(nexoFar) + "&s=" + nexoSignature, headers: headers})
	r.do(request{method: "HEAD", uri: nexoClick + "https%3A%2F%2Fexample.com"})
	r.do(request{uri: nexoOpen})
	want := event.Event{
		Type: event.Clicked, Tenant: 1, TenantName: "demo", Message: []byte(nexoID), Prospect: []byte(nexoID), Destination: []byte(nexoFar), Original: []byte(nexoFar),
		Minted: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC), Stream: []byte("outbound"), RetentionDays: 45, Method: []byte("GET"), UserAgent: []byte("Mozilla/5.0"),
		Address: []byte("198.51.100.7"), Labels: event.Prefetch,
	}
	head, open := want, want
	head.Destination, head.Original = []byte("https://example.com"), []byte("https://example.com")
	head.Method, head.UserAgent, head.Labels = []byte("HEAD"), nil, event.Head
	open.Type, open.Destination, open.Original, open.UserAgent, open.Labels = event.Opened, nil, nil, nil, 0
	got := r.events()
	if diff := cmp.Diff([]event.Event{want, head, open}, got, cmpopts.IgnoreFields(event.Event{}, "ID", "Time"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, e := range got {
		if _, identified := e.Unique(); !identified {
			t.Errorf("%s can never be unique", e.Type)
		}
	}
}

// What is blocked is blocked here too, also the page.
func TestBlockedNexoMailer(t *testing.T) {
	r := nexoRig(t)
	for text, uri := range map[string]string{
		"tenant demo": nexoClick + "https%3A%2F%2Fexample.com", "mailing demo " + nexoID: nexoClick + url.QueryEscape(nexoFar), "prospect demo " + nexoID: nexoClick + url.QueryEscape(nexoFar) + "&s=" + nexoSignature,
		"host evil.example": nexoClick + "https%3A%2F%2Fwww.evil.example", "host example.com": nexoClick + "https%3A%2F%2Fwww.example.com",
	} {
		r.Reload(r.keys, nexoTenants(), blocked(t, nexoTenants(), text), nil)
		if a := r.do(request{uri: uri}); a.StatusCode() != 410 || len(a.Header.Peek("Location")) > 0 {
			t.Errorf("%s: %d to %q", text, a.StatusCode(), a.Header.Peek("Location"))
		}
	}
	r.Reload(r.keys, nexoTenants(), blocked(t, nexoTenants(), "mailing demo "+nexoID), nil)
	if a := r.do(request{uri: nexoOpen}); a.StatusCode() != 200 || len(a.Body()) != len(picture) {
		t.Errorf("open: %d", a.StatusCode())
	}
	if c := r.Counts(); len(r.events()) > 0 || c.Nexo["blocked"] != 6 || c.Blocked["host"] != 2 || c.Tenants["demo"].Blocked != 6 {
		t.Errorf("%d events, %+v", len(r.events()), c)
	}
}

// The page names the destination, holds one link to it, and nothing of it is markup, whatever it is.
func TestAskingPage(t *testing.T) {
	r := nexoRig(t)
	for _, c := range []struct{ destination, host, href string }{
		{"https://evil.example/?a=1&lt;b=2", "evil.example", ""},
		{`https://evil.example/"><script>alert(1)</script><a/href="x`, "evil.example", ""},
		{`https://evil.example/'onmouseover='alert(1)`, "evil.example", ""},
		{"https://example.com@evil.example/", "evil.example", ""},
		{`https://evil.example\@example.com/`, "evil.example", ""},
		{"http://evil.example<b>:8080/", "evil.example<b>", ""},
		{"https://ex\u00e4mple.com/\u202e\u202d", "ex%C3%A4mple.com", "https://ex%C3%A4mple.com/%E2%80%AE%E2%80%AD"},
		{"https://evil.example/\xff", "evil.example", "https://evil.example/%FF"},
		{"https://example.com:8443/", "example.com", ""},
	} {
		a := r.do(request{uri: nexoClick + url.QueryEscape(c.destination)})
		for name, want := range map[string]string{"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "X-Robots-Tag": "noindex", "Referrer-Policy": "no-referrer",
			"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"} {
			if got := string(a.Header.Peek(name)); a.StatusCode() != 200 || got != want {
				t.Errorf("%s: %d, %s: %q, want %q", c.destination, a.StatusCode(), name, got, want)
			}
		}
		if c.href == "" {
			c.href = c.destination
		}
		got := readPage(t, string(a.Body()))
		want := found{links: []string{c.href}, rel: "noreferrer noopener nofollow", strong: c.host, anchor: c.href, elements: "html head meta meta meta title body h1 p strong p br a"}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(found{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.destination, diff)
		}
	}
	if n := len(r.events()); n != 0 {
		t.Errorf("%d events", n)
	}
}

// found is what a browser finds in a page.
type found struct {
	links                         []string
	rel, strong, anchor, elements string
}

func readPage(t *testing.T, text string) (p found) {
	t.Helper()
	document, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for n := range document.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		names = append(names, n.Data)
		for _, a := range n.Attr {
			switch a.Key {
			case "href", "src":
				p.links = append(p.links, a.Val)
			case "rel":
				p.rel = a.Val
			}
		}
		if inner := n.FirstChild; inner != nil && n.Data == "strong" {
			p.strong = inner.Data
		} else if inner != nil && n.Data == "a" {
			p.anchor = inner.Data
		}
	}
	p.elements = strings.Join(names, " ")
	return p
}
