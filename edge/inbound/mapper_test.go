package inbound

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"waypost/edge/event"
)

// mapped is one delivery, and what it tells: the data of its events as they would stand in the journal, without what the edge fills in; or the error.
type mapped struct {
	name, body string
	want       []string
	known      bool
	err        string
}

func testMapper(t *testing.T, m Mapper, tests []mapped) {
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			body := c.body
			if strings.HasSuffix(body, ".json") {
				body = read(t, filepath.Join("../../sink/dispatch/formats/testdata/documented", body))
			}
			all, err := m.Map([]byte(body))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %s", err, c.err)
				}
				return
			}
			if err != nil || len(all) != len(c.want) {
				t.Fatalf("%d events, %v", len(all), err)
			}
			for i := range all {
				if got := dataOf(&all[i]); got != c.want[i] {
					t.Errorf("\n got %s\nwant %s", got, c.want[i])
				}
				if all[i].Known != c.known {
					t.Errorf("known %v", all[i].Known)
				}
			}
		})
	}
}

// dataOf is the type and the data of an event, from what a mapper says of it.
func dataOf(told *Told) string {
	e := told.Event
	if e.Report = &told.Report; e.Minted.IsZero() {
		e.Minted = told.Report.Occurred
	}
	document := string(event.AppendDocument(nil, &e))
	_, data, _ := strings.Cut(document, `"data":{"tenant":0,`)
	return string(e.Type) + " {" + strings.Replace(data, `,"retention_days":0,"unique":"person"`, "", 1)
}

func TestResend(t *testing.T) {
	const at, data = `"created_at":"2026-11-23T18:14:10.123456Z"`, `"email_id":"e1","created_at":"2026-11-22T08:00:00.000Z","from":"Acme <a@example.com>","to":["Jane <jane@example.com>"],"subject":"Hi"`
	of := func(kind, more string) string {
		return `{"type":"email.` + kind + `",` + at + `,"data":{` + data + more + `}}`
	}
	const (
		who  = `{"message":"e1","recipient":"jane@example.com","link":{"number":0,"minted":"2026-11-22T08:00:00Z"}`
		told = `,"occurred":"2026-11-23T18:14:10.123456Z"`
		from = `,"from":"Acme <a@example.com>","subject":"Hi"}}`
	)
	testMapper(t, resend{}, []mapped{
		{name: "sent", body: of("sent", ""), want: []string{"email.sent " + who + `,"provider_type":"email.sent"` + told + from}},
		{name: "delivered", body: of("delivered", ""), want: []string{"email.delivered " + who + `,"provider_type":"email.delivered"` + told + from}},
		{name: "delivery_delayed", body: of("delivery_delayed", ""), want: []string{"email.deferred " + who + `,"provider_type":"email.delivery_delayed"` + told + from}},
		{name: "complained", body: of("complained", ""), want: []string{"email.complained " + who + `,"provider_type":"email.complained"` + told + from}},
		{name: "bounced", body: of("bounced", `,"bounce":{"message":"550 no","subType":"General","type":"Permanent"}`),
			want: []string{"email.bounced " + who + `,"provider_type":"email.bounced"` + told + `,"reason":"550 no","bounce":{"type":"Permanent","name":"General"}` + from}},
		{name: "failed", body: of("failed", `,"failed":{"reason":"reached_daily_quota"}`), want: []string{"email.failed " + who + `,"provider_type":"email.failed"` + told + `,"reason":"reached_daily_quota"` + from}},
		{name: "suppressed", body: of("suppressed", `,"suppressed":{"message":"on the list","type":"OnAccountSuppressionList"}`),
			want: []string{"email.failed " + who + `,"provider_type":"email.suppressed"` + told + `,"reason":"on the list"` + from}},
		{name: "opened", body: of("opened", ""), want: []string{"email.opened " + who + `,"provider_type":"email.opened"` + told + from}},
		{name: "clicked", body: of("clicked", `,"click":{"ipAddress":"203.0.113.9","link":"https://example.com/a","timestamp":"2026-11-23T18:14:09.000Z","userAgent":"Mozilla/5.0"}`),
			want: []string{`email.clicked {"message":"e1","recipient":"jane@example.com","link":{"number":0,"destination":"https://example.com/a","minted":"2026-11-22T08:00:00Z"}` +
				`,"user_agent":"Mozilla/5.0","address":"203.0.113.9","provider_type":"email.clicked","occurred":"2026-11-23T18:14:09.000000Z"` + from}},
		{name: "tags as an object", known: true, body: of("sent", `,"tags":{"waypost":"order-17","b":"2","a":"1","n":7}`),
			want: []string{strings.Replace("email.sent "+who, "e1", "order-17", 1) + `,"metadata":{"a":"1","b":"2","n":"7"},"provider_type":"email.sent"` + told + from}},
		{name: "tags as an array", known: true, body: of("sent", `,"tags":[{"name":"a","value":"1"},"odd",{"name":"waypost","value":"order-17"}]`),
			want: []string{strings.Replace("email.sent "+who, "e1", "order-17", 1) + `,"metadata":{"a":"1"},"provider_type":"email.sent"` + told + from}},
		{name: "sent to two", body: `{"type":"email.sent",` + at + `,"data":{"email_id":"e1","to":["a@example.com","b@example.com"]}}`, want: []string{
			`email.sent {"message":"e1","recipient":"a@example.com","link":{"number":0,"minted":"2026-11-23T18:14:10Z"},"provider_type":"email.sent"` + told + "}}",
			`email.sent {"message":"e1","recipient":"b@example.com","link":{"number":0,"minted":"2026-11-23T18:14:10Z"},"provider_type":"email.sent"` + told + "}}",
		}},
		{name: "bounced of two", body: `{"type":"email.bounced","created_at":"2026-11-23 18:14:10.5+00","data":{"email_id":"e1","to":["a@example.com","b@example.com"]}}`, want: []string{
			`email.bounced {"message":"e1","link":{"number":0,"minted":"2026-11-23T18:14:10Z"},"provider_type":"email.bounced","occurred":"2026-11-23T18:14:10.500000Z"}}`}},
		{name: "to as text", body: `{"type":"email.sent","created_at":"2026-11-23T19:14:10+01:00","data":{"email_id":"e1","to":"a@example.com"}}`, want: []string{
			`email.sent {"message":"e1","recipient":"a@example.com","link":{"number":0,"minted":"2026-11-23T18:14:10Z"},"provider_type":"email.sent","occurred":"2026-11-23T18:14:10.000000Z"}}`}},
		{name: "scheduled", body: of("scheduled", ""), err: ErrIgnored.Error()},
		{name: "domain", body: `{"type":"domain.updated","created_at":"2026-11-23T18:14:10Z","data":{"id":"1"}}`, err: ErrIgnored.Error()},
		{name: "unknown type", body: of("pondered", ""), err: `type is "email.pondered", which is not known`},
		{name: "no type", body: `{}`, err: `type is "", which is not known`},
		{name: "no message", body: `{"type":"email.sent",` + at + `,"data":{}}`, err: "no message"},
		{name: "no time", body: `{"type":"email.sent","data":{"email_id":"e1"}}`, err: "no time"},
		{name: "click without a link", body: of("clicked", ""), err: "no link"},
		{name: "no JSON", body: `type=email.sent`, err: "invalid character"},
		{name: "data is text", body: `{"type":"email.sent","data":"x"}`, err: "cannot unmarshal"},
	})
}

