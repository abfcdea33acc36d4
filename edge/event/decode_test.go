package event

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
)

// compileSchema compiles schema.json; closed, it also refuses members that it does not list, so that the encoder writes none.
func compileSchema(t testing.TB, closed bool) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema))
	if err != nil {
		t.Fatal(err)
	}
	if closed {
		root := document.(map[string]any)
		data := root["properties"].(map[string]any)["data"].(map[string]any)
		link := data["properties"].(map[string]any)["link"].(map[string]any)
		bounce := data["properties"].(map[string]any)["bounce"].(map[string]any)
		for _, object := range []map[string]any{root, data, link, bounce} {
			object["additionalProperties"] = false
		}
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("event.json", document); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("event.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t interface{ Fatalf(string, ...any) }, s *jsonschema.Schema, document []byte) {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err == nil {
		err = s.Validate(v)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
}

// Whatever comes from outside, the encoder writes what the schema says, both parsers read it alike, and reading and writing are inverse.
func TestEncoderHoldsSchema(t *testing.T) {
	schema := compileSchema(t, true)
	var own, other Decoder
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvent(t)
		document := AppendDocument(nil, e)
		readable(t, document)
		validate(t, schema, document)
		var a, b Event
		if d := (&Decoder{text: bytes.Clone(document)}); e.Report == nil && !d.decodeOwn(new(Event)) {
			t.Fatalf("not read by its own parser: %s", document)
		}
		if err := own.Decode(&a, document); err != nil {
			t.Fatalf("%v: %s", err, document)
		}
		spaced := jsontext.Value(bytes.Clone(document))
		if err := spaced.Indent(); err != nil {
			t.Fatalf("%v: %s", err, document)
		}
		if err := other.Decode(&b, spaced); err != nil {
			t.Fatalf("%v: %s", err, spaced)
		}
		if diff := cmp.Diff(a, b); diff != "" {
			t.Fatalf("own parser and general parser differ (-own +general):\n%s", diff)
		}
		if again := AppendDocument(nil, &a); fits(&a) && string(again) != string(document) {
			t.Fatalf("written again:\n%s\nwas:\n%s", again, document)
		}
		if diff := cmp.Diff(expected(e), a, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("event (-want +got):\n%s", diff)
		}
		record, _ := AppendRecord(nil, e)
		key, _, err := SplitRecord(record)
		if err != nil || string(key) != string(AppendKey(nil, &a)) {
			t.Fatalf("key %q, from the document %q (%v)", key, AppendKey(nil, &a), err)
		}
	})
}

// fits says that no string of a decoded event passes its limit: the repair of bytes makes some longer than they came.
func fits(e *Event) bool {
	l := usualLimits
	metadata := 0
	for _, pair := range e.Metadata {
		metadata += len(pair[0]) + len(pair[1])
	}
	longest := func(limit int, fields ...[]byte) bool {
		for _, f := range fields {
			if len(f) > limit {
				return false
			}
		}
		return true
	}
	return longest(l.id, e.Message, e.Prospect, e.User, e.Recipient) && longest(l.url, e.Destination, e.Original) &&
		longest(l.short, []byte(e.TenantName), e.Stream, e.Tag, e.Language) && longest(l.word, e.Method, e.Address) &&
		longest(l.userAgent, e.UserAgent) && longest(l.referrer, e.Referrer) && metadata <= l.metadata && (e.Report == nil || reportFits(e.Report))
}

// expected is what a reader is to see of e, by the words of the README and another route than the encoder's.
func expected(e *Event) Event {
	cut := map[string]bool{}
	for _, name := range e.Cut {
		cut[name] = true
	}
	text := func(name string, s []byte, limit int, repair func(byte) string) []byte {
		if len(s) > limit {
			cut[name] = true
			s = cutTo(s, limit)
		}
		var out strings.Builder
		for i, r := range string(s) {
			if r == 0xFFFD && !strings.HasPrefix(string(s[i:]), "\uFFFD") {
				out.WriteString(repair(s[i]))
			} else {
				out.WriteRune(r)
			}
		}
		return []byte(out.String())
	}
	latin := func(c byte) string { return string(rune(c)) }
	percent := func(c byte) string { return "%" + strings.ToUpper(string([]byte{hexDigits[c>>4], hexDigits[c&15]})) }
	x := *e
	x.TenantName = string(text("tenant_name", []byte(e.TenantName), 1024, latin))
	x.Message = text("message", e.Message, 1024, latin)
	x.Prospect = text("prospect", e.Prospect, 1024, latin)
	x.User = text("user", e.User, 1024, latin)
	x.Recipient = text("recipient", e.Recipient, 1024, latin)
	x.Destination = text("destination", e.Destination, 16384, percent)
	if x.Original = text("original", e.Original, 16384, percent); len(x.Original) == 0 {
		x.Original = x.Destination
	}
	x.Stream = text("stream", e.Stream, 1024, latin)
	x.Tag = text("tag", e.Tag, 1024, latin)
	x.Method = text("method", e.Method, 64, latin)
	x.UserAgent = text("user_agent", e.UserAgent, 1024, latin)
	x.Address = text("address", e.Address, 64, latin)
	x.Referrer = text("referrer", e.Referrer, 2048, percent)
	x.Language = text("language", e.Language, 1024, latin)
	x.Labels &= Head | Prefetch | Machine | Repaired | Proxy
	x.Metadata = nil
	seen := map[string]bool{}
	for _, pair := range e.Metadata {
		key := string(text("", []byte(pair[0]), 1<<20, latin))
		if seen[key] {
			cut["metadata"] = true
			continue
		}
		seen[key] = true
		x.Metadata = append(x.Metadata, [2]string{key, string(text("", []byte(pair[1]), 1<<20, latin))})
	}
	x.Report = expectedReport(e.Report, cut, text)
	x.Cut = nil
	for _, name := range cutNames {
		if cut[name] {
			x.Cut = append(x.Cut, name)
		}
	}
	return x
}

