package server

import (
	"bytes"
	"net/url"
	"strconv"
	"strings"
	"testing"

	whatwg "github.com/nlnwa/whatwg-url/url"

	"waypost/mint/link"
)

// nexoAttacks are destinations that shall look as if they led to a listed host, or do what a destination must not. None redirects.
var nexoAttacks = []string{
	"https://evil.example/", "https://evil.example/https://example.com/", "https://evil.example?example.com", "https://evil.example#example.com", "https://evil.example/.example.com",
	"https://example.com.evil.example/", "https://evil-example.com/", "https://evilexample.com/", "https://example.com-evil.example/", "https://xexample.com", "https://com/", "https://example.comm/",
	"https://example.co", "https://.example.com/", "https://..example.com/", "https://a..example.com/", "https://example.com./", "https://example.com../",
	// Users and backslashes.
	"https://example.com@evil.example/", "https://example.com:443@evil.example/", "https://example.com:x@evil.example", "https://example.com%40evil.example/", "https://example.com\\@evil.example/",
	"https://evil.example\\@example.com/", "https://evil.example\\.example.com/", "https://evil.example\\example.com", "https://user@example.com/", "https://@example.com/", "https://:@example.com/",
	"https:\\\\evil.example/", "https:/\\evil.example/", "https://\\evil.example/", "\\\\evil.example", "/\\evil.example",
	// No scheme, another, or one that a browser mends.
	"//evil.example/", "///evil.example/", "//example.com/", "/evil", "evil.example", "example.com", "https:example.com", "https:/example.com", "https:///example.com", "https:///evil.example/",
	"http:evil.example", "javascript:alert(1)//https://example.com/", "JaVaScRiPt:alert(1)", "data:text/html,x", "ftp://example.com/", "file:///etc/passwd", "blob:https://example.com/", "mailto:a@example.com",
	"view-source:https://example.com/", "http+unix://example.com/", "https", "https:", "https://", "https://?", "https://#@example.com", "", "?", "#", "https://:443/", "https://:443",
	// Control characters and spaces, which browsers take out or which end a header.
	"https://example.com\r\nLocation: https://evil.example/", "https://example.com/\r\nX: y", "https://example.com/\n", "\thttps://example.com/", " https://example.com/", "https://example.com /",
	"ht\ttps://example.com/", "https://exam\tple.com/", "https://example.com\t.evil.example/", "https://evil.example/\x00", "https://example.com\x00.evil.example/", "https://example.com/\x7f", "\x00https://example.com/",
	"https://example.com\x0b/", "https://example.com/ ",
	// Names that a browser reads otherwise than they are written.
	"https://evil.example%2f.example.com/", "https://evil.example%2F@example.com/", "https://evil%2Eexample/", "https://ex%61mple.com/", "https://example%2ecom/", "https://example.com%00/", "https://example.com%2eevil.example",
	"https://evil.example%23.example.com/", "https://evil.example%3f.example.com/", "https://evil.example%5c.example.com/",
	"https://evil\u3002example/", "https://example\u3002com/", "https://example.com\uff0fevil.example/", "https://evil.example\uff0f.example.com/", "https://evil.example\u2044.example.com/", "https://\uff45xample.com/",
	"https://ex\u00e4mple.com/", "https://xn--exmple-cua.com/", "https://example.c\u043em/", "https://ex\u0430mple.com/", "https://example.com\u200b/", "https://exam\u00adple.com/", "https://evil.example\u202emoc.elpmaxe/",
	"https://example.com\xff/", "https://\xc0\xaeexample.com/", "https://K.example.com\u212a/",
	// Ports.
	"https://example.com:8443/", "https://example.com:80/", "http://example.com:443/", "https://example.com:/", "https://example.com:0/", "https://example.com:00443/", "https://example.com:65536/",
	"https://example.com:4294967739/", "https://example.com:+443/", "https://example.com:-1/", "https://example.com:443x/", "https://example.com:443:443/", "https://ported.example.net/", "https://ported.example.net:443/",
	"https://a.ported.example.net:8443/", "https://example.com:443.evil.example/", "http://127.0.0.1:8080/", "https://127.0.0.1/",
	// Addresses.
	"http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/", "http://127.1/", "http://127.0.0.1./", "http://[::1]/", "http://[2001:db8:0::1]/", "http://[2001:db8::1]:8080/", "http://[2001:db8::1/", "http://2001:db8::1]/",
	"http://[", "http://[]", "http://[]/", "http://]/", "http://[2001:db8::1]evil.example/", "http://[2001:db8::1].evil.example/", "http://[::ffff:127.0.0.1]/", "http://[2001:db8::1%25eth0]/", "http://evil.example[2001:db8::1]/",
	// Length.
	"https://" + strings.Repeat("a.", 130) + "example.com/", "https://" + strings.Repeat("a", 4000) + ".example", "https://evil.example/" + strings.Repeat("x", 6000), "https://" + strings.Repeat("example.com@", 300) + "evil.example/",
}

