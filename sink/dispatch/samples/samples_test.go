package samples

import (
	"testing"
	"time"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/sink/dispatch/formats"
)

// Each format makes a document of each sample that it has one for, and every type has a sample that reads back.
func TestEverySampleIsSendable(t *testing.T) {
	tenant := configs.DefaultTenant()
	tenant.Number, tenant.Name = 1, "demo"
	seen := map[event.ID]bool{}
	for _, of := range Types() {
		e := Event(of, &tenant, time.Now())
		document := event.AppendDocument(nil, &e)
		var decoder event.Decoder
		var back event.Event
		if err := decoder.Decode(&back, document); err != nil || back.Type != of || back.ID != e.ID || seen[e.ID] {
			t.Errorf("%s: %v\n%s", of, err, document)
		}
		seen[e.ID] = true
		for _, name := range configs.Formats {
			format, _ := formats.ByName(name)
			body, err := format.AppendBody(nil, &formats.Input{Event: &back, Document: document, Tenant: &tenant, Created: e.Time})
			if has := format.Has(of); has != (err == nil) || has && len(body) == 0 {
				t.Errorf("%s, %s: %v, %q", name, of, err, body)
			}
		}
	}
	if len(seen) != 8 {
		t.Errorf("%d types", len(seen))
	}
}
