package inbound

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"waypost/edge/event"
	"waypost/edge/journal"
)

const resendBounce = `{"type":"email.bounced","created_at":"2026-11-23T18:14:10.5Z","data":{"email_id":"56761188-7520-42d8-8898-ff6fc54ce618","created_at":"2026-11-22T08:00:00.000Z",` +
	`"from":"Acme <acme@example.com>","to":["Jane@example.com"],"subject":"Hello","tags":{"waypost":"order-17","campaign":"autumn"},` +
	`"bounce":{"message":"550 no such user","subType":"Suppressed","type":"Permanent"}}}`

// sent is one way of a provider to send a delivery.
type sent struct {
	path, body string
	headers    map[string]string
}

// ways are a good delivery of each provider.
func ways(t testing.TB, now time.Time) map[string]sent {
	const documented = "../../sink/dispatch/formats/testdata/documented/"
	maileroo, nexomailer := read(t, documented+"maileroo-deferred.json"), read(t, documented+"nexomailer-bounced.json")
	return map[string]sent{
		"resend":     {"demo/resend", resendBounce, standardSign(t, "svix-", resendSecret, "msg_1", now, resendBounce)},
		"postmark":   {"demo/postmark", read(t, documented+"postmark-bounce.json"), map[string]string{"Authorization": "Basic cG9zdG1hcms6cGFzczp3b3Jk"}},
		"maileroo":   {"demo/maileroo", maileroo, map[string]string{"x-maileroo-signature": hexSign(hexSecret, maileroo)}},
		"nexomailer": {"demo/nexomailer", nexomailer, map[string]string{"X-NexoMailer-Signature": hexSign(hexSecret, nexomailer)}},
	}
}

// with is the delivery with other headers: an empty value takes one away.
func (s sent) with(change map[string]string) sent {
	s.headers = maps.Clone(s.headers)
	for name, value := range change {
		if s.headers[name] = value; value == "" {
			delete(s.headers, name)
		}
	}
	return s
}

