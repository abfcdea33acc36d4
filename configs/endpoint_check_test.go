package configs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"waypost/configs/outbound"
)

// An endpoint that does not come from tenants.yaml is held to the same rules.
func TestEndpointFaults(t *testing.T) {
	rules := &outbound.Rules{Ports: []int{443}, RequireTLS: true}
	good := Endpoint{URL: "https://crm.example.com/hooks", Format: "postmark"}
	for name, c := range map[string]struct {
		change func(*Endpoint)
		want   []string // keys
	}{
		"good":              {func(*Endpoint) {}, nil},
		"all of it":         {func(e *Endpoint) { e.User, e.Password, e.Headers = "a", "b", []Header{{"X-A", "1"}, {"X-B", "2"}} }, nil},
		"no url":            {func(e *Endpoint) { e.URL = "" }, []string{"url"}},
		"login in the url":  {func(e *Endpoint) { e.URL = "https://a:secret@crm.example.com/" }, []string{"url"}},
		"refused":           {func(e *Endpoint) { e.URL = "http://127.0.0.1/" }, []string{"url"}},
		"user alone":        {func(e *Endpoint) { e.User = "a" }, []string{"password"}},
		"password alone":    {func(e *Endpoint) { e.Password = "secret" }, []string{"password"}},
		"user and password": {func(e *Endpoint) { e.User, e.Password = "a:b", "secret\n" }, []string{"user", "password"}},
		"headers": {func(e *Endpoint) {
			e.Headers = []Header{{"X A", "secret"}, {"X-B", ""}, {"x-b", "secret"}, {"Host", "secret"}}
		}, []string{"headers[0].name", "headers[1].value", "headers[2].name", "headers[3].name"}},
		"authorization twice": {func(e *Endpoint) {
			e.User, e.Password, e.Headers = "a", "secret", []Header{{"authorization", "secret"}}
		}, []string{"headers[0].name"}},
		"too many headers": {func(e *Endpoint) {
			for i := range mostHeaders + 1 {
				e.Headers = append(e.Headers, Header{"X-" + strings.Repeat("a", i+1), "secret"})
			}
		}, []string{"headers"}},
		"a file is none": {func(e *Endpoint) { e.User, e.Password = "a", "file:/etc/hostname" }, nil},
	} {
		e := good
		c.change(&e)
		var keys []string
		for _, f := range e.Faults(rules) {
			keys = append(keys, f.Key)
			if strings.Contains(f.Value+f.Want, "secret") {
				t.Errorf("%s: %v shows a secret", name, f)
			}
		}
		if diff := cmp.Diff(c.want, keys); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Tokens are of one tenant, long enough, and never shown.
func TestTokens(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "sink.yaml", "", 0o644)
	write(t, dir, "tenants.yaml", `tenants:
  - {number: 1, name: a, hosts: [a.example.com], api_tokens: [the-token-of-both-tenants, short]}
  - {number: 2, name: b, hosts: [b.example.com], api_tokens: [the-token-of-both-tenants, "with a space in the middle"]}
`, 0o644)
	_, tenants, faults := LoadSink(dir+"/sink.yaml", nil)
	text := faults.Error()
	for _, want := range []string{"tenants[0].api_tokens[1] = ***", "tenants[1].api_tokens[0] = ***: must be of one tenant only", "tenants[1].api_tokens[1] = ***"} {
		if !strings.Contains(text, want) {
			t.Errorf("no fault says %q:\n%s", want, text)
		}
	}
	if len(faults) != 3 || strings.Contains(text, "the-token") {
		t.Errorf("faults:\n%s", text)
	}
	if !tenants.HasTokens() || (&Tenants{List: []*Tenant{{}}}).HasTokens() {
		t.Error("HasTokens")
	}
}
