package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"

	"waypost/bench/receiver"
	"waypost/bench/stack"
	"waypost/configs"
	"waypost/sink/enrich/enrichtest"
)

// One message travels: who, with what, from where. As on the pages of the services whose documents it becomes, so that these can be held side by side.
const (
	journeyHost      = "go.example.com"
	journeyMessage   = "0ed7094b-f950-9ac3-145c-4aa97182be44"
	journeyRecipient = "john@example.com"
	journeyAgent     = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_7_5) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/35.0.1916.153 Safari/537.36"
	journeyAddress   = "8.8.8.8"
)

// Its two parts: five links in HTML, two of which stand in the text too.
const (
	journeyHTML = `<!DOCTYPE html><html><body><p>Welcome, John. <a href="https://example.com">Start here</a>.</p><ul>` +
		`<li><a href="https://example.com/plans">Plans</a>` +
		`<li><a href="https://example.com/guide?lang=en&amp;from=mail">The guide</a>` +
		`<li><a class=help href=https://example.com/help>Help</a>` +
		`<li><a href='https://example.com/account#settings'>Your settings</a></ul></body></html>`
	journeyText = "Welcome, John. Start here: https://example.com.\nPlans: https://example.com/plans\n"
)

// The places of its links in journey.links.
const (
	startInHTML = 0
	startInText = 5
	plansInText = 6
)

const journeyPartitions = 3 // of each topic, in startKafka

// journey is that message on its way through the programs.
type journey struct {
	*house
	goldens   goldens
	began     time.Time
	links     []string // of the HTML, then of the text
	picture   string
	sendAlong string // what mint gives for providers to tell of
}

// step is one thing that happens to the message.
type step struct {
	name string // of its documents in testdata/journey
	told bool   // the first of its kind: webhooks tell of it
	do   func()
}

func (j *journey) steps() []step {
	const sent, delivered, clicked = "msg_p5jXN8AQM9LWM0D4loKWxJek", "msg_2aFZqYbTvH8Rk1dJ5mXcWnLs0Ug", "msg_2bQk7sWvNf0CzRt9PxYhEa3LmJd"
	return []step{
		{"sent", true, j.byResend("sent", sent)},
		{"sent, told again", false, j.byResend("sent", sent)},
		{"delivered", true, j.byResend("delivered", delivered)},
		{"opened", true, j.open},
		{"opened again", false, j.open},
		{"clicked in html", true, j.click(startInHTML, "https://example.com")},
		{"clicked again in text", false, j.click(startInText, "https://example.com")},
		{"clicked in text", true, j.click(plansInText, "https://example.com/plans")},
		{"clicked, as resend saw it", false, j.byResend("clicked, as resend saw it", clicked)},
		{"deferred", true, j.byMaileroo("deferred")},
		{"bounced by postmark", true, j.byPostmark("bounced by postmark")},
		{"bounced by postmark, told again", false, j.byPostmark("bounced by postmark")},
		{"bounced by maileroo", true, j.byMaileroo("bounced by maileroo")},
		{"complained", true, j.byPostmark("complained")},
	}
}

// One message from its making to all that is told of it: every receiver gets the documents that testdata/journey shows, once, and no others; the journal holds one event for each thing that happened, and the live stream shows them in order.
func TestJourney(t *testing.T) {
	travel(t, stack.Config{})
}

// The same on a real broker. In the topics, all that happened to the message lies on one partition and under one key, in order.
func TestJourneyWithKafka(t *testing.T) {
	cluster, block := startKafka(t)
	steps, events := travel(t, stack.Config{Kafka: block})
	var all, firsts []string
	for i, s := range steps {
		all = append(all, string(events[i].document))
		if s.told {
			firsts = append(firsts, string(events[i].document))
		}
	}
	holds(t, cluster.Bootstrap(), "waypost.events", all)
	holds(t, cluster.Bootstrap(), "waypost.unique", firsts)
}

// holds checks that a topic has these documents and no others, in this order, on the one partition of the message's key.
func holds(t *testing.T, brokers []string, topic string, documents []string) {
	t.Helper()
	var got []string
	partitions := map[int]bool{}
	for n := range journeyPartitions {
		for _, m := range readAll(t, brokers, topic, n) {
			if want := "23/" + journeyMessage + "/" + journeyRecipient; string(m.Key) != want {
				t.Errorf("%s: key %q, want %q, of %s", topic, m.Key, want, m.Value)
			}
			partitions[n] = true
			got = append(got, string(m.Value))
		}
	}
	if len(partitions) != 1 {
		t.Errorf("%s: what happened to one message lies on the partitions %v", topic, partitions)
	}
	if d := cmp.Diff(documents, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", topic, d)
	}
}