func TestVerification(t *testing.T) {
	r := newRig(t, nil)
	now := time.Now()
	good := ways(t, now)
	resend := good["resend"]
	resign := func(secret string, at time.Time, prefix string) sent {
		return sent{resend.path, resend.body, standardSign(t, prefix, secret, "msg_1", at, resend.body)}
	}
	both := resign("whsec_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB", now, "svix-")
	both.headers["svix-signature"] += " v1a,AAAA " + resend.headers["svix-signature"]
	many := resign(resendSecret, now, "svix-")
	many.headers["svix-signature"] = strings.Repeat("v1,AAAA ", maxSignatures) + many.headers["svix-signature"]
	for _, c := range []struct {
		name   string
		sent   sent
		status int
		words  string
	}{
		{"resend", resend, 200, "recorded"},
		{"resend, second secret", resign(resendOldSecret, now, "svix-"), 200, "recorded"},
		{"resend, webhook- names", resign(resendSecret, now, "webhook-"), 200, "recorded"},
		{"resend, signed with an unknown and a known secret", both, 200, "recorded"},
		{"resend, too many signatures", many, 401, "signature"},
		{"resend, at the edge of the tolerance", resign(resendSecret, now.Add(-4*time.Minute), "svix-"), 200, "recorded"},
		{"resend, stale", resign(resendSecret, now.Add(-6*time.Minute), "svix-"), 401, "signed time"},
		{"resend, from the future", resign(resendSecret, now.Add(6*time.Minute), "svix-"), 401, "signed time"},
		{"resend, another time than was signed", resend.with(map[string]string{"svix-timestamp": "1"}), 401, "signed time"},
		{"resend, no time", resend.with(map[string]string{"svix-timestamp": "now"}), 401, "signature"},
		{"resend, another id", resend.with(map[string]string{"svix-id": "msg_2"}), 401, "signature"},
		{"resend, wrong secret", resign("whsec_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB", now, "svix-"), 401, "signature"},
		{"resend, unsigned", resend.with(map[string]string{"svix-signature": ""}), 401, "signature"},
		{"resend, another version", resend.with(map[string]string{"svix-signature": strings.Replace(resend.headers["svix-signature"], "v1,", "v2,", 1)}), 401, "signature"},
		{"resend, another body", sent{resend.path, resend.body + " ", resend.headers}, 401, "signature"},
		{"postmark", good["postmark"], 200, "recorded"},
		{"postmark, wrong password", good["postmark"].with(map[string]string{"Authorization": "Basic cG9zdG1hcms6cGFzcw=="}), 401, "login"},
		{"postmark, no base64", good["postmark"].with(map[string]string{"Authorization": "Basic ????"}), 401, "login"},
		{"postmark, bearer", good["postmark"].with(map[string]string{"Authorization": "Bearer cG9zdG1hcms6cGFzczp3b3Jk"}), 401, "login"},
		{"postmark, no login", good["postmark"].with(map[string]string{"Authorization": ""}), 401, "login"},
		{"postmark, secret in the path", sent{"demo/postmark/" + pathSecret, good["postmark"].body, nil}, 200, "recorded"},
		{"postmark, wrong secret in the path", sent{"demo/postmark/" + pathSecret[1:], good["postmark"].body, nil}, 401, "login"},
		{"maileroo", good["maileroo"], 200, "recorded"},
		{"maileroo, second secret", good["maileroo"].with(map[string]string{"x-maileroo-signature": hexSign(hexOldSecret, good["maileroo"].body)}), 200, "recorded"},
		{"maileroo, wrong secret", good["maileroo"].with(map[string]string{"x-maileroo-signature": hexSign("other", good["maileroo"].body)}), 401, "signature"},
		{"maileroo, cut", good["maileroo"].with(map[string]string{"x-maileroo-signature": hexSign(hexSecret, good["maileroo"].body)[:62]}), 401, "signature"},
		{"maileroo, no hex", good["maileroo"].with(map[string]string{"x-maileroo-signature": strings.Repeat("x", 64)}), 401, "signature"},
		{"maileroo, unsigned", good["maileroo"].with(map[string]string{"x-maileroo-signature": ""}), 401, "signature"},
		{"maileroo, another body", sent{"demo/maileroo", good["maileroo"].body + " ", good["maileroo"].headers}, 401, "signature"},
		{"nexomailer", good["nexomailer"], 200, "recorded"},
		{"nexomailer, second secret", good["nexomailer"].with(map[string]string{"X-NexoMailer-Signature": hexSign(hexOldSecret, good["nexomailer"].body)}), 200, "recorded"},
		{"nexomailer, wrong secret", good["nexomailer"].with(map[string]string{"X-NexoMailer-Signature": hexSign("other", good["nexomailer"].body)}), 401, "signature"},
		{"nexomailer, maileroo's header", sent{"demo/nexomailer", good["nexomailer"].body, map[string]string{"x-maileroo-signature": hexSign(hexSecret, good["nexomailer"].body)}}, 401, "signature"},
		{"unknown tenant", sent{"nobody/resend", resend.body, resend.headers}, 404, "unknown tenant or provider"},
		{"unknown provider", sent{"demo/sendmail", resend.body, resend.headers}, 404, "unknown tenant or provider"},
		{"provider that is not set", sent{"bare/resend", resend.body, resend.headers}, 404, "unknown tenant or provider"},
		{"no provider", sent{"demo", resend.body, resend.headers}, 404, "unknown tenant or provider"},
		{"compressed", resend.with(map[string]string{"Content-Encoding": "gzip"}), 415, "Content-Encoding"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(r.documents())
			status, text := r.send(c.sent.path, c.sent.body, c.sent.headers)
			if status != c.status || !strings.Contains(text, c.words) || !json.Valid([]byte(text)) || (status != 200) != strings.HasPrefix(text, `{"error":`) {
				t.Errorf("%d %s, want %d with %q", status, text, c.status, c.words)
			}
			if added := len(r.documents()) - before; (added == 1) != (c.status == 200) {
				t.Errorf("%d events", added)
			}
		})
	}
	if c := r.Counts(); c.Unknown != 4 || c.BodyBytes != 0 {
		t.Errorf("unknown %d, %d bytes of bodies", c.Unknown, c.BodyBytes)
	}
	for what, want := range map[[2]string]uint64{{"resend", "recorded"}: 5, {"resend", "timestamp"}: 3, {"resend", "signature"}: 7, {"resend", "encoding"}: 1, {"postmark", "signature"}: 5} {
		if got := r.count(what[0], what[1]); got != want {
			t.Errorf("%v: %d, want %d", what, got, want)
		}
	}
	for _, secret := range []string{"jane", "Jane", "example.com", resendSecret, "pass:word", pathSecret} {
		if strings.Contains(r.logged.String(), secret) {
			t.Errorf("the log tells %s:\n%s", secret, r.logged)
		}
	}
}