func TestPostmark(t *testing.T) {
	const (
		who  = `{"message":"00000000-0000-0000-0000-000000000000","recipient":"john@example.com","link":{"number":0,"minted":"2017-10-25T15:21:11Z"}`
		tags = `,"stream":"outbound","tag":"welcome-email","metadata":{"a_key":"a_value","b_key":"b_value"}`
		at   = `,"occurred":"2017-10-25T15:21:11.906561Z"`
		ua   = `,"user_agent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_7_5) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/35.0.1916.153 Safari/537.36","address":"8.8.8.8"`
	)
	bounce := func(more string) string {
		return `{"RecordType":"Bounce","MessageID":"m","Email":"j@example.com","BouncedAt":"2026-11-23T18:14:10Z"` + more + `}`
	}
	short := func(kind, more string) []string {
		return []string{kind + ` {"message":"m","recipient":"j@example.com","link":{"number":0,"minted":"2026-11-23T18:14:10Z"},"provider_type":"Bounce","occurred":"2026-11-23T18:14:10.000000Z"` + more + "}}"}
	}
	testMapper(t, postmark{}, []mapped{
		{name: "click", body: "postmark-click.json", want: []string{strings.Replace("email.clicked "+who, `0,"minted"`, `0,"place":"html","destination":"https://example.com","minted"`, 1) +
			tags + ua + `,"provider_type":"Click"` + at + "}}"}},
		{name: "open", body: "postmark-open.json", want: []string{"email.opened " + who + tags + ua + `,"provider_type":"Open"` + at + `,"read_seconds":5}}`}},
		{name: "delivery", body: "postmark-delivery.json", want: []string{"email.delivered " + who + tags + `,"provider_type":"Delivery"` + at + `,"reason":"Test delivery webhook details"}}`}},
		{name: "bounce", body: "postmark-bounce.json", want: []string{"email.bounced " + who + tags + `,"provider_event":"4323372036854775807","provider_type":"Bounce"` + at +
			`,"reason":"Test bounce details","bounce":{"type":"HardBounce","code":1,"name":"Hard bounce","description":"The server was unable to deliver your message (ex: unknown user, mailbox not found).",` +
			`"details":"Test bounce details","inactive":true,"can_activate":true},"from":"sender@example.com","subject":"Test subject"}}`}},
		{name: "complaint", body: "postmark-spamcomplaint.json", want: []string{"email.complained " + who + tags + `,"provider_event":"4323372036854775807","provider_type":"SpamComplaint"` + at +
			`,"reason":"Test bounce details","bounce":{"type":"SpamComplaint","code":100001,"name":"Spam complaint","details":"Test bounce details","inactive":true,"can_activate":true},` +
			`"from":"sender@example.com","subject":"Test subject"}}`}},
		{name: "delayed", body: bounce(`,"Type":"Transient","TypeCode":2`), want: short("email.deferred", `,"bounce":{"type":"Transient","code":2}`)},
		{name: "delayed, by name", body: bounce(`,"Type":"Transient"`), want: short("email.deferred", `,"bounce":{"type":"Transient"}`)},
		{name: "soft", body: bounce(`,"Type":"SoftBounce","TypeCode":4096`), want: short("email.bounced", `,"bounce":{"type":"SoftBounce","code":4096}`)},
		{name: "complaint as a bounce", body: bounce(`,"Type":"SpamComplaint","TypeCode":100001`), want: short("email.complained", `,"bounce":{"type":"SpamComplaint","code":100001}`)},
		{name: "with our metadata", known: true, body: bounce(`,"Metadata":{"waypost":"order-17"}`),
			want: []string{strings.Replace(short("email.bounced", "")[0], `"m"`, `"order-17"`, 1)}},
		{name: "text", body: `{"RecordType":"Click","MessageID":"m","ReceivedAt":"2026-11-23T18:14:10Z","OriginalLink":"https://example.com/","ClickLocation":"Text"}`,
			want: []string{`email.clicked {"message":"m","link":{"number":0,"place":"text","destination":"https://example.com/","minted":"2026-11-23T18:14:10Z"},"provider_type":"Click","occurred":"2026-11-23T18:14:10.000000Z"}}`}},
		{name: "subscription", body: `{"RecordType":"SubscriptionChange"}`, err: ErrIgnored.Error()},
		{name: "unknown type", body: `{"RecordType":"Ponder"}`, err: `RecordType is "Ponder"`},
		{name: "no type", body: `{}`, err: `RecordType is ""`},
		{name: "no time", body: `{"RecordType":"Open","MessageID":"m","ReceivedAt":"yesterday"}`, err: "no time"},
		{name: "no message", body: `{"RecordType":"Open","ReceivedAt":"2026-11-23T18:14:10Z"}`, err: "no message"},
		{name: "no link", body: `{"RecordType":"Click","MessageID":"m","ReceivedAt":"2026-11-23T18:14:10Z"}`, err: "no link"},
	})
}

