package event

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// The vectors of Apache Kafka's own tests of Utils.murmur2.
func TestMurmur2(t *testing.T) {
	for in, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107, "": 275646681,
	} {
		if got := int32(murmur2([]byte(in))); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", in, got, want)
		}
		if got := PartitionHash([]byte(in)); got != uint32(want)&0x7fffffff {
			t.Errorf("PartitionHash(%q) = %d", in, got)
		}
	}
}

func TestAppendKey(t *testing.T) {
	for _, c := range []struct {
		message, prospect, recipient, want string
	}{
		{"123", "456", "abc@prospect.com", "7/123/456"},
		{"123", "", "Abc.D@Prospect.COM", "7/123/abc.d@prospect.com"},
		{"123", "", "#AbCdEfGhIjKlMnOpQrStUv", "7/123/#AbCdEfGhIjKlMnOpQrStUv"},
		{"123", "", "#A@b.C", "7/123/#a@b.c"},
		{"a/b%c\n", "X/Y%", "", "7/a%2Fb%25c%0A/X/Y%25"},
		{"\xfc", "\xff", "", "7/ü/ÿ"},
		{"ü", "", "Ü@x.Y", "7/ü/Ü@x.y"},
		{"", "", "", "7//"},
	} {
		e := &Event{Tenant: 7, Message: []byte(c.message), Prospect: []byte(c.prospect), Recipient: []byte(c.recipient)}
		if got := string(AppendKey(nil, e)); got != c.want {
			t.Errorf("key of %+v: %q", c, got)
		}
	}
}

// The message that a record's key names is that of its document, whatever came from outside.
func FuzzKeyMessage(f *testing.F) {
	for _, message := range []string{"123", "a/b%c\n", "\xfc", "ü", "", "%2F", strings.Repeat("é", 600)} {
		f.Add([]byte(message), []byte("456"))
	}
	f.Add([]byte("7/%"), []byte("7/%2/"))
	f.Fuzz(func(t *testing.T, message, other []byte) {
		e := Event{Type: Clicked, Tenant: 7, Message: message, Prospect: other}
		record, _ := AppendRecord(nil, &e)
		key, document, err := SplitRecord(record)
		if err != nil {
			t.Fatal(err)
		}
		var d Decoder
		if err := d.Decode(&e, document); err != nil {
			t.Fatal(err)
		}
		if got, ok := KeyMessage(nil, key); !ok || !bytes.Equal(got, e.Message) {
			t.Errorf("%q, %v; the document has %q", got, ok, e.Message)
		}
		_, _ = KeyMessage(nil, other)
	})
}

func TestUnique(t *testing.T) {
	base, ok := example().Unique()
	if !ok {
		t.Fatal("not unique")
	}
	same := map[string]func(*Event){
		"place":       func(e *Event) { e.Place = "text" },
		"number":      func(e *Event) { e.LinkNumber = 9 },
		"destination": func(e *Event) { e.Destination = []byte("http://elsewhere") },
		"address":     func(e *Event) { e.Recipient = []byte("other@prospect.com") },
		"client":      func(e *Event) { e.UserAgent, e.Address, e.Labels = nil, nil, 0 },
	}
	for name, change := range same {
		e := example()
		change(e)
		if got, ok := e.Unique(); !ok || got != base {
			t.Errorf("%s changes the unique key", name)
		}
	}
	other := map[string]func(*Event){
		"tenant":   func(e *Event) { e.Tenant = 2 },
		"message":  func(e *Event) { e.Message = []byte("124") },
		"prospect": func(e *Event) { e.Prospect = []byte("457") },
		"original": func(e *Event) { e.Original = []byte("https://www.google.com") },
		"type":     func(e *Event) { e.Type = Opened },
	}
	for name, change := range other {
		e := example()
		change(e)
		if got, ok := e.Unique(); !ok || got == base {
			t.Errorf("%s does not change the unique key", name)
		}
	}
	never := map[string]func(*Event){
		"message":   func(e *Event) { e.Message = nil },
		"recipient": func(e *Event) { e.Prospect, e.Recipient = nil, nil },
	}
	for name, change := range never {
		e := example()
		change(e)
		if _, ok := e.Unique(); ok {
			t.Errorf("unique without %s", name)
		}
	}
	e := example()
	e.Original, e.Destination = nil, e.Original
	if got, _ := e.Unique(); got != base {
		t.Error("a link without original is not its destination")
	}
}

// What a provider tells has the same key as what the edge saw; a bounce is told apart by the provider's id of it, a delivery is not; and without a recipient the message counts.
func TestUniqueOfReports(t *testing.T) {
	told := func(kind Type, id string) *Event {
		e := example()
		e.Type, e.Report = kind, &Report{Provider: []byte("postmark"), ProviderEvent: []byte(id)}
		return e
	}
	key := func(e *Event) UniqueKey {
		k, ok := e.Unique()
		if !ok {
			t.Errorf("%s is not unique", e.Type)
		}
		return k
	}
	if own := example(); key(own) != key(told(Clicked, "1")) || key(own) != key(told(Clicked, "2")) {
		t.Error("a click that a provider tells is another click")
	}
	for kind, many := range map[Type]bool{Opened: false, Sent: false, Delivered: false, Complained: false, Bounced: true, Deferred: true, Failed: true} {
		if first, again := key(told(kind, "1")), key(told(kind, "1")); first != again {
			t.Errorf("%s, told again, is another event", kind)
		}
		if two := key(told(kind, "1")) != key(told(kind, "2")); two != many {
			t.Errorf("%s with another id is another event: %v, want %v", kind, two, many)
		}
		other := told(kind, "1")
		if other.Report.Provider = []byte("resend"); (key(other) != key(told(kind, "1"))) != many {
			t.Errorf("%s of another provider", kind)
		}
	}
	nobody := told(Opened, "1")
	nobody.Prospect, nobody.Recipient = nil, nil
	key(nobody)
	nobody.Message = nil
	if _, ok := nobody.Unique(); ok {
		t.Error("unique without a message")
	}
}

// The unique key is kept by stores: it never changes.
func TestUniqueIsPinned(t *testing.T) {
	key, _ := example().Unique()
	if got := fmt.Sprintf("%x", key); got != "0a1e59a7287dcf9bfa106f563ac595b3" {
		t.Errorf("unique key %s", got)
	}
	bounce := example()
	bounce.Type, bounce.Destination, bounce.Original = Bounced, nil, nil
	bounce.Report = &Report{Provider: []byte("postmark"), ProviderEvent: []byte("42")}
	key, _ = bounce.Unique()
	if got := fmt.Sprintf("%x", key); got != "dc9dc9ba367f23277af6aa3bbd7c99e0" {
		t.Errorf("unique key of a bounce %s", got)
	}
}