// The signatures of the tests are those of the providers' documentation.
func TestVectors(t *testing.T) {
	const maileroo = `{"domain_id":774,"event_data":{"ip":"103.120.6.123","original_url":"https://example.com/confirm/link","user_agent":"Mozilla/5.0"},"event_id":"cb91d71458a75cb7160a2cca9c472a42a97bf925385998e0","event_time":1710545577,"event_type":"clicked","inserted_at":"2024-03-15T23:32:57.401Z","message_id":"<1@domain.com>","message_reference_id":"0ed7094bf9509ac3145c4aa97182be44","tags":null,"user_id":323}`
	const nexomailer = `{"event":"email.clicked","data":{"id":"5b1e7b1e-0000-4000-8000-000000000001","messageId":"5b1e7b1e-0000-4000-8000-000000000002","type":"email.clicked","ip":"203.0.113.9","userAgent":"Mozilla/5.0","url":"https://example.com/a?b=c","timestamp":"2026-05-13T09:00:00.000Z"},"timestamp":"2026-05-13T09:00:00.123Z"}`
	r := newRig(t, nil)
	for name, c := range map[string]sent{
		"maileroo":   {"demo/maileroo", maileroo, map[string]string{"x-maileroo-signature": "c700bab7898678debf3df89edb24a97ebcff3e938502d46d5c628c837ba13129"}},
		"nexomailer": {"demo/nexomailer", nexomailer, map[string]string{"X-NexoMailer-Signature": "8b0a4c6ca75602d39a458b77c6084f6415a97a9fad970f732ec738c21dc5a507"}},
	} {
		if status, text := r.send(c.path, c.body, c.headers); status != 200 {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
}

func TestBodies(t *testing.T) {
	r := newRig(t, nil)
	signed := func(body string) map[string]string {
		return map[string]string{"x-maileroo-signature": hexSign(hexSecret, body)}
	}
	good := ways(t, time.Now())["maileroo"].body
	padded := func(n int) string { return good + strings.Repeat(" ", n-len(good)) }
	for _, c := range []struct {
		name, body string
		status     int
		words      string
	}{
		{"1 MiB", padded(MaxBody), 200, "recorded"},
		{"a byte more", padded(MaxBody + 1), 413, "1 MiB"},
		{"ten times that", padded(10 * MaxBody), 413, "1 MiB"},
		{"no JSON", "event_type=delivered", 200, "aside"},
		{"nothing", "", 200, "aside"},
		{"no object", `["delivered"]`, 200, "aside"},
		{"unknown type", `{"event_type":"pondered","event_time":1,"message_id":"1"}`, 200, "aside"},
		{"no message", `{"event_type":"delivered","event_time":1795843264}`, 200, "aside"},
		{"no time", `{"event_type":"delivered","message_id":"1"}`, 200, "aside"},
		{"milliseconds", `{"event_type":"delivered","event_time":1795843264000,"message_id":"1"}`, 200, "aside"},
		{"click without a link", `{"event_type":"clicked","event_time":1795843264,"message_id":"1"}`, 200, "aside"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for how, body := range map[string]io.Reader{"announced": strings.NewReader(c.body), "in chunks": io.MultiReader(strings.NewReader(c.body))} {
				if status, text := r.do(http.MethodPost, "demo/maileroo", body, signed(c.body)); status != c.status || !strings.Contains(text, c.words) {
					t.Errorf("%s: %d %s, want %d with %q", how, status, text, c.status, c.words)
				}
			}
		})
	}
	if kept := len(r.asides.kept); kept != 16 || r.count("maileroo", "aside") != 16 {
		t.Errorf("%d kept aside, %d counted: %s", kept, r.count("maileroo", "aside"), r.asides.kept)
	}
	if first := r.asides.kept[0]; !strings.HasPrefix(first, "demo maileroo event_type=delivered: ") {
		t.Errorf("kept %q", first)
	}
	if status, _ := r.do(http.MethodGet, "demo/maileroo", nil, nil); status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", status)
	}
	if n := r.Counts().BodyBytes; n != 0 {
		t.Errorf("%d bytes of bodies are held", n)
	}
	r.asides.broken = true
	if status, text := r.send("demo/maileroo", "{}", signed("{}")); status != http.StatusServiceUnavailable || r.count("maileroo", "not_kept") != 1 {
		t.Errorf("what could not be kept: %d %s", status, text)
	}
}

