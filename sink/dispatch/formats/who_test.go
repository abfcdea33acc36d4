package formats

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mrz1836/postmark"

	"waypost/edge/event"
	"waypost/sink/enrich"
	"waypost/sink/enrich/enrichtest"
)

// pageClick is the click of the example on Postmark's page, but for what Waypost's times do not have: the seventh digit of the second.
func pageClick(t *testing.T) (e *event.Event, document string) {
	t.Helper()
	example := string(documentedExample(t, "postmark-click"))
	var page postmark.ClickEvent
	if err := json.Unmarshal([]byte(example), &page); err != nil {
		t.Fatal(err)
	}
	e = &event.Event{
		ID: event.ID{Run: 1, Sequence: 1}, Type: event.Clicked, Time: page.ReceivedAt.Truncate(time.Microsecond), Tenant: 1, Message: []byte(page.MessageID),
		Recipient: []byte(page.Recipient), Place: "html", Destination: []byte(page.OriginalLink), Original: []byte(page.OriginalLink), Minted: page.ReceivedAt.Truncate(time.Minute),
		Stream: []byte(page.MessageStream), Tag: []byte(page.Tag), Metadata: [][2]string{{"a_key", "a_value"}, {"b_key", "b_value"}}, RetentionDays: 45, Method: []byte("GET"),
		UserAgent: []byte(page.UserAgent), Address: []byte(page.Geo.IP),
	}
	return e, strings.Replace(example, "15:21:11.9065619Z", "15:21:11.9065610Z", 1)
}

// The click of the page makes the document of the page: each member, byte for byte.
func TestPostmarksPage(t *testing.T) {
	e, want := pageClick(t)
	in := input(e)
	in.Who = enrichtest.Open(t)
	got, err := Postmark{}.AppendBody(nil, in)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	if click := PullClick(in); click.Client.Family != "Chrome" || click.Facts()["city"] != "Novi Sad" {
		t.Errorf("pulled %+v", click)
	}
	e.Type = event.Opened
	if open := PullOpen(in); open.Platform != "WebMail" || open.OS.Family != "OS X 10" || open.Geo.Zip != "21000" {
		t.Errorf("pulled %+v", open)
	}
}

// The standard document has what is known at the end of its data; the others have no members for it.
func TestWhoInTheOthers(t *testing.T) {
	e, _ := pageClick(t)
	in := input(e)
	in.Who = enrichtest.Open(t)
	for name, format := range byName {
		with, err := format.AppendBody(nil, in)
		if err != nil {
			t.Fatal(err)
		}
		without := body(t, format, e)
		switch name {
		case "standard":
			var got struct{ Data enrich.Details }
			if err := json.Unmarshal(with, &got); err != nil || got.Data.Client.Family != "Chrome" || !bytes.HasPrefix(with, bytes.TrimSuffix(without, []byte("}}"))) {
				t.Errorf("%v: %s", err, with)
			}
		case "maileroo", "nexomailer":
			if !bytes.Equal(with, without) {
				t.Errorf("%s: %s, %s", name, with, without)
			}
		}
	}
}