func TestSchemaIsOpen(t *testing.T) {
	_, document, _ := SplitRecord([]byte(exampleRecord))
	extended := bytes.Replace(document, []byte(`"data":{`), []byte(`"subject":"s","data":{"later":[1,{"a":null}],"provider":"resend",`), 1)
	validate(t, compileSchema(t, false), extended)
	var e Event
	if err := new(Decoder).Decode(&e, extended); err != nil {
		t.Fatal(err)
	}
	want := example()
	want.ID.Sequence, want.Report = 0, &Report{Provider: []byte("resend")}
	if diff := cmp.Diff(want, &e); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func TestDecodeOtherForms(t *testing.T) {
	document := `{"data": {"unique":"any", "labels":["machine","later"], "link":{"minted":"2026-11-23T19:14:00+01:00","destination":"http:\/\/\u00fc","number":0},
		"retention_days":7, "tenant":4294967295, "metadata":{"\u006b":"\ud83d\ude00"}, "message":"a"}, "sequence":"0000000000000002", "run":"00000000000000ff",
		"time":"2026-11-23T18:14:10Z", "type":"email.opened", "source":"elsewhere", "id":"00000000000000ff-0000000000000002", "specversion":"1.0"}`
	var e Event
	if err := new(Decoder).Decode(&e, []byte(document)); err != nil {
		t.Fatal(err)
	}
	want := Event{ID: ID{255, 2}, Type: Opened, Time: time.Date(2026, 11, 23, 18, 14, 10, 0, time.UTC), Tenant: 4294967295, Message: []byte("a"),
		Destination: []byte("http://ü"), Original: []byte("http://ü"), Minted: time.Date(2026, 11, 23, 18, 14, 0, 0, time.UTC),
		Metadata: [][2]string{{"k", "\U0001f600"}}, RetentionDays: 7, UniqueAny: true, Labels: Machine}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func TestDecodeRefuses(t *testing.T) {
	_, whole, _ := SplitRecord([]byte(exampleRecord))
	document := string(whole)
	for _, c := range []struct{ name, from, to, want string }{
		{"version", `"specversion":"1.0"`, `"specversion":"2.0"`, "specversion"},
		{"no version", `"specversion":"1.0",`, ``, "specversion"},
		{"id", `cdef-0`, `cdef+0`, "id"},
		{"run differs", `"run":"0`, `"run":"1`, "run"},
		{"no type", `"type":"email.clicked",`, ``, "type"},
		{"time", `2026-11-23T18:14:10`, `2026-11-33T18:14:10`, "time"},
		{"no time", `"time":"2026-11-23T18:14:10.123456Z",`, ``, "time"},
		{"no data", `"data":`, `"other":`, "data"},
		{"data", `"data":{`, `"data":[],"x":{`, "data"},
		{"tenant", `"tenant":1`, `"tenant":4294967296`, "tenant"},
		{"tenant negative", `"tenant":1`, `"tenant":-1`, "tenant"},
		{"tenant text", `"tenant":1`, `"tenant":"1"`, "tenant"},
		{"message", `"message":"123"`, `"message":123`, "message"},
		{"unique", `"person"`, `"nobody"`, "unique"},
		{"labels", `"labels":["head"`, `"labels":[1`, "labels"},
		{"retention", `"retention_days":45`, `"retention_days":65536`, "retention_days"},
		{"metadata", `"metadata":{"k":"v"}`, `"metadata":{"k":null}`, "k"},
		{"read_seconds", `"tag":"t"`, `"read_seconds":-1`, "read_seconds"},
		{"occurred", `"tag":"t"`, `"occurred":"yesterday"`, "occurred"},
		{"bounce", `"tag":"t"`, `"bounce":"hard"`, "bounce"},
		{"bounce code", `"tag":"t"`, `"bounce":{"code":2147483648}`, "code"},
		{"bounce inactive", `"tag":"t"`, `"bounce":{"inactive":0}`, "inactive"},
		{"raw", `"tag":"t"`, `"raw":[]`, "raw"},
		{"repeated", `"tag":"t"`, `"tag":"t","tag":"t"`, "duplicate"},
		{"not closed", `]}}`, `]}`, ""},
		{"more", `]}}`, `]}} {}`, "more than one"},
		{"not UTF-8", `"tag":"t"`, "\"tag\":\"\xff\"", "UTF-8"},
		{"control", `"tag":"t"`, "\"tag\":\"\n\"", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := strings.Replace(document, c.from, c.to, 1)
			if bad == document {
				t.Fatal("the case changes nothing")
			}
			err := new(Decoder).Decode(new(Event), []byte(bad))
			if !errors.Is(err, ErrDocument) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one naming %q", err, c.want)
			}
		})
	}
}

