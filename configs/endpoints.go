package configs

import (
	"fmt"
	"net/textproto"
	"regexp"
	"slices"
)

// Formats are the names that an endpoint's format may have.
var Formats = []string{"standard", "postmark", "maileroo", "nexomailer"}

const (
	standardSecretWant = "must be whsec_ and base64 of 24 to 64 bytes"
	secretTextWant     = "must be 1 to 4096 bytes of text without control characters"
)

func (e *Endpoint) group() group {
	return group{
		settings: []setting{
			{"id", named(&e.ID)},
			{"url", webhookURL(&e.URL)},
			{"format", oneOf(&e.Format, Formats...)},
			{"secret", secretIn(&e.Secret, standardSecretWant+" for standard, 1 to 4096 bytes of text for maileroo and nexomailer", e.takesSecret)},
			{"standard_secrets", list[Secret]{&e.StandardSecrets, standardSecret, "secrets of Standard Webhooks (whsec_)", mostSecrets}},
			{"user", text(&e.User, userWant, isUser)},
			{"password", secretIn(&e.Password, secretTextWant, isSecretText)},
			{"headers", list[Header]{&e.Headers, func(h *Header) value { return h.group() }, "headers", mostHeaders}},
			{"concurrency", numberIn(&e.Concurrency, 0, mostAtOnce)},
			{"rate", numberIn(&e.Rate, 0, mostASecond)},
			{"disable_after", durationOrNever(&e.DisableAfter, 0, 365*day)},
		},
		check: e.check,
	}
}

// mostSecrets bounds those that sign the same webhook: there are two while one takes the other's place.
const mostSecrets = 10

func standardSecret(s *Secret) value { return secretIn(s, standardSecretWant, isStandardSecret) }

// takesSecret judges a secret by the format, which stands before it in the table and so was read before it.
func (e *Endpoint) takesSecret(s Secret) bool {
	if e.Format == "standard" {
		return isStandardSecret(s)
	}
	return isSecretText(s)
}

func (e *Endpoint) check(r *reader, key string) {
	for _, name := range []string{"id", "url", "format"} {
		if !r.wrote(join(key, name)) {
			r.late(join(key, name), "", "must be set")
		}
	}
	secret := join(key, "secret")
	switch wrote := r.wrote(secret); {
	case e.Format == "standard" && !wrote:
		r.late(secret, "", "must be set: the format standard is signed; whsec_ and base64 of 24 to 64 bytes")
	case (e.Format == "maileroo" || e.Format == "nexomailer") && !wrote:
		r.late(secret, "", fmt.Sprintf("must be set: the format %s is signed; 1 to 4096 bytes of text, as the receiver has it", e.Format))
	case e.Format == "postmark" && wrote:
		r.late(secret, "", "must not be set: the format postmark signs nothing; standard_secrets adds Standard Webhooks' headers")
	}
	if r.wrote(join(key, "password")) != r.wrote(join(key, "user")) {
		r.late(join(key, "password"), "", "user and password must be set together")
	}
	e.checkHeaders(func(at, value, want string) { r.late(join(key, at), value, want) }, key)
}

// checkHeaders finds headers that the request sets itself, and names written twice. outer is what stands before the endpoint's own keys.
func (e *Endpoint) checkHeaders(fault func(at, value, want string), outer string) {
	first := map[string]int{}
	for i, h := range e.Headers {
		at := fmt.Sprintf("headers[%d].name", i)
		name := textproto.CanonicalMIMEHeaderKey(h.Name)
		earlier, repeated := first[name]
		switch {
		case name == "":
		case repeated:
			fault(at, h.Name, "must not repeat "+join(outer, fmt.Sprintf("headers[%d].name", earlier)))
		case slices.Contains(ownHeaders, name):
			fault(at, h.Name, "must be another: this header is set by the format, the signature or the connection")
		case name == "Authorization" && e.User != "":
			fault(at, h.Name, "must be another: user and password make this header")
		}
		first[name] = i
	}
}

// ownHeaders are those that no setting may replace, in canonical form.
var ownHeaders = []string{
	"Connection", "Content-Encoding", "Content-Length", "Content-Type", "Expect", "Host", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	"User-Agent", "Webhook-Id", "Webhook-Signature", "Webhook-Timestamp", "X-Maileroo-Signature", "X-Nexomailer-Signature",
}

var headerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$`)

func (h *Header) group() group {
	return group{
		settings: []setting{
			{"name", text(&h.Name, headerWant, headerName.MatchString)},
			{"value", secretIn(&h.Value, secretTextWant, isSecretText)},
		},
		check: func(r *reader, key string) {
			for _, name := range []string{"name", "value"} {
				if !r.wrote(join(key, name)) {
					r.late(join(key, name), "", "must be set")
				}
			}
		},
	}
}

// advise warns of what the format's document will lack.
func (e *Endpoint) advise(r *reader, key string, t *Tenant) {
	switch e.Format {
	case "postmark":
		if !t.RecipientInLink {
			r.warn(key+".recipient_in_link", "false", fmt.Sprintf("endpoint %s has the format postmark, whose Recipient will be empty: true puts the address into the links", e.ID))
		}
	case "maileroo":
		if t.DomainID == 0 {
			r.warn(key+".domain_id", "0", fmt.Sprintf("endpoint %s has the format maileroo, whose domain_id will be 0: receivers that tell domains apart want the number that they know", e.ID))
		}
		if t.UserID == 0 {
			r.warn(key+".user_id", "0", fmt.Sprintf("endpoint %s has the format maileroo, whose user_id will be 0: receivers that tell accounts apart want the number that they know", e.ID))
		}
	}
}

// checkEndpoints finds ids written twice: deliveries and their attempts are kept under tenant and id.
func (t *Tenant) checkEndpoints(r *reader, key string) {
	ids := make([]string, len(t.Endpoints))
	for i := range ids {
		ids[i] = t.Endpoints[i].ID
	}
	twice(r, join(key, "endpoints"), ".id", ids)
}
