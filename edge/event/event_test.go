package event

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// example is a click as Outreach's documented request leads to.
func example() *Event {
	return &Event{
		ID: ID{Run: 0x0123456789abcdef, Sequence: 4711}, Type: Clicked, Time: time.Date(2026, 11, 23, 18, 14, 10, 123456000, time.UTC),
		Tenant: 1, TenantName: "demo", Message: []byte("123"), Prospect: []byte("456"), User: []byte("789"), Recipient: []byte("abc@prospect.com"),
		LinkNumber: 1, Place: "html", Destination: []byte("https://bit.ly/33zYFqH"), Original: []byte("https://www.google.com/"),
		Minted: time.Date(2026, 11, 23, 18, 14, 0, 0, time.UTC), Stream: []byte("outbound"), Tag: []byte("t"), Metadata: [][2]string{{"k", "v"}},
		RetentionDays: 45, Method: []byte("GET"),
		UserAgent: []byte("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"),
		Address:   []byte("127.0.0.1"), Referrer: []byte("https://mail.example.com/"), Language: []byte("en-US,en;q=0.9"),
		Labels: Head | Prefetch | Repaired,
	}
}

const exampleRecord = "\x00\x091/123/456" + `{"specversion":"1.0","id":"0123456789abcdef-0000000000000000","source":"/waypost/edge","type":"email.clicked",` +
	`"time":"2026-11-23T18:14:10.123456Z","datacontenttype":"application/json","run":"0123456789abcdef","sequence":"0000000000000000",` +
	`"data":{"tenant":1,"tenant_name":"demo","message":"123","prospect":"456","user":"789","recipient":"abc@prospect.com",` +
	`"link":{"number":1,"place":"html","destination":"https://bit.ly/33zYFqH","original":"https://www.google.com/","minted":"2026-11-23T18:14:00Z"},` +
	`"stream":"outbound","tag":"t","metadata":{"k":"v"},"retention_days":45,"unique":"person","method":"GET",` +
	`"user_agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",` +
	`"address":"127.0.0.1","referrer":"https://mail.example.com/","language":"en-US,en;q=0.9","labels":["head","prefetch","repaired"]}}`

func TestAppendRecord(t *testing.T) {
	record, at := AppendRecord([]byte("before"), example())
	record = record[len("before"):]
	if diff := cmp.Diff(exampleRecord, string(record)); diff != "" {
		t.Fatalf("record (-want +got):\n%s", diff)
	}
	for _, offset := range at {
		if got := string(record[offset : offset+SequenceDigits]); got != "0000000000000000" {
			t.Errorf("at %d stands %q", offset, got)
		}
		copy(record[offset:], "0000000000004711")
	}
	_, document, err := SplitRecord(record)
	if err != nil {
		t.Fatal(err)
	}
	var e Event
	if err := new(Decoder).Decode(&e, document); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(example(), &e); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	if got := AppendDocument(nil, &e); string(got) != string(document) {
		t.Errorf("appended again: %s", got)
	}
}

