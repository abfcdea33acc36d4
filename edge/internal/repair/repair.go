package repair

import "bytes"

// Limits of the work for one path.
const (
	MaxPath  = 8 << 10 // bytes; a longer path is not looked at
	MaxTries = 4       // calls of opens

	passes   = 3  // escapes of escapes that are undone: a link through two gateways has "%255F"
	minToken = 31 // characters of the shortest token; shorter ones are not tried
	minLike  = 20 // characters from which a word may be the beginning of a token
)

// Class is what happened to a link.
type Class uint8

// The classes. Those up to Quoted are undone and followed, the greatest of those that were met counts. The others are only recognised.
const (
	None      Class = iota // nothing that we know
	Around                 // something stood before or behind the token: punctuation, brackets, "&amp;x=1", a slash
	Percent                // characters of the token were escaped as %xx, perhaps repeatedly
	Entity                 // characters of the token were escaped as HTML's &#95;
	Inserted               // white space, line breaks, invisible characters or backslashes within the token
	SoftBreak              // quoted-printable's soft line breaks within the token: "=", perhaps with the break
	Quoted                 // characters of the token were escaped as =xx: quoted-printable that nobody decoded
	Truncated              // the end is missing
	Folded                 // capital letters became small ones, or the other way
	Rot13                  // letters rotated by thirteen
	Classes                // how many there are
)

// Names are the classes' names, as metrics have them.
var Names = [Classes]string{"none", "around", "percent", "entity", "inserted", "soft_break", "quoted", "truncated", "folded", "rot13"}

// Followed says whether Find gives a token with this class.
func (c Class) Followed() bool { return c >= Around && c <= Quoted }

// Repairer holds the memory of a repair. It belongs to one goroutine; once grown it allocates nothing.
type Repairer struct {
	plain []byte // the path without escapes
	token []byte // the reading at hand
	tried []byte // the last one that did not open
}

// Find asks opens about readings of path (without its first slash and its query) until one opens. It gives that token and what was undone; or no token and
// what the person can be told, None for nothing. The token is r's memory, valid until the next Find.
func (r *Repairer) Find(path []byte, opens func(token []byte) bool) (token []byte, class Class) {
	if len(path) == 0 || len(path) > MaxPath {
		return nil, None
	}
	r.tried = append(r.tried[:0], path...) // known not to open
	undone := r.unescape(path)

	behind := r.cut()
	if r.try(opens) {
		return r.token, r.classOf(path, undone)
	}
	if len(behind) > 0 {
		for _, way := range [...]joining{decodeQuoted, dropEquals} {
			if changed := r.join(way); r.try(opens) {
				return r.token, r.classOf(path, max(changed, undone))
			}
		}
		behind = r.cut()
	}
	if len(r.token) < minLike {
		return nil, None
	}
	rotate(r.token)
	if r.try(opens) {
		return nil, Rot13
	}
	rotate(r.token) // and back
	return nil, recognise(r.token, behind)
}

// try says whether the reading opens. What is too short, or failed just before, is not asked about.
func (r *Repairer) try(opens func([]byte) bool) bool {
	if len(r.token) < minToken || bytes.Equal(r.token, r.tried) {
		return false
	}
	if opens(r.token) {
		return true
	}
	r.tried = append(r.tried[:0], r.token...)
	return false
}

// classOf is Around when the token stood whole in the path, else what had to be undone within it.
func (r *Repairer) classOf(path []byte, undone Class) Class {
	if bytes.Contains(path, r.token) {
		return Around
	}
	return undone
}

// cut reads the first run of token characters, after what cannot begin a token, into r.token. A '-' or '_' at its end belongs to what is behind, because no
// token ends so.
func (r *Repairer) cut() (behind []byte) {
	begin := 0
	for begin < len(r.plain) && !inToken(r.plain[begin]) {
		begin++
	}
	end := begin
	for end < len(r.plain) && inToken(r.plain[end]) {
		end++
	}
	r.token = trim(append(r.token[:0], r.plain[begin:end]...))
	return r.plain[begin+len(r.token):]
}

// trim takes off what ends no token.
func trim(token []byte) []byte { return bytes.TrimRight(token, "-_") }

// joining is what becomes of '=' when a reading is joined: "=2D" is an escape, or a soft break before "2D".
type joining uint8

const (
	decodeQuoted joining = iota
	dropEquals
)

// join reads r.plain into r.token, passing over what line breaks and careful programs put into words, up to the first byte that no token holds. It gives the
// greatest class of what it met on its way.
func (r *Repairer) join(way joining) (changed Class) {
	r.token = r.token[:0]
	for p := r.plain; len(p) > 0; {
		c := p[0]
		if inToken(c) {
			r.token, p = append(r.token, c), p[1:]
			continue
		}
		if value, ok := quoted(p); ok && way == decodeQuoted && inToken(value) {
			r.token, p, changed = append(r.token, value), p[3:], max(changed, Quoted)
			continue
		}
		n, class := skipped(p)
		if n == 0 {
			if len(r.token) > 0 {
				break
			}
			n, class = 1, None // nothing begins with it
		}
		p, changed = p[n:], max(changed, class)
	}
	r.token = trim(r.token)
	return changed
}
