package configs

import (
	"fmt"
	"net/url"
	"strings"

	"waypost/configs/outbound"
)

// Bounds of an endpoint, wherever it comes from.
const (
	// MostEndpoints bounds those of a tenant.
	MostEndpoints = 100
	mostHeaders   = 20

	userWant   = "must be 1 to 200 bytes of text without control characters and without :"
	headerWant = "must be 1 to 100 of A-Z, a-z, 0-9, - and _, beginning with a letter or digit"
)

func isUser(s string) bool { return s != "" && len(s) <= 200 && clean(s) && !strings.Contains(s, ":") }

// Faults says what is wrong with an endpoint of the format postmark that does not come from tenants.yaml: what would be a fault there, by the same keys, and where
// nothing would be sent to it, which is a warning there because rules and endpoints have different authors, and can be told here to the one who asks. No fault shows a secret.
func (e *Endpoint) Faults(rules *outbound.Rules) Faults {
	var faults Faults
	fault := func(key, value, want string) { faults = append(faults, Fault{Key: key, Value: value, Want: want}) }
	if !isWebhookURL(e.URL) {
		fault("url", hideLogin(e.URL), webhookURLWant)
	} else if u, err := url.Parse(e.URL); err == nil {
		if err := rules.CheckURL(u); err != nil {
			fault("url", e.URL, fmt.Sprintf("nothing would be sent to it: %v", err))
		}
	}
	switch {
	case (e.User == "") != (e.Password == ""):
		fault("password", "", "user and password must be set together")
	case e.User != "":
		if !isUser(e.User) {
			fault("user", e.User, userWant)
		}
		if !isSecretText(e.Password) {
			fault("password", "", secretTextWant)
		}
	}
	if len(e.Headers) > mostHeaders {
		fault("headers", "", fmt.Sprintf("must be a list of at most %d headers", mostHeaders))
	}
	for i, h := range e.Headers {
		if !headerName.MatchString(h.Name) {
			fault(fmt.Sprintf("headers[%d].name", i), h.Name, headerWant)
		}
		if !isSecretText(h.Value) {
			fault(fmt.Sprintf("headers[%d].value", i), "", secretTextWant)
		}
	}
	e.checkHeaders(fault, "")
	return faults
}

// HasTokens says whether any tenant has an API.
func (t *Tenants) HasTokens() bool {
	for _, tenant := range t.List {
		if len(tenant.APITokens) > 0 {
			return true
		}
	}
	return false
}