// FuzzDecode: any bytes are refused or read, by both parsers alike; what was read is written and read again the same.
func FuzzDecode(f *testing.F) {
	_, document, _ := SplitRecord([]byte(exampleRecord))
	f.Add(document)
	f.Add(bytes.Replace(document, []byte(`"t"`), []byte(`"\u0000\"\\\u007f\u00e9"`), 1))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		var own, general Event
		var d, g Decoder
		err := d.Decode(&own, document)
		g.text = nil
		generalErr := g.decodeAny(&general, document)
		if (err == nil) != (generalErr == nil) {
			t.Fatalf("own: %v, general: %v", err, generalErr)
		}
		if err != nil {
			return
		}
		g.finish(&general)
		if diff := cmp.Diff(own, general); diff != "" {
			t.Fatalf("parsers differ (-own +general):\n%s", diff)
		}
		if own.ID.Sequence > MaxSequence {
			t.Fatalf("sequence %d", own.ID.Sequence)
		}
		own.Unique()
	})
}

// FuzzEncode: any bytes in any field give a document of the schema that reads as the same event.
func FuzzEncode(f *testing.F) {
	f.Add([]byte("Mozilla/5.0"), []byte("https://example.com/?a=b"), []byte("key"), []byte("value"), uint32(1), int64(1e15))
	f.Add([]byte("\xff\xed\xa0\x80\x00"), []byte("http://\xfc\"\\\x7f"), []byte("\xe9"), []byte("\u00e9"), uint32(0), int64(-1))
	schema := compileSchema(f, true)
	f.Fuzz(func(t *testing.T, text, url, key, value []byte, tenant uint32, micros int64) {
		e := &Event{ID: ID{Run: uint64(micros), Sequence: 7}, Type: Clicked, Time: time.UnixMicro(micros), Tenant: tenant, TenantName: string(text),
			Message: value, Prospect: key, User: text, Recipient: text, Destination: append([]byte("h"), url...), Original: text, Minted: time.UnixMicro(micros),
			Metadata: [][2]string{{string(key), string(value)}, {string(value), string(key)}, {string(text), string(url)}},
			Stream:   key, Tag: value, Method: key, UserAgent: text, Address: value, Referrer: url, Language: text, Labels: Labels(tenant)}
		if tenant%2 == 1 {
			e.Report = &Report{Provider: key, Reason: text, Bounce: Bounce{Type: value, Code: int32(tenant), Details: text}, Subject: value, ReadSeconds: tenant, Raw: url}
		}
		record, at := AppendRecord(nil, e)
		if len(record) > MaxRecord || string(record[at[0]:at[0]+16]) != "0000000000000000" || string(record[at[1]:at[1]+16]) != "0000000000000000" {
			t.Fatalf("%d bytes, sequence at %v: %q", len(record), at, record)
		}
		keyText, document, err := SplitRecord(record)
		if err != nil {
			t.Fatal(err)
		}
		readable(t, record[2:])
		validate(t, schema, document)
		var d Decoder
		var back Event
		if err := d.Decode(&back, document); err != nil {
			t.Fatal(err)
		}
		if again := AppendDocument(nil, &back); fits(&back) && string(again) != string(document) {
			t.Fatalf("written again:\n%s\nwas:\n%s", again, document)
		}
		if again := AppendKey(nil, &back); string(again) != string(keyText) {
			t.Fatalf("key %q, was %q", again, keyText)
		}
	})
}