// What is ignored is no event, and not kept.
func TestIgnored(t *testing.T) {
	r := newRig(t, nil)
	const contact = `{"type":"contact.created","created_at":"2026-11-23T18:14:10Z","data":{"id":"1"}}`
	for _, c := range []sent{
		{"demo/resend", contact, standardSign(t, "svix-", resendSecret, "msg_1", time.Now(), contact)},
		{"demo/postmark/" + pathSecret, `{"RecordType":"SubscriptionChange","MessageID":"1","ChangedAt":"2026-11-23T18:14:10Z","Recipient":"jane@example.com"}`, nil},
	} {
		if status, text := r.send(c.path, c.body, c.headers); status != 200 || text != `{"result":"ignored"}` {
			t.Errorf("%s: %d %s", c.path, status, text)
		}
	}
	if len(r.documents()) > 0 || len(r.asides.kept) > 0 || r.count("resend", "ignored") != 1 || r.count("postmark", "ignored") != 1 {
		t.Errorf("%d events, kept %v", len(r.documents()), r.asides.kept)
	}
}

// A delivery that is repeated makes the same event, as the sink sees it; so does what was kept aside once it can be mapped. Another delivery makes another one.
func TestRepeated(t *testing.T) {
	r := newRig(t, nil)
	for provider, s := range ways(t, time.Now()) {
		for range 2 {
			if status, text := r.send(s.path, s.body, s.headers); status != 200 {
				t.Fatalf("%s: %d %s", provider, status, text)
			}
		}
		if err := r.Again("demo", provider, time.Now(), []Header{{"svix-id", s.headers["svix-id"]}}, []byte(s.body)); err != nil {
			t.Errorf("%s again: %v", provider, err)
		}
	}
	keys := map[event.UniqueKey]int{}
	ids := map[string]int{}
	for _, e := range r.events() {
		key, ok := e.Unique()
		if !ok {
			t.Errorf("%s is not unique", e.Report.Provider)
		}
		keys[key]++
		ids[string(e.Report.Provider)+" "+string(e.Report.ProviderEvent)+" "+e.Minted.String()]++
	}
	if len(keys) != 4 || len(ids) != 4 {
		t.Errorf("keys %v, ids %v", keys, ids)
	}
	for key, n := range keys {
		if n != 3 {
			t.Errorf("%x comes %d times", key, n)
		}
	}
	other := standardSign(t, "svix-", resendSecret, "msg_2", time.Now(), resendBounce)
	if status, text := r.send("demo/resend", resendBounce, other); status != 200 {
		t.Fatal(status, text)
	}
	events := r.events()
	if key, _ := events[len(events)-1].Unique(); keys[key] != 0 {
		t.Error("another bounce is the same event")
	}
	if err := r.Again("nobody", "resend", time.Now(), nil, nil); err != ErrUnknown {
		t.Errorf("nobody's delivery again: %v", err)
	}
}

