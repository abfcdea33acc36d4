package event

import (
	"bytes"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Report is what a mail provider told of a message: the members of data that the edge's own hits do not have.
type Report struct {
	Provider      []byte // resend, postmark, maileroo, nexomailer or a registered parser's name
	ProviderEvent []byte // the provider's own id of the event: a repeated delivery has the same one
	ProviderType  []byte // the provider's own name of the type
	Occurred      time.Time
	Reason        []byte // why a mail bounced, was deferred or failed, in the provider's words
	Bounce        Bounce
	From          []byte // the sender's address
	Subject       []byte
	ReadSeconds   uint32 // how long the mail stayed open
	Raw           []byte // the provider's document, a JSON object, where the tenant keeps it
}

// Bounce is a bounce as a provider classifies it.
type Bounce struct {
	Type                  []byte
	Code                  int32
	Name                  []byte
	Description           []byte
	Details               []byte
	Inactive, CanActivate bool
}

// report appends the members of a report. Which of them were cut stands before them in the document: cutReport has said so.
func (w *encoder) report(dst []byte, r *Report) []byte {
	dst = w.text(dst, `,"provider":"`, r.Provider, w.short, cutProvider)
	dst = w.text(dst, `,"provider_event":"`, r.ProviderEvent, w.short, cutProviderEvent)
	dst = w.text(dst, `,"provider_type":"`, r.ProviderType, w.short, cutProviderType)
	if !r.Occurred.IsZero() {
		dst = append(dst, `,"occurred":"`...)
		dst = append(appendTime(dst, r.Occurred), '"')
	}
	dst = w.text(dst, `,"reason":"`, r.Reason, w.reason, cutReason)
	dst = w.bounce(dst, &r.Bounce)
	dst = w.text(dst, `,"from":"`, r.From, w.short, cutFrom)
	dst = w.text(dst, `,"subject":"`, r.Subject, w.short, cutSubject)
	if r.ReadSeconds != 0 {
		dst = append(dst, `,"read_seconds":`...)
		dst = strconv.AppendUint(dst, uint64(r.ReadSeconds), 10)
	}
	if w.raws {
		dst = append(dst, `,"raw":`...)
		dst = append(dst, compact(r.Raw)...)
	}
	return dst
}

func (w *encoder) bounce(dst []byte, b *Bounce) []byte {
	const begin = `,"bounce":{`
	dst = append(dst, begin...)
	start := len(dst)
	dst = w.text(dst, `,"type":"`, b.Type, w.short, cutBounce)
	if b.Code != 0 {
		dst = append(dst, `,"code":`...)
		dst = strconv.AppendInt(dst, int64(b.Code), 10)
	}
	dst = w.text(dst, `,"name":"`, b.Name, w.short, cutBounce)
	dst = w.text(dst, `,"description":"`, b.Description, w.reason, cutBounce)
	dst = w.text(dst, `,"details":"`, b.Details, w.reason, cutBounce)
	if b.Inactive {
		dst = append(dst, `,"inactive":true`...)
	}
	if b.CanActivate {
		dst = append(dst, `,"can_activate":true`...)
	}
	if len(dst) == start {
		return dst[:start-len(begin)]
	}
	dst = append(dst[:start], dst[start+1:]...) // the first member's comma
	return append(dst, '}')
}

// cutReport notes which members of a report will be cut, before any of them is written.
func (w *encoder) cutReport(r *Report) {
	for _, m := range [...]struct {
		value []byte
		limit int
		field cuts
	}{
		{r.Provider, w.short, cutProvider}, {r.ProviderEvent, w.short, cutProviderEvent}, {r.ProviderType, w.short, cutProviderType},
		{r.Reason, w.reason, cutReason}, {r.From, w.short, cutFrom}, {r.Subject, w.short, cutSubject},
		{r.Bounce.Type, w.short, cutBounce}, {r.Bounce.Name, w.short, cutBounce},
		{r.Bounce.Description, w.reason, cutBounce}, {r.Bounce.Details, w.reason, cutBounce},
	} {
		if len(m.value) > m.limit {
			w.cut |= m.field
		}
	}
	if w.raws = w.takesRaw(r.Raw); len(r.Raw) > 0 && !w.raws {
		w.cut |= cutRaw
	}
}

// takesRaw says whether raw may stand in the document: an object that every reader takes, within the limit (at which it cannot lie too deep for
// readers either). Half of one is worth nothing.
func (w *encoder) takesRaw(raw []byte) bool {
	return len(raw) > 0 && len(raw) <= w.raw && jsontext.Value(raw).Kind() == '{' && jsontext.Value(raw).IsValid()
}

// compact is a valid document without white space.
func compact(raw []byte) []byte {
	v := jsontext.Value(bytes.Clone(raw))
	if err := v.Compact(); err != nil {
		panic("BUG: " + err.Error())
	}
	return v
}

// reported reads a member of a report. Its memory is the decoder's; an event that has none of these members has no report.
func (a *anyDocument) reported(name string) (known bool, err error) {
	r := &a.d.report
	switch name {
	case "provider":
		err = a.text(name, &r.Provider)
	case "provider_event":
		err = a.text(name, &r.ProviderEvent)
	case "provider_type":
		err = a.text(name, &r.ProviderType)
	case "occurred":
		r.Occurred, err = a.time(name, time.Microsecond)
	case "reason":
		err = a.text(name, &r.Reason)
	case "bounce":
		err = a.object(name, a.bounce)
	case "from":
		err = a.text(name, &r.From)
	case "subject":
		err = a.text(name, &r.Subject)
	case "read_seconds":
		var n uint64
		n, err = a.number(name, 1<<32-1)
		r.ReadSeconds = uint32(n)
	case "raw":
		r.Raw, err = a.raw(name)
	default:
		return false, nil
	}
	a.e.Report = r
	return true, err
}

func (a *anyDocument) bounce(name string) (err error) {
	b := &a.d.report.Bounce
	switch name {
	case "type":
		err = a.text(name, &b.Type)
	case "code":
		b.Code, err = a.integer(name)
	case "name":
		err = a.text(name, &b.Name)
	case "description":
		err = a.text(name, &b.Description)
	case "details":
		err = a.text(name, &b.Details)
	case "inactive":
		b.Inactive, err = a.truth(name)
	case "can_activate":
		b.CanActivate, err = a.truth(name)
	default:
		err = a.skip(name)
	}
	return err
}

func (a *anyDocument) integer(name string) (int32, error) {
	token, err := a.ReadToken()
	if err != nil {
		return 0, fault(name, err.Error())
	}
	n, err := strconv.ParseInt(token.String(), 10, 32)
	if token.Kind() != '0' || err != nil {
		return 0, fault(name, "is no whole number of 32 bits")
	}
	return int32(n), nil
}

func (a *anyDocument) truth(name string) (bool, error) {
	token, err := a.ReadToken()
	if err != nil {
		return false, fault(name, err.Error())
	}
	if kind := token.Kind(); kind != 't' && kind != 'f' {
		return false, fault(name, "is neither true nor false")
	}
	return token.Bool(), nil
}

func (a *anyDocument) raw(name string) ([]byte, error) {
	value, err := a.ReadValue()
	if err != nil {
		return nil, fault(name, err.Error())
	}
	if value.Kind() != '{' {
		return nil, fault(name, "is no object")
	}
	return a.keep(string(compact(value))), nil
}
