package configs

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// value is one value of a settings file: it knows where it goes, what is allowed, and how it is printed.
type value interface {
	// read sets the value from n, or notes a fault and leaves what was there.
	read(r *reader, key string, n ast.Node)
	// render is the value in YAML: on the key's own line, or as a block of lines below it.
	render() (inline string, block []string)
	// allowed says what a value may be, for the README.
	allowed() string
}

// setting is a key and its value.
type setting struct {
	key   string
	value value
}

// scalar is a value written as one word.
type scalar[T any] struct {
	to     *T
	parse  func(text string) (T, bool)
	format func(T) string
	want   string              // what is allowed, for faults
	show   func(string) string // what a fault shows of the value; nil shows it as written
}

func (s scalar[T]) read(r *reader, key string, n ast.Node) {
	written, ok := plainText(n)
	if !ok {
		r.note(key, n, describe(n))
		want := s.want
		if _, is := mapping(n); is {
			want += "; quote a value that holds a colon" // inside { } the parser takes a:80 for a mapping
		}
		r.fault(key, n, describe(n), want)
		return
	}
	shown := written
	if s.show != nil {
		shown = s.show(written)
	}
	if shown == "" {
		shown = `""`
	}
	r.note(key, n, shown)
	text, missing := expand(written, r.env)
	if missing != "" {
		r.fault(key, n, shown, missing)
		return
	}
	v, ok := s.parse(text)
	if !ok {
		r.fault(key, n, shown, s.want)
		return
	}
	*s.to = v
}

func (s scalar[T]) render() (string, []string) { return s.format(*s.to), nil }

func (s scalar[T]) allowed() string { return strings.TrimPrefix(s.want, "must be ") }

// list is a YAML list of values of one kind. It replaces what was there before: lists are not merged.
type list[T any] struct {
	to   *[]T
	item func(*T) value
	want string
	most int
}

func (l list[T]) read(r *reader, key string, n ast.Node) {
	r.note(key, n, r.shown(n))
	sequence, ok := n.(*ast.SequenceNode)
	if !ok {
		r.fault(key, n, r.shown(n), "must be a list of "+l.want)
		return
	}
	if len(sequence.Values) > l.most {
		r.fault(key, n, describe(n), fmt.Sprintf("must be a list of at most %d %s", l.most, l.want))
		return
	}
	var items []T // nil when the list is empty, as in the defaults
	if len(sequence.Values) > 0 {
		items = make([]T, len(sequence.Values))
	}
	for i, v := range sequence.Values {
		l.item(&items[i]).read(r, fmt.Sprintf("%s[%d]", key, i), v)
	}
	*l.to = items
}

func (l list[T]) render() (string, []string) {
	if len(*l.to) == 0 {
		return "[]", nil
	}
	var inlines, block []string
	for i := range *l.to {
		inline, lines := l.item(&(*l.to)[i]).render()
		if lines == nil {
			inlines = append(inlines, inline)
			continue
		}
		block = append(block, "- "+lines[0])
		for _, line := range lines[1:] {
			block = append(block, "  "+line)
		}
	}
	if block == nil {
		return "[" + strings.Join(inlines, ", ") + "]", nil
	}
	return "", block
}

func (l list[T]) allowed() string { return fmt.Sprintf("a list of at most %d %s", l.most, l.want) }

// group is a YAML mapping with known keys.
type group struct {
	settings []setting
	check    func(r *reader, key string) // after all keys were read; may be nil
	secret   bool                        // it holds one: nothing is shown of what stands in a wrong place
}

func (g group) read(r *reader, key string, n ast.Node) {
	if g.secret && !r.hide {
		r.hide = true
		defer func() { r.hide = false }()
	}
	r.note(key, n, r.shown(n))
	pairs, ok := mapping(n)
	if !ok {
		r.fault(key, n, r.shown(n), "must be a mapping with the keys "+strings.Join(g.keys(), ", "))
		return
	}
	nodes := map[string]*ast.MappingValueNode{}
	for _, pair := range pairs {
		g.take(r, key, pair, nodes)
	}
	// In the table's order, not the file's: a tenant needs the defaults, wherever they stand.
	for _, s := range g.settings {
		if pair, ok := nodes[s.key]; ok {
			r.begins(pair)
			s.value.read(r, join(key, s.key), pair.Value)
		}
	}
	if g.check != nil {
		g.check(r, key)
	}
}

