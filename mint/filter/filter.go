package filter

import (
	"errors"
	"fmt"
	"runtime"
	"unicode/utf8"
	"unsafe"

	"go.elara.ws/pcre/lib"
)

// Bounds. They are the same for everybody: whether a link is replaced must not depend on the machine or on how busy it is.
const (
	MaxExpression = 2000    // bytes of an expression
	MaxURL        = 8 << 10 // bytes of a URL; a link holds no longer one
	MaxSteps      = 10_000  // of one match

	maxNesting    = 50           // parentheses in parentheses
	maxBacktracks = 2 * MaxSteps // from one byte of the URL: a second net below MaxSteps
	maxDepth      = 2000         // nested backtracks
	maxHeap       = 1024         // KiB for what can be gone back to
	bytesPerStep  = 8            // passed over in the time of a step

	// An item that compares with what was found before may read much of the URL and pass over none: with such an expression each step costs one more for so many bytes of the URL.
	comparedPerStep = 64
)

// Why nothing is known of a URL.
var (
	ErrLimit    = errors.New("given up: the match takes too many steps")
	ErrLoop     = errors.New("given up: the expression calls itself without end")
	ErrLength   = fmt.Errorf("not tried: the URL has more than %d bytes", MaxURL)
	ErrEncoding = errors.New("not tried: the URL is not UTF-8")
	ErrEngine   = errors.New("PCRE2 failed")
)

// SyntaxError is a mistake in an expression.
type SyntaxError struct {
	Expression string
	Offset     int    // bytes of the expression that were read when the mistake showed
	Message    string // PCRE2's words, or ours
}

// Error is what is wrong and where.
func (e *SyntaxError) Error() string {
	if e.Offset == 0 {
		return e.Message + ", at byte 0"
	}
	return fmt.Sprintf("%s, at byte %d, after %s", e.Message, e.Offset, tail(e.Expression[:e.Offset]))
}

// tail is the end of what was read, as far as it helps to find the place.
func tail(s string) string {
	const most = 24
	if len(s) <= most {
		return s
	}
	cut := len(s) - most
	for !utf8.RuneStart(s[cut]) {
		cut++
	}
	return "..." + s[cut:]
}

// Filter is a compiled expression. Any number of goroutines may use it.
type Filter struct {
	expression string
	code       uintptr // read only
	compares   bool    // with what it found before
}

// Span is where in a URL the match is, in bytes: URL[From:To].
type Span struct{ From, To int }

// Compile reads an expression in PCRE2's syntax. Errors are *SyntaxError and ErrEngine. Its memory is given back once nobody holds the Filter.
func Compile(expression string) (*Filter, error) {
	switch {
	case len(expression) > MaxExpression:
		return nil, &SyntaxError{expression, MaxExpression, fmt.Sprintf("the expression has more than %d bytes", MaxExpression)}
	case !utf8.ValidString(expression):
		return nil, &SyntaxError{expression, validUTF8(expression), "the expression is not UTF-8"}
	}
	f := &Filter{expression: expression}
	var wrong error
	err := call(func(e *engine) {
		put(e, expression)
		r := at[results](e.results)
		code := e.results + unsafe.Offsetof(r.code)
		f.code = lib.Xpcre2_compile_8(e.tls, e.text, lib.Tsize_t(len(expression)), options, code, e.results, e.compile)
		if f.code == 0 {
			wrong = &SyntaxError{expression, min(int(r.offset), len(expression)), e.message(r.code).Error()}
			return
		}
		lib.Xpcre2_pattern_info_8(e.tls, f.code, lib.DPCRE2_INFO_BACKREFMAX, e.meter)
		f.compares = *at[uint32](e.meter) > 0
	})
	if err == nil {
		err = wrong
	}
	if err != nil {
		return nil, err
	}
	runtime.AddCleanup(f, free, f.code)
	return f, nil
}

// options: characters are those of UTF-8, \C, which cuts them, is a mistake, and spend is called before each item.
const options = lib.DPCRE2_UTF | lib.DPCRE2_NEVER_BACKSLASH_C | lib.DPCRE2_AUTO_CALLOUT

func free(code uintptr) {
	_ = call(func(e *engine) { lib.Xpcre2_code_free_8(e.tls, code) })
}

func validUTF8(s string) int {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(s)
}

// String is the expression.
func (f *Filter) String() string { return f.expression }

// Match says whether the expression matches anywhere in url, and where. An error (ErrLimit, ErrLoop, ErrLength, ErrEncoding, ErrEngine) says why that is not known. It allocates nothing.
func (f *Filter) Match(url []byte) (where Span, matches bool, err error) {
	switch {
	case len(url) > MaxURL:
		return where, false, ErrLength
	case !utf8.Valid(url):
		return where, false, ErrEncoding
	}
	e := take()
	rc, err := e.match(f, url)
	runtime.KeepAlive(f)
	if err != nil {
		return where, false, err // and e is not used again
	}
	defer e.release()
	switch {
	case rc >= 0:
		ends := unsafe.Slice(at[lib.Tsize_t](lib.Xpcre2_get_ovector_pointer_8(e.tls, e.data)), 2)
		where = Span{int(ends[0]), int(ends[1])}
		where.From = min(where.From, where.To) // \K in a lookahead may put the beginning behind the end
		return where, true, nil
	case rc == lib.DPCRE2_ERROR_NOMATCH:
		return where, false, nil
	}
	return where, false, e.explain(rc)
}
