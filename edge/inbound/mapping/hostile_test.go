package mapping

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"waypost/configs"
)

// hostile are expressions and bodies that would take for ever, or more memory than there is, without the bounds.
func hostile() []struct{ name, expression, body string } {
	list := func(n int, item string) string {
		return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
	}
	text := strings.Repeat("a", 200_000)
	return []struct{ name, expression, body string }{
		{"lists in lists", `body.l.map(a, body.l.map(b, body.l.map(c, 1))).size()`, `{"l":` + list(3000, "1") + `}`},
		{"laughs", `[[[[[body.l,body.l,body.l,body.l]].map(x,[x,x,x,x,x,x,x,x])].map(x,[x,x,x,x,x,x,x,x])].map(x,[x,x,x,x,x,x,x,x])].map(x,[x,x,x,x,x,x,x,x]) == [body.l] ? "a" : "b"`, `{"l":` + list(20_000, "1") + `}`},
		{"equal lists", `body.l.map(x, body.l) == body.l.map(x, body.l) ? "a" : "b"`, `{"l":` + list(10_000, "0") + `}`},
		{"membership", `body.l.filter(x, !(x in body.m)).size()`, `{"l":` + list(20_000, "0") + `,"m":` + list(20_000, "1") + `}`},
		{"texts in a list", `body.s in body.l.map(x, body.t) ? "a" : "b"`, `{"l":` + list(20_000, "0") + `,"s":"` + text + `a","t":"` + text + `b"}`},
		{"concatenation", strings.TrimSuffix(strings.Repeat("body.s+", 40), "+"), `{"s":"` + text + `"}`},
		{"replace", `body.s.replace("a", body.s).replace("a", body.s)`, `{"s":"` + text + `"}`},
		{"replace nothing", `body.s.replace("", body.s)`, `{"s":"` + text + `"}`},
		{"split", strings.Repeat("body.l.all(x, ", 3) + `body.s.split("").size() > 0)))  ? "a" : "b"`, `{"l":` + list(1000, "0") + `,"s":"` + text + `"}`},
		{"regexp", `body.s.matches("(a?){20}(a*){20}b") ? "a" : "b"`, `{"s":"` + text + `"}`},
		{"regexp of the body", `body.s.matches(body.p) ? "a" : "b"`, `{"s":"` + text + `","p":"((a{1000}){1000}){1000}"}`},
		{"regexps in a list", `body.l.exists(x, body.s.matches("(a?){9}" + string(x))) ? "a" : "b"`, `{"l":` + list(10_000, "0") + `,"s":"` + text + `"}`},
		{"whole body", `body.l.filter(x, body == body).size()`, `{"l":` + list(100_000, "0") + `}`},
		{"json", `body.l.filter(x, json(body.s) == 1).size()`, `{"l":` + list(10_000, "0") + `,"s":"` + strings.Repeat("[", 90) + strings.Repeat("]", 90) + `"}`},
		{"metadata", `""`, `{"l":` + list(100_000, `"a"`) + `}`},
	}
}

// Whatever they are, a delivery ends soon. How soon is for BenchmarkHostile: here only a hang would show.
func TestHostile(t *testing.T) {
	for _, c := range hostile() {
		began := time.Now()
		_, err := mustCompile(t, simple("recipient", c.expression)).Map([]byte(`{"event":"sent","id":1,` + c.body[1:]))
		t.Logf("%s: %v: %v", c.name, time.Since(began).Round(time.Millisecond), err)
	}
}

// A delivery of many events is bounded as a whole.
func TestHostileEntries(t *testing.T) {
	p := simple("recipient", `body.filter(x, x == 1).size()`)
	p.Each, p.Type, p.ProviderMessage = "body", `"sent"`, "item"
	body := "[" + strings.Repeat("0,", 9_999) + "0]"
	_, err := mustCompile(t, p).Map([]byte(body))
	if err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("%v", err)
	}
}

func BenchmarkHostile(b *testing.B) {
	for _, c := range hostile() {
		b.Run("what="+strings.ReplaceAll(c.name, " ", "_"), func(b *testing.B) {
			parser := mustCompile(b, simple("recipient", c.expression))
			body := []byte(`{"event":"sent","id":1,` + c.body[1:])
			for b.Loop() {
				_, _ = parser.Map(body)
			}
		})
	}
}

func BenchmarkMap(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("events=%d", n), func(b *testing.B) {
			parser := mustCompile(b, acmemail())
			one := `{"event":"delivered","id":"ev-2","at":1796022002.25,"mail":{"id":"m-17","to":"Ann@Example.com","subject":"Your order","tags":{"waypost":"order-17","attempt":2}}}`
			body := []byte(`{"events":[` + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + `]}`)
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if _, err := parser.Map(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzMap holds that no body panics, that what is mapped is whole, and that the same body gives the same events: replays count on it.
func FuzzMap(f *testing.F) {
	parsers := []*Parser{mustCompile(f, acmemail()), mustCompile(f, simple("recipient", "json(body.to).to.trim().substring(1).replace('a', body.to)")), mustCompile(f, simple("metadata", "body"))}
	for _, seed := range []string{
		`{"events":[{"event":"delivered","id":9007199254740993,"at":1796022002.25,"mail":{"id":"m-17","to":"Ann@Example.com","tags":{"waypost":"order-17","n":[1,{"a":null}]}}}]}`,
		`{"event":"sent","id":1,"to":"{\"to\":\" ab\"}"}`, `{"event":"clicked","id":1e400}`, `[]`, `null`, `{"event":"sent","id":"\ud800","x":{"y":[1.5,true,null,"\u0000"]}}`, "", "{", "\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, p := range parsers {
			mails, err := p.Map(body)
			if (err == nil) != (len(mails) > 0) {
				t.Fatalf("%d mails, %v", len(mails), err)
			}
			again, _ := p.Map(body)
			for i := range mails {
				if len(mails[i].Event.Message) == 0 || mails[i].Event.Type == "" {
					t.Fatalf("%+v", mails[i])
				}
				if got, want := fmt.Sprintf("%+v", again[i]), fmt.Sprintf("%+v", mails[i]); got != want {
					t.Fatalf("%s\n%s", got, want)
				}
			}
		}
	})
}

func FuzzCompile(f *testing.F) {
	for _, e := range acmemail().Expressions() {
		f.Add(e.Text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if text == "" || len(text) > configs.MaxExpression {
			return
		}
		_, faults := Compile(simple("recipient", text), false)
		for _, fault := range faults {
			if fault.Problem == "" || fault.Line < 1 || fault.Column < 1 {
				t.Errorf("%+v", fault)
			}
		}
	})
}
