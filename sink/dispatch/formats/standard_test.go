package formats

import (
	"encoding/json"
	"mime"
	"net/http"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
)

// The standard document is a valid CloudEvent to the CloudEvents SDK, and its content type says so.
func TestStandardIsACloudEvent(t *testing.T) {
	e := click()
	var got cloudevents.Event
	if err := json.Unmarshal(body(t, Standard{}, e), &got); err != nil {
		t.Fatal(err)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
	h := http.Header{}
	Standard{}.SetHeaders(h, "", nil)
	if media, _, err := mime.ParseMediaType(h.Get("Content-Type")); err != nil || media != cloudevents.ApplicationCloudEventsJSON {
		t.Errorf("content type %s, %v", media, err)
	}
	if got.ID() != e.ID.String() || got.Type() != "email.clicked" || !got.Time().Equal(e.Time) {
		t.Errorf("%v", got)
	}
	var data struct{ Recipient string }
	if err := got.DataAs(&data); err != nil || data.Recipient != "abc@prospect.com" {
		t.Errorf("data %+v, %v", data, err)
	}
}
