package event

import (
	"errors"
	"maps"
)

// Errors of reading. Errors of documents name the member in their text: use errors.Is.
var (
	ErrRecord   = errors.New("event: record shorter than its key says")
	ErrDocument = errors.New("event: not a document of the schema")
)

// Decoder reads documents that AppendRecord wrote (and any other valid document of the schema). Reuse it: it allocates nothing once grown,
// but for metadata keys and values and tenants' names that it has not seen before. Not for concurrent use.
//
// A document in the order and form that AppendRecord writes takes a parser that knows the order; any other one takes a general parser,
// some five times slower, with the same result. So does one with a Report.
type Decoder struct {
	text     []byte // the document's copy, its strings unescaped in place; what the event's slices point into
	metadata [][2]string
	cut      []string
	names    map[string]string // strings seen, so that equal ones are made once
	report   Report
}

// maxNames bounds the memory of strings seen.
const maxNames = 4096

// Decode fills e from document, whatever e held before. e's slices and report are valid until the next Decode; its strings for ever.
func (d *Decoder) Decode(e *Event, document []byte) error {
	*e = Event{}
	d.text = append(d.text[:0], document...)
	d.metadata, d.cut = d.metadata[:0], d.cut[:0]
	if d.decodeOwn(e) {
		d.finish(e)
		return nil
	}
	*e = Event{}
	d.metadata, d.cut, d.report = d.metadata[:0], d.cut[:0], Report{}
	if err := d.decodeAny(e, document); err != nil {
		return err
	}
	d.finish(e)
	return nil
}

func (d *Decoder) finish(e *Event) {
	if len(d.metadata) > 0 {
		e.Metadata = d.metadata
	}
	if len(d.cut) > 0 {
		e.Cut = d.cut
	}
	if len(e.Original) == 0 {
		e.Original = e.Destination
	}
}

// name makes a string of text, the same one for equal texts.
func (d *Decoder) name(text []byte) string {
	if s, ok := d.names[string(text)]; ok {
		return s
	}
	if d.names == nil || len(d.names) >= maxNames {
		d.names = maps.Clone(knownNames)
	}
	s := string(text)
	d.names[s] = s
	return s
}

// knownNames are the strings of every decoder: types, places, names of fields.
var knownNames = func() map[string]string {
	m := map[string]string{"": "", "html": "html", "text": "text"}
	for _, t := range []Type{Clicked, Opened, Sent, Delivered, Bounced, Deferred, Complained, Failed} {
		m[string(t)] = string(t)
	}
	for _, n := range cutNames {
		m[n] = n
	}
	return m
}()

func parseLabel(name []byte) Labels {
	for i := range LabelNames {
		if LabelNames[i] == string(name) {
			return 1 << i
		}
	}
	return 0
}
