package configs

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"waypost/configs/outbound"
)

func TestDispatchAllow(t *testing.T) {
	cfg := DefaultSink()
	r := newReader("sink.yaml", nil)
	r.read([]byte(`dispatch: {allow: [10.0.0.0/8, 127.0.0.1, "fd00::/8", CRM.Internal., localhost, xn--e1aybc.example], ports: [1, 65535]}`), cfg.group())
	if err := r.faults.Err(); err != nil {
		t.Fatal(err)
	}
	want := []outbound.Allowed{
		{Network: netip.MustParsePrefix("10.0.0.0/8")}, {Network: netip.MustParsePrefix("127.0.0.1/32")}, {Network: netip.MustParsePrefix("fd00::/8")},
		{Host: "crm.internal"}, {Host: "localhost"}, {Host: "xn--e1aybc.example"},
	}
	if diff := cmp.Diff(want, cfg.Dispatch.Allow, cmp.Comparer(samePrefix)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, lines := cfg.Dispatch.group().render(); !slices.Contains(lines, `allow: ["10.0.0.0/8", "127.0.0.1", "fd00::/8", crm.internal, localhost, xn--e1aybc.example]`) {
		t.Errorf("printed as %q", lines)
	}
	for _, wrong := range []string{"10.0.0.1/8", "127.1", "0x7f.1", "2130706433", "https://a.example", "a.example:80", "*.example", "a b", "::ffff:10.0.0.1", "::ffff:10.0.0.0/104", "fe80::1%eth0", `""`} {
		r, wrongly := newReader("sink.yaml", nil), DefaultSink()
		r.read([]byte(`dispatch: {allow: ["`+strings.Trim(wrong, `"`)+`"], ports: [0], require_https: maybe}`), wrongly.group())
		if len(r.faults) != 3 {
			t.Errorf("%s: faults\n%v", wrong, r.faults)
		}
	}
}

// An operator's receiver needs both its parts, and shows no secret.
func TestOperator(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: "",
		`{url: "https://ops.example.com/", secrets: [whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw]}`: "",
		`{url: "https://ops.example.com/"}`:                                                    "dispatch.operator.secrets: url and secrets must be set together",
		`{secrets: [whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw]}`:                                  "dispatch.operator.secrets = (a list): url and secrets must be set together",
		`{url: "https://u:p@ops.example.com/", secrets: [opensesame]}`:                         "dispatch.operator.url = https://***@ops.example.com/: must be an http or https URL",
		`{url: "https://ops.example.com/", secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}`:    "dispatch.operator.secret = ***: no such key; did you mean secrets?",
	} {
		cfg := DefaultSink()
		r := newReader("sink.yaml", nil)
		r.read([]byte("dispatch: {operator: "+text+"}"), cfg.group())
		if got := r.faults.Error(); (want == "") != (len(r.faults) == 0) || !strings.Contains(got, want) || strings.Contains(got, "opensesame") || strings.Contains(got, "whsec_Mf") {
			t.Errorf("%s: faults\n%s\nwant %q", text, got, want)
		}
	}
}