func TestMaileroo(t *testing.T) {
	of := func(kind, more string) string {
		return `{"event_type":"` + kind + `","event_time":1795457650,"event_id":"i1","message_id":"<1@example.com>"` + more + `}`
	}
	short := func(kind, name, more string) []string {
		return []string{kind + ` {"message":"<1@example.com>","link":{"number":0,"minted":"2026-11-23T18:14:10Z"},"provider_event":"i1","provider_type":"` + name + `","occurred":"2026-11-23T18:14:10.000000Z"` + more + "}}"}
	}
	testMapper(t, maileroo{}, []mapped{
		{name: "clicked", body: "maileroo-clicked.json", want: []string{
			`email.clicked {"message":"<499840827041934075286474.8057.2024315233239@example.com>","link":{"number":0,"destination":"https://example.com/confirm/link","minted":"2024-03-15T23:32:57Z"},` +
				`"user_agent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0.0.0 Safari/537.36 Edg/122.0.0.0","address":"103.120.6.123",` +
				`"provider_event":"cb91d71458a75cb7160a2cca9c472a42a97bf925385998e0","provider_type":"clicked","occurred":"2024-03-15T23:32:57.000000Z"}}`}},
		{name: "delivered", body: "maileroo-delivered.json", want: []string{
			`email.delivered {"message":"<1234567890abcdef@example.com>","recipient":"jane.doe@example.com","link":{"number":0,"minted":"2024-03-15T23:32:22Z"},"metadata":{"tag1":"value1","tag2":"value2"},` +
				`"provider_event":"abcd1234efgh5678ijkl9101","provider_type":"delivered","occurred":"2024-03-15T23:32:22.000000Z"}}`}},
		{name: "deferred", body: "maileroo-deferred.json", want: []string{
			`email.deferred {"message":"<312897663424678224496834.5399.202431411321@example.com>","recipient":"example@example.com","link":{"number":0,"minted":"2024-03-15T23:32:37Z"},` +
				`"provider_event":"0dc2204928b817f0122d1e311aee0ee702ac378840ef7df5","provider_type":"deferred","occurred":"2024-03-15T23:32:37.000000Z",` +
				`"reason":"452-4.2.2 The recipient's inbox is out of storage space. Please direct the recipient to support link."}}`}},
		{name: "opened", body: of("opened", `,"tags":null`), want: short("email.opened", "opened", "")},
		{name: "accepted", body: of("accepted", ""), want: short("email.sent", "accepted", "")},
		{name: "rejected", body: of("rejected", `,"event_data":{"reason":"on the list"}`), want: short("email.failed", "rejected", `,"reason":"on the list"`)},
		{name: "failed", body: of("failed", `,"event_data":{"reason":"550 no"}`), want: short("email.bounced", "failed", `,"reason":"550 no"`)},
		{name: "complained", body: of("complained", ""), want: short("email.complained", "complained", "")},
		{name: "with our tag", known: true, body: of("opened", `,"tags":{"waypost":"order-17"}`), want: []string{strings.Replace(short("email.opened", "opened", "")[0], "<1@example.com>", "order-17", 1)}},
		{name: "unknown type", body: of("pondered", ""), err: `event_type is "pondered"`},
		{name: "time as text", body: `{"event_type":"opened","event_time":"soon","message_id":"1"}`, err: "no time"},
	})
}

