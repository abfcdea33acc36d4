package configs

import (
	"strings"
	"time"
)

// Inbound is from which mail providers a tenant takes webhooks, and how it knows them. What is not set is not taken: the edge answers 404.
type Inbound struct {
	KeepRaw    bool            `yaml:"keep_raw"`  // whether the provider's document stays in the event, whole
	Tolerance  time.Duration   `yaml:"tolerance"` // how far a signed time may be from ours
	Resend     InboundSigned   `yaml:"resend"`    // whsec_...
	Postmark   InboundUnsigned `yaml:"postmark"`
	Maileroo   InboundSigned   `yaml:"maileroo"`
	NexoMailer InboundSigned   `yaml:"nexomailer"`
	Parsers    []Parser        `yaml:"parsers"` // of providers that are not built in
}

// InboundSigned are the secrets with which a provider signs: any of them is taken.
type InboundSigned struct {
	Secrets []Secret `yaml:"secrets"`
}

// InboundUnsigned is how a provider that signs nothing shows who it is: by Basic auth, or by a secret at the end of the path.
type InboundUnsigned struct {
	Username    string   `yaml:"username"`
	Password    Secret   `yaml:"password"`
	PathSecrets []Secret `yaml:"path_secrets"`
}

// mostTolerance bounds how long a delivery that was overheard can be sent again.
const mostTolerance = time.Hour

// mostParsers bounds those of a tenant.
const mostParsers = 50

func (i *Inbound) group() group {
	return group{settings: []setting{
		{"keep_raw", boolean(&i.KeepRaw)},
		{"tolerance", durationIn(&i.Tolerance, time.Second, mostTolerance)},
		{"resend", i.Resend.group(standardSecret)},
		{"postmark", i.Postmark.group()},
		{"maileroo", i.Maileroo.group(sharedSecret)},
		{"nexomailer", i.NexoMailer.group(sharedSecret)},
		{"parsers", list[Parser]{&i.Parsers, func(p *Parser) value { return p.group() }, "parsers", mostParsers}},
	}, check: i.checkParsers}
}

func (s *InboundSigned) group(secret func(*Secret) value) group {
	return group{settings: []setting{{"secrets", list[Secret]{&s.Secrets, secret, "secrets", mostSecrets}}}, secret: true}
}

func sharedSecret(s *Secret) value { return secretIn(s, secretTextWant, isSecretText) }

func (u *InboundUnsigned) group() group {
	return group{
		settings: []setting{
			{"username", optional(text(&u.Username, userWant, isUser))},
			{"password", secretIn(&u.Password, secretTextWant+`, or ""`, func(s Secret) bool { return s == "" || isSecretText(s) })},
			{"path_secrets", list[Secret]{&u.PathSecrets, pathSecret, "secrets", mostSecrets}},
		},
		check: func(r *reader, key string) {
			if (u.Username == "") != (u.Password == "") {
				r.late(join(key, "password"), "", "username and password must be set together")
			}
		},
		secret: true,
	}
}

// pathSecret is long enough that it cannot be guessed, and such as a path holds without escapes.
func pathSecret(to *Secret) value {
	return secretIn(to, "must be 16 to 200 of A-Z, a-z, 0-9, - and _", func(s Secret) bool {
		return len(s) >= 16 && len(s) <= 200 && strings.Trim(string(s), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
	})
}
