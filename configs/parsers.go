package configs

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Parser says what a provider's deliveries mean that no built-in parser knows: CEL expressions over the delivery's JSON document. edge/inbound/mapping compiles them.
type Parser struct {
	Name string     `yaml:"name"` // the provider's, as in /in/TENANT/NAME
	Auth ParserAuth `yaml:"auth"`

	Each  string            `yaml:"each"`  // the list of events in a delivery; empty: a delivery is one
	Type  string            `yaml:"type"`  // the provider's word for what happened, or with no types one of ours
	Types map[string]string `yaml:"types"` // from the provider's words to ours; "*": every other one

	Message         string `yaml:"message"`          // what was sent along with the mail to name it
	ProviderMessage string `yaml:"provider_message"` // the provider's own id of the mail, where message gives none
	ID              string `yaml:"id"`               // the provider's own id of the event
	Time            string `yaml:"time"`             // when it happened
	Sent            string `yaml:"sent"`             // when the mail was sent
	Recipient       string `yaml:"recipient"`
	Prospect        string `yaml:"prospect"`
	Stream          string `yaml:"stream"`
	Tag             string `yaml:"tag"`
	Metadata        string `yaml:"metadata"`
	From            string `yaml:"from"`
	Subject         string `yaml:"subject"`
	Reason          string `yaml:"reason"`
	BounceType      string `yaml:"bounce_type"`
	BounceCode      string `yaml:"bounce_code"`
	BounceText      string `yaml:"bounce_description"`
	URL             string `yaml:"url"` // of clicks
	UserAgent       string `yaml:"user_agent"`
	Address         string `yaml:"address"`
}

// ParserAuth is how a registered provider shows who it is. Any way that is set is taken: while one takes the place of another there are two.
type ParserAuth struct {
	InboundUnsigned
	StandardSecrets []Secret   `yaml:"standard_secrets"` // whsec_...: Standard Webhooks, or svix
	HMAC            ParserHMAC `yaml:"hmac"`
}

// ParserHMAC is a header with the HMAC-SHA256 of the body.
type ParserHMAC struct {
	Header   string   `yaml:"header"`
	Prefix   string   `yaml:"prefix"`   // before the signature, as sha256=
	Encoding string   `yaml:"encoding"` // hex, base64
	Secrets  []Secret `yaml:"secrets"`
}

// Expression is one of a parser's keys and what is written there.
type Expression struct{ Key, Text string }

// Expressions are a parser's expressions, in the order of the settings; empty ones too.
func (p *Parser) Expressions() []Expression {
	list := make([]Expression, 0, 24)
	for _, e := range p.expressions() {
		list = append(list, Expression{e.key, *e.to})
	}
	return list
}

type expression struct {
	key string
	to  *string
}

func (p *Parser) expressions() []expression {
	return []expression{
		{"each", &p.Each}, {"type", &p.Type}, {"message", &p.Message}, {"provider_message", &p.ProviderMessage}, {"id", &p.ID}, {"time", &p.Time}, {"sent", &p.Sent},
		{"recipient", &p.Recipient}, {"prospect", &p.Prospect}, {"stream", &p.Stream}, {"tag", &p.Tag}, {"metadata", &p.Metadata}, {"from", &p.From}, {"subject", &p.Subject},
		{"reason", &p.Reason}, {"bounce_type", &p.BounceType}, {"bounce_code", &p.BounceCode}, {"bounce_description", &p.BounceText},
		{"url", &p.URL}, {"user_agent", &p.UserAgent}, {"address", &p.Address},
	}
}

// MaxExpression bounds an expression of a parser, in bytes.
const MaxExpression = 2000

// mostTypes bounds the words that a parser knows.
const mostTypes = 200

func (p *Parser) group() group {
	settings := []setting{{"name", named(&p.Name)}, {"auth", p.Auth.group()}}
	for _, e := range p.expressions() {
		settings = append(settings, setting{e.key, celExpression(e.to)})
		if e.key == "type" {
			settings = append(settings, setting{"types", words2types{&p.Types}})
		}
	}
	return group{settings: settings, check: p.check}
}

func (a *ParserAuth) group() group {
	g := a.InboundUnsigned.group()
	g.settings = append(g.settings,
		setting{"standard_secrets", list[Secret]{&a.StandardSecrets, standardSecret, "secrets of Standard Webhooks (whsec_)", mostSecrets}},
		setting{"hmac", a.HMAC.group()})
	return g
}

