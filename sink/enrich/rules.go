package enrich

import (
	"bytes"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/ua-parser/uap-go/uaparser"
)

// rules are those of uap-core for clients and operating systems, in its order: the first that fits counts. Its rules for devices are not
// needed, and take the longest.
type rules struct {
	all     *uaparser.RegexDefinitions
	clients []needs // of each of all.UA
	systems []needs // of each of all.OS
}

// needs are texts of which a user agent must have one for a rule to fit, in lower case; none: nothing is known. Looking for them takes a
// twentieth of trying the rule.
type needs []string

// compiled are the rules: they never change.
var compiled = sync.OnceValues(compile)

// bounded are uap-core's bounds on repetitions, such as .{0,200}, which are for engines that backtrack. To RE2 they are two hundred copies of
// what they repeat, in memory and time; without them its rules fit the same user agents and take the least of both.
var bounded = regexp.MustCompile(`\{([01]),\d{2,}\}`)

func unbounded(expression string) string {
	return bounded.ReplaceAllStringFunc(expression, func(b string) string {
		if b[1] == '0' {
			return "*"
		}
		return "+"
	})
}

func compile() (*rules, error) {
	r := &rules{all: new(uaparser.RegexDefinitions)}
	definitions, _, _ := bytes.Cut(uaparser.DefinitionYaml, []byte("\ndevice_parsers:")) // two thirds of them
	if err := yaml.Unmarshal(definitions, r.all); err != nil {
		return nil, fmt.Errorf("the rules for user agents: %w", err)
	}
	for _, rule := range r.all.UA {
		rule.Expr = unbounded(rule.Expr)
		r.clients = append(r.clients, needsOf(rule.Flags, rule.Expr))
	}
	for _, rule := range r.all.OS {
		rule.Expr = unbounded(rule.Expr)
		r.systems = append(r.systems, needsOf(rule.Flags, rule.Expr))
	}
	_, err := uaparser.New(uaparser.WithRegexDefinitions(*r.all), uaparser.WithCacheSize(1)) // compiles the rules in place
	return r, err
}

// read is what a user agent says.
func (r *rules) read(text string) *agent {
	var client uaparser.UserAgent
	var system uaparser.Os
	letters := lower(text)
	for i, rule := range r.all.UA {
		if r.clients[i].metBy(letters) {
			if rule.Match(text, &client); client.Family != "" {
				break
			}
		}
	}
	for i, rule := range r.all.OS {
		if r.systems[i].metBy(letters) {
			if rule.Match(text, &system); system.Family != "" {
				break
			}
		}
	}
	return newAgent(text, &client, &system)
}

func (n needs) metBy(letters string) bool {
	for _, text := range n {
		if strings.Contains(letters, text) {
			return true
		}
	}
	return len(n) == 0
}

// lower is a text in lower case, and the long s, which regular expressions that ignore case take for an s.
func lower(text string) string { return strings.ReplaceAll(strings.ToLower(text), "ſ", "s") }

func needsOf(flags, expression string) needs {
	if flags != "" {
		expression = "(?" + flags + ")" + expression
	}
	tree, err := syntax.Parse(expression, syntax.Perl)
	if err != nil { // compiling will say so
		return nil
	}
	return needed(tree)
}

// needed finds what every match of an expression contains.
func needed(e *syntax.Regexp) needs {
	switch e.Op {
	case syntax.OpLiteral:
		text := string(e.Rune)
		if e.Flags&syntax.FoldCase != 0 && strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) {
			return nil
		}
		return needs{lower(text)}
	case syntax.OpCapture, syntax.OpPlus:
		return needed(e.Sub[0])
	case syntax.OpRepeat:
		if e.Min > 0 {
			return needed(e.Sub[0])
		}
	case syntax.OpAlternate:
		var all needs
		for _, sub := range e.Sub {
			one := needed(sub)
			if len(one) == 0 {
				return nil
			}
			all = append(all, one...)
		}
		return all
	case syntax.OpConcat:
		var best needs
		for _, sub := range e.Sub {
			if one := needed(sub); one.rarer(best) {
				best = one
			}
		}
		return best
	}
	return nil
}

// rarer says whether fewer user agents are likely to meet n than m: its shortest text is longer.
func (n needs) rarer(m needs) bool {
	if len(n) == 0 || len(m) == 0 {
		return len(n) > 0
	}
	return n.shortest() > m.shortest()
}

func (n needs) shortest() int {
	least := len(n[0])
	for _, text := range n {
		least = min(least, len(text))
	}
	return least
}
