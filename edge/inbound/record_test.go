package inbound

import (
	"strings"
	"testing"
	"time"

	"waypost/configs"
	"waypost/edge/event"
	"waypost/edge/internal/machines"
	"waypost/edge/journal"
	"waypost/mint/link"
)

// What is recorded is the tenant's: its number, retention, stream, and what its privacy leaves.
func TestTenantsSettings(t *testing.T) {
	r := newRig(t, nil)
	const click = `{"RecordType":"Click","MessageStream":"","MessageID":"1","ReceivedAt":"2026-11-23T18:14:10Z","Recipient":"Jane@example.com","OriginalLink":"https://example.com/a",` +
		`"ClickLocation":"Text","UserAgent":"Mozilla/5.0","Geo":{"IP":"203.0.113.9"}}`
	for _, name := range []string{"private", "raw", "demo"} {
		if status, text := r.send(name+"/postmark/"+pathSecret, click, nil); status != 200 {
			t.Fatal(status, text)
		}
	}
	documents := r.documents()
	private, raw, demo := documents[0], documents[1], documents[2]
	events := r.events()
	e := events[0]
	if want := string(link.HashRecipient(2, []byte("jane@example.com"))); string(e.Recipient) != want || string(e.Address) != "203.0.113.0" || e.RetentionDays != 10 || !e.UniqueAny ||
		e.Tenant != 2 || e.TenantName != "private" || string(e.Stream) != "outbound" || e.Report.Raw != nil {
		t.Errorf("private: %s", private)
	}
	if strings.Contains(private, "jane") || strings.Contains(private, "Jane") || strings.Contains(private, "203.0.113.9") {
		t.Errorf("private tells who: %s", private)
	}
	if string(events[1].Report.Raw) != click || strings.Contains(demo, `"raw":`) {
		t.Errorf("raw: %s\ndemo: %s", raw, demo)
	}
	for keep, want := range map[string]string{"keep": "203.0.113.9", "truncate": "203.0.113.0", "drop": "", "other": ""} {
		if got := string(clientAddress([]byte("203.0.113.9"), keep)); got != want {
			t.Errorf("%s: %q", keep, got)
		}
	}
	if clientAddress([]byte("a proxy"), "keep") != nil {
		t.Error("what is no address is kept")
	}
}

// A provider that replaces links replaces ours: then a click that it tells is a click on what ours leads to, of whom ours knows.
func TestClickOnOurLink(t *testing.T) {
	r := newRig(t, nil)
	mail := link.Link{Tenant: 1, Minted: link.Minutes(time.Now()), Number: 2, Place: link.PlaceHTML, Message: link.ParseID([]byte("order-17")), Recipient: []byte("jane@example.com"),
		Destination: []byte("https://example.com/a?b=c"), Tag: []byte("order"), Metadata: link.AppendMetadata(nil, "shop", "7")}
	token, err := r.keys.AppendToken(nil, &mail)
	if err != nil {
		t.Fatal(err)
	}
	send := func(url string) event.Event {
		t.Helper()
		body := `{"event_type":"clicked","event_time":1795843264,"event_id":"1","message_id":"<1@example.com>","event_data":{"ip":"203.0.113.9","original_url":"` + url + `"}}`
		if status, text := r.send("demo/maileroo", body, map[string]string{"x-maileroo-signature": hexSign(hexSecret, body)}); status != 200 {
			t.Fatal(status, text)
		}
		events := r.events()
		return events[len(events)-1]
	}
	e := send("https://links.example.com/" + string(token) + "?utm_source=x")
	own := event.Event{Type: event.Clicked, Tenant: 1, Message: []byte("order-17"), Recipient: []byte("jane@example.com"), Destination: mail.Destination}
	told, _ := e.Unique()
	if seen, _ := own.Unique(); told != seen {
		t.Errorf("%+v is another click", e)
	}
	if !e.Minted.Equal(mail.MintedTime()) || e.Place != "html" || e.LinkNumber != 2 || string(e.Tag) != "order" || len(e.Metadata) != 1 || string(e.Address) != "203.0.113.9" {
		t.Errorf("%+v", e)
	}
	other := mail
	other.Tenant = 2
	foreign, err := r.keys.AppendToken(nil, &other)
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"https://links.example.com/" + string(foreign), "https://elsewhere.example.com/" + string(token), "https://links.example.com/" + string(token[1:]), "https://example.com/a?b=c"} {
		if e := send(url); string(e.Destination) != url || len(e.Recipient) > 0 || string(e.Message) != "<1@example.com>" {
			t.Errorf("%s became %s of %s", url, e.Destination, e.Message)
		}
	}
}

// A message whose id mint made was sent when it was made: what is told of it later lies on the same day as the clicks on its links.
func TestSentWhenMinted(t *testing.T) {
	told := Told{Known: true}
	told.Event.Message = []byte("01a22aa0-571a-73b1-b4e3-83466e82aa30")
	if at, ok := sentBy(&told); !ok || at.Format(time.RFC3339) != "2026-11-30T04:04:40Z" {
		t.Errorf("%v %v", at, ok)
	}
	for _, message := range []string{"01a22aa0-571a-43b1-b4e3-83466e82aa30", "order-17", "", "01a22aa0-571a-73b1-b4e3-83466e82aa3x"} {
		told.Event.Message = []byte(message)
		if _, ok := sentBy(&told); ok {
			t.Errorf("%s tells a time", message)
		}
	}
	told.Event.Message, told.Known = []byte("01a22aa0-571a-73b1-b4e3-83466e82aa30"), false
	if _, ok := sentBy(&told); ok {
		t.Error("the id of somebody else tells a time")
	}
}

// With track: off what people do is recorded as little when a provider tells it; what became of the mail is.
func TestTrackOff(t *testing.T) {
	r := newRig(t, func(o *Options, _ *journal.Options) { o.Tenants.List[0].Track = "off" })
	for kind, want := range map[string]string{"clicked": "ignored", "opened": "ignored", "delivered": "recorded"} {
		body := `{"event_type":"` + kind + `","event_time":1795457650,"message_id":"1","event_data":{"original_url":"https://example.com/"}}`
		if status, text := r.send("demo/maileroo", body, map[string]string{"x-maileroo-signature": hexSign(hexSecret, body)}); status != 200 || text != `{"result":"`+want+`"}` {
			t.Errorf("%s: %d %s", kind, status, text)
		}
		if err := r.Again("demo", "maileroo", time.Now(), nil, []byte(body)); err != nil {
			t.Error(err)
		}
	}
	if events := r.events(); len(events) != 2 || events[0].Type != event.Delivered || events[1].Type != event.Delivered {
		t.Errorf("%d events", len(events))
	}
}

// A scanner is no person, whoever tells of it.
func TestLabels(t *testing.T) {
	known := machines.New([]configs.MachineRule{{Name: "scanner", Label: "machine", Agents: []string{"linkscanner"}}})
	for agent, want := range map[string]event.Labels{"LinkScanner/1.0": event.Machine, "Mozilla/5.0": 0} {
		told := Told{Event: event.Event{Type: event.Clicked, UserAgent: []byte(agent), Address: []byte("203.0.113.9")}}
		told.label(known)
		if told.Event.Labels != want {
			t.Errorf("%s: %v", agent, told.Event.Labels)
		}
	}
	told := Told{Event: event.Event{Type: event.Bounced, UserAgent: []byte("LinkScanner/1.0")}}
	if told.label(known); told.Event.Labels != 0 {
		t.Error("a bounce is labelled")
	}
}
