package filter

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"waypost/configs"
)

// no is what stands for no match.
const no = "\x00"

// cases are the constructs of pcre2pattern(3), each with what it matches of a text.
var cases = []struct{ name, expression, text, want string }{
	{"literal", `example\.com`, "https://example.com/", "example.com"},
	{"literal, not there", `example\.com`, "https://example-com/", no},
	{"case counts", `EXAMPLE`, "https://example.com/", no},
	{"anchors", `^https://[^/]+/$`, "https://example.com/", "https://example.com/"},
	{"$ before a newline at the end", `m$`, "example.com\n", "m"},
	{"\\z not before it", `m\z`, "example.com\n", no},
	{"\\A and \\Z", `\Ahttps?://.*\Z`, "http://a", "http://a"},
	{"\\G", `\Ghttp`, "see http", no},
	{"multiline", `(?m)^b$`, "a\nb", "b"},
	{"dot and newline", `a.b`, "a\nb", no},
	{"dotall", `(?s)a.b`, "a\nb", "a\nb"},
	{"\\N", `(?s)a\N`, "a\n", no},
	{"\\R", `a\Rb`, "a\r\nb", "a\r\nb"},
	{"caseless", `(?i)UTM_source`, "?utm_SOURCE=x", "utm_SOURCE"},
	{"caseless in part", `a(?i)b`, "aB", "aB"},
	{"caseless in a group", `(?i:a)b`, "AB", no},
	{"switched off", `(?i)a(?-i)b`, "AB", no},
	{"options unset", `(?i)(?^)a`, "A", no},
	{"extended", "(?x) example \\. com # a host", "example.com", "example.com"},
	{"extended more", `(?xx)[a b]c`, " c", no},
	{"comment", `a(?#none)b`, "ab", "ab"},
	{"quoted", `\Qa.b?c\E+`, "a.b?cc", "a.b?cc"},
	{"quoted, no dot", `\Qa.b\E`, "axb", no},
	{"class", `[a-f\d_]+`, "xyz09_a", "09_a"},
	{"class negated", `[^/]+`, "//a/b", "a"},
	{"class with ]", `[]a]+`, "x]a", "]a"},
	{"posix class", `[[:digit:][:upper:]]+`, "ab1C", "1C"},
	{"posix class negated", `[[:^alpha:]]+`, "ab12", "12"},
	{"\\h", `a\hb`, "a\tb", "a\tb"},
	{"\\H", `a\Hb`, "a\tb", no},
	{"\\v", `a\vb`, "a\nb", "a\nb"},
	{"\\w is ASCII's", `^\w+`, "né", "n"},
	{"\\w with UCP", `(*UCP)^\w+`, "né", "né"},
	{"\\b", `\bshop\b`, "https://shop.example", "shop"},
	{"\\b in a word", `\bshop\b`, "https://shops.example", no},
	{"\\B", `\Bp`, "shop", "p"},
	{"hexadecimal", `\x2e\x{63}`, "example.com", ".c"},
	{"hexadecimal beyond the BMP", `\x{1F600}`, "a😀", "😀"},
	{"octal", `\o{56}\056`, "a..", ".."},
	{"control character", `\t\cI`, "a\t\t", "\t\t"},
	{"unicode property", `\p{Lu}\p{Ll}+`, "äÖäx", "Öäx"},
	{"unicode script", `\p{Greek}+`, "abγδ", "γδ"},
	{"unicode property negated", `\P{L}+`, "ab12c", "12"},
	{"grapheme cluster", `^\X`, "e\u0301x", "e\u0301"},
	{"greedy", `<.+>`, "<a><b>", "<a><b>"},
	{"lazy", `<.+?>`, "<a><b>", "<a>"},
	{"possessive", `a++a`, "aaa", no},
	{"possessive, what follows is other", `\d++x`, "12x", "12x"},
	{"counted", `^a{2,3}$`, "aaaa", no},
	{"counted, at least", `^a{2,}$`, "aaaa", "aaaa"},
	{"ungreedy", `(?U)a+`, "aaa", "a"},
	{"alternation", `^(?:http|ftp)s?:`, "ftps://a", "ftps:"},
	{"capture", `(a)(b)\2\1`, "abba", "abba"},
	{"named, Perl's", `(?<q>["'])x\k<q>`, `'x'`, `'x'`},
	{"named, Python's", `(?P<q>["'])x(?P=q)`, `"x"`, `"x"`},
	{"named, quotes", `(?'q'a)\k'q'\k{q}\g{q}`, "aaaa", "aaaa"},
	{"relative back reference", `(a)(b)\g{-1}\g-2`, "abba", "abba"},
	{"duplicate names", `(?J)(?:(?<n>a)|(?<n>b))\k<n>`, "bb", "bb"},
	{"branch reset", `(?|(a)|(b))\1`, "bb", "bb"},
	{"branch reset, another", `(?|(a)|(b))\1`, "ab", no},
	{"atomic", `(?>a+)a`, "aaa", no},
	{"atomic, in words", `(*atomic:a|ab)c`, "abc", no},
	{"lookahead", `https(?=://)`, "https://", "https"},
	{"negative lookahead", `^(?!https://example\.com/privacy).*`, "https://example.com/privacy", no},
	{"lookahead in words", `a(*positive_lookahead:b)`, "ab", "a"},
	{"lookbehind", `(?<=://)[^/]+`, "https://example.com/", "example.com"},
	{"negative lookbehind", `(?<!www\.)example`, "www.example", no},
	{"lookbehind of several lengths", `(?<=a|bc)d`, "bcd", "d"},
	{"non-atomic lookahead", `(?*(a+))\1b`, "aab", "aab"},
	{"\\K", `https://\Kexample`, "https://example.com/", "example"},
	{"condition by number", `^(<)?a(?(1)>|$)`, "<a>", "<a>"},
	{"condition by number, not met", `^(<)?a(?(1)>|$)`, "<a", no},
	{"condition by name", `(?<o>\()?a(?(<o>)\))$`, "(a)", "(a)"},
	{"condition by lookahead", `(?(?=\d)\d{2}|[a-z]{3})$`, "abc", "abc"},
	{"define", `(?(DEFINE)(?<byte>25[0-5]|2[0-4]\d|1?\d?\d))^(?&byte)(?:\.(?&byte)){3}$`, "192.0.2.7", "192.0.2.7"},
	{"recursion", `\((?:[^()]++|(?R))*\)`, "a(b(c)d)e", "(b(c)d)"},
	{"recursion into a group", `^(a(?1)?b)$`, "aabb", "aabb"},
	{"recursion, relative", `(?+1)-(x|y)`, "y-x", "y-x"},
	{"recursion, Python's", `(?P<n>[ab])(?P>n)`, "ab", "ab"},
	{"recursion, Oniguruma's", `(?<n>[ab])\g<n>`, "ba", "ba"},
	{"palindrome", `^((.)(?1)\2|.?)$`, "abcba", "abcba"},
	{"verb ACCEPT", `A(?:A|B(*ACCEPT)|C)D`, "AB", "AB"},
	{"verb FAIL", `a(*FAIL)|b`, "ab", "b"},
	{"verb COMMIT", `a+(*COMMIT)b`, "aac aab", no},
	{"verb PRUNE", `a+(*PRUNE)b`, "aac aab", "aab"},
	{"verb SKIP", `aaa(*SKIP)c|a`, "aaab", no},
	{"verb THEN", `a(*THEN)b|ac`, "ac", "ac"},
	{"exclusion", `https://example\.com/privacy(*SKIP)(*F)|https://\S+`, "https://example.com/privacy", no},
	{"mark", `(*MARK:x)a`, "a", "a"},
	{"callout", `(?C1)a(?C"text")b`, "ab", "ab"},
	{"limits of its own", `(*LIMIT_MATCH=1000)(*NO_START_OPT)b`, "ab", "b"},
	{"newline convention", `(*CRLF)a.b`, "a\nb", "a\nb"},
	{"script run", `^(*sr:\w+)$`, "abc", "abc"},
	{"empty", ``, "abc", ""},
	{"matches nothing of something", `x*`, "abc", ""},
	{"character of two bytes", `^.$`, "é", "é"},
}