func (h *ParserHMAC) group() group {
	if h.Encoding == "" {
		h.Encoding = "hex" // an entry of a list begins with nothing
	}
	return group{
		settings: []setting{
			{"header", optional(text(&h.Header, headerWant, headerName.MatchString))},
			{"prefix", words(&h.Prefix, 0, 100)},
			{"encoding", oneOf(&h.Encoding, "hex", "base64")},
			{"secrets", list[Secret]{&h.Secrets, sharedSecret, "secrets", mostSecrets}},
		},
		check: func(r *reader, key string) {
			if (h.Header == "") != (len(h.Secrets) == 0) {
				r.late(join(key, "secrets"), "", "header and secrets must be set together")
			}
		},
		secret: true,
	}
}

func (p *Parser) check(r *reader, key string) {
	if !r.wrote(join(key, "name")) {
		r.late(join(key, "name"), "", "must be set: what stands in the path, /in/TENANT/NAME")
	}
	if slices.Contains(BuiltInProviders, p.Name) {
		r.late(join(key, "name"), p.Name, "must be another: this provider is built in, and set beside parsers")
	}
	if a := &p.Auth; a.Username == "" && len(a.PathSecrets)+len(a.StandardSecrets)+len(a.HMAC.Secrets) == 0 {
		r.late(join(key, "auth"), "", "must say how the provider shows who it is: username and password, path_secrets, standard_secrets or hmac")
	}
	if p.Type == "" {
		r.late(join(key, "type"), "", "must be set")
	}
	if p.Message == "" && p.ProviderMessage == "" {
		r.late(join(key, "message"), "", "message or provider_message must be set: which mail an event is about")
	}
}

// BuiltInProviders are those that need no parser.
var BuiltInProviders = []string{"resend", "postmark", "maileroo", "nexomailer"}

// checkParsers finds names written twice.
func (i *Inbound) checkParsers(r *reader, key string) {
	names := make([]string, len(i.Parsers))
	for n := range names {
		names[n] = i.Parsers[n].Name
	}
	twice(r, join(key, "parsers"), ".name", names)
}

// celExpression is text of which the edge's TenantCheck tells whether it is an expression.
func celExpression(to *string) value {
	return text(to, fmt.Sprintf("must be a CEL expression of at most %d bytes, or \"\" for none", MaxExpression), func(s string) bool {
		return len(s) <= MaxExpression && clean(strings.NewReplacer("\n", "", "\t", "").Replace(s))
	})
}

// EventTypes are the types that an event of a provider may have.
var EventTypes = []string{
	"email.sent", "email.delivered", "email.opened", "email.clicked", "email.bounced", "email.deferred", "email.complained", "email.failed",
}

// IgnoredType is what a provider's word is mapped to that has no event.
const IgnoredType = "ignore"

// OtherTypes is the word that stands for all that are not named.
const OtherTypes = "*"

// words2types is a mapping from a provider's words to types of events.
type words2types struct{ to *map[string]string }

func (w words2types) read(r *reader, key string, n ast.Node) {
	r.note(key, n, r.shown(n))
	pairs, ok := mapping(n)
	if !ok || len(pairs) > mostTypes {
		r.fault(key, n, r.shown(n), "must be "+w.allowed())
		return
	}
	types := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		word, ok := plainText(pair.Key)
		if !ok || word == "" || len(word) > 200 || !clean(word) {
			r.fault(key, pair.Key, describe(pair.Key), "a provider's word must be 1 to 200 bytes of text without control characters")
			continue
		}
		if _, twice := types[word]; twice {
			r.fault(join(key, word), pair.Key, "", "is written twice")
			continue
		}
		to := ""
		oneOf(&to, append(slices.Clone(EventTypes), IgnoredType)...).read(r, join(key, word), pair.Value)
		types[word] = to
	}
	*w.to = types
}

func (w words2types) render() (string, []string) {
	if len(*w.to) == 0 {
		return "{}", nil
	}
	var block []string
	for _, word := range slices.Sorted(maps.Keys(*w.to)) {
		block = append(block, quote(word)+": "+(*w.to)[word])
	}
	return "", block
}

func (words2types) allowed() string {
	return fmt.Sprintf("a mapping of at most %d of the provider's words to %s or %s", mostTypes, strings.Join(EventTypes, ", "), IgnoredType)
}
