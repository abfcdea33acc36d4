package filter

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"unsafe"

	"go.elara.ws/pcre/lib"
	"modernc.org/libc"
)

// engine is what one call into PCRE2 needs besides the compiled expression: a stack and memory that are C's, outside the reach of the garbage collector, which must not move or free what
// PCRE2 points at. One goroutine has it at a time; the compiled expressions are only read and are shared.
type engine struct {
	tls     *libc.TLS
	compile uintptr // context of compiling
	context uintptr // context of matching, with the limits
	data    uintptr // where a match is told
	meter   uintptr // *meter
	text    uintptr // maxText bytes: the expression or the URL
	results uintptr // *results
}

// maxText is the most that text has to hold.
const maxText = max(MaxExpression, MaxURL)

// results is where compiling puts its mistake.
type results struct {
	offset lib.Tsize_t
	code   int32
}

// meter counts the steps of a match.
type meter struct {
	left     int64 // steps
	each     int64 // what one costs
	position int64 // in the URL, of the last step
}

// engines are those that nobody uses. There are never more than calls that ran at once, and they are never freed: a sync.Pool would drop them, and C's memory with them.
var engines struct {
	sync.Mutex
	free []*engine
}

func take() *engine {
	engines.Lock()
	defer engines.Unlock()
	if n := len(engines.free); n > 0 {
		e := engines.free[n-1]
		engines.free = engines.free[:n-1]
		return e
	}
	return newEngine()
}

func (e *engine) release() {
	engines.Lock()
	defer engines.Unlock()
	engines.free = append(engines.free, e)
}

func newEngine() *engine {
	tls := libc.NewTLS()
	e := &engine{
		tls:     tls,
		compile: lib.Xpcre2_compile_context_create_8(tls, 0),
		context: lib.Xpcre2_match_context_create_8(tls, 0),
		data:    lib.Xpcre2_match_data_create_8(tls, 1, 0),
		meter:   libc.Xcalloc(tls, 1, lib.Tsize_t(unsafe.Sizeof(meter{}))),
		text:    libc.Xcalloc(tls, 1, maxText),
		results: libc.Xcalloc(tls, 1, lib.Tsize_t(unsafe.Sizeof(results{}))),
	}
	for _, p := range []uintptr{e.compile, e.context, e.data, e.meter, e.text, e.results} {
		if p == 0 {
			panic("filter: no memory for PCRE2") // as Go itself does
		}
	}
	lib.Xpcre2_set_parens_nest_limit_8(tls, e.compile, maxNesting)
	lib.Xpcre2_set_match_limit_8(tls, e.context, maxBacktracks)
	lib.Xpcre2_set_depth_limit_8(tls, e.context, maxDepth)
	lib.Xpcre2_set_heap_limit_8(tls, e.context, maxHeap)
	count := spend
	// A top-level function's value lies in read-only memory: the collector has no part in it.
	lib.Xpcre2_set_callout_8(tls, e.context, *(*uintptr)(unsafe.Pointer(&count)), e.meter)
	return e
}

// spend is called by PCRE2 before each item of the expression that it tries. PCRE2's own limit would not do: it begins anew at each byte of the URL.
//
// An item that passes over many bytes, such as [^/]*, costs more than one that passes over none.
func spend(_ *libc.TLS, block, data uintptr) int32 {
	m := at[meter](data)
	position := int64(at[lib.Tpcre2_callout_block_8](block).Fcurrent_position)
	m.left -= m.each
	if position > m.position {
		m.left -= (position - m.position) / bytesPerStep
	}
	m.position = position
	if m.left < 0 {
		return lib.DPCRE2_ERROR_MATCHLIMIT
	}
	return 0
}

// at is what C's memory holds at p. It is none of Go's, so that vet's rule for such conversions does not apply.
func at[T any](p uintptr) *T { return *(**T)(unsafe.Pointer(&p)) }

// put copies text to where PCRE2 reads it: a Go string may lie on a stack that moves.
func put[T string | []byte](e *engine, text T) {
	copy(unsafe.Slice(at[byte](e.text), maxText), text)
}

// call runs f with an engine. That PCRE2, translated from C, fails in a way that ends C programs, is an error here; the engine is not used again then.
func call(f func(*engine)) (err error) {
	e := take()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if bug := recover(); bug != nil {
			err = fmt.Errorf("%w: %v", ErrEngine, bug)
			return
		}
		e.release()
	}()
	f(e)
	return nil
}

// match gives what pcre2_match does: negative for an error. It is call without a closure, which would be an allocation.
func (e *engine) match(f *Filter, url []byte) (code int32, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if bug := recover(); bug != nil {
			err = fmt.Errorf("%w: %v", ErrEngine, bug)
		}
	}()
	put(e, url)
	m := at[meter](e.meter)
	*m = meter{left: MaxSteps, each: 1}
	if f.compares {
		m.each += int64(len(url)) / comparedPerStep
	}
	return lib.Xpcre2_match_8(e.tls, f.code, e.text, lib.Tsize_t(len(url)), 0, lib.DPCRE2_NO_UTF_CHECK, e.data, e.context), nil
}

// explain makes an error of what pcre2_match gave.
func (e *engine) explain(code int32) error {
	switch code {
	case lib.DPCRE2_ERROR_MATCHLIMIT, lib.DPCRE2_ERROR_DEPTHLIMIT, lib.DPCRE2_ERROR_HEAPLIMIT, lib.DPCRE2_ERROR_NOMEMORY:
		return ErrLimit
	case lib.DPCRE2_ERROR_RECURSELOOP:
		return ErrLoop
	}
	return fmt.Errorf("%w: %w", ErrEngine, e.message(code))
}

// message is PCRE2's text for an error.
func (e *engine) message(code int32) error {
	const most = 256
	text := libc.Xcalloc(e.tls, 1, most)
	defer libc.Xfree(e.tls, text)
	if n := lib.Xpcre2_get_error_message_8(e.tls, code, text, most); n < 0 {
		return fmt.Errorf("PCRE2 error %d", code)
	}
	return errors.New(libc.GoString(text))
}
