package rewrite

// attributes walks the attributes of a complete start tag, as the tokenizer of golang.org/x/net/html does, which tells their names and values but not where they stand. Tests
// hold the two together.
type attributes struct {
	tag []byte // from < to >
	at  int
}

// valueOf finds the bytes of an attribute's value, without quotes. Of several with one name the first counts, as everywhere in HTML. Name is in lower case.
func valueOf(tag []byte, name string) (from, to int, ok bool) {
	a := attributes{tag, 1}
	a.pass(func(c byte) bool { return c == '/' || c == '>' || blank(c) })
	for {
		a.skipBlanks()
		if a.peek() == '>' || a.at >= len(tag) {
			return 0, 0, false
		}
		key := a.key()
		from, to = a.value()
		if equalFold(key, name) {
			return from, to, true
		}
	}
}

// peek is the byte that comes; 0 at the end.
func (a *attributes) peek() byte {
	if a.at < len(a.tag) {
		return a.tag[a.at]
	}
	return 0
}

// pass goes on to the next byte at which stop holds.
func (a *attributes) pass(stop func(byte) bool) {
	for a.at < len(a.tag) && !stop(a.tag[a.at]) {
		a.at++
	}
}

func (a *attributes) skipBlanks() { a.pass(func(c byte) bool { return !blank(c) }) }

// key reads a name. A = in front is part of it.
func (a *attributes) key() []byte {
	from := a.at
	if a.peek() == '=' {
		a.at++
	}
	a.pass(func(c byte) bool { return c == '=' || c == '/' || c == '>' || blank(c) })
	return a.tag[from:a.at]
}

// value reads what follows a name; nothing where there is no =.
func (a *attributes) value() (from, to int) {
	none := a.at
	a.skipBlanks()
	switch a.peek() {
	case '/':
		a.at++
		return none, none
	case '=':
		a.at++
	default:
		return none, none
	}
	a.skipBlanks()
	switch quote := a.peek(); quote {
	case '>':
		return none, none
	case '"', '\'':
		a.at++
		from = a.at
		a.pass(func(c byte) bool { return c == quote })
		to = a.at
		a.at++
	default:
		from = a.at
		a.pass(func(c byte) bool { return c == '>' || blank(c) })
		to = a.at
	}
	return from, to
}

func blank(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' }

// equalFold compares with a lower-case word. Unlike bytes.EqualFold it knows ASCII only: a long s is no s in HTML.
func equalFold[T string | []byte](s T, word string) bool {
	if len(s) != len(word) {
		return false
	}
	for i := range len(word) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}
