package operator

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"waypost/configs"
	"waypost/edge/event"
)

// Whoever keeps and sends events of mails keeps and sends these too.
func TestEventHasTheEnvelope(t *testing.T) {
	at := time.Date(2026, 11, 30, 3, 4, 5, 123456789, time.FixedZone("", 3600))
	c := Change{
		Tenant: 1, TenantName: "demo", Endpoint: "crm", Format: "standard", URL: "https://crm.example.com/<hooks>", Why: Asked, Reason: "a \"test\"\n", DisabledAt: &at, LastSuccess: &at,
		FailingSince: &at, Failures: 7, Status: 503, Failure: "dns", Kept: 3,
	}
	id, document := Event(Disabled, &c, at)
	var decoder event.Decoder
	var e event.Event
	if err := decoder.Decode(&e, document); err != nil {
		t.Fatal(err)
	}
	if e.ID != id || e.Type != Disabled || e.Tenant != 1 || e.TenantName != "demo" || !e.Time.Equal(at.Truncate(time.Microsecond)) {
		t.Errorf("%+v of %s", e, document)
	}
	var back struct {
		Source string
		Data   Change
	}
	if err := json.Unmarshal(document, &back); err != nil || back.Source != Source || back.Data.Kept != 3 || back.Data.Reason != c.Reason || back.Data.URL != c.URL {
		t.Errorf("%v, %+v", err, back)
	}
	if !strings.Contains(string(document), "<hooks>") {
		t.Errorf("%s", document)
	}
	if other, _ := Event(Disabled, &c, at); other == id {
		t.Error("two events have one id")
	}
}

func TestEndpoint(t *testing.T) {
	if _, _, ok := Endpoint(configs.Operator{}); ok {
		t.Error("there is a receiver without settings")
	}
	tenant, e, ok := Endpoint(configs.Operator{URL: "https://ops.example.com/", Secrets: []configs.Secret{"a", "b"}})
	if !ok || tenant.Number != Tenant || e.ID != ID || e.Secret != "a" || len(e.StandardSecrets) != 1 || e.DisableAfter >= 0 {
		t.Errorf("%+v %+v", tenant, e)
	}
}

func FuzzParse(f *testing.F) {
	_, document := Event(Fails, &Change{Tenant: 1, Endpoint: "crm"}, time.Unix(1, 0))
	f.Add(document)
	f.Add([]byte(`{"type":"endpoint.disabled","data":{}}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, text []byte) {
		of, change, at, err := Parse(text)
		if err != nil {
			return
		}
		_, again := Event(of, change, at)
		if _, back, _, err := Parse(again); err != nil || back.Key() != change.Key() {
			t.Errorf("%s comes back as %s: %v", text, again, err)
		}
	})
}