func TestSyntax(t *testing.T) {
	for _, c := range cases {
		f, err := Compile(c.expression)
		if err != nil {
			t.Errorf("%s: %s: %v", c.name, c.expression, err)
			continue
		}
		where, matches, err := f.Match([]byte(c.text))
		got := no
		if matches {
			got = c.text[where.From:where.To]
		}
		if got != c.want || err != nil {
			t.Errorf("%s: %s on %q matches %q, want %q; error %v", c.name, c.expression, c.text, got, c.want, err)
		}
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		expression string
		offset     int
		message    string
	}{
		{`^https?://(`, 11, "missing closing parenthesis, at byte 11, after ^https?://("},
		{`a)`, 1, "unmatched closing parenthesis, at byte 1, after a"},
		{`*a`, 0, "quantifier does not follow a repeatable item, at byte 0"},
		{`[a`, 2, "missing terminating ] for character class"},
		{`[z-a]`, 3, "range out of order in character class"},
		{`é(*NONE)`, 8, "(*VERB) not recognized or malformed"},
		{`\p{Nothing}`, 11, `unknown property after \P or \p`},
		{`(?<=a+)b`, 0, "lookbehind assertion is not fixed length"},
		{`\1`, 1, "reference to non-existent subpattern"},
		{`(?&n)`, 3, "reference to non-existent subpattern"},
		{`a\`, 2, `\ at end of pattern`},
		{`a{2,1}`, 5, "numbers out of order in {} quantifier"},
		{`(?<n>a)(?<n>b)`, 12, "two named subpatterns have the same name"},
		{`\C`, 2, `using \C is disabled`},
		{"a\xff", 1, "the expression is not UTF-8"},
		{strings.Repeat("a", MaxExpression+1), MaxExpression, "the expression has more than 2000 bytes, at byte 2000, after ..."},
		{strings.Repeat("(", maxNesting+1) + strings.Repeat(")", maxNesting+1), maxNesting + 1, "parentheses are too deeply nested"},
		{`((a{1,999}){1,999}){1,999}`, 0, "regular expression is too large"},
	} {
		_, err := Compile(c.expression)
		var wrong *SyntaxError
		switch {
		case !errors.As(err, &wrong):
			t.Errorf("%.40s: %v, want a SyntaxError", c.expression, err)
		case !strings.Contains(err.Error(), c.message) || (c.offset != wrong.Offset && c.offset > 0):
			t.Errorf("%.40s: offset %d, %v; want %d, %s", c.expression, wrong.Offset, err, c.offset, c.message)
		}
	}
}

// What would take for ever, or all memory, ends with an error that says so.
func TestGivenUp(t *testing.T) {
	for _, c := range []struct {
		name, expression, text string
		want                   error
	}{
		{"nested quantifiers", `^(a+)+$`, strings.Repeat("a", 40) + "b", ErrLimit},
		{"overlapping alternatives", `^(a|aa)+$`, strings.Repeat("a", 60) + "b", ErrLimit},
		{"optional items", `^(?:a?){30}a{20}$`, strings.Repeat("a", 30) + "b", ErrLimit},
		{"from each byte", `(*NO_START_OPT)(?:[^x]*+y)`, strings.Repeat("a", 4000), ErrLimit},
		{"several stars", `(?s).*.*.*.*[xy][zw]`, strings.Repeat("a", 4000), ErrLimit},
		{"recursion that grows", `^(a(?1)?a?)+$`, strings.Repeat("a", 200) + "b", ErrLimit},
		{"recursion without end", `(?:a|b(?=(?R)))(?R)|(?(?=(?R))x)`, "bb", ErrLoop},
		{"long URL", `a`, strings.Repeat("a", MaxURL+1), ErrLength},
		{"not UTF-8", `a`, "a\xff", ErrEncoding},
		{"half a surrogate pair", `a`, "a\xed\xa0\x80", ErrEncoding},
	} {
		f, err := Compile(c.expression)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if _, matches, err := f.Match([]byte(c.text)); matches || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v; want %v", c.name, matches, err, c.want)
		}
		// The engine is as good as before.
		if _, matches, err := f.Match([]byte("a")); err != nil && !errors.Is(err, ErrLoop) {
			t.Errorf("%s, then a: %v, %v", c.name, matches, err)
		}
	}
}

// What people write is within the bounds on the longest links.
func TestUsualIsNeverGivenUp(t *testing.T) {
	for _, c := range usual {
		f, err := Compile(c.expression)
		if err != nil {
			t.Fatal(err)
		}
		for _, url := range []string{
			"https://shop.example.com/p/" + strings.Repeat("a", 2000) + "?utm_source=x",
			"https://shop.example.com/p/?" + strings.Repeat("a=%20b&", 300) + "utm_source=x",
		} {
			if _, _, err := f.Match([]byte(url)); err != nil {
				t.Errorf("%s on %d bytes: %v", c.expression, len(url), err)
			}
		}
	}
}

// A request that comes again is to get the same answer: the bound is no clock.
func TestSameStepsAlways(t *testing.T) {
	f, err := Compile(`^(a+)+$`)
	if err != nil {
		t.Fatal(err)
	}
	last := 0
	for n := range 40 { // the longest that is answered
		if _, _, err := f.Match([]byte(strings.Repeat("a", n) + "b")); err == nil {
			last = n
		}
	}
	for range 100 {
		_, _, within := f.Match([]byte(strings.Repeat("a", last) + "b"))
		_, _, beyond := f.Match([]byte(strings.Repeat("a", last+1) + "b"))
		if within != nil || beyond != ErrLimit {
			t.Fatalf("%d: %v; %d: %v", last, within, last+1, beyond)
		}
	}
}

// Many goroutines share filters and engines.
func TestTogether(t *testing.T) {
	var filters []*Filter
	for _, c := range cases {
		f, err := Compile(c.expression)
		if err != nil {
			t.Fatal(err)
		}
		filters = append(filters, f)
	}
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for i := range 3 * len(cases) {
				at := (i*7 + n*13) % len(cases)
				c := cases[at]
				where, matches, err := filters[at].Match([]byte(c.text))
				if err != nil || matches != (c.want != no) || matches && c.text[where.From:where.To] != c.want {
					t.Errorf("%s: %v %v %v", c.name, where, matches, err)
				}
				if i%10 == 0 {
					if _, err := Compile(c.expression); err != nil {
						t.Error(err)
					}
					runtime.GC()
				}
			}
		})
	}
	all.Wait()
}

func TestNoAllocations(t *testing.T) {
	f, err := Compile(usual[0].expression)
	if err != nil {
		t.Fatal(err)
	}
	url := []byte("https://www.example.com/a")
	if n := testing.AllocsPerRun(1000, func() { _, _, _ = f.Match(url) }); n != 0 {
		t.Errorf("%v allocations a match", n)
	}
}

func TestBoundsAreTheSettings(t *testing.T) {
	if MaxExpression != configs.MaxFilter {
		t.Errorf("%d bytes here, %d in the settings", MaxExpression, configs.MaxFilter)
	}
}

// Any expression on any text ends, with bounds that hold, and without a panic.
func FuzzMatch(f *testing.F) {
	for _, c := range cases {
		f.Add(c.expression, c.text)
	}
	for _, c := range hostile {
		f.Add(c.expression, c.url[:min(len(c.url), 300)])
	}
	f.Fuzz(func(t *testing.T, expression, text string) {
		hangs := time.AfterFunc(time.Minute, func() { panic(fmt.Sprintf("hangs: %q on %q", expression, text)) })
		defer hangs.Stop()
		compiled, err := Compile(expression)
		if err != nil {
			var wrong *SyntaxError
			if !errors.As(err, &wrong) || wrong.Offset < 0 || wrong.Offset > len(expression) {
				t.Fatalf("%v", err)
			}
			return
		}
		where, matches, err := compiled.Match([]byte(text))
		inside := 0 <= where.From && where.From <= where.To && where.To <= len(text)
		if errors.Is(err, ErrEngine) || !inside || err != nil && matches {
			t.Fatalf("%v %v %v", where, matches, err)
		}
	})
}