func TestAppendSmallest(t *testing.T) {
	record, _ := AppendRecord(nil, &Event{ID: ID{Run: 1}, Type: Clicked, Destination: []byte("http://a"), Original: []byte("http://a")})
	want := "\x00\x030//" + `{"specversion":"1.0","id":"0000000000000001-0000000000000000","source":"/waypost/edge","type":"email.clicked",` +
		`"time":"0001-01-01T00:00:00.000000Z","datacontenttype":"application/json","run":"0000000000000001","sequence":"0000000000000000",` +
		`"data":{"tenant":0,"link":{"number":0,"destination":"http://a","minted":"0001-01-01T00:00:00Z"},"retention_days":0,"unique":"person"}}`
	if diff := cmp.Diff(want, string(record)); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func TestText(t *testing.T) {
	for _, c := range []struct{ name, in, text, url string }{
		{"plain", "abc", "abc", "abc"},
		{"quotes", `a"b\c`, `a\"b\\c`, `a\"b\\c`},
		{"control", "a\x00\n\x1f\x7fb", `a\u0000\u000a\u001f\u007fb`, `a\u0000\u000a\u001f\u007fb`},
		{"utf-8", "grüß \U0001f600", "grüß \U0001f600", "grüß \U0001f600"},
		{"latin-1", "gr\xfc\xdf", "grüß", "gr%FC%DF"},
		{"surrogate", "\xed\xa0\x80", "\u00ed\u00a0\u0080", "%ED%A0%80"},
		{"cut rune", "a\xf0\x9f\x98", "a\u00f0\u009f\u0098", "a%F0%9F%98"},
		{"replacement character", "\uFFFD", "\uFFFD", "\uFFFD"},
		{"late in a long string", strings.Repeat("x", 29) + `"` + strings.Repeat("y", 13), strings.Repeat("x", 29) + `\"` + strings.Repeat("y", 13),
			strings.Repeat("x", 29) + `\"` + strings.Repeat("y", 13)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(appendText(nil, []byte(c.in))); got != c.text {
				t.Errorf("text %q, want %q", got, c.text)
			}
			if got := string(appendURL(nil, []byte(c.in))); got != c.url {
				t.Errorf("url %q, want %q", got, c.url)
			}
		})
	}
}

// Each byte in each position of a word takes the way that its value asks for.
func TestPlainPrefix(t *testing.T) {
	for c := range 256 {
		for at := range 20 {
			s := []byte(strings.Repeat("a", 20))
			s[at] = byte(c)
			want := 20
			if c < ' ' || c > '~' || c == '"' || c == '\\' {
				want = at
			}
			if got := plainPrefix(s); got != want {
				t.Fatalf("byte %#x at %d: prefix %d, want %d", c, at, got, want)
			}
		}
	}
}

func TestCutTo(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"abcdef", 6, "abcdef"}, {"abcdef", 3, "abc"}, {"aüb", 2, "a"}, {"aüb", 3, "aü"}, {"a\U0001f600b", 4, "a"}, {"a\U0001f600b", 5, "a\U0001f600"},
		{"a\x80\x80\x80\x80", 3, "a\x80\x80"}, {"a\xfc\xfc\xfc", 2, "a\xfc"}, {"ü", 1, ""},
	} {
		if got := string(cutTo([]byte(c.in), c.limit)); got != c.want {
			t.Errorf("cutTo(%q, %d) = %q, want %q", c.in, c.limit, got, c.want)
		}
	}
}

