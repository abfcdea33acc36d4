package event

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// raws are documents of providers, and what may be taken for one; true: they stand in the event.
var raws = map[string]bool{
	"": false, "{}": true, ` { "b" : [ 1.50 , "\u0041\/" ] , "a" : { "c" : null } } `: true,
	"[]": false, `"text"`: false, "{": false, "{}{}": false, `{},"x":{}`: false, `{"a":1,"a":2}`: false, "{\"a\":\"\xff\"}": false,
	`{"a":` + strings.Repeat("[", 8189) + strings.Repeat("]", 8189) + `}`: true, `{"a":"` + strings.Repeat("a", 16<<10) + `"}`: false,
}

func drawReport(t *rapid.T) *Report {
	return &Report{
		Provider: drawBytes(t, "provider", 40), ProviderEvent: drawBytes(t, "provider event", 1100), ProviderType: drawBytes(t, "provider type", 40),
		Occurred: rapid.SampledFrom([]time.Time{{}, time.UnixMicro(1795843264058429).UTC()}).Draw(t, "occurred"),
		Reason:   drawBytes(t, "reason", 2100), From: drawBytes(t, "from", 40), Subject: drawBytes(t, "subject", 1100),
		Bounce: Bounce{
			Type: drawBytes(t, "bounce type", 40), Code: rapid.Int32().Draw(t, "bounce code"), Name: drawBytes(t, "bounce name", 1100),
			Description: drawBytes(t, "description", 2100), Details: drawBytes(t, "details", 40),
			Inactive: rapid.Bool().Draw(t, "inactive"), CanActivate: rapid.Bool().Draw(t, "can activate"),
		},
		ReadSeconds: rapid.Uint32().Draw(t, "read seconds"), Raw: []byte(rapid.SampledFrom([]string{"", "{}", `{"a": [1]}`, "[]", "{"}).Draw(t, "raw")),
	}
}

func reportFits(r *Report) bool {
	w := encoder{limits: &usualLimits}
	w.cutReport(r)
	return w.cut == 0
}

// expectedReport is what a reader is to see of r; nil where it says nothing.
func expectedReport(r *Report, cut map[string]bool, text func(string, []byte, int, func(byte) string) []byte) *Report {
	if r == nil {
		return nil
	}
	x := *r
	for _, m := range []struct {
		name  string
		field *[]byte
		limit int
	}{
		{"provider", &x.Provider, 1024}, {"provider_event", &x.ProviderEvent, 1024}, {"provider_type", &x.ProviderType, 1024}, {"reason", &x.Reason, 2048},
		{"from", &x.From, 1024}, {"subject", &x.Subject, 1024}, {"bounce", &x.Bounce.Type, 1024}, {"bounce", &x.Bounce.Name, 1024},
		{"bounce", &x.Bounce.Description, 2048}, {"bounce", &x.Bounce.Details, 2048},
	} {
		if *m.field = text(m.name, *m.field, m.limit, func(c byte) string { return string(rune(c)) }); len(*m.field) == 0 {
			*m.field = nil
		}
	}
	x.Raw = nil
	if kept := raws[string(r.Raw)] || string(r.Raw) == `{"a": [1]}`; kept {
		x.Raw = bytes.ReplaceAll(r.Raw, []byte(" "), nil)
	} else if len(r.Raw) > 0 {
		cut["raw"] = true
	}
	if cmp.Equal(x, Report{}) {
		return nil
	}
	return &x
}

func TestReport(t *testing.T) {
	e := example()
	e.Type, e.Labels, e.Cut = Bounced, 0, []string{"subject"}
	e.Report = &Report{
		Provider: []byte("postmark"), ProviderEvent: []byte("42"), ProviderType: []byte("Bounce"), Occurred: time.Date(2026, 11, 23, 18, 14, 9, 0, time.UTC),
		Reason: []byte("550 no such user"), Bounce: Bounce{Type: []byte("HardBounce"), Code: 1, Name: []byte("Hard bounce"), Inactive: true},
		From: []byte("sender@example.com"), Subject: []byte("Hello"), ReadSeconds: 5, Raw: []byte("{ \"ID\" : 42.0 }"),
	}
	document := AppendDocument(nil, e)
	const want = `"language":"en-US,en;q=0.9","cut":["subject"],"provider":"postmark","provider_event":"42","provider_type":"Bounce",` +
		`"occurred":"2026-11-23T18:14:09.000000Z","reason":"550 no such user","bounce":{"type":"HardBounce","code":1,"name":"Hard bounce","inactive":true},` +
		`"from":"sender@example.com","subject":"Hello","read_seconds":5,"raw":{"ID":42.0}}}`
	if !strings.HasSuffix(string(document), want) {
		t.Errorf("%s\ndoes not end with\n%s", document, want)
	}
	validate(t, compileSchema(t, true), document)
	var got Event
	var d Decoder
	if err := d.Decode(&got, document); err != nil {
		t.Fatal(err)
	}
	e.Report.Raw = []byte(`{"ID":42.0}`)
	if diff := cmp.Diff(e, &got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	_, hit, _ := SplitRecord([]byte(exampleRecord))
	if err := d.Decode(&got, hit); err != nil || got.Report != nil {
		t.Errorf("a hit after a report has %+v, %v", got.Report, err)
	}
}

// A provider's document stands in the event whole, or not at all, and then the event says so. What stands there every reader takes.
func TestRaw(t *testing.T) {
	for raw, kept := range raws {
		e := example()
		e.Report = &Report{Raw: []byte(raw)}
		document := AppendDocument(nil, e)
		var got Event
		if err := new(Decoder).Decode(&got, document); err != nil {
			t.Errorf("%.40s: %v", raw, err)
			continue
		}
		if (got.Report != nil) != kept || (len(got.Cut) > 0) != (raw != "" && !kept) {
			t.Errorf("%.40s: report %v, cut %v", raw, got.Report != nil, got.Cut)
		}
		var compact bytes.Buffer
		if kept && (json.Compact(&compact, []byte(raw)) != nil || compact.String() != string(got.Report.Raw)) {
			t.Errorf("%.40s became %.40s", raw, got.Report.Raw)
		}
	}
}
