package configs

// Parser says what a provider's deliveries mean that no built-in parser knows: CEL expressions over the delivery's JSON document. edge/inbound/mapping compiles them.
type Parser struct {
	Name string `yaml:"name"` // the provider's, as in /in/TENANT/NAME

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

// EventTypes are the types that an event of a provider may have.
var EventTypes = []string{
	"email.sent", "email.delivered", "email.opened", "email.clicked", "email.bounced", "email.deferred", "email.complained", "email.failed",
}

// IgnoredType is what a provider's word is mapped to that has no event.
const IgnoredType = "ignore"

// OtherTypes is the word that stands for all that are not named.
const OtherTypes = "*"