// take sorts one pair of a mapping in, or notes why it has no place.
func (g group) take(r *reader, key string, pair *ast.MappingValueNode, nodes map[string]*ast.MappingValueNode) {
	name, ok := plainText(pair.Key)
	switch {
	case !ok:
		r.fault(key, pair.Key, describe(pair.Key), "a key must be a plain word")
	case !g.has(name):
		want := "no such key"
		if near := nearest(name, g.keys()); near != "" {
			want += "; did you mean " + near + "?"
		}
		shown := r.shown(pair.Value)
		if lower := strings.ToLower(name); strings.Contains(lower, "pass") || strings.Contains(lower, "secret") {
			shown = mask // a secret that stands in the wrong place
		}
		r.fault(join(key, name), pair.Key, shown, want)
	case nodes[name] != nil:
		r.fault(join(key, name), pair.Key, "", fmt.Sprintf("is written twice, first on line %d", line(nodes[name].Key)))
	default:
		nodes[name] = pair
	}
}

func (g group) render() (string, []string) {
	var lines []string
	for _, s := range g.settings {
		inline, block := s.value.render()
		if block == nil {
			lines = append(lines, s.key+": "+inline)
			continue
		}
		lines = append(lines, s.key+":")
		for _, line := range block {
			lines = append(lines, "  "+line)
		}
	}
	return "", lines
}

func (g group) allowed() string { return "a mapping" }

func (g group) keys() []string {
	keys := make([]string, len(g.settings))
	for i, s := range g.settings {
		keys[i] = s.key
	}
	return keys
}

func (g group) has(key string) bool {
	for _, s := range g.settings {
		if s.key == key {
			return true
		}
	}
	return false
}

func join(outer, key string) string {
	if outer == "" {
		return key
	}
	return outer + "." + key
}

func mapping(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// plainText is a scalar as text. Numbers and booleans are taken as written: which type a value has is for its setting to say.
func plainText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		if n.Value == nil {
			return "", false
		}
		return strings.TrimRight(n.Value.Value, "\n"), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// describe names what was written where it is not a plain value.
func describe(n ast.Node) string {
	switch n := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "(a mapping)"
	case *ast.SequenceNode:
		if len(n.Values) == 0 {
			return "[]"
		}
		return "(a list)"
	case *ast.NullNode, nil:
		return "(nothing)"
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		return "(an anchor, alias or tag, which are not understood here)"
	}
	return "(a plain value)"
}

// expand puts the environment's values in for ${NAME}; $${ is a literal ${. It answers what is missing instead.
func expand(text string, env map[string]string) (expanded, missing string) {
	var b strings.Builder
	for {
		at := strings.Index(text, "${")
		if at < 0 {
			b.WriteString(text)
			return b.String(), ""
		}
		if at > 0 && text[at-1] == '$' {
			b.WriteString(text[:at-1] + "${")
			text = text[at+2:]
			continue
		}
		b.WriteString(text[:at])
		name, rest, ok := strings.Cut(text[at+2:], "}")
		if !ok || name == "" {
			return "", "must close ${NAME}; write $${ for a literal ${"
		}
		v, ok := env[name]
		if !ok {
			return "", "the environment must have " + printable(name)
		}
		b.WriteString(v)
		text = rest
	}
}

// nearest is the key that was probably meant: at most a third of its letters differ. "" when none is near.
func nearest(name string, keys []string) string {
	best, least := "", 1<<30
	for _, key := range keys {
		if d := distance(name, key); d < least && d <= max(1, len(key)/3) {
			best, least = key, d
		}
	}
	return best
}

// distance counts the letters to insert, delete or replace.
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