func TestNexoMailer(t *testing.T) {
	const told = `,"provider_event":"5b1e7b1e-0000-4000-8000-000000000001","provider_type":"`
	who := func(link string) string {
		return `{"message":"5b1e7b1e-0000-4000-8000-000000000002","link":{"number":0,` + link + `"minted":"2026-05-13T09:00:00Z"}`
	}
	testMapper(t, nexomailer{}, []mapped{
		{name: "clicked", body: "nexomailer-clicked.json", want: []string{"email.clicked " + who(`"destination":"https://example.com/a?b=c",`) + `,"user_agent":"Mozilla/5.0","address":"203.0.113.9"` + told +
			`email.clicked","occurred":"2026-05-13T09:00:00.000000Z"}}`}},
		{name: "opened", body: "nexomailer-opened.json", want: []string{"email.opened " + who("") + `,"user_agent":"Mozilla/5.0","address":"203.0.113.9"` + told + `email.opened","occurred":"2026-05-13T09:00:00.000000Z"}}`}},
		{name: "bounced", body: "nexomailer-bounced.json", want: []string{"email.bounced " + who("") + told + `email.bounced","occurred":"2026-05-13T09:00:00.000000Z"}}`}},
		{name: "with our tag", known: true, body: `{"event":"email.sent","data":{"id":"1","messageId":"2","recipient":"j@example.com","timestamp":"2026-05-13T09:00:00.000Z","metadata":{"waypost":"order-17"}}}`,
			want: []string{`email.sent {"message":"order-17","recipient":"j@example.com","link":{"number":0,"minted":"2026-05-13T09:00:00Z"},"provider_event":"1","provider_type":"email.sent","occurred":"2026-05-13T09:00:00.000000Z"}}`}},
		{name: "time of the webhook, type of the data", body: `{"data":{"type":"email.sent","messageId":"2"},"timestamp":"2026-05-13T09:00:00.000Z"}`,
			want: []string{`email.sent {"message":"2","link":{"number":0,"minted":"2026-05-13T09:00:00Z"},"provider_type":"email.sent","occurred":"2026-05-13T09:00:00.000000Z"}}`}},
		{name: "unknown type", body: `{"event":"email.pondered"}`, err: `event is "email.pondered"`},
	})
}

func TestBareAddress(t *testing.T) {
	for in, want := range map[string]string{"a@b.example": "a@b.example", " a@b.example ": "a@b.example", "A <a@b.example>": "a@b.example", "<a@b.example>": "a@b.example", `"<x>" <a@b.example>`: "a@b.example",
		"": "", "<": "<", "A <a": "A <a", "> <": "> <"} {
		if got := bareAddress(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestErrIgnoredIsItself(t *testing.T) {
	if _, err := (postmark{}).Map([]byte(`{"RecordType":"SubscriptionChange"}`)); !errors.Is(err, ErrIgnored) {
		t.Error(err)
	}
}