func TestCut(t *testing.T) {
	e := example()
	e.UserAgent = []byte(strings.Repeat("u", 1025))
	e.Referrer = []byte(strings.Repeat("r", 2049))
	e.Metadata = [][2]string{{"a", "1"}, {"b", strings.Repeat("m", 9000)}, {"c", "3"}, {"a", "again"}}
	e.Cut = []string{"language", "no such field"}
	var got Event
	if err := new(Decoder).Decode(&got, AppendDocument(nil, e)); err != nil {
		t.Fatal(err)
	}
	want := example()
	want.UserAgent, want.Referrer = e.UserAgent[:1024], e.Referrer[:2048]
	want.Metadata = [][2]string{{"a", "1"}, {"c", "3"}}
	want.Cut = []string{"metadata", "user_agent", "referrer", "language"}
	if diff := cmp.Diff(want, &got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

// However its strings grow by escaping, a record stays within MaxRecord and is a document that says what was cut.
func TestLargestRecord(t *testing.T) {
	for _, unit := range []string{"\x01", "\xff", "%", "/", "\U0001f600"} {
		s := strings.Repeat(unit, 40000/len(unit))
		e := &Event{ID: ID{Run: 1}, Type: Clicked, Tenant: 1, TenantName: s, Message: []byte(s), Prospect: []byte(s), User: []byte(s), Recipient: []byte(s),
			Destination: []byte("d" + s), Original: []byte(s), Stream: []byte(s), Tag: []byte(s), Method: []byte(s), UserAgent: []byte(s), Address: []byte(s),
			Referrer: []byte(s), Language: []byte(s), Labels: 255, Cut: cutNames[:],
			Report: &Report{Provider: []byte(s), ProviderEvent: []byte(s), ProviderType: []byte(s), Reason: []byte(s), From: []byte(s), Subject: []byte(s),
				Bounce: Bounce{Type: []byte(s), Name: []byte(s), Description: []byte(s), Details: []byte(s)}, Raw: []byte(`{"a":"` + strings.Repeat("a", 16000) + `"}`)}}
		for i := range maxMetadata + 10 {
			e.Metadata = append(e.Metadata, [2]string{strings.Repeat(unit, i%17), strings.Repeat(unit, 3+i)})
		}
		record, _ := AppendRecord(nil, e)
		if len(record) > MaxRecord {
			t.Errorf("%q: %d bytes", unit, len(record))
		}
		key, document, err := SplitRecord(record)
		if err != nil {
			t.Fatal(err)
		}
		var got Event
		if err := new(Decoder).Decode(&got, document); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(cutNames[:], got.Cut); diff != "" {
			t.Errorf("%q: cut (-want +got):\n%s", unit, diff)
		}
		if again := AppendKey(nil, &got); string(again) != string(key) {
			t.Errorf("%q: key of the document differs from the record's: %q", unit, again)
		}
	}
}

func TestClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(firstSecond, lastSecond).Draw(t, "second"), rapid.Int64Range(0, 999_999).Draw(t, "micro")*1000).UTC()
		text := string(appendTime(nil, at))
		if want := at.Format("2006-01-02T15:04:05.000000Z"); text != want {
			t.Fatalf("%s, want %s", text, want)
		}
		if back, ok := parseTime([]byte(text)); !ok || !back.Equal(at) {
			t.Fatalf("%s reads as %v", text, back)
		}
	})
	for in, want := range map[time.Time]string{
		time.Unix(1<<62, 0): "9999-12-31T23:59:59.000000Z", time.Unix(-1<<62, 0): "0000-01-01T00:00:00.000000Z"} {
		if got := string(appendTime(nil, in)); got != want {
			t.Errorf("%v: %s", in, got)
		}
	}
	for _, bad := range []string{"2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-01T24:00:00Z",
		"2026-01-01T00:60:00Z", "2026-01-01T00:00:60Z", "2026-01-01 00:00:00Z", "2026-01-01T00:00:0xZ", "2026-01-01T00:00:00z", "2026-04-31T00:00:00Z", ""} {
		if got, ok := parseTime([]byte(bad)); ok {
			t.Errorf("%s reads as %v", bad, got)
		}
	}
}

func TestID(t *testing.T) {
	id := ID{Run: 0xfedcba9876543210, Sequence: MaxSequence}
	if got := id.String(); got != "fedcba9876543210-9999999999999999" {
		t.Fatal(got)
	}
	if back, err := ParseID([]byte(id.String())); err != nil || back != id {
		t.Fatal(back, err)
	}
	for _, bad := range []string{"", "fedcba9876543210", "Fedcba9876543210-9999999999999999", "fedcba9876543210_9999999999999999",
		"fedcba9876543210-999999999999999a", "gedcba9876543210-9999999999999999", "fedcba9876543210-99999999999999999"} {
		if got, err := ParseID([]byte(bad)); err != ErrID {
			t.Errorf("%q: %v, %v", bad, got, err)
		}
	}
}

func TestReadersRule(t *testing.T) {
	var r ReadersRule
	for _, c := range []struct {
		id   ID
		want bool
	}{{ID{1, 5}, true}, {ID{1, 5}, false}, {ID{1, 4}, false}, {ID{2, 1}, true}, {ID{1, 6}, true}, {ID{2, 0}, false}, {ID{3, 0}, true}, {ID{3, 0}, false}} {
		if got := r.Fresh(c.id); got != c.want {
			t.Errorf("%v: fresh %v", c.id, got)
		}
	}
	var restarted ReadersRule
	for run, sequence := range r.All() {
		restarted.Set(run, sequence)
	}
	if restarted.Fresh(ID{1, 6}) || !restarted.Fresh(ID{1, 7}) {
		t.Error("a restart forgot")
	}
	restarted.Forget(1)
	if !restarted.Fresh(ID{1, 1}) {
		t.Error("a forgotten run was remembered")
	}
}

