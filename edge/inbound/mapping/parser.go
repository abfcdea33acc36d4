package mapping

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"waypost/configs"
	"waypost/edge/event"
)

const (
	// MaxEvents is how many entries one delivery may have.
	MaxEvents = 10_000
	// deadline ends what the bounds of cost would not end soon enough on a slow machine.
	deadline = 3 * time.Second
)

// Mail is what a delivery says of one mail.
type Mail struct {
	Event  event.Event
	Report event.Report
	Known  bool // Message came from what was sent along, not from the provider's own id
}

// ErrIgnored says that all of a delivery is of kinds that have no event.
var ErrIgnored = errors.New("mapping: a kind of delivery that has no event")

// Parser maps the deliveries of one provider. Any goroutine may call Map.
type Parser struct {
	name  string
	raw   bool              // entries keep their document
	types map[string]string // none: type gives ours
	each  *expression       // nil: a delivery is one event
	word  *expression       // the setting type
	rest  []member
}

// member is an expression and where its value goes. fill is called with no nil; it says false where the value has not the form.
type member struct {
	*expression
	form form
	fill func(m *Mail, v ref.Val) bool
}

// Compile gives the parser of the settings, or all that is wrong with it. With keepRaw what it gives of each entry has that in Report.Raw.
func Compile(p *configs.Parser, keepRaw bool) (*Parser, []*Fault) {
	c := &Parser{name: p.Name, raw: keepRaw, types: p.Types}
	var found []*Fault
	for _, e := range p.Expressions() {
		if e.Text == "" {
			continue
		}
		form, fill := formOf(e.Key)
		compiled, tree, wrong := compile(e.Key, e.Text, form)
		found = append(found, wrong...)
		if compiled == nil {
			continue
		}
		switch e.Key {
		case "each":
			c.each = compiled
		case "type":
			c.word = compiled
			found = append(found, c.checkWords(tree)...)
		default:
			c.rest = append(c.rest, member{compiled, form, fill})
		}
	}
	if len(found) > 0 {
		return nil, found
	}
	return c, nil
}

// checkWords finds words written in the expression itself that mean nothing.
func (c *Parser) checkWords(tree ast.Expr) (found []*Fault) {
	results(tree, func(e ast.Expr) {
		if e.Kind() != ast.LiteralKind {
			return
		}
		word, ok := asText(e.AsLiteral())
		if !ok {
			return
		}
		if _, problem := c.typeOf(word); problem != "" {
			f := &Fault{Key: "type", Text: c.word.text, Problem: problem}
			f.Line, f.Column = position(c.word.source.GetStartLocation(e.ID()))
			found = append(found, f)
		}
	})
	return found
}

// typeOf gives the type of an event for the provider's word; empty: it has none of ours. problem says why the word means nothing.
func (c *Parser) typeOf(word string) (t event.Type, problem string) {
	if len(c.types) > 0 {
		to, ok := c.types[word]
		if !ok {
			if to, ok = c.types[configs.OtherTypes]; !ok {
				return "", fmt.Sprintf("%q is none of the words in types; %q stands for all others", short(word), configs.OtherTypes)
			}
		}
		if to == configs.IgnoredType {
			return "", ""
		}
		return event.Type(to), ""
	}
	if word == "" || slices.Contains(configs.EventTypes, word) {
		return event.Type(word), ""
	}
	return "", fmt.Sprintf("%q is no type of an event: email.sent, delivered, opened, clicked, bounced, deferred, complained, failed, or \"\" for none; types maps other words", short(word))
}

// short keeps what a delivery holds within an error.
func short(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}

// formOf gives what an expression may be, and where its value goes.
func formOf(key string) (form, func(*Mail, ref.Val) bool) {
	if to := textPlaces[key]; to != nil {
		return textForm, func(m *Mail, v ref.Val) bool {
			s, ok := asText(v)
			*to(m) = []byte(s)
			return ok
		}
	}
	switch key {
	case "each":
		return listForm, nil
	case "message":
		return textForm, func(m *Mail, v ref.Val) bool {
			s, ok := asText(v)
			m.Event.Message, m.Known = []byte(s), s != ""
			return ok
		}
	case "provider_message":
		return textForm, func(m *Mail, v ref.Val) bool {
			s, ok := asText(v)
			if !m.Known { // message stands before it in the table
				m.Event.Message = []byte(s)
			}
			return ok
		}
	case "time":
		return timeForm, func(m *Mail, v ref.Val) (ok bool) {
			m.Report.Occurred, ok = asTime(v)
			return ok
		}
	case "sent":
		return timeForm, func(m *Mail, v ref.Val) (ok bool) {
			m.Event.Minted, ok = asTime(v)
			m.Event.Minted = m.Event.Minted.Truncate(time.Minute)
			return ok
		}
	case "metadata":
		return mapForm, func(m *Mail, v ref.Val) (ok bool) {
			m.Event.Metadata, ok = asPairs(v)
			return ok
		}
	case "bounce_code":
		return wholeForm, func(m *Mail, v ref.Val) (ok bool) {
			m.Report.Bounce.Code, ok = asWhole(v)
			return ok
		}
	}
	return textForm, nil // type
}