// readAll reads a partition to its end.
func readAll(t *testing.T, brokers []string, topic string, n int) (messages []kafka.Message) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := kafka.DialLeader(ctx, "tcp", brokers[0], topic, n)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	end, err := c.ReadLastOffset()
	if err != nil {
		t.Fatal(err)
	}
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: brokers, Topic: topic, Partition: n})
	defer r.Close()
	for next := int64(0); next < end; {
		m, err := r.ReadMessage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		messages, next = append(messages, m), m.Offset+1
	}
	return messages
}

// travel is the journey, to its end: the programs are stopped. It gives what happened, and the journal's event of each.
func travel(t *testing.T, c stack.Config) (steps []step, events []told) {
	t.Helper()
	c.Mint = stack.Keys{"answer_within": "2s"}
	c.Edge = stack.Keys{"trusted_proxies": []string{"127.0.0.1"}}
	places := filepath.Join(t.TempDir(), "places.mmdb")
	enrichtest.Write(t, places, enrichtest.Page)
	c.Sink = stack.Keys{"geo": stack.Keys{"database": places}}
	j := &journey{began: time.Now()}
	j.house = open(t, c, func(_ string, endpoints []stack.Endpoint) []stack.Tenant {
		return []stack.Tenant{{
			Number: 23, Name: "acme", Hosts: []string{journeyHost}, Secrets: []string{"unused"}, Endpoints: endpoints,
			Keys: stack.Keys{"api_keys": []string{acmeKey}, "domain_id": 774, "user_id": 323, "inbound": journeyInbound},
		}}
	})
	j.goldens = readGoldens(t)
	j.mintAll()
	steps = j.steps()
	all, firsts := j.watch("", ""), j.watch("&first=unique", "")
	for _, s := range steps {
		s.do()
	}
	events = j.journal()
	if len(events) != len(steps) {
		t.Fatalf("%d events in the journal of %d things that happened: %s", len(events), len(steps), events)
	}
	for i, s := range steps {
		for _, format := range configs.Formats {
			if s.told && j.goldens.has(format, s.name) {
				wait(t, format+"'s document of "+s.name, func() bool { return len(j.deliveriesOf(format, events[i].ID)) > 0 })
			}
		}
	}
	withKafka := c.Kafka != nil // then the stream is the topic, which does not say who was first
	shown := all.saw(t, j.wanted(steps, events, false, !withKafka))
	firsts.saw(t, j.wanted(steps, events, true, true))
	const seen = 2 // a reader that comes back after these
	j.watch("", shown[seen-1].cursor).saw(t, j.wanted(steps[seen:], events[seen:], false, !withKafka))
	j.stop() // sends what was decided
	j.compare(steps, events)
	return steps, events
}

