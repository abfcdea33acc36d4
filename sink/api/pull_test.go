package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/mrz1836/postmark"

	"waypost/edge/event"
	"waypost/mint/link"
	"waypost/sink/dispatch/formats"
	"waypost/sink/enrich/enrichtest"
	"waypost/sink/ingest"
	"waypost/sink/internal/metrics"
	"waypost/sink/internal/uniques"
)

// told is an event that the tenants' programs can pull: the n-th, n seconds before now.
func (h *harness) told(n int, change func(*event.Event)) event.Event {
	h.t.Helper()
	at := h.began.Add(-time.Duration(n) * time.Second)
	e := event.Event{
		ID: event.ID{Run: 7, Sequence: uint64(n)}, Type: event.Clicked, Time: at, Tenant: 1, TenantName: "one", Message: []byte("123"), Prospect: []byte("456"),
		Recipient: []byte("abc@prospect.com"), Place: "text", Destination: []byte("https://bit.ly/33zYFqH"), Original: []byte("https://www.google.com/?a=1&b=<2>"),
		Minted: at.Truncate(time.Minute), RetentionDays: 45, Tag: []byte("welcome-email"), Method: []byte("GET"), UserAgent: []byte("Mozilla/5.0"), Address: []byte("192.0.2.7"),
		Metadata: [][2]string{{"a_key", "a_value"}},
	}
	if change != nil {
		change(&e)
	}
	b := h.store().NewBatch()
	defer b.Close()
	f := ingest.First{ID: e.ID, Type: e.Type, Tenant: e.Tenant, Time: e.Time, Key: event.AppendKey(nil, &e), Document: event.AppendDocument(nil, &e)}
	if err := errors.Join(h.Uniques.Keep(f), h.Uniques.Write(b)); err != nil {
		h.t.Fatal(err)
	}
	if err := b.Commit(pebble.Sync); err != nil {
		h.t.Fatal(err)
	}
	h.Uniques.Committed()
	return e
}

// pulls is a search that must succeed.
func (h *harness) pulls(token, path string, into any) {
	h.t.Helper()
	status, body := h.do(token, "GET", path, "")
	if status != 200 {
		h.t.Fatalf("%s: %d %s", path, status, body)
	}
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		h.t.Fatalf("%s: %v\n%s", path, err, body)
	}
}

// clicks are as somebody else's library has them, which must know every member.
type clicks struct {
	TotalCount int
	Clicks     []postmark.ClickEvent
}

func postmarkID(text string) string { return formats.MessageID(1, []byte(text)).String() }

