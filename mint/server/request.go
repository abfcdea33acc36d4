package server

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// Longer ones are no ids and no addresses; they count as absent, so that they cannot push every link of their mail over the budget.
const (
	maxID    = 200
	maxEmail = 320
)

// Faults of a request that is JSON, each naming its member.
var (
	errNotObject   = errors.New("the request must be a JSON object")
	errDataMissing = errors.New("data is missing: it must be an array of URLs")
	errDataType    = errors.New("data must be an array of URLs")
)

// errTrailing is not JSON: something follows the request's object.
var errTrailing = errors.New("more after the end of the object")

// request is what a body says. Its slices point into the body, or into arena; both are valid until the next parse.
//
// Members may come twice and in any order: the last counts, as in most JSON libraries, only the members of meta.urls are all kept.
// What is wrong in meta counts as absent (and in ignored), because a mail without its ids is better tracked than not at all.
type request struct {
	source  bytes.Buffer
	decoder *jsontext.Decoder
	arena   []byte // strings that were written with escapes

	entries    []entry // the distinct strings of data, in order
	byValue    index
	dataSeen   bool
	dataWrong  bool
	notStrings int // of data
	surrogates int // strings of data with half a surrogate pair: what URL the sender meant cannot be known

	mailing, prospect, user party
	urls                    []replacement
	ignored                 [memberCount]int
}

// entry is one distinct string of data.
type entry struct {
	raw      []byte // with its quotes and escapes: the answer's key, byte for byte
	value    []byte
	original []byte // the first meta.urls key that maps to value; nil where none does
	hash     uint64
}

// party is what meta says of the mailing, the prospect or the user. Absent is nil.
type party struct{ id, email []byte }

// replacement is one member of meta.urls.
type replacement struct{ original, value []byte }

// jsonOptions let a body pass whose strings are not all UTF-8, or that names a member twice: what is sure is answered.
var jsonOptions = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// parse reads body. Errors: a *jsontext.SyntacticError, io.EOF for an empty body, errTrailing; or one of the faults above.
func (r *request) parse(body []byte) error {
	r.reset(body)
	if r.decoder.PeekKind() != '{' {
		if err := r.skip(); err != nil {
			return err
		}
		return r.ended(errNotObject)
	}
	if err := r.members(r.member); err != nil {
		return err
	}
	switch {
	case r.dataWrong:
		return r.ended(errDataType)
	case !r.dataSeen:
		return r.ended(errDataMissing)
	}
	r.identify()
	return r.ended(nil)
}

func (r *request) reset(body []byte) {
	if r.decoder == nil {
		r.decoder = new(jsontext.Decoder)
	}
	r.source = *bytes.NewBuffer(body)
	r.decoder.Reset(&r.source, jsonOptions...)
	r.arena = r.arena[:0]
	r.resetData()
	r.dataSeen, r.dataWrong = false, false
	r.ignored = [memberCount]int{}
	r.resetMeta()
}

func (r *request) resetData() {
	r.entries = r.entries[:0]
	r.byValue.reset()
	r.notStrings, r.surrogates = 0, 0
}

func (r *request) resetMeta() {
	r.mailing, r.prospect, r.user = party{}, party{}, party{}
	r.urls = r.urls[:0]
}

// ended gives fault, unless something follows the JSON value.
func (r *request) ended(fault error) error {
	switch _, err := r.decoder.ReadToken(); err {
	case io.EOF:
		return fault
	case nil:
		return errTrailing
	default:
		return err
	}
}

// members reads an object and calls visit for each member, which reads the value.
func (r *request) members(visit func(name []byte) error) error {
	if _, err := r.decoder.ReadToken(); err != nil {
		return err
	}
	for r.decoder.PeekKind() != '}' {
		raw, err := r.decoder.ReadValue()
		if err != nil {
			return err
		}
		name, _ := r.text(raw)
		if err := visit(name); err != nil {
			return err
		}
	}
	_, err := r.decoder.ReadToken()
	return err
}

func (r *request) skip() error { return r.decoder.SkipValue() }

func (r *request) member(name []byte) error {
	switch string(name) {
	case "data":
		return r.data()
	case "meta":
		r.resetMeta()
		return r.object(memberMeta, r.metaMember)
	}
	return r.skip()
}

func (r *request) data() error {
	r.resetData()
	r.dataSeen, r.dataWrong = true, r.decoder.PeekKind() != '['
	if r.dataWrong {
		return r.skip()
	}
	if _, err := r.decoder.ReadToken(); err != nil {
		return err
	}
	for {
		kind := r.decoder.PeekKind()
		if kind == ']' {
			_, err := r.decoder.ReadToken()
			return err
		}
		raw, err := r.decoder.ReadValue()
		if err != nil {
			return err
		}
		if kind == '"' {
			r.add(raw)
		} else {
			r.notStrings++
		}
	}
}

// add takes one string of data, unless its value was there before.
func (r *request) add(raw []byte) {
	value, whole := r.text(raw)
	if !whole {
		r.surrogates++
		return
	}
	n, hash := r.byValue.find(r.entries, value)
	if n >= 0 {
		return
	}
	r.entries = append(r.entries, entry{raw: raw, value: value, hash: hash})
	r.byValue.add(r.entries)
}

// object reads an object with visit; anything else counts as absent.
func (r *request) object(m member, visit func(name []byte) error) error {
	switch r.decoder.PeekKind() {
	case '{':
		return r.members(visit)
	case 'n':
	default:
		r.ignored[m]++
	}
	return r.skip()
}

func (r *request) metaMember(name []byte) error {
	switch string(name) {
	case "mailing":
		return r.party(&r.mailing, memberMailing)
	case "prospect":
		return r.party(&r.prospect, memberProspect)
	case "user":
		return r.party(&r.user, memberUser)
	case "urls":
		r.urls = r.urls[:0]
		return r.object(memberURLs, r.url)
	}
	return r.skip()
}

func (r *request) party(p *party, m member) error {
	*p = party{}
	return r.object(m, func(name []byte) (err error) {
		switch string(name) {
		case "id":
			p.id, err = r.scalar(m, maxID, true)
		case "email":
			p.email, err = r.scalar(m, maxEmail, false)
		default:
			err = r.skip()
		}
		return err
	})
}

// scalar reads a string, or a number as it is written; nil for what is absent, empty, or neither.
func (r *request) scalar(m member, limit int, number bool) ([]byte, error) {
	kind := r.decoder.PeekKind()
	raw, err := r.decoder.ReadValue()
	if err != nil || kind == 'n' {
		return nil, err
	}
	value, whole := raw, true
	switch {
	case kind == '"':
		value, whole = r.text(raw)
	case kind != '0' || !number:
		whole = false
	}
	if !whole || len(value) > limit {
		r.ignored[m]++
		return nil, nil
	}
	if len(value) == 0 {
		return nil, nil
	}
	return value, nil
}

// url reads one member of meta.urls.
func (r *request) url(name []byte) error {
	kind := r.decoder.PeekKind()
	raw, err := r.decoder.ReadValue()
	switch {
	case err != nil:
		return err
	case kind == '"':
		if value, whole := r.text(raw); whole {
			r.urls = append(r.urls, replacement{original: name, value: value})
		}
	case kind != 'n':
		r.ignored[memberURLs]++
	}
	return nil
}

// identify gives each entry the first original that maps to it.
func (r *request) identify() {
	for _, u := range r.urls {
		if n, _ := r.byValue.find(r.entries, u.value); n >= 0 && r.entries[n].original == nil {
			r.entries[n].original = u.original
		}
	}
}