// compare holds what was written and told to the golden documents.
func (j *journey) compare(steps []step, events []told) {
	j.t.Helper()
	count := 0
	for i, s := range steps {
		e := events[i]
		e.check(j.t, j.began)
		j.goldens.compare(j.t, "journal", s.name, &e, e.document)
		for _, format := range configs.Formats {
			got := j.deliveriesOf(format, e.ID)
			want := 0
			if s.told && j.goldens.has(format, s.name) {
				want = 1
			}
			if len(got) != want {
				j.t.Errorf("%s: %d documents in the format %s, want %d", s.name, len(got), format, want)
				continue
			}
			for _, d := range got {
				j.goldens.compare(j.t, format, s.name, &e, d.Body)
			}
			count += want
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.got) != count {
		j.t.Errorf("%d documents came, of which %d are about what happened", len(j.got), count)
	}
	j.goldens.allOf(j.t, steps)
}

var (
	journeyLink    = regexp.MustCompile(`https://go\.example\.com/[A-Za-z0-9_-]{10,}`)
	journeyPicture = regexp.MustCompile(`https://go\.example\.com/o/[A-Za-z0-9_-]+\.gif`)
)

// mintAll has both parts made over.
func (j *journey) mintAll() {
	j.t.Helper()
	body, err := json.Marshal(map[string]any{
		"message": journeyMessage, "recipient": journeyRecipient, "tag": "welcome-email", "metadata": map[string]string{"a_key": "a_value", "b_key": "b_value"},
		"html": journeyHTML, "text": journeyText,
	})
	if err != nil {
		j.t.Fatal(err)
	}
	var answer struct {
		HTML, Text string
		Replaced   int
		Opens      bool
		ResendTag  struct{ Name, Value string } `json:"resend_tag"`
		Postmark   map[string]string            `json:"postmark_metadata"`
		Maileroo   map[string]string            `json:"maileroo_tags"`
	}
	wait(j.t, "seven links", func() bool { // a machine that stands still for two seconds gets 503, or links that stay
		text := j.mintMessage("/v1/messages/acme", acmeKey, string(body))
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			j.t.Fatalf("%v: %s", err, text)
		}
		return answer.Replaced == 7 && answer.Opens
	})
	j.links = append(journeyLink.FindAllString(answer.HTML, -1), journeyLink.FindAllString(answer.Text, -1)...)
	j.picture = journeyPicture.FindString(answer.HTML)
	if j.sendAlong = answer.ResendTag.Value; answer.ResendTag.Name != "waypost" || j.sendAlong == "" || j.sendAlong != answer.Postmark["waypost"] || j.sendAlong != answer.Maileroo["waypost"] {
		j.t.Fatalf("to send along: %v, %v, %v", answer.ResendTag, answer.Postmark, answer.Maileroo)
	}
	if len(j.links) != 7 {
		j.t.Fatalf("links %q in %s and %s", j.links, answer.HTML, answer.Text)
	}
	// Nothing else has changed.
	original := []string{"https://example.com", "https://example.com/plans", "https://example.com/guide?lang=en&amp;from=mail", "https://example.com/help", "https://example.com/account#settings"}
	html, text := answer.HTML, answer.Text
	for i, link := range j.links {
		html, text = strings.Replace(html, link, original[i%5], 1), strings.Replace(text, link, original[i%5], 1)
	}
	before, after, _ := strings.Cut(html, `<img src="`+j.picture+`"`)
	_, after, _ = strings.Cut(after, ">")
	if before+after != journeyHTML || text != journeyText {
		j.t.Errorf("apart from links and picture the parts are\n%s\n%s", before+after, text)
	}
}

// visit asks the edge for what stands at a URL, as the recipient's program does through a proxy.
func (j *journey) visit(url string) *http.Response {
	j.t.Helper()
	q, err := http.NewRequestWithContext(j.t.Context(), http.MethodGet, j.Edges[0].URL+strings.TrimPrefix(url, "https://"+journeyHost), nil)
	if err != nil {
		j.t.Fatal(err)
	}
	q.Host = journeyHost
	q.Header.Set("User-Agent", journeyAgent)
	q.Header.Set("X-Forwarded-For", journeyAddress)
	response, err := j.client.RoundTrip(q)
	if err != nil {
		j.t.Fatal(err)
	}
	defer response.Body.Close()
	return response
}

func (j *journey) open() {
	j.t.Helper()
	if response := j.visit(j.picture); response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "image/gif" {
		j.t.Fatalf("picture: %d %s", response.StatusCode, response.Header.Get("Content-Type"))
	}
}

// click is the following of a link.
func (j *journey) click(link int, destination string) func() {
	return func() {
		j.t.Helper()
		response := j.visit(j.links[link])
		if got := response.Header.Get("Location"); response.StatusCode != http.StatusFound || got != destination {
			j.t.Fatalf("link %d: %d to %q, want 302 to %q", link, response.StatusCode, got, destination)
		}
	}
}

// journal is what the edge's journal holds, in its order.
func (j *journey) journal() (events []told) {
	j.t.Helper()
	text, err := j.Run(j.t.Context(), "edge", "journal", "cat", j.JournalDir(0))
	if err != nil {
		j.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		events = append(events, parseTold(j.t, []byte(strings.TrimSuffix(line, "\n"))))
	}
	return events
}

// deliveriesOf are the webhooks of an event in a format.
func (j *journey) deliveriesOf(format, id string) []receiver.Delivery {
	j.t.Helper()
	return slices.DeleteFunc(j.received("/"+format), func(d receiver.Delivery) bool { return d.ID != id })
}