// What is pulled is what the webhook said, but for the metadata, in a form that somebody else's library reads with nothing unknown and nothing lost.
func TestPullClicks(t *testing.T) {
	h := start(t)
	e := h.told(1, nil)
	h.told(2, func(e *event.Event) { e.Tenant = 2 })
	want := clicks{1, []postmark.ClickEvent{{
		BaseEvent: postmark.BaseEvent{RecordType: "Click", MessageID: postmarkID("123"), MessageStream: "outbound", Tag: "welcome-email"},
		Recipient: "abc@prospect.com", ReceivedAt: e.Time, Platform: "Unknown", ClickLocation: "Text", OriginalLink: string(e.Original), UserAgent: "Mozilla/5.0",
		Geo: postmark.GeoInfo{IP: "192.0.2.7"},
	}}}
	for _, path := range []string{"/messages/outbound/clicks", "/messages/outbound/clicks/" + postmarkID("123"), "/messages/outbound/clicks/123"} {
		var got clicks
		h.pulls(tokenOne, path+"?count=500&offset=0", &got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	_, body := h.do(tokenOne, "GET", "/messages/outbound/clicks?count=1&offset=0", "")
	members := `{"TotalCount":1,"Clicks":[{"RecordType":"Click","ClickLocation":"Text","Client":{},"OS":{},"Platform":"Unknown","UserAgent":"Mozilla/5.0",` +
		`"OriginalLink":"https://www.google.com/?a=1&b=<2>","Geo":{"IP":"192.0.2.7"},"MessageID":"` + postmarkID("123") + `","ReceivedAt":"` +
		e.Time.Format("2006-01-02T15:04:05.0000000Z") + `","Tag":"welcome-email","Recipient":"abc@prospect.com","MessageStream":"outbound"}]}`
	if diff := cmp.Diff(members, strings.TrimSpace(body)); diff != "" {
		t.Error(diff)
	}
}

// What is known of who did it and where is pulled too, and can be searched by.
func TestPullWhoAndWhere(t *testing.T) {
	h := startWith(t, enrichtest.Open(t))
	h.told(1, nil)
	h.told(2, func(e *event.Event) {
		e.UserAgent = []byte("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_7_5) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/35.0.1916.153 Safari/537.36")
		e.Address = []byte("8.8.8.8")
	})
	var got clicks
	h.pulls(tokenOne, "/messages/outbound/clicks?count=1&offset=1", &got)
	place := postmark.GeoInfo{
		CountryISOCode: "RS", Country: "Serbia", RegionISOCode: "VO", Region: "Autonomna Pokrajina Vojvodina", City: "Novi Sad", Zip: "21000", Coords: "45.2517,19.8369", IP: "8.8.8.8",
	}
	if c := got.Clicks[0]; c.Client.Name != "Chrome 35.0.1916.153" || c.OS.Name != "OS X 10.7 Lion" || c.Platform != "Desktop" || c.Geo != place {
		t.Errorf("%+v", c)
	}
	for query, want := range map[string]int{
		"client_name=chrome+35.0.1916.153": 1, "client_company=Google": 1, "client_family=Chrome": 1, "os_name=OS+X+10.7+Lion": 1, "os_company=Apple+Computer,+Inc.": 1, "os_family=OS+X+10": 1,
		"platform=desktop": 1, "platform=Unknown": 1, "country=serbia": 1, "region=Autonomna+Pokrajina+Vojvodina": 1, "city=Novi+Sad&platform=Desktop": 1, "city=Novi+Sad&platform=Mobile": 0,
	} {
		if h.pulls(tokenOne, "/messages/outbound/clicks?count=1&offset=0&"+query, &got); got.TotalCount != want {
			t.Errorf("%s: %d, want %d", query, got.TotalCount, want)
		}
	}
}

// Somebody else's client pulls opens.
func TestPullOpensByPostmarkClient(t *testing.T) {
	h := start(t)
	client := postmark.NewClient(tokenOne, "")
	client.HTTPClient, client.BaseURL = h.client, "http://"+h.Addr()
	if opens, total, err := client.GetOutboundMessagesOpens(t.Context(), 25, 0, nil); err != nil || total != 0 || opens == nil || len(opens) != 0 {
		t.Errorf("before any: %v, %d, %v", opens, total, err)
	}
	for n := range 3 {
		h.told(n+1, func(e *event.Event) {
			e.Type, e.Message, e.Report = event.Opened, fmt.Appendf(nil, "%d", n), &event.Report{ReadSeconds: 5}
			e.Original = e.Destination
		})
	}
	h.told(4, nil) // a click
	open := func(message string) postmark.Open {
		return postmark.Open{
			FirstOpen: true, UserAgent: "Mozilla/5.0", MessageID: postmarkID(message), Client: map[string]string{}, OS: map[string]string{}, Platform: "Unknown", ReadSeconds: 5,
			Geo: map[string]string{"IP": "192.0.2.7"},
		}
	}
	opens, total, err := client.GetOutboundMessagesOpens(t.Context(), 2, 1, map[string]any{"recipient": "ABC@prospect.com", "tag": "welcome-email", "platform": "unknown"})
	if diff := cmp.Diff([]postmark.Open{open("1"), open("2")}, opens); diff != "" || total != 3 || err != nil {
		t.Errorf("%d, %v\n%s", total, err, diff)
	}
	opens, total, err = client.GetOutboundMessageOpens(t.Context(), postmarkID("1"), 500, 0)
	if diff := cmp.Diff([]postmark.Open{open("1")}, opens); diff != "" || total != 1 || err != nil {
		t.Errorf("%d, %v\n%s", total, err, diff)
	}
	if _, _, err := client.GetOutboundMessageOpens(t.Context(), postmarkID("1"), 501, 0); err == nil || !strings.Contains(err.Error(), `count = "501": must be a whole number from 1 to 500`) {
		t.Error(err)
	}
	_, body := h.do(tokenOne, "GET", "/messages/outbound/opens?count=1&offset=0", "")
	if want := `{"TotalCount":3,"Opens":[{"RecordType":"Open","FirstOpen":true,"Client":{},"OS":{},"Platform":"Unknown","UserAgent":"Mozilla/5.0","ReadSeconds":5,"Geo":`; !strings.HasPrefix(body, want) {
		t.Errorf("%s\nwant %s", body, want)
	}
}

// Each filter finds what fits, and nothing else; pages lie side by side, the newest first.
func TestPullFilters(t *testing.T) {
	h := start(t)
	hash := string(link.HashRecipient(1, []byte("x@example.com")))
	for n := range 9 {
		h.told(n+1, func(e *event.Event) {
			e.Recipient = []byte([]string{"a@example.com", "B@example.com", hash}[n%3])
			e.Tag = []byte([]string{"", "t"}[n%2])
			if n > 5 {
				e.Stream, e.Message = []byte("broadcast"), []byte("a/b")
			}
		})
	}
	day := func(n int) string { return h.began.Add(-time.Duration(n) * time.Second).Format(time.RFC3339Nano) }
	for query, want := range map[string][]int{
		"":                                      {1, 2, 3, 4, 5, 6, 7, 8, 9},
		"recipient=A@Example.com":               {1, 4, 7},
		"recipient=b@example.com&tag=t":         {2, 8},
		"recipient=X@example.com":               {3, 6, 9},
		"recipient=" + hash:                     {3, 6, 9},
		"recipient=c@example.com":               {},
		"tag=T":                                 {},
		"messageStream=broadcast":               {7, 8, 9},
		"messagestream=outbound&tag=t":          {2, 4, 6},
		"platform=unknown":                      {1, 2, 3, 4, 5, 6, 7, 8, 9},
		"platform=desktop":                      {},
		"client_name=Outlook":                   {},
		"os_family=OS+X&city=&country=":         {},
		"city=Moscow":                           {},
		"fromdate=" + day(4):                    {1, 2, 3, 4},
		"todate=" + day(8):                      {8, 9},
		"todate=2020-01-01":                     {},
		"fromdate=2020-01-01T00:00:00":          {1, 2, 3, 4, 5, 6, 7, 8, 9},
		"fromdate=2999-01-01&todate=2020-01-01": {},
	} {
		want := append([]int{}, want...)
		var paged []postmark.ClickEvent
		for offset := 0; ; offset += 2 {
			var got clicks
			h.pulls(tokenOne, fmt.Sprintf("/messages/outbound/clicks?count=2&offset=%d&%s", offset, strings.ReplaceAll(query, "#", "%23")), &got)
			if got.TotalCount != len(want) {
				t.Fatalf("%s: %d in all, want %d", query, got.TotalCount, len(want))
			}
			if len(got.Clicks) == 0 {
				break
			}
			paged = append(paged, got.Clicks...)
		}
		numbers := []int{}
		for _, c := range paged {
			numbers = append(numbers, int(h.began.Sub(c.ReceivedAt)/time.Second))
		}
		if !slices.Equal(numbers, want) {
			t.Errorf("%s: %v, want %v", query, numbers, want)
		}
	}
	for message, want := range map[string]int{"123": 6, "a%2Fb": 3, postmarkID("a/b"): 3, strings.ToUpper(postmarkID("123")): 6, "124": 0} {
		var got clicks
		if h.pulls(tokenOne, "/messages/outbound/clicks/"+message+"?count=10&offset=0", &got); got.TotalCount != want || len(got.Clicks) != want {
			t.Errorf("%s: %d, want %d", message, got.TotalCount, want)
		}
	}
}

// It counts to what can be reached and no further.
func TestPullCountsToTheEnd(t *testing.T) {
	h := start(t)
	b := h.store().NewBatch()
	defer b.Close()
	const n = mostFound + 10
	for i := range n {
		at := h.began.Add(-time.Duration(i+1) * time.Second)
		e := event.Event{ID: event.ID{Run: 7, Sequence: uint64(i + 1)}, Type: event.Clicked, Time: at, Tenant: 1, Message: []byte("1"), Prospect: []byte("2"), Destination: []byte("https://example.com/"), RetentionDays: 45}
		f := ingest.First{ID: e.ID, Type: e.Type, Tenant: 1, Time: at, Key: event.AppendKey(nil, &e), Document: event.AppendDocument(nil, &e)}
		if err := h.Uniques.Keep(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Uniques.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(pebble.Sync); err != nil {
		t.Fatal(err)
	}
	h.Uniques.Committed()
	for _, path := range []string{"", "/1"} {
		var got clicks
		h.pulls(tokenOne, "/messages/outbound/clicks"+path+"?count=500&offset=9500", &got)
		if last := h.began.Add(-mostFound * time.Second); got.TotalCount != mostFound || len(got.Clicks) != 500 || !got.Clicks[499].ReceivedAt.Equal(last) {
			t.Errorf("%q: %d in all, %d in the page", path, got.TotalCount, len(got.Clicks))
		}
	}
	before := url.QueryEscape(h.began.Add(-(mostFound + 1) * time.Second).Format(time.RFC3339Nano))
	var got clicks
	if h.pulls(tokenOne, "/messages/outbound/clicks?count=500&offset=0&todate="+before, &got); got.TotalCount != 10 {
		t.Errorf("%d behind the last that can be reached, want 10", got.TotalCount)
	}
}

func TestPullRefusals(t *testing.T) {
	h := start(t)
	const clicks = "/messages/outbound/clicks"
	for path, want := range map[string]string{
		"/messages/outbound":                            "404 no such path",
		"/messages/outbound/bounces?count=1&offset=0":   "404 no such path",
		clicks + "/?count=1&offset=0":                   "404 no such path",
		clicks + "/1/2?count=1&offset=0":                "404 no such path",
		clicks:                                          `422 count = \"\": must be a whole number from 1 to 500; offset = \"\": must be a whole number from 0 to 10000`,
		clicks + "?count=0&offset=0":                    `422 count = \"0\"`,
		clicks + "?count=1&offset=-1":                   `422 offset = \"-1\"`,
		clicks + "?count=500&offset=9501":               "422 count + offset = 10001: must be at most 10000",
		clicks + "?count=1&offset=0&count=2":            "422 count: must be there once",
		clicks + "?count=1&offset=0&Count=2":            "422 count: must be there once",
		clicks + "?count=1&offset=0&fromemail=a":        "422 fromemail: no such parameter; there are count, offset, recipient,",
		clicks + "/123?count=1&offset=0&tag=a":          "422 tag: no such parameter; there are count, offset",
		clicks + "?count=1&offset=0&fromdate=yesterday": `422 fromdate = \"yesterday\": must be a day or a time in UTC`,
		clicks + "?count=1&offset=0&todate=1969-01-01":  `422 todate = \"1969-01-01\"`,
		clicks + "?count=%zz":                           "422 the query of the URL is not readable",
	} {
		status, text, _ := strings.Cut(want, " ")
		code := map[string]string{"404": "404", "422": "700"}[status]
		if got, body := h.do(tokenOne, "GET", path, ""); fmt.Sprint(got) != status || !strings.Contains(body, text) || !strings.HasPrefix(body, `{"ErrorCode":`+code+`,"Message":"`) {
			t.Errorf("%s: %d %s\nwant %s", path, got, body, want)
		}
	}
	h.want("x", "GET", clicks+"?count=1&offset=0", "", 401, `{"ErrorCode":10,`)
	h.want(tokenOne, "POST", clicks+"?count=1&offset=0", "{}", 405, "allowed are GET")
	h.want(tokenOne, "GET", clicks+"?count=1&offset=0", "", 200, `{"TotalCount":0,"Clicks":[]}`)
	h.Uniques.Close()
	h.want(tokenOne, "GET", clicks+"?count=1&offset=0", "", 503, "the sink is ending")
}

// Without a store, without what is kept in it, and with too many who search, it says so.
func TestPullIsNotThere(t *testing.T) {
	h := start(t)
	off, err := uniques.Open(uniques.Options{Store: h.store(), Metrics: metrics.Discard(), Failed: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	defer off.Close()
	for want, s := range map[string]*Server{
		"501 waypost.unique":            {},
		"501 keeps nothing":             {Options: Options{Uniques: off}, searching: make(chan struct{}, 1), patience: patience},
		"429 too many searches at once": {Options: Options{Uniques: h.Uniques}, searching: make(chan struct{}), patience: time.Millisecond},
	} {
		s.tokens, s.Logger = h.tokens, slog.New(slog.DiscardHandler)
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/messages/outbound/clicks?count=1&offset=0", nil)
		r.Header.Set("X-Postmark-Server-Token", tokenOne)
		s.ServeHTTP(w, r)
		status, text, _ := strings.Cut(want, " ")
		if fmt.Sprint(w.Code) != status || !strings.Contains(w.Body.String(), text) || !strings.HasPrefix(w.Body.String(), `{"ErrorCode":`) {
			t.Errorf("%d %s, want %s", w.Code, w.Body, want)
		}
	}
}

// No query makes it panic; what is read is within its bounds.
func FuzzReadPull(f *testing.F) {
	f.Add("count=1&offset=0&recipient=a%40b&tag=t&client_name=c&fromdate=2026-01-01&todate=2026-01-01T00%3A00%3A00Z", false)
	f.Add("count=500&offset=9500", true)
	f.Add("Count=1&OFFSET=0&messageStream=x", false)
	f.Fuzz(func(t *testing.T, query string, one bool) {
		p, err := readPull(query, one)
		if err != nil {
			var out bytes.Buffer
			if _, ok := err.(*problem); !ok || json.NewEncoder(&out).Encode(err) != nil {
				t.Errorf("%v is no problem in Postmark's form", err)
			}
			return
		}
		if p.count < 1 || p.count > mostPulled || p.offset < 0 || p.count+p.offset > mostFound {
			t.Errorf("%+v", p)
		}
		known := (&formats.PulledClick{}).Facts()
		for _, fact := range p.facts {
			if _, ok := known[fact[0]]; !ok {
				t.Errorf("%q is asked for and never known; known are %v", fact[0], slices.Sorted(maps.Keys(known)))
			}
		}
	})
}