// What the journal does not take is not answered as taken.
func TestJournalFails(t *testing.T) {
	r := newRig(t, nil)
	if err := r.journal.Close(); err != nil {
		t.Fatal(err)
	}
	for provider, s := range ways(t, time.Now()) {
		if status, text := r.send(s.path, s.body, s.headers); status != http.StatusServiceUnavailable || !strings.Contains(text, "send it again") {
			t.Errorf("%s: %d %s", provider, status, text)
		}
		if n := r.count(provider, "journal"); n != 1 {
			t.Errorf("%s: counted %d", provider, n)
		}
	}
	if !strings.Contains(r.logged.String(), "delivery not recorded") {
		t.Errorf("log: %s", r.logged)
	}
}

// Bodies under way take no more memory than they may, and what is turned away is told so; afterwards all is as before.
func TestBodyMemory(t *testing.T) {
	r := newRig(t, func(o *Options, _ *journal.Options) { o.Memory = 2 * (MaxBody + 1) })
	s := ways(t, time.Now())["maileroo"]
	body := s.body + strings.Repeat(" ", MaxBody-len(s.body))
	headers := map[string]string{"x-maileroo-signature": hexSign(hexSecret, body)}
	// Two deliveries have come but for their last byte, and hold memory for all they may have.
	var finish []func()
	for range 2 {
		in, out := io.Pipe()
		done := make(chan int, 1)
		go func() {
			status, _ := r.do(http.MethodPost, "demo/maileroo", in, headers)
			done <- status
		}()
		if _, err := io.WriteString(out, body[:MaxBody-1]); err != nil {
			t.Fatal(err)
		}
		finish = append(finish, func() {
			if _, err := io.WriteString(out, body[MaxBody-1:]); err != nil {
				t.Error(err)
			}
			_ = out.Close()
			if status := <-done; status != 200 {
				t.Errorf("a delivery that had begun: %d", status)
			}
		})
	}
	waitFor(t, func() bool { return r.Counts().BodyBytes > 2*MaxBody-1024 })
	if status, text := r.send(s.path, s.body, s.headers); status != http.StatusServiceUnavailable || !strings.Contains(text, "send it again") {
		t.Errorf("beyond the memory: %d %s", status, text)
	}
	for _, f := range finish {
		f()
	}
	waitFor(t, func() bool { return r.Counts().BodyBytes == 0 })
	if status, text := r.send(s.path, s.body, s.headers); status != 200 || r.count("maileroo", "shed") != 1 {
		t.Errorf("afterwards: %d %s, shed %d", status, text, r.count("maileroo", "shed"))
	}
}

func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain")
		}
	}
}

// A bug in a mapper ends nothing but the delivery.
func TestBug(t *testing.T) {
	r := newRig(t, nil)
	rules := *r.rules.Load()
	rules.sources["demo"]["maileroo"].mapper = mapperFunc(func([]byte) ([]Told, error) { panic("jane@example.com") })
	r.rules.Store(&rules)
	s := ways(t, time.Now())["maileroo"]
	if status, text := r.send(s.path, s.body, s.headers); status != http.StatusInternalServerError || text != `{"error":"internal error"}` || r.count("maileroo", "bug") != 1 {
		t.Errorf("%d %s", status, text)
	}
	if log := r.logged.String(); !strings.Contains(log, "bug in a delivery") || strings.Contains(log, "jane") {
		t.Errorf("log: %s", log)
	}
}

type mapperFunc func([]byte) ([]Told, error)

func (f mapperFunc) Map(body []byte) ([]Told, error) { return f(body) }

// Many at once, while settings are taken up anew: each is recorded once.
func TestConcurrent(t *testing.T) {
	r := newRig(t, nil)
	s := ways(t, time.Now())["postmark"]
	const clients, each = 8, 50
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				r.Reload(r.keys, testTenants(), nil)
			}
		}
	})
	var sending sync.WaitGroup
	for range clients {
		sending.Go(func() {
			for range each {
				if status, text := r.send(s.path, s.body, s.headers); status != 200 {
					t.Errorf("%d %s", status, text)
				}
			}
		})
	}
	sending.Wait()
	close(stop)
	wg.Wait()
	if n := len(r.documents()); n != clients*each || r.count("postmark", "recorded") != clients*each {
		t.Errorf("%d events, %d counted", n, r.count("postmark", "recorded"))
	}
}