func TestSplitRecord(t *testing.T) {
	for _, bad := range []string{"", "\x00", "\x00\x02a"} {
		if _, _, err := SplitRecord([]byte(bad)); err != ErrRecord {
			t.Errorf("%q: %v", bad, err)
		}
	}
	key, document, err := SplitRecord([]byte("\x00\x02ab{}"))
	if err != nil || string(key) != "ab" || string(document) != "{}" {
		t.Errorf("%q %q %v", key, document, err)
	}
}

func TestAllocations(t *testing.T) {
	e := example()
	buffer := make([]byte, 0, 2048)
	var d Decoder
	var back Event
	_, document, _ := SplitRecord([]byte(exampleRecord))
	if err := d.Decode(&back, document); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(){
		"AppendRecord": func() { AppendRecord(buffer, e) },
		"Decode":       func() { _ = d.Decode(&back, document) },
		"Unique":       func() { back.Unique() },
		"AppendKey":    func() { PartitionHash(AppendKey(buffer, e)) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// drawBytes draws what may come from outside: words, UTF-8 and hostile bytes.
func drawBytes(t *rapid.T, name string, most int) []byte {
	return rapid.OneOf(
		rapid.SliceOfN(rapid.Byte(), -1, most),
		rapid.Map(rapid.StringN(-1, -1, most), func(s string) []byte { return []byte(s) }),
		rapid.Just([]byte(nil)),
	).Draw(t, name)
}

// drawEvent draws any event that an edge could write.
func drawEvent(t *rapid.T) *Event {
	e := &Event{
		ID:     ID{Run: rapid.Uint64().Draw(t, "run"), Sequence: rapid.Uint64Range(0, MaxSequence).Draw(t, "sequence")},
		Type:   rapid.SampledFrom([]Type{Clicked, Opened, Sent, Delivered, Bounced, Deferred, Complained, Failed}).Draw(t, "type"),
		Time:   time.UnixMicro(rapid.Int64Range(firstSecond*1e6, lastSecond*1e6).Draw(t, "time")).UTC(),
		Tenant: rapid.Uint32().Draw(t, "tenant"), TenantName: string(drawBytes(t, "tenant name", 40)),
		Message: drawBytes(t, "message", 2000), Prospect: drawBytes(t, "prospect", 40), User: drawBytes(t, "user", 40), Recipient: drawBytes(t, "recipient", 400),
		LinkNumber: rapid.Uint32().Draw(t, "number"), Place: rapid.SampledFrom([]string{"", "html", "text"}).Draw(t, "place"),
		Destination: append([]byte("http://"), drawBytes(t, "destination", 20000)...), Original: drawBytes(t, "original", 100),
		Minted: time.Unix(rapid.Int64Range(0, lastSecond/60).Draw(t, "minted")*60, 0).UTC(),
		Stream: drawBytes(t, "stream", 40), Tag: drawBytes(t, "tag", 40),
		RetentionDays: rapid.Uint16().Draw(t, "days"), UniqueAny: rapid.Bool().Draw(t, "any"),
		Method: drawBytes(t, "method", 80), UserAgent: drawBytes(t, "user agent", 1200), Address: drawBytes(t, "address", 40),
		Referrer: drawBytes(t, "referrer", 2100), Language: drawBytes(t, "language", 40), Labels: Labels(rapid.Byte().Draw(t, "labels")),
		Cut: rapid.SliceOfN(rapid.SampledFrom(cutNames[:]), 0, 3).Draw(t, "cut"),
	}
	if rapid.Bool().Draw(t, "reported") {
		e.Report = drawReport(t)
	}
	for range rapid.IntRange(0, 5).Draw(t, "pairs") {
		e.Metadata = append(e.Metadata, [2]string{string(drawBytes(t, "key", 20)), string(drawBytes(t, "value", 80))})
	}
	return e
}

func readable(t interface{ Fatalf(string, ...any) }, b []byte) {
	if !utf8.Valid(b) {
		t.Fatalf("not UTF-8: %q", b)
	}
}
