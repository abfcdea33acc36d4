package filter

import (
	"fmt"
	"strings"
	"testing"
)

// hostile are expressions and URLs that are made to take long.
var hostile = []struct{ name, expression, url string }{
	{"nested", `^(a+)+$`, strings.Repeat("a", 60) + "b"},
	{"alternatives", `(a|aa|a?)+$`, strings.Repeat("a", 200) + "b"},
	{"stars", `.*.*.*.*x$`, strings.Repeat("a", MaxURL)},
	{"scans", `[^x]*+y`, strings.Repeat("a", MaxURL-1) + "b"},
	{"scans-utf", `(?i)[^\p{Lu}]*+y`, strings.Repeat("é", MaxURL/2)},
	{"scans-properties", `(*UCP)[\w\p{Greek}]*+\d`, strings.Repeat("é", MaxURL/2)},
	{"lookaheads", `(?=[^x]*+)(?=[^x]*+)(?=[^x]*+)y|z`, strings.Repeat("a", MaxURL)},
	{"compared", `(a{4000})(?:b|\1c)*d`, strings.Repeat("a", MaxURL)},
	{"compared-short", `(?i)(.*)\1x`, strings.Repeat("a", 2000)},
	{"clusters", `\X+\X+\X+y`, strings.Repeat("é", 500)},
	{"recursion", `(a(?1)?a?)+b`, strings.Repeat("a", 200)},
	{"deep", `^(?:a|b)*?(?:(?:a|b)*?)*?c`, strings.Repeat("ab", 2000)},
	{"starts", `(*NO_START_OPT)(?:(?:(?:a?){10}){10}){10}z`, strings.Repeat("b", MaxURL)},
	{"empty", `(|(|(|x)+)+)+y`, strings.Repeat("a", 100)},
	{"lookbehind", `(?<=a{1000})b`, strings.Repeat("a", MaxURL)},
	{"captures", strings.Repeat("(a?)", 400) + "$", strings.Repeat("a", 300) + "b"},
	{"group", `((a?){30}){30}$`, strings.Repeat("a", 100) + "b"},
	{"script-run", `(*sr:.*)+x`, strings.Repeat("é", 1000)},
	{"callout", `(?C1)(?C2)(?C3)(a+)+$`, strings.Repeat("a", 100) + "b"},
}

func BenchmarkHostile(b *testing.B) {
	for _, c := range hostile {
		f, err := Compile(c.expression)
		if err != nil {
			b.Fatal(c.name, err)
		}
		b.Run(c.name, func(b *testing.B) {
			var result error
			for b.Loop() {
				_, _, result = f.Match([]byte(c.url))
			}
			if result == nil {
				b.ReportMetric(0, "given-up")
			} else {
				b.ReportMetric(1, "given-up")
			}
		})
	}
}

// usual are filters as people write them.
var usual = []struct{ name, expression string }{
	{"hosts", `^https?://(?:[^/?#]+\.)?example\.com(?:[/?#]|$)`},
	{"not-these", `^(?!https?://(?:www\.)?example\.com/(?:unsubscribe|privacy))`},
	{"word", `unsubscribe`},
	{"greedy", `^.*/p/.*utm_.*$`},
	{"caseless", `(?i)\butm_(?:source|medium|campaign)=`},
}

func BenchmarkUsual(b *testing.B) {
	for _, c := range usual {
		f, err := Compile(c.expression)
		if err != nil {
			b.Fatal(err)
		}
		for _, length := range []int{100, 300, 2000} {
			url := []byte("https://www.shop.example.com/products/1234?utm_source=newsletter&utm_medium=email&x=")
			url = append(url, strings.Repeat("0123456789abcdef", length)[:max(0, length-len(url))]...)
			b.Run(fmt.Sprintf("%s/url=%d", c.name, length), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, _, err := f.Match(url); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, c := range append(usual, struct{ name, expression string }{"longest", strings.Repeat("(?:a|b(?=c))", MaxExpression/12)},
		struct{ name, expression string }{"repeats", `(?:(?:(?:a{1,9}b){1,9}c){1,9}d){1,9}`},
		struct{ name, expression string }{"calls", strings.Repeat(`(?<=(?1))(?<!(?1))`, 100) + `((a)(?2))`}) {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				_, _ = Compile(c.expression)
			}
		})
	}
}