// textPlaces are the members that are text and nothing else.
var textPlaces = map[string]func(*Mail) *[]byte{
	"id":                 func(m *Mail) *[]byte { return &m.Report.ProviderEvent },
	"recipient":          func(m *Mail) *[]byte { return &m.Event.Recipient },
	"prospect":           func(m *Mail) *[]byte { return &m.Event.Prospect },
	"stream":             func(m *Mail) *[]byte { return &m.Event.Stream },
	"tag":                func(m *Mail) *[]byte { return &m.Event.Tag },
	"from":               func(m *Mail) *[]byte { return &m.Report.From },
	"subject":            func(m *Mail) *[]byte { return &m.Report.Subject },
	"reason":             func(m *Mail) *[]byte { return &m.Report.Reason },
	"bounce_type":        func(m *Mail) *[]byte { return &m.Report.Bounce.Type },
	"bounce_description": func(m *Mail) *[]byte { return &m.Report.Bounce.Description },
	"url":                func(m *Mail) *[]byte { return &m.Event.Destination },
	"user_agent":         func(m *Mail) *[]byte { return &m.Event.UserAgent },
	"address":            func(m *Mail) *[]byte { return &m.Event.Address },
}

// delivery is one call of Map.
type delivery struct {
	variables map[string]any
	cost      uint64
}

// Map gives what a delivery says, in its order; ErrIgnored where that is nothing of ours; a *Fault where an expression does not fit, and another error for what is no JSON.
// All of a delivery or nothing of it: what can be mapped is told once, when the rest can be too.
func (c *Parser) Map(body []byte) ([]Mail, error) {
	document, err := decode(body)
	if err != nil {
		return nil, fmt.Errorf("the body %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	whole := types.DefaultTypeAdapter.NativeToValue(document)
	d := &delivery{variables: map[string]any{bodyName: whole, itemName: whole}}
	if c.each == nil {
		mail, err := c.one(ctx, d)
		if err == nil && mail == nil {
			err = ErrIgnored
		}
		if err != nil {
			return nil, err
		}
		return []Mail{*mail}, nil
	}
	return c.all(ctx, d)
}

func (c *Parser) all(ctx context.Context, d *delivery) ([]Mail, error) {
	v, err := c.each.evaluate(ctx, d)
	if err != nil {
		return nil, err
	}
	list, ok := v.(traits.Lister)
	if !ok {
		return nil, c.each.fault("must give a list, gives %s", given(v))
	}
	if n, _ := list.Size().(types.Int); n > MaxEvents {
		return nil, c.each.fault("gives %d entries, at most %d are allowed", n, MaxEvents)
	}
	var mails []Mail
	entry := 0
	for i := list.Iterator(); i.HasNext() == types.True; entry++ {
		d.variables[itemName] = i.Next()
		mail, err := c.one(ctx, d)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", entry, err)
		}
		if mail != nil {
			mails = append(mails, *mail)
		}
	}
	if len(mails) == 0 {
		return nil, ErrIgnored
	}
	return mails, nil
}

// one maps one event; nil: it is of a kind that we have none for.
func (c *Parser) one(ctx context.Context, d *delivery) (*Mail, error) {
	v, err := c.word.evaluate(ctx, d)
	if err != nil {
		return nil, err
	}
	word := ""
	if v != nil {
		var ok bool
		if word, ok = asText(v); !ok {
			return nil, c.word.fault("must give text, gives %s", given(v))
		}
	}
	kind, problem := c.typeOf(word)
	if problem != "" {
		return nil, c.word.fault("%s", problem)
	}
	if kind == "" {
		return nil, nil
	}
	m := &Mail{Event: event.Event{Type: kind}, Report: event.Report{Provider: []byte(c.name)}}
	if len(c.types) > 0 {
		m.Report.ProviderType = []byte(word)
	}
	for _, member := range c.rest {
		v, err := member.evaluate(ctx, d)
		if err != nil {
			return nil, err
		}
		if v != nil && !member.fill(m, v) {
			return nil, member.fault("must give %s, gives %s", member.form.want, given(v))
		}
	}
	return m, c.complete(m, d)
}

// complete checks what an event cannot do without, and leaves out what it has no place for.
func (c *Parser) complete(m *Mail, d *delivery) error {
	if len(m.Event.Message) == 0 {
		return &Fault{Key: "message", Problem: "gives nothing, nor does provider_message: an event has to be about a mail"}
	}
	switch m.Event.Type {
	case event.Clicked:
		if len(m.Event.Destination) == 0 {
			return &Fault{Key: "url", Problem: "gives nothing: a click has to be on a link"}
		}
		m.Event.Original = m.Event.Destination
	case event.Opened:
		m.Event.Destination = nil
	default:
		m.Event.Destination, m.Event.UserAgent, m.Event.Address = nil, nil, nil
	}
	if c.each != nil {
		return c.ofEntry(m, d)
	}
	return nil
}

// ofEntry gives an entry what a delivery of one event has from its body: an id, where the provider gives none, and the document, where it is kept.
func (c *Parser) ofEntry(m *Mail, d *delivery) error {
	if len(m.Report.ProviderEvent) > 0 && !c.raw {
		return nil
	}
	item, _ := d.variables[itemName].(ref.Val)
	text, ok := asJSON(item)
	if !ok {
		return c.each.fault("gives an entry that is no JSON value")
	}
	if len(m.Report.ProviderEvent) == 0 {
		m.Report.ProviderEvent = HashID([]byte(text))
	}
	if c.raw {
		m.Report.Raw = []byte(text)
	}
	return nil
}

// HashID is the id of an event, or a delivery, to which its provider has given none: of its document.
func HashID(document []byte) []byte {
	sum := sha256.Sum256(document)
	return hex.AppendEncode(nil, sum[:16])
}

// given names the type of a value.
func given(v ref.Val) string {
	if v == nil {
		return "nothing"
	}
	return v.Type().TypeName()
}