// No attack redirects: the page or a refusal answers, nothing is recorded, and no signature helps but one of exactly these bytes.
func TestNexoMailerIsNoOpenRedirect(t *testing.T) {
	r := nexoRig(t)
	for _, attack := range nexoAttacks {
		for way, written := range map[string]string{"escaped": url.QueryEscape(attack), "escaped whole": escapeAll(attack), "escaped twice": url.QueryEscape(url.QueryEscape(attack)), "as it is": attack} {
			for _, tail := range []string{"", "&s=" + nexoSignature, "&s=" + strings.Repeat("0", 64)} {
				uri := nexoClick + strings.ReplaceAll(written, "+", "%20") + tail
				a := r.do(request{uri: uri})
				location := string(a.Header.Peek("Location"))
				if way == "as it is" && location != "" && goesToListed(t, location) { // what a # or & cut short may be harmless
					continue
				}
				if location != "" || a.StatusCode() != 200 && a.StatusCode() != 404 {
					t.Errorf("%q, %s, %s: %d to %q", attack, way, tail, a.StatusCode(), location)
				}
			}
		}
	}
}

func escapeAll(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteString("%" + strconv.FormatUint(uint64(s[i])|0x100, 16)[1:])
	}
	return b.String()
}

// goesToListed asks a URL parser of the standard that browsers follow where a Location leads, from a page of the edge's.
func goesToListed(t testing.TB, location string) bool {
	t.Helper()
	u, err := whatwg.ParseRef("https://links.example.com/api/track/click/x", location)
	if err != nil {
		return false
	}
	if u.Protocol() != "https:" && u.Protocol() != "http:" || u.Username() != "" || u.Password() != "" {
		return false
	}
	name, port := u.Hostname(), u.Port()
	switch name {
	case "ported.example.net":
		return port == "8443"
	case "127.0.0.1":
		return u.Protocol() == "http:" && port == ""
	case "[2001:db8::1]":
		return port == ""
	}
	return (name == "example.com" || strings.HasSuffix(name, ".example.com")) && port == ""
}

// Whatever stands in the request line: who is redirected gets to a listed host, and the destination is what the query's url says, unescaped once.
func FuzzNexoMailerClick(f *testing.F) {
	for _, attack := range nexoAttacks {
		f.Add(url.QueryEscape(attack))
		f.Add(attack)
	}
	for _, good := range []string{"https://example.com/a?b=1", "HTTP://www.EXAMPLE.com:80", "http://ported.example.net:8443#x", "http://[2001:db8::1]/", "http://127.0.0.1/"} {
		f.Add(url.QueryEscape(good))
		f.Add(good + "&s=" + nexoSignature + "&x=y")
	}
	r := nexoRig(f)
	owner := r.rules.Load().nexoMailerOf([]byte("links.example.com"))
	v := new(visit)
	f.Fuzz(func(t *testing.T, query string) {
		uri := []byte(nexoClick + query)
		o, signature, ok := v.readNexoMailer(owner, []byte(nexoID), uri)
		if !ok {
			return
		}
		destination := o.link.Destination
		if err := link.CheckDestination(destination); err != nil || bytes.ContainsAny(destination, "\r\n\t\x00 ") {
			t.Fatalf("%q: %v", destination, err)
		}
		written, _, _ := strings.Cut(query, "&")
		written, _, _ = strings.Cut(written, "#")
		if plain, err := url.PathUnescape(written); err != nil || plain != string(destination) { // not QueryUnescape: a plus stays
			t.Fatalf("%q becomes %q, %v", written, destination, err)
		}
		if owner.hosts.take(destination) && !goesToListed(t, string(destination)) {
			t.Fatalf("%q is redirected to", destination)
		}
		if why := judge(owner.secrets, o.message, destination, signature); why == nexoSigned && string(destination) != nexoFar {
			t.Fatalf("%q is taken for signed", destination)
		}
		page := pageAsking(destination)
		if n := bytes.Count(page, []byte{'<'}); n != bytes.Count(pageAsking([]byte("https://example.com/")), []byte{'<'}) || bytes.ContainsFunc(page, func(c rune) bool { return c >= 0x80 }) {
			t.Fatalf("the page of %q: %s", destination, page)
		}
	})
}

// What a path or a query is parted into, for queries that are no attack on the destination.
func TestParameters(t *testing.T) {
	for _, c := range []struct {
		uri, url, signature string
		ok                  bool
	}{
		{"/x?url=a&s=b", "a", "b", true}, {"/x?s=b&url=a", "a", "b", true}, {"/x?url=a=b=c", "a=b=c", "", true}, {"/x?url=a?b", "a?b", "", true}, {"/x?&&url=a&", "a", "", true},
		{"/x?url=a&s", "a", "", true}, {"/x?URL=b&url=a&surl=c", "a", "", true}, {"/x?url=a#&s=b", "a", "", true},
		{"/x", "", "", false}, {"/x?", "", "", false}, {"/x?url", "", "", false}, {"/x?url=", "", "", false}, {"/x?url=a&url=a", "", "", false}, {"/x?url&url=a", "", "", false}, {"/x?url=a&s&s=b", "", "", false},
	} {
		u, s, ok := parameters(queryOf([]byte(c.uri)))
		if ok != c.ok || ok && (string(u) != c.url || string(s) != c.signature) {
			t.Errorf("%s: %q, %q, %v", c.uri, u, s, ok)
		}
	}
}
